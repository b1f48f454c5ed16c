"""Keeps the outcome of a look: matches, the entries they imply, cases, and where every line now stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from backend.db.arrays import among, array_text
from backend.ledger import service as ledger
from backend.ledger.books import CITY_BOOK
from backend.ledger.chart import Chart
from backend.ledger.periods import open_from
from backend.ledger.rules import NewEntry
from backend.ledger.vouchers import Occasion
from backend.reconciliation.accounts import Account
from backend.reconciliation.files import driver
from backend.reconciliation.loading import Known
from backend.reconciliation.records import BALANCE_KEY, Case, Match, Outcome
from backend.reconciliation.tables import (
    entry_standing,
    line_standing,
    reconciliation_case,
    reconciliation_match,
)
from backend.reconciliation.vouchers import implied_entries

ACTOR = "自动对账"
POST_AT_ONCE = 5_000
DECIDED_ANEW, RESOLVED = "按新账单重新核对 decided anew", "已自动核对一致 resolved itself"


@dataclass(frozen=True, slots=True)
class Kept:
    """What changed."""

    new_matches: int
    undone_matches: int
    posted_entries: int
    new_cases: int
    closed_cases: int
    open_cases: int


@dataclass(frozen=True, slots=True)
class _Placed:
    """A match with its number and all of its entries, posted ones included."""

    match: Match
    match_id: int
    entry_of_line: dict[int, int]
    entries: tuple[int, ...]


def keep(
    connection: Connection,
    account: Account,
    chart: Chart,
    outcome: Outcome,
    again: Sequence[Known],
    book_id: str,
    now: datetime,
) -> Kept:
    """Write down what is different from before.

    Args:
        again: matches of before that were decided again.
        book_id: whose a case is where nothing else tells.
    """
    matches, undone = _changed_matches(connection, outcome.matches, again)
    _undo(connection, undone, now)
    open_cases = _open_cases(connection, account)
    cases = {case.key: case for case in outcome.cases}
    _clear(connection, [row.case_id for row in open_cases.values()])
    closed = [row.case_id for key, row in open_cases.items() if key not in cases]
    _close(connection, closed, now)
    posted = _post(connection, account, chart, matches, now)
    placed = _number(connection, matches, posted)
    _copy_matches(connection, account, placed, now)
    case_ids = _keep_cases(connection, account, cases, open_cases, book_id, now)
    _copy_standings(connection, account, placed, [(case_ids[case.key], case) for case in cases.values()])
    return Kept(
        len(matches),
        len(undone),
        sum(len(ids) for ids in posted.values()),
        len(cases.keys() - open_cases.keys()),
        len(closed),
        len(cases),
    )


def _changed_matches(
    connection: Connection, found: Sequence[Match], again: Sequence[Known]
) -> tuple[list[Match], list[int]]:
    """Matches to be made, and those to be undone; what came out as before is left alone."""
    if not again:
        return list(found), []
    ids = [one.match_id for one in again]
    lines: dict[int, set[int]] = {one.match_id: set() for one in again}
    for row in connection.execute(
        select(line_standing.c.match_id, line_standing.c.line_id).where(among(line_standing.c.match_id, ids))
    ):
        lines[row.match_id].add(row.line_id)
    before = {(one.key, frozenset(lines[one.match_id])): one.match_id for one in again}
    same: set[int] = set()
    new = []
    for match in found:
        known = before.get((match.key, frozenset(line_id for line_id, _ in match.lines)))
        if known is None:
            new.append(match)
        else:
            same.add(known)
    return new, [match_id for match_id in ids if match_id not in same]


def _undo(connection: Connection, match_ids: Sequence[int], now: datetime) -> None:
    if not match_ids:
        return
    for table in (line_standing, entry_standing):
        connection.execute(table.delete().where(among(table.c.match_id, match_ids)))
    connection.execute(
        update(reconciliation_match)
        .where(among(reconciliation_match.c.match_id, match_ids))
        .values(undone_at=now, undone_reason=DECIDED_ANEW)
    )


def _open_cases(connection: Connection, account: Account) -> dict[str, Row[Any]]:
    rows = connection.execute(
        select(reconciliation_case).where(
            reconciliation_case.c.account_id == account.account_id,
            reconciliation_case.c.closed_at.is_(None),
            # What a person took apart or split is theirs to put together.
            ~reconciliation_case.c.key.startswith("person:"),
            # What a shared account holds is looked at when the lines are done.
            reconciliation_case.c.key != BALANCE_KEY,
        )
    )
    return {row.key: row for row in rows}


def _clear(connection: Connection, case_ids: Sequence[int]) -> None:
    if case_ids:
        for table in (line_standing, entry_standing):
            connection.execute(table.delete().where(among(table.c.case_id, case_ids)))


def _close(connection: Connection, case_ids: Sequence[int], now: datetime) -> None:
    if case_ids:
        connection.execute(
            update(reconciliation_case)
            .where(among(reconciliation_case.c.case_id, case_ids))
            .values(closed_at=now, close_reason=RESOLVED)
        )


def _post(
    connection: Connection, account: Account, chart: Chart, matches: Iterable[Match], now: datetime
) -> dict[int, list[int]]:
    """Post what the matches imply; the entries by the line that says so."""
    occasion = Occasion(CITY_BOOK, now, now.date(), ACTOR, None)
    wanted = [
        (implied.line_id, entry)
        for match in matches
        for implied in match.implied
        for entry in implied_entries(chart, occasion, account.source, implied, CITY_BOOK)
    ]
    wanted = late_ones_moved(connection, wanted)
    found: dict[int, list[int]] = {}
    for start in range(0, len(wanted), POST_AT_ONCE):
        part = wanted[start : start + POST_AT_ONCE]
        posted = ledger.post(connection, [entry for _, entry in part])
        for (line_id, _), entry in zip(part, posted, strict=True):
            found.setdefault(line_id, []).append(entry.entry_id)
    return found


def late_ones_moved(
    connection: Connection, wanted: Sequence[tuple[int, NewEntry]]
) -> list[tuple[int, NewEntry]]:
    """What belongs to a locked month counts in the first open one; the summary keeps the line's own day."""
    first = {book_id: open_from(connection, book_id) for book_id in {one.book_id for _, one in wanted}}
    moved = []
    for line_id, entry in wanted:
        opens_on = first[entry.book_id]
        if opens_on is not None and entry.effective_on < opens_on:
            words_zh = f"{entry.summary_zh}（{entry.effective_on} 的流水）"
            entry = replace(entry, effective_on=opens_on, summary_zh=words_zh)  # noqa: PLW2901
        moved.append((line_id, entry))
    return moved


