"""Opening a closed month again: one person asks, another agrees, and both stay on record with the close."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from backend.approvals import service as approvals
from backend.approvals.service import Proposal
from backend.closing.errors import MonthNotClosedError, NotLastClosedError
from backend.closing.records import Month
from backend.closing.service import check_may_close, estate_of, lock_of
from backend.identity.principal import Principal
from backend.identity.service import audit
from backend.ledger import periods

KIND = periods.UNLOCK


def propose_reopening(
    connection: Connection, book_id: str, month: Month, reason: str, principal: Principal, at: datetime
) -> Proposal:
    """Ask for a closed month to be opened again.

    Raises:
        BookUnknownError, NotAllowedError, NoRightError, ReasonMissingError
        MonthNotClosedError: there is nothing to open.
        NotLastClosedError: a later month is closed; that one is opened first.
    """
    estate_id = estate_of(connection, book_id)
    check_may_close(principal, estate_id)
    _check_last(connection, book_id, month)
    payload = {"book_id": book_id, "month": str(month)}
    subject = periods.unlock_subject(book_id, month.from_on)
    words = f"反结账 {book_id} {month}"
    return approvals.propose(connection, KIND, estate_id, subject, words, payload, reason, principal, at)


def reopen_agreed(connection: Connection, proposal_id: UUID, principal: Principal, at: datetime) -> None:
    """Open the month that was agreed on, in the transaction of the approval; the old pack stays.

    Raises:
        ApprovalMissingError, ApprovalUsedError, ProposalUnknownError
        MonthNotClosedError, NotLastClosedError: it was opened, or a later month closed, meanwhile.
    """
    agreed = approvals.get(connection, proposal_id)
    # The subject is what PostgreSQL compares with the month that is opened.
    _, book_id, month_text = agreed.subject.split(":")
    month = Month(datetime.strptime(month_text, "%Y-%m").date())  # noqa: DTZ007 (a month has no zone)
    _check_last(connection, book_id, month)
    periods.unlock_period(connection, book_id, month.from_on, proposal_id, principal, at)
    audit(connection, principal, "reopen_month", "done", "book", book_id, agreed.estate_id, str(month), at)


def _check_last(connection: Connection, book_id: str, month: Month) -> None:
    if lock_of(connection, book_id, month) is None:
        raise MonthNotClosedError(book_id, month)
    if periods.open_from(connection, book_id) != month.to_on:
        raise NotLastClosedError(book_id, month)
