"""The two signatures under a close sheet: whoever closed, then another person; PostgreSQL holds the rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, insert, select, text

from backend.approvals.service import check_signer, same_person
from backend.closing.errors import (
    CloserSignsFirstError,
    HeadDiffersError,
    MonthNotClosedError,
    OtherPersonSignsError,
    SignedAlreadyError,
)
from backend.closing.records import Month
from backend.closing.service import estate_of, lock_of, record_of
from backend.closing.tables import close_signature
from backend.identity.principal import Principal
from backend.identity.service import audit
from backend.identity.tables import principal as principal_table

KIND = "close_sheet"
CLOSER, REVIEWER = "closer", "reviewer"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who signed a line of the sheet, and when."""

    signs_as: str
    name: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is signed: the close that was filed last for a month that is still closed.

    Attributes:
        head_hash, manifest_sha256: in hexadecimal; those of the pack.
        debit_fen, credit_fen: what the trial balance says was moved in the month.
        signatures: by the line that was signed.
    """

    close_id: UUID
    book_id: str
    month: Month
    closed_by: UUID
    closer: str
    head_sequence: int
    head_hash: str
    manifest_sha256: str
    debit_fen: int
    credit_fen: int
    signatures: Mapping[str, Signature]


def sheet_of(connection: Connection, book_id: str, month: Month) -> Sheet | None:
    """The sheet of a closed month; None while the month is open."""
    lock = lock_of(connection, book_id, month)
    close = None if lock is None else record_of(connection, book_id, lock.change_no)
    if close is None:
        return None
    moved = connection.execute(
        text("""
            SELECT coalesce(sum(debit_fen), 0)::bigint AS debit_fen,
                   coalesce(sum(credit_fen), 0)::bigint AS credit_fen
            FROM balance_day WHERE book_id = :book AND effective_on >= :from_on AND effective_on < :to_on
        """),
        {"book": book_id, "from_on": month.from_on, "to_on": month.to_on},
    ).one()
    closer = select(principal_table.c.display_name).where(principal_table.c.principal_id == close.closed_by)
    return Sheet(
        close.close_id,
        book_id,
        month,
        close.closed_by,
        connection.execute(closer).scalar_one(),
        close.head_seq,
        close.head_hash.hex(),
        close.manifest_sha256.hex(),
        moved.debit_fen,
        moved.credit_fen,
        signatures_of(connection, [close.close_id]).get(close.close_id, {}),
    )


def signatures_of(connection: Connection, close_ids: list[UUID]) -> dict[UUID, dict[str, Signature]]:
    """The signatures of each close that has any."""
    found: dict[UUID, dict[str, Signature]] = {}
    for row in connection.execute(
        select(close_signature, principal_table.c.display_name)
        .join(principal_table, principal_table.c.principal_id == close_signature.c.signed_by)
        .where(close_signature.c.close_id.in_(close_ids))
    ):
        signature = Signature(row.signs_as, row.display_name, row.signed_at)
        found.setdefault(row.close_id, {})[row.signs_as] = signature
    return found


def sign(
    connection: Connection,
    book_id: str,
    month: Month,
    head: str,
    principal: Principal,
    at: datetime,
    manifest_sha256: str | None = None,
) -> Signature:
    """Sign the sheet of a closed month: as the closer, or as the second person, whoever it is.

    Args:
        head: the chain's head as it was read, in hexadecimal; spaces between its groups do not matter.
        manifest_sha256: of the pack, where it was shown as well.
    Raises:
        BookUnknownError, MonthNotClosedError
        HeadDiffersError: it is not the head, or not the pack, that was filed.
        CloserSignsFirstError, OtherPersonSignsError, SignedAlreadyError, NoRightError
    """
    estate_id, sheet = estate_of(connection, book_id), sheet_of(connection, book_id, month)
    if sheet is None:
        raise MonthNotClosedError(book_id, month)
    read = "".join(head.split()).lower()
    if read != sheet.head_hash or manifest_sha256 not in (None, sheet.manifest_sha256):
        raise HeadDiffersError(book_id, month, read)
    signs_as = next_line(sheet, principal)
    if signs_as in sheet.signatures:
        raise SignedAlreadyError(book_id, month)
    if signs_as == REVIEWER and same_person(connection, sheet.closed_by, principal):
        raise OtherPersonSignsError(principal.actor, sheet.close_id, estate_id)
    if signs_as == REVIEWER and CLOSER not in sheet.signatures:
        raise CloserSignsFirstError(book_id, month, sheet.closer)
    check_signer(connection, principal, KIND, estate_id, first=signs_as == CLOSER)
    connection.execute(
        insert(close_signature).values(
            close_id=sheet.close_id,
            signs_as=signs_as,
            head_seq=sheet.head_sequence,
            head_hash=bytes.fromhex(sheet.head_hash),
            manifest_sha256=bytes.fromhex(sheet.manifest_sha256),
            debit_fen=sheet.debit_fen,
            credit_fen=sheet.credit_fen,
            signed_by=principal.principal_id,
            signed_at=at,
            recorded_at=at,
        )
    )
    audit(connection, principal, "sign_close", "done", "book", book_id, estate_id, f"{month} {signs_as}", at)
    return Signature(signs_as, principal.display_name, at)


def next_line(sheet: Sheet, principal: Principal) -> str:
    """The line of the sheet that is this person's."""
    return CLOSER if principal.principal_id == sheet.closed_by else REVIEWER
