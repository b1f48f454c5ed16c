"""The day-end check: for each account, book and day, is everything there, matched, or in somebody's hands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, func, select, text

from backend.ledger.books import CITY_BOOK
from backend.payments.port import BalanceDesk, Provider, ProviderRefusedError, ProviderUnavailableError
from backend.reconciliation.accounts import Account, accounts_of
from backend.reconciliation.channel_rules import terms_of
from backend.reconciliation.errors import FileRefusedError
from backend.reconciliation.files import add_file
from backend.reconciliation.importers import stripe_api
from backend.reconciliation.loading import coverage, sides_of
from backend.reconciliation.run import RunResult, recent, run_account
from backend.reconciliation.settings import ReconciliationSettings
from backend.reconciliation.tables import reconciliation_day
from backend.registry.rules import BEIJING, local_day, start_of_day

CHECKED_DAYS = 35
# A payout names its parts some days after they were booked.
FETCHED_DAYS = 10

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DayState:
    """One account, book and day, with counts and sums.

    Attributes:
        state: 'waiting' (the statement is not due yet), 'no_statement', 'open' or 'clean'.
        line_fen, entry_fen: what each side says moved.
    """

    account_id: str
    book_id: str
    on: date
    state: str
    line_count: int = 0
    line_fen: int = 0
    entry_count: int = 0
    entry_fen: int = 0
    matched_count: int = 0
    waiting_count: int = 0
    case_count: int = 0


def state_of(found: DayState, *, complete: bool, due: bool) -> str:
    """The word for a day. Pure."""
    if not complete:
        return "no_statement" if due else "waiting"
    return "open" if found.case_count or found.waiting_count else "clean"


def check_account(
    connection: Connection,
    account: Account,
    from_on: date,
    to_on: date,
    now: datetime,
    settings: ReconciliationSettings,
) -> list[DayState]:
    """Count the days [from_on, to_on) of an account and keep what was found, one row a book and day."""
    days = _counted(connection, account, max(from_on, account.since_on), to_on)
    covered = coverage(connection, account)
    sides = sides_of(account)
    found = []
    for day in days:
        complete = all(covered(side, day.on) for side in sides)
        # A channel writes no bill of a day on which nothing happened.
        complete = complete or (not account.is_bank and not day.line_count and not day.entry_count)
        found.append(replace(day, state=state_of(day, complete=complete, due=is_due(day.on, now, settings))))
    _keep(connection, found, now)
    return found


def is_due(day: date, now: datetime, settings: ReconciliationSettings) -> bool:
    """Whether the statement of a day should be there."""
    return now >= _moment(day + timedelta(days=1), settings.ready_at)


def check_all(
    connection: Connection, now: datetime, settings: ReconciliationSettings
) -> tuple[list[RunResult], list[DayState]]:
    """Look at every account, the channels before the banks that their payouts go to; then count the days."""
    accounts = sorted(accounts_of(connection), key=lambda one: (one.is_bank, one.account_id))
    today = local_day(now)
    results = [run_account(connection, one, recent(today), now) for one in accounts]
    days = [
        day
        for one in accounts
        for day in check_account(connection, one, today - timedelta(days=CHECKED_DAYS), today, now, settings)
    ]
    return results, days


def check_when_due(
    engine: Engine, providers: Iterable[Provider], now: datetime, settings: ReconciliationSettings
) -> int:
    """The worker's job: once a day, after the statements are there; returns 1 if it was the time.

    What a provider tells by itself is fetched first. Two workers do it once.
    """
    at = _moment(local_day(now), settings.check_at)
    if now < at:
        return 0
    with engine.begin() as connection:
        accounts = accounts_of(connection)
        if not accounts or not _first_since(connection, at):
            return 0
    for provider in providers:
        fetch(engine, provider, accounts, now)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(7205307)"))
        if not _first_since(connection, at):
            return 0
        results, days = check_all(connection, now, settings)
    log.info(
        "day_end_check",
        accounts=len(results),
        matches=sum(one.new_matches for one in results),
        open_cases=sum(one.open_cases for one in results),
        without_statement=sum(one.state == "no_statement" for one in days),
    )
    return 1


def fetch(engine: Engine, provider: Provider, accounts: Sequence[Account], now: datetime) -> int:
    """Import what a provider tells of the last days by itself; returns the number of new lines."""
    to_on = local_day(now)
    new = 0
    for account in accounts:
        if account.source != provider.name or account.source != "stripe":
            continue
        from_on = max(account.since_on, to_on - timedelta(days=FETCHED_DAYS))
        if from_on >= to_on:
            continue
        try:
            lines = provider.settlements(start_of_day(from_on), start_of_day(to_on))
            found, sha256 = stripe_api.read(lines, from_on, to_on, _held_before(provider, account, to_on))
            with engine.begin() as connection:
                name = f"{provider.name} {from_on}…{to_on}"
                new += add_file(
                    connection, account, found, name, sha256, principal_id=None, now=now
                ).new_line_count
        except (ProviderUnavailableError, ProviderRefusedError) as error:
            log.warning("settlements_not_fetched", account=account.account_id, reason=error.reason)
        except FileRefusedError as error:
            log.warning("settlements_refused", account=account.account_id, code=error.code)
    return new


def _held_before(provider: Provider, account: Account, to_on: date) -> int | None:
    """What the account held when the day began, in fen; None where the provider does not say now."""
    if not isinstance(provider, BalanceDesk):
        return None
    try:
        return provider.balance_before(start_of_day(to_on))
    except (ProviderUnavailableError, ProviderRefusedError) as error:
        log.warning("balance_not_fetched", account=account.account_id, reason=error.reason)
        return None


def days_of(
    connection: Connection, book_ids: Iterable[str] | None, from_on: date, to_on: date
) -> list[DayState]:
    """What the last check found, newest day first; `book_ids` None means all books."""
    rows = connection.execute(
        text(
            "SELECT account_id, book_id, on_day, state, line_count, line_fen, entry_count, entry_fen,"
            " matched_count, waiting_count, case_count FROM reconciliation_day"
            " WHERE on_day >= :from_on AND on_day < :to_on AND (:every OR book_id = ANY(:books))"
            " ORDER BY on_day DESC, book_id, account_id"
        ),
        {
            "from_on": from_on,
            "to_on": to_on,
            "every": book_ids is None,
            "books": list(book_ids or ()),
        },
    )
    return [DayState(*row) for row in rows]


def _moment(day: date, clock: str) -> datetime:
    hour, minute = clock.split(":")
    return datetime.combine(day, time(int(hour), int(minute)), BEIJING).astimezone(UTC)


def _first_since(connection: Connection, at: datetime) -> bool:
    last = connection.scalar(select(func.max(reconciliation_day.c.checked_at)))
    return last is None or last < at


def _counted(connection: Connection, account: Account, from_on: date, to_on: date) -> list[DayState]:
    """One for each book and day; an account of one book has one for each day, also where nothing moved."""
    own = account.book_id or CITY_BOOK
    values = {
        "account_id": account.account_id,
        "own": own,
        "code": account.account_code,
        "from_on": from_on,
        "to_on": to_on,
        "book_id": account.book_id,
        "moves_bill": not terms_of(account.source, account.settings).has_flow,
    }
    found: dict[tuple[str, date], DayState] = {}
    if account.book_id is not None:
        for number in range(max((to_on - from_on).days, 0)):
            day = from_on + timedelta(days=number)
            found[own, day] = DayState(account.account_id, own, day, "waiting")
    for statement, add in _COUNTS.items():
        for row in connection.execute(text(statement), values):
            key = (row.book_id, row.day)
            before = found.get(key) or DayState(account.account_id, row.book_id, row.day, "waiting")
            found[key] = add(before, row)
    return [found[key] for key in sorted(found, key=lambda one: (one[1], one[0]))]


def _add_lines(day: DayState, row: Row[Any]) -> DayState:
    return replace(
        day,
        line_count=row.lines,
        line_fen=row.fen,
        matched_count=row.matched,
        waiting_count=day.waiting_count + row.waiting,
    )


def _add_entries(day: DayState, row: Row[Any]) -> DayState:
    return replace(
        day,
        entry_count=row.entries,
        entry_fen=row.fen,
        waiting_count=day.waiting_count + row.waiting,
    )


def _add_cases(day: DayState, row: Row[Any]) -> DayState:
    return replace(day, case_count=row.cases)


_COUNTS: Mapping[str, Callable[[DayState, Row[Any]], DayState]] = {
    """
    SELECT coalesce(entry.book_id, open.book_id, nullif(line.book_ref, ''), :own) AS book_id,
           line.value_on AS day, count(*) AS lines, count(stands.match_id) AS matched,
           count(*) FILTER (WHERE stands.line_id IS NULL) AS waiting,
           coalesce(sum(line.amount_fen - line.fee_fen)
                    FILTER (WHERE line.side <> 'bill' OR :moves_bill), 0)::bigint AS fen
    FROM statement_line AS line
    LEFT JOIN line_standing AS stands USING (line_id)
    LEFT JOIN journal_entry AS entry USING (entry_id)
    LEFT JOIN reconciliation_case AS open USING (case_id)
    WHERE line.account_id = :account_id AND line.value_on >= :from_on AND line.value_on < :to_on
      AND line.split_of IS NULL
    GROUP BY 1, 2
    """: _add_lines,
    """
    SELECT book_id, day, count(*) AS entries, sum(fen)::bigint AS fen,
           count(*) FILTER (WHERE NOT stands) AS waiting
    FROM (
        SELECT entry.book_id, entry.effective_on AS day, sum(posting.debit_fen - posting.credit_fen) AS fen,
               -- What was taken back before anybody else knew of it waits for nothing.
               entry.event_kind = 'reversal'
               OR EXISTS (SELECT FROM journal_entry AS back WHERE back.reverses_entry_id = entry.entry_id)
               OR EXISTS (SELECT FROM entry_standing AS known WHERE known.entry_id = entry.entry_id
                          AND known.account_id = :account_id) AS stands
        FROM journal_entry AS entry JOIN posting USING (entry_id)
        WHERE posting.account_code = :code AND entry.effective_on >= :from_on AND entry.effective_on < :to_on
          AND (CAST(:book_id AS text) IS NULL OR entry.book_id = :book_id)
          -- Taken over, not moved.
          AND entry.event_kind <> 'opening_balance'
        GROUP BY entry.entry_id
    ) AS moved GROUP BY book_id, day
    """: _add_entries,
    """
    SELECT book_id, on_day AS day, count(*) AS cases FROM reconciliation_case
    WHERE account_id = :account_id AND closed_at IS NULL AND on_day >= :from_on AND on_day < :to_on
    GROUP BY book_id, on_day
    """: _add_cases,
}


def _keep(connection: Connection, days: Iterable[DayState], now: datetime) -> None:
    rows = [
        {
            "account_id": one.account_id,
            "book_id": one.book_id,
            "on_day": one.on,
            "state": one.state,
            "line_count": one.line_count,
            "line_fen": one.line_fen,
            "entry_count": one.entry_count,
            "entry_fen": one.entry_fen,
            "matched_count": one.matched_count,
            "waiting_count": one.waiting_count,
            "case_count": one.case_count,
            "checked_at": now,
        }
        for one in days
    ]
    if not rows:
        return
    names = list(rows[0])
    changed = ", ".join(f"{name} = excluded.{name}" for name in names[3:])
    connection.execute(
        text(
            f"INSERT INTO reconciliation_day ({', '.join(names)})"  # noqa: S608 (names of columns from above)
            f" VALUES ({', '.join(f':{name}' for name in names)})"
            f" ON CONFLICT (account_id, book_id, on_day) DO UPDATE SET {changed}"
        ),
        rows,
    )
