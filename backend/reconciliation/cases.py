"""Reading what is open: cases with their lines and entries, and what may belong to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, select, text

from backend.db.arrays import among
from backend.identity.tables import principal
from backend.reconciliation.errors import UnknownCaseError
from backend.reconciliation.tables import reconciliation_case, statement_account

CANDIDATES_MAX = 12


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case as a list shows it.

    Attributes:
        owner: who took it; None is the finance desk of its book.
    """

    case_id: int
    account_id: str
    account_zh: str
    book_id: str
    kind: str
    side: str
    on: date
    difference_fen: int
    owner_id: UUID | None
    owner: str | None
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str | None

    def age_days(self, now: datetime) -> int:
        """Whole days since it was found."""
        return ((self.closed_at or now) - self.opened_at).days


@dataclass(frozen=True, slots=True)
class LineView:
    """A line of a statement, with the file that says so."""

    line_id: int
    side: str
    kind: str
    external_id: str
    amount_fen: int
    fee_fen: int
    value_on: date
    pay_ref: str
    our_ref: str
    payer: str
    note: str
    file_name: str
    line_no: int


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry of ours, as far as it moved the account."""

    entry_id: int
    event_kind: str
    event_key: str
    summary_zh: str
    on: date
    amount_fen: int


@dataclass(frozen=True, slots=True)
class MatchView:
    """Lines and entries that were brought together, and why."""

    match_id: int
    account_id: str
    rule: str
    fields: tuple[str, ...]
    made_at: datetime
    by: str | None
    reason: str
    lines: tuple[LineView, ...]
    entries: tuple[EntryView, ...]


def open_cases(
    connection: Connection, book_ids: Iterable[str] | None = None, account_id: str | None = None
) -> list[CaseView]:
    """Open cases, the oldest first; `book_ids` None means all books."""
    conditions: list[ColumnElement[bool]] = [reconciliation_case.c.closed_at.is_(None)]
    if book_ids is not None:
        conditions.append(among(reconciliation_case.c.book_id, book_ids))
    if account_id is not None:
        conditions.append(reconciliation_case.c.account_id == account_id)
    return _cases(connection, *conditions)


def case_of(connection: Connection, case_id: int) -> CaseView:
    """One case, open or closed.

    Raises:
        UnknownCaseError
    """
    found = _cases(connection, reconciliation_case.c.case_id == case_id)
    if not found:
        raise UnknownCaseError(case_id)
    return found[0]


def lines_of_case(connection: Connection, case_id: int) -> list[LineView]:
    """Its lines, in the order of their time."""
    return _lines(connection, "stands.case_id = :id", case_id)


def entries_of_case(connection: Connection, case_id: int) -> list[EntryView]:
    """Its entries."""
    return _entries(connection, "stands.case_id = :id", case_id)


def match_of_line(connection: Connection, line_id: int) -> MatchView | None:
    """How a line came to its entry; None while it has none."""
    row = connection.execute(
        text(
            "SELECT made.*, who.display_name FROM line_standing AS stands"
            " JOIN reconciliation_match AS made USING (match_id)"
            " LEFT JOIN principal AS who USING (principal_id) WHERE stands.line_id = :id"
        ),
        {"id": line_id},
    ).one_or_none()
    if row is None:
        return None
    return MatchView(
        row.match_id,
        row.account_id,
        row.rule,
        tuple(row.fields),
        row.made_at,
        row.display_name,
        row.reason,
        tuple(_lines(connection, "stands.match_id = :id", row.match_id)),
        tuple(_entries(connection, "stands.match_id = :id", row.match_id)),
    )


def candidates(
    connection: Connection, case: CaseView, lines: Sequence[LineView]
) -> tuple[list[LineView], list[EntryView]]:
    """What else is open in the account and would even the case out: the suggestion for a person.

    What a channel keeps of a payment is in its line and in no entry of ours before the two are matched, so
    amounts are compared before fees as well.
    """
    values = {"id": case.case_id, "account_id": case.account_id, "fen": case.difference_fen}
    fees = (
        "(SELECT coalesce(sum(fee_fen), 0) FROM line_standing JOIN statement_line USING (line_id)"
        " WHERE case_id = {})"
    )
    others = (
        "open.account_id = :account_id AND open.closed_at IS NULL AND open.case_id <> :id"
        " AND (open.difference_fen = -:fen"
        f" OR open.difference_fen + {fees.format('open.case_id')} = -(:fen + {fees.format(':id')}))"
    )
    found_lines = _read_lines(
        connection,
        f"JOIN reconciliation_case AS open USING (case_id) WHERE {others} LIMIT {CANDIDATES_MAX}",
        values,
    )
    found_entries = _read_entries(
        connection,
        f"JOIN reconciliation_case AS open USING (case_id) WHERE {others}",
        values,
    )
    known = {line.line_id for line in lines}
    return [one for one in found_lines if one.line_id not in known], found_entries[:CANDIDATES_MAX]


def _cases(connection: Connection, *conditions: ColumnElement[bool]) -> list[CaseView]:
    rows = connection.execute(
        select(reconciliation_case, statement_account.c.name_zh, principal.c.display_name.label("owner"))
        .join(statement_account, statement_account.c.account_id == reconciliation_case.c.account_id)
        .outerjoin(principal, principal.c.principal_id == reconciliation_case.c.owner_id)
        .where(*conditions)
        .order_by(reconciliation_case.c.opened_at, reconciliation_case.c.case_id)
    )
    return [
        CaseView(
            row.case_id,
            row.account_id,
            row.name_zh,
            row.book_id,
            row.kind,
            row.side,
            row.on_day,
            row.difference_fen,
            row.owner_id,
            row.owner,
            row.opened_at,
            row.closed_at,
            row.close_reason,
        )
        for row in rows
    ]


def _lines(connection: Connection, condition: str, number: int) -> list[LineView]:
    return _read_lines(connection, f"WHERE {condition}", {"id": number})


def _read_lines(connection: Connection, rest: str, values: dict[str, object]) -> list[LineView]:
    rows = connection.execute(
        text(
            "SELECT line.line_id, line.side, line.kind, line.external_id, line.amount_fen, line.fee_fen,"  # noqa: S608 (conditions from above, values as parameters)
            " line.value_on, line.pay_ref, line.our_ref, line.payer, line.note, file.name, line.line_no"
            " FROM line_standing AS stands JOIN statement_line AS line USING (line_id)"
            f" JOIN statement_file AS file USING (file_id) {rest}"
        ),
        values,
    )
    return sorted((LineView(*row) for row in rows), key=lambda one: (one.value_on, one.line_id))


def _entries(connection: Connection, condition: str, number: int) -> list[EntryView]:
    return _read_entries(connection, f"WHERE {condition}", {"id": number})


def _read_entries(connection: Connection, rest: str, values: dict[str, object]) -> list[EntryView]:
    # On a bank's account a payout counts as what is on its way there.
    rows = connection.execute(
        text(
            "SELECT entry.entry_id, entry.event_kind, entry.event_key, entry.summary_zh, entry.effective_on,"  # noqa: S608 (conditions from above, values as parameters)
            " (SELECT coalesce(sum(posting.debit_fen - posting.credit_fen), 0)::bigint FROM posting"
            "  WHERE posting.entry_id = entry.entry_id AND (posting.account_code = account.account_code"
            "   OR (account.source = 'bank' AND entry.event_kind = 'payout' AND posting.debit_fen > 0)))"
            " FROM entry_standing AS stands JOIN journal_entry AS entry USING (entry_id)"
            f" JOIN statement_account AS account ON account.account_id = stands.account_id {rest}"
        ),
        values,
    )
    return sorted((EntryView(*row) for row in rows), key=lambda one: (one.on, one.entry_id))
