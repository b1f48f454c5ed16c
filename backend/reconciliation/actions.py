"""What a person does with what does not fit: match, unmatch, split, suspense, close, take over.

Each has a reason and is audited; each posts what it implies in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, text, update

from backend.db.arrays import among
from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.ledger.books import CITY_BOOK, chart_of
from backend.reconciliation.accounts import Account, account_of
from backend.reconciliation.cases import CaseView, case_of, entries_of_case, lines_of_case
from backend.reconciliation.errors import (
    CaseClosedError,
    NotEqualError,
    NotMatchableError,
    ReasonMissingError,
    SplitError,
)
from backend.reconciliation.files import lock_account
from backend.reconciliation.joint import Joint, joint_of
from backend.reconciliation.records import CaseKind
from backend.reconciliation.tables import (
    entry_standing,
    line_standing,
    reconciliation_case,
    reconciliation_match,
    statement_line,
)

# Cases under such a key are a person's: the software leaves them alone.
BY_PERSON = "person:"
REASON_MAX = 300
# What a part has from the line it is a part of.
_OF_PARTS = (
    "file_id",
    "account_id",
    "side",
    "kind",
    "line_no",
    "at",
    "value_on",
    "method",
    "payer",
    "payout_ref",
    "book_ref",
)


def match_case(
    connection: Connection,
    case_id: int,
    *,
    more_lines: Sequence[int] = (),
    more_entries: Sequence[int] = (),
    suspense: bool = False,
    reason: str,
    who: Principal,
    now: datetime,
) -> int:
    """Match everything in a case, with further open lines and entries; returns the match.

    What the lines imply is posted: fees as they were taken, payouts, charges.

    Args:
        suspense: post what is left over to suspense instead of refusing.
    Raises:
        NotEqualError: the two sides differ, and not to suspense.
        NotMatchableError: something is not open any more, or there is no entry to match with.
        CaseClosedError, ReasonMissingError, UnknownCaseError
    """
    case, account = _open_case(connection, case_id, reason)
    if case.kind == CaseKind.BALANCE:
        raise NotMatchableError("余额 the balance")
    line_ids = [*(one.line_id for one in lines_of_case(connection, case_id)), *more_lines]
    entry_ids = [*(one.entry_id for one in entries_of_case(connection, case_id)), *more_entries]
    match_id = match_together(
        connection,
        account,
        line_ids,
        entry_ids,
        key=_key_of(connection, case_id),
        book_id=case.book_id,
        suspense=f"case-{case_id}" if suspense else None,
        reason=reason,
        who=who,
        now=now,
    )
    _audit(connection, "match_case", case, reason, who, now)
    return match_id


def match_together(
    connection: Connection,
    account: Account,
    line_ids: Sequence[int],
    entry_ids: Sequence[int],
    *,
    key: str,
    book_id: str,
    suspense: str | None,
    reason: str,
    who: Principal,
    now: datetime,
) -> int:
    """Bring open lines and entries together; see `match_case`.

    Args:
        suspense: the number of a suspense entry where no line gives one; None refuses a difference.
    """
    _check_open(connection, account, line_ids, entry_ids)
    joint = joint_of(connection, account, line_ids, entry_ids, book_id)
    if len(joint.entries) != len(set(entry_ids)):
        raise NotMatchableError("凭证 entry")
    joint.post_implied(chart_of(connection, now), suspense or "", who, now)
    if joint.difference_fen:
        if suspense is None:
            raise NotEqualError(joint.difference_fen)
        joint.post_suspense(chart_of(connection, now), suspense, who, now)
    entry_of_line = joint.entry_of_line()
    if not entry_of_line and line_ids:
        raise NotMatchableError("凭证 entry")
    for table, column, ids in (
        (line_standing, line_standing.c.line_id, line_ids),
        (entry_standing, entry_standing.c.entry_id, entry_ids),
    ):
        taken = table.delete().where(among(column, ids))
        if table is entry_standing:
            taken = taken.where(entry_standing.c.account_id == account.account_id)
        connection.execute(taken)
    match_id = connection.execute(
        insert(reconciliation_match)
        .values(
            account_id=account.account_id,
            key=key,
            rule="person",
            fields=[],
            made_at=now,
            principal_id=who.principal_id,
            reason=reason.strip()[:REASON_MAX],
        )
        .returning(reconciliation_match.c.match_id)
    ).scalar_one()
    _stand(connection, account, joint, entry_of_line, match_id)
    _close_empty(connection, account, reason, who, now)
    return int(match_id)


def unmatch(connection: Connection, match_id: int, *, reason: str, who: Principal, now: datetime) -> int:
    """Take a match apart; everything in it is a case that the software leaves alone. Returns the case.

    Raises:
        NotMatchableError: it is undone already.
        ReasonMissingError
    """
    _check_reason(reason)
    stands = select(reconciliation_match.c.account_id).where(
        reconciliation_match.c.match_id == match_id, reconciliation_match.c.undone_at.is_(None)
    )
    # A look takes the account first as well, and its matches after that.
    account_id = connection.scalar(stands)
    if account_id is not None:
        lock_account(connection, account_id)
    if account_id is None or connection.scalar(stands.with_for_update()) is None:
        raise NotMatchableError(f"匹配 match {match_id}")
    account = account_of(connection, account_id)
    connection.execute(
        update(reconciliation_match)
        .where(reconciliation_match.c.match_id == match_id)
        .values(undone_at=now, undone_by=who.principal_id, undone_reason=reason.strip()[:REASON_MAX])
    )
    lines = connection.scalars(
        select(line_standing.c.line_id).where(line_standing.c.match_id == match_id)
    ).all()
    entries = connection.scalars(
        select(entry_standing.c.entry_id).where(entry_standing.c.match_id == match_id)
    ).all()
    joint = joint_of(connection, account, lines, entries, account.book_id or CITY_BOOK)
    case_id = _new_case(
        connection,
        account,
        f"{BY_PERSON}match-{match_id}",
        CaseKind.OTHER,
        joint,
        joint.difference_fen,
        who,
        now,
    )
    for table in (line_standing, entry_standing):
        values: dict[str, object] = {"match_id": None, "case_id": case_id}
        if table is line_standing:
            values["entry_id"] = None
        connection.execute(update(table).where(table.c.match_id == match_id).values(values))
    _audit(connection, "unmatch", case_of(connection, case_id), reason, who, now)
    return case_id


def split_line(
    connection: Connection,
    line_id: int,
    parts_fen: Sequence[int],
    *,
    reason: str,
    who: Principal,
    now: datetime,
) -> list[int]:
    """Split an open line into parts, each a case of its own to be matched; returns the cases.

    Raises:
        SplitError: fewer than two parts, or they are not the line.
        NotMatchableError: the line is not open.
        ReasonMissingError
    """
    _check_reason(reason)
    line = connection.execute(select(statement_line).where(statement_line.c.line_id == line_id)).one_or_none()
    if line is None:
        raise NotMatchableError(f"流水 line {line_id}")
    account = account_of(connection, line.account_id)
    _check_open(connection, account, [line_id], [])
    if len(parts_fen) < 2 or 0 in parts_fen or sum(parts_fen) != line.amount_fen or line.fee_fen:
        raise SplitError(line.amount_fen - line.fee_fen, sum(parts_fen))
    connection.execute(line_standing.delete().where(line_standing.c.line_id == line_id))
    connection.execute(insert(line_standing).values(line_id=line_id, split_at=now))
    common = {name: getattr(line, name) for name in _OF_PARTS}
    ids = connection.scalars(
        insert(statement_line).returning(statement_line.c.line_id, sort_by_parameter_order=True),
        [
            {
                **common,
                "external_id": f"{line.external_id}#{number}",
                "amount_fen": fen,
                "fee_fen": 0,
                "pay_ref": "",
                "our_ref": "",
                "note": f"{line.note}（第 {number} 部分 part {number}）",
                "split_of": line_id,
            }
            for number, fen in enumerate(parts_fen, start=1)
        ],
    ).all()
    cases = []
    for part_id in ids:
        joint = joint_of(connection, account, [part_id], [], account.book_id or CITY_BOOK)
        key = f"{BY_PERSON}part-{part_id}"
        case_id = _new_case(connection, account, key, CaseKind.EXTRA, joint, joint.difference_fen, who, now)
        connection.execute(insert(line_standing).values(line_id=part_id, case_id=case_id))
        cases.append(case_id)
    _close_empty(connection, account, reason, who, now)
    for case_id in cases:
        _audit(connection, "split_line", case_of(connection, case_id), reason, who, now)
    return cases


def close_case(connection: Connection, case_id: int, *, reason: str, who: Principal, now: datetime) -> None:
    """Close a case in which no money is unexplained: its lines stay with it, without an entry.

    One about the balance of a shared account is closed by its explanation alone; it comes back when the
    difference becomes another one.

    Raises:
        NotEqualError: the statements and the books differ by it.
        CaseClosedError, ReasonMissingError, UnknownCaseError
    """
    case, _ = _open_case(connection, case_id, reason)
    about_balance = case.kind == CaseKind.BALANCE
    if not about_balance and (case.difference_fen or entries_of_case(connection, case_id)):
        raise NotEqualError(case.difference_fen)
    connection.execute(
        update(reconciliation_case)
        .where(reconciliation_case.c.case_id == case_id)
        .values(closed_at=now, closed_by=who.principal_id, close_reason=reason.strip()[:REASON_MAX])
    )
    _audit(connection, "close_case", case, reason, who, now)


def take_case(connection: Connection, case_id: int, *, who: Principal, now: datetime) -> None:
    """Somebody makes a case theirs.

    Raises:
        CaseClosedError, UnknownCaseError
    """
    case, _ = _open_case(connection, case_id, "-")
    connection.execute(
        update(reconciliation_case)
        .where(reconciliation_case.c.case_id == case_id)
        .values(owner_id=who.principal_id)
    )
    _audit(connection, "take_case", case, "", who, now)


def _open_case(connection: Connection, case_id: int, reason: str) -> tuple[CaseView, Account]:
    _check_reason(reason)
    case = case_of(connection, case_id)
    account = account_of(connection, case.account_id)
    lock_account(connection, account.account_id)
    case = case_of(connection, case_id)  # as it is now that nobody else may change it
    if case.closed_at is not None:
        raise CaseClosedError(case_id)
    return case, account


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise ReasonMissingError


def _key_of(connection: Connection, case_id: int) -> str:
    return str(
        connection.scalar(select(reconciliation_case.c.key).where(reconciliation_case.c.case_id == case_id))
    )


def _check_open(
    connection: Connection, account: Account, line_ids: Sequence[int], entry_ids: Sequence[int]
) -> None:
    """Everything is of this account, and in no match and no split."""
    lock_account(connection, account.account_id)
    lines = connection.execute(
        text(
            "SELECT line_id, (stands.match_id IS NULL AND stands.split_at IS NULL"
            "  AND (stands.case_id IS NULL OR open.closed_at IS NULL)) AS is_open"
            " FROM statement_line AS line LEFT JOIN line_standing AS stands USING (line_id)"
            " LEFT JOIN reconciliation_case AS open USING (case_id)"
            " WHERE line_id = ANY(:ids) AND line.account_id = :account_id"
        ),
        {"ids": list(line_ids), "account_id": account.account_id},
    ).all()
    fine = {row.line_id for row in lines if row.is_open}
    for line_id in line_ids:
        if line_id not in fine:
            raise NotMatchableError(f"流水 line {line_id}")
    entries = connection.execute(
        text(
            "SELECT entry_id FROM entry_standing WHERE entry_id = ANY(:ids) AND account_id = :account_id"
            " AND match_id IS NOT NULL"
        ),
        {"ids": list(entry_ids), "account_id": account.account_id},
    ).all()
    for row in entries:
        raise NotMatchableError(f"凭证 entry {row.entry_id}")


def _stand(
    connection: Connection, account: Account, joint: Joint, entry_of_line: dict[int, int], match_id: int
) -> None:
    for line_id, entry_id in entry_of_line.items():
        connection.execute(
            insert(line_standing).values(line_id=line_id, match_id=match_id, entry_id=entry_id)
        )
    for entry_id in sorted(joint.entry_ids()):
        connection.execute(
            insert(entry_standing).values(account_id=account.account_id, entry_id=entry_id, match_id=match_id)
        )


def _close_empty(
    connection: Connection, account: Account, reason: str, who: Principal, now: datetime
) -> None:
    """Cases that have nothing left in them are dealt with; one about a balance never has anything in it."""
    connection.execute(
        text(
            "UPDATE reconciliation_case AS open"
            " SET closed_at = :now, closed_by = :who, close_reason = :reason"
            " WHERE account_id = :account_id AND closed_at IS NULL AND kind <> 'balance'"
            " AND NOT EXISTS (SELECT FROM line_standing WHERE case_id = open.case_id)"
            " AND NOT EXISTS (SELECT FROM entry_standing WHERE case_id = open.case_id)"
        ),
        {
            "now": now,
            "who": who.principal_id,
            "reason": reason.strip()[:REASON_MAX],
            "account_id": account.account_id,
        },
    )


def _new_case(
    connection: Connection,
    account: Account,
    key: str,
    kind: CaseKind,
    joint: Joint,
    difference_fen: int,
    who: Principal,
    now: datetime,
) -> int:
    return int(
        connection.execute(
            insert(reconciliation_case)
            .values(
                account_id=account.account_id,
                book_id=joint.book_id,
                key=key,
                kind=kind.value,
                side=joint.side,
                on_day=joint.on,
                difference_fen=difference_fen,
                suggestion=f"{kind.value}_{joint.side}",
                owner_id=who.principal_id,
                opened_at=now,
            )
            .returning(reconciliation_case.c.case_id)
        ).scalar_one()
    )


def _audit(
    connection: Connection, action: str, case: CaseView, reason: str, who: Principal, now: datetime
) -> None:
    estate_id = case.book_id if case.book_id != CITY_BOOK else None
    audit(connection, who, action, "done", "reconciliation_case", str(case.case_id), estate_id, reason, now)