def _number(connection: Connection, matches: Sequence[Match], posted: dict[int, list[int]]) -> list[_Placed]:
    if not matches:
        return []
    numbers = connection.scalars(
        select(func.nextval("reconciliation_match_match_id_seq")).select_from(
            func.generate_series(1, len(matches)).alias("place")
        )
    ).all()
    placed = []
    for match, match_id in zip(matches, numbers, strict=True):
        new = [entry_id for implied in match.implied for entry_id in posted[implied.line_id]]
        entry_of_line = {
            line_id: entry_id if entry_id is not None else posted[line_id][0]
            for line_id, entry_id in match.lines
        }
        placed.append(_Placed(match, match_id, entry_of_line, (*match.entries, *new)))
    return placed


def _copy_matches(connection: Connection, account: Account, placed: Sequence[_Placed], now: datetime) -> None:
    if not placed:
        return
    statement = (
        "COPY reconciliation_match (match_id, account_id, key, rule, fields, made_at, reason) FROM STDIN"
    )
    with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for one in placed:
            match = one.match
            copy.write_row(
                (one.match_id, account.account_id, match.key, match.rule, array_text(match.fields), now, "")
            )


def _keep_cases(
    connection: Connection,
    account: Account,
    cases: dict[str, Case],
    before: dict[str, Row[Any]],
    book_id: str,
    now: datetime,
) -> dict[str, int]:
    """The numbers of the cases by key; known ones keep their number, owner and age."""
    ids: dict[str, int] = {}
    new = []
    for key, case in cases.items():
        facts = {
            "book_id": case.book_id or book_id,
            "kind": case.kind.value,
            "side": case.side,
            "on_day": case.on,
            "difference_fen": case.difference_fen,
            "suggestion": f"{case.kind}_{case.side}",
        }
        if (row := before.get(key)) is None:
            new.append({"account_id": account.account_id, "key": key, "opened_at": now, **facts})
            continue
        ids[key] = row.case_id
        if any(getattr(row, name) != value for name, value in facts.items()):
            connection.execute(
                update(reconciliation_case).where(reconciliation_case.c.case_id == row.case_id).values(facts)
            )
    if new:
        rows = connection.execute(
            reconciliation_case.insert().returning(reconciliation_case.c.key, reconciliation_case.c.case_id),
            new,
        )
        ids |= {row.key: row.case_id for row in rows}
    return ids


def _copy_standings(
    connection: Connection,
    account: Account,
    placed: Sequence[_Placed],
    cases: Sequence[tuple[int, Case]],
) -> None:
    lines: list[tuple[Any, ...]] = [
        (line_id, one.match_id, entry_id, None)
        for one in placed
        for line_id, entry_id in one.entry_of_line.items()
    ]
    lines += [(line_id, None, None, case_id) for case_id, case in cases for line_id in case.lines]
    entries: list[tuple[Any, ...]] = [
        (account.account_id, entry_id, one.match_id, None) for one in placed for entry_id in set(one.entries)
    ]
    entries += [
        (account.account_id, entry_id, None, case_id) for case_id, case in cases for entry_id in case.entries
    ]
    for table, columns, rows in (
        ("line_standing", "line_id, match_id, entry_id, case_id", lines),
        ("entry_standing", "account_id, entry_id, match_id, case_id", entries),
    ):
        if not rows:
            continue
        statement = f"COPY {table} ({columns}) FROM STDIN"
        with driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
