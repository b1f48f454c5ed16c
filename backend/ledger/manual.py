"""手工凭证: what no other event covers, proposed by one person and posted as another agreed to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from backend.approvals.service import Proposal, propose, use
from backend.identity.principal import Principal
from backend.ledger.errors import AccountUnknownError, BookUnknownError, yuan
from backend.ledger.rules import Dimensions, Line, check
from backend.ledger.service import PostedEntry, post
from backend.ledger.tables import account, book
from backend.ledger.vouchers import Occasion, manual_entry

KIND = "manual_entry"


def propose_entry(
    connection: Connection,
    book_id: str,
    on: date,
    summary_zh: str,
    lines: Sequence[Line],
    reason: str,
    principal: Principal,
    at: datetime,
) -> Proposal:
    """Ask for an entry; it is posted when another person approves it.

    Raises:
        BookUnknownError, AccountUnknownError, UnbalancedEntryError, PostingSideError, EntryTooShortError: it
            would be refused later as well.
        NoRightError, ReasonMissingError: of the proposal.
    """
    estate_id = _estate_of(connection, book_id)
    known = set(connection.scalars(select(account.c.account_code)))
    for line in lines:
        if line.account_code not in known:
            raise AccountUnknownError(line.account_code)
    occasion = Occasion(book_id, at, on, principal.actor, principal.principal_id)
    entry = manual_entry(occasion, UUID(int=0), summary_zh, lines)
    check(entry)
    payload = {
        "book_id": book_id,
        "effective_on": on.isoformat(),
        "summary_zh": summary_zh,
        "total_fen": entry.total_fen,
        "lines": [
            {"account": line.account_code, "debit_fen": line.debit_fen, "credit_fen": line.credit_fen}
            for line in entry.lines
        ],
    }
    words = f"手工凭证 {yuan(entry.total_fen)} 元（{on:%Y-%m-%d}）：{summary_zh}"
    return propose(connection, KIND, estate_id, f"book:{book_id}", words, payload, reason, principal, at)


def post_agreed(connection: Connection, proposal_id: UUID, principal: Principal, at: datetime) -> PostedEntry:
    """Post what was approved, in the caller's transaction and exactly so; `principal` carries it out.

    Raises:
        ApprovalMissingError, ApprovalUsedError, ProposalUnknownError
        PeriodLockedError: the day's month was locked meanwhile.
    """
    agreed: Mapping[str, Any] = use(connection, proposal_id, KIND, at).payload
    book_id = str(agreed["book_id"])
    about = Dimensions(estate_id=_estate_of(connection, book_id))
    lines = [
        Line(str(line["account"]), int(line["debit_fen"]), int(line["credit_fen"]), about)
        for line in agreed["lines"]
    ]
    day = date.fromisoformat(agreed["effective_on"])
    occasion = Occasion(book_id, at, day, principal.actor, principal.principal_id)
    return post(connection, [manual_entry(occasion, proposal_id, str(agreed["summary_zh"]), lines)])[0]


def _estate_of(connection: Connection, book_id: str) -> str | None:
    row = connection.execute(select(book.c.estate_id).where(book.c.book_id == book_id)).one_or_none()
    if row is None:
        raise BookUnknownError(book_id)
    return None if row.estate_id is None else str(row.estate_id)
