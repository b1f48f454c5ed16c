"""Locked months: refused for everybody, reopened by two people, corrected in an open month."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from psycopg import errors as refusals
from sqlalchemy import Engine

from backend.approvals.errors import ApprovalMissingError
from backend.approvals.service import approve, propose, use
from backend.db.engine import connect
from backend.identity.principal import Principal
from backend.ledger import periods
from backend.ledger.errors import NotApprovedError, PeriodLockedError, PeriodOrderError
from backend.ledger.rules import NewEntry, credit, debit
from backend.ledger.service import post, reverse, trial_balance
from backend.ledger.vouchers import Occasion, manual_entry
from estate.processes import wait_until
from tests.integration.money.conftest import NOW, make_principal

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Office

BOOK, OTHER = "pengjiang-1", "jianghai-1"
SEPTEMBER, OCTOBER, NOVEMBER = date(2026, 9, 1), date(2026, 10, 1), date(2026, 11, 1)


def entry(key: str, day: date, book: str = BOOK) -> NewEntry:
    lines = (debit("1001", 100), credit("1002", 100))
    return NewEntry(book, "test", key, day, NOW, "测试", lines, "test")


@pytest.fixture
def post_on(engine: Engine, office: Office) -> Callable[..., int]:
    def posted(key: str, day: date, book: str = BOOK) -> int:
        with engine.begin() as connection:
            return post(connection, [entry(key, day, book)])[0].entry_id

    return posted


@pytest.fixture
def chief(engine: Engine, estates: object) -> Principal:
    with engine.begin() as connection:
        return make_principal(connection, "chief", "finance", None)


@pytest.fixture
def lock(engine: Engine, clerk: Principal) -> Callable[..., None]:
    def locked(month: date, book: str = BOOK) -> None:
        with engine.begin() as connection:
            periods.lock_period(connection, book, month, clerk, NOW)

    return locked


@pytest.fixture
def agreed(engine: Engine, clerk: Principal, chief: Principal) -> Callable[..., UUID]:
    """The number of an approval to reopen a month."""

    def approved(month: date, book: str = BOOK, kind: str = periods.UNLOCK) -> UUID:
        with engine.begin() as connection:
            subject = periods.unlock_subject(book, month)
            asked = propose(connection, kind, book, subject, "反结账", {}, "漏记", clerk, NOW)
            approve(connection, asked.proposal_id, chief, NOW)
            return asked.proposal_id

    return approved


def test_a_locked_month_takes_no_entry_and_the_next_does(
    post_on: Callable[..., int], lock: Callable[..., None]
) -> None:
    post_on("1", date(2026, 10, 31))
    lock(OCTOBER)
    for day in (date(2026, 10, 31), date(2026, 10, 1), date(2026, 9, 30), date(2025, 1, 1)):
        with pytest.raises(PeriodLockedError):
            post_on("2", day)
    post_on("2", NOVEMBER)
    post_on("3", date(2026, 10, 31), OTHER)


def test_a_lock_keeps_the_head_of_the_chain_and_seals_what_is_left(
    engine: Engine, post_on: Callable[..., int], lock: Callable[..., None]
) -> None:
    post_on("1", OCTOBER)
    post_on("2", OCTOBER)
    lock(OCTOBER)
    with engine.connect() as connection:
        (change,) = periods.changes(connection, BOOK)
    assert (change.month, change.change, change.head_seq) == (OCTOBER, "lock", 2)
    assert change.head_hash is not None


def test_months_are_locked_in_order(lock: Callable[..., None], engine: Engine) -> None:
    lock(SEPTEMBER)
    for wrong in (SEPTEMBER, NOVEMBER, date(2026, 8, 1)):
        with pytest.raises(PeriodOrderError):
            lock(wrong)
    lock(OCTOBER)
    with engine.connect() as connection:
        assert periods.open_from(connection, BOOK) == NOVEMBER
        assert periods.open_day(connection, BOOK, date(2026, 9, 9)) == NOVEMBER
        assert periods.open_day(connection, BOOK, date(2026, 12, 9)) == date(2026, 12, 9)
        assert periods.open_from(connection, OTHER) is None


def test_two_people_reopen_the_last_month_once(
    engine: Engine,
    post_on: Callable[..., int],
    lock: Callable[..., None],
    agreed: Callable[..., UUID],
    clerk: Principal,
) -> None:
    lock(SEPTEMBER)
    lock(OCTOBER)
    proposal_id = agreed(OCTOBER)
    with engine.begin() as connection:
        change = periods.unlock_period(connection, BOOK, OCTOBER, proposal_id, clerk, NOW)
    assert change.proposal_id == proposal_id
    post_on("late", date(2026, 10, 31))
    with pytest.raises(PeriodLockedError):
        post_on("too late", date(2026, 9, 30))
    lock(OCTOBER)
    with engine.begin() as connection, pytest.raises(Exception, match="办理过"):
        periods.unlock_period(connection, BOOK, OCTOBER, proposal_id, clerk, NOW)
    with engine.connect() as connection:
        assert [change.change for change in periods.changes(connection, BOOK)] == [
            "lock",
            "lock",
            "unlock",
            "lock",
        ]


def test_nobody_reopens_a_month_alone(engine: Engine, lock: Callable[..., None], clerk: Principal) -> None:
    lock(OCTOBER)
    with engine.begin() as connection:
        subject = periods.unlock_subject(BOOK, OCTOBER)
        asked = propose(connection, periods.UNLOCK, BOOK, subject, "反结账", {}, "漏记", clerk, NOW)
    with engine.begin() as connection, pytest.raises(ApprovalMissingError):
        periods.unlock_period(connection, BOOK, OCTOBER, asked.proposal_id, clerk, NOW)


@pytest.mark.parametrize("role", ["app", "owner"])
def test_raw_sql_neither_reopens_nor_forges_nor_removes_a_lock(
    database: Database,
    engine: Engine,
    role: str,
    post_on: Callable[..., int],
    lock: Callable[..., None],
    agreed: Callable[..., UUID],
    clerk: Principal,
) -> None:
    post_on("1", OCTOBER)
    lock(OCTOBER)
    other_months = agreed(SEPTEMBER)
    with engine.begin() as connection:
        use(connection, other_months, periods.UNLOCK, NOW)
    add = (
        "INSERT INTO period_change (book_id, change_no, month, change, principal_id, changed_at, head_seq,"
        " head_hash, proposal_id) SELECT %s, %s, %s, %s, %s, now(), {seq}, hash, %s FROM seal"
    )
    who = clerk.principal_id
    true = add.format(seq="seq")
    for sql, values, constraint in (
        (true, (BOOK, 2, OCTOBER, "unlock", who, None), "period_unlock_is_approved"),
        (true, (BOOK, 2, OCTOBER, "unlock", who, other_months), "period_unlock_is_approved"),
        (true, (BOOK, 2, SEPTEMBER, "unlock", who, other_months), "period_months_in_order"),
        (true, (BOOK, 3, NOVEMBER, "lock", who, None), "period_changes_are_counted"),
        (add.format(seq="seq + 1"), (BOOK, 2, NOVEMBER, "lock", who, None), "period_is_sealed"),
        (true, (OTHER, 1, OCTOBER, "lock", who, None), "period_is_sealed"),
        ("DELETE FROM period_change", (), "refuse_change"),
        ("TRUNCATE period_change CASCADE", (), "refuse_change"),
        ("UPDATE period_change SET month = '2026-08-01'", (), "refuse_change"),
    ):
        with connect(getattr(database, f"{role}_url")) as raw, pytest.raises(psycopg.Error) as caught:
            raw.execute(sql, values)
        if not isinstance(caught.value, refusals.InsufficientPrivilege) or constraint != "refuse_change":
            assert caught.value.diag.constraint_name == constraint, sql


BACK_DATED = """
    WITH e AS (
        INSERT INTO journal_entry (book_id, event_kind, event_key, effective_on, posted_at, line_count,
                                   total_fen, summary_zh, actor)
        VALUES ('pengjiang-1', '{kind}', '{key}', '{day}', now(), 2, 5, '测试', 'test') RETURNING entry_id
    ) INSERT INTO posting (entry_id, line_no, account_code, debit_fen, credit_fen)
    SELECT e.entry_id, v.* FROM e, (VALUES (1, '1001', 5, 0), (2, '1002', 0, 5)) AS v"""


@pytest.mark.parametrize("role", ["app", "owner"])
def test_raw_sql_does_not_date_back_into_a_locked_month(
    database: Database, lock: Callable[..., None], office: Office, role: str
) -> None:
    lock(OCTOBER)
    url = getattr(database, f"{role}_url")
    sql = BACK_DATED.format(kind="test", key="1", day="2026-10-31")
    for before, constraint in (
        ("", "journal_entry_period_is_open"),
        ("SET session_replication_role = replica;", "journal_entry_period_is_open"),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ;", "journal_entry_sees_locks"),
    ):
        with connect(url, autocommit=True) as raw, pytest.raises(psycopg.Error) as caught:
            raw.execute(before + sql)
        if not isinstance(
            caught.value, refusals.InsufficientPrivilege
        ):  # only superusers replay as a replica
            assert caught.value.diag.constraint_name == constraint


# One entry is posted by post_entry; what is more, the tables' guards look at, book by book.
TOGETHER = {"one": [BOOK], "two of a book": [BOOK, BOOK], "two of two books": [OTHER, BOOK]}
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def october_entries(books: Sequence[str]) -> list[NewEntry]:
    return [entry(f"begun {number}", date(2026, 10, 31), book) for number, book in enumerate(books)]


@pytest.mark.parametrize("books", TOGETHER.values(), ids=TOGETHER)
def test_a_lock_waits_for_who_is_posting(
    engine: Engine, lock: Callable[..., None], office: Office, books: Sequence[str]
) -> None:
    done = threading.Event()

    def locking() -> None:
        lock(OCTOBER)
        done.set()

    thread = threading.Thread(target=locking)
    with engine.connect() as writer, engine.connect() as watcher:
        post(writer, october_entries(books))
        thread.start()
        wait_until(lambda: watcher.exec_driver_sql(WAITING).scalar_one() > 0, 10, "the lock does not wait")
        assert not done.is_set()
        writer.commit()
    thread.join()
    assert done.is_set()
    with engine.connect() as connection:
        begun = periods.changes(connection, BOOK)[0].head_seq
    assert begun == books.count(BOOK), "what was begun is in the locked month"


@pytest.mark.parametrize("books", TOGETHER.values(), ids=TOGETHER)
def test_who_posts_while_a_month_is_being_locked_waits_and_is_refused(
    engine: Engine, clerk: Principal, office: Office, books: Sequence[str]
) -> None:
    refused: list[type[Exception]] = []

    def posting() -> None:
        with engine.connect() as writer, pytest.raises(PeriodLockedError) as caught:
            post(writer, october_entries(books))
        refused.append(caught.type)

    thread = threading.Thread(target=posting)
    with engine.connect() as closer, engine.connect() as watcher:
        periods.lock_period(closer, BOOK, OCTOBER, clerk, NOW)
        thread.start()
        wait_until(lambda: watcher.exec_driver_sql(WAITING).scalar_one() > 0, 10, "the entry does not wait")
        closer.commit()
    thread.join()
    assert refused == [PeriodLockedError]


def test_a_mistake_of_a_locked_month_is_reversed_in_an_open_one(
    engine: Engine, post_on: Callable[..., int], lock: Callable[..., None]
) -> None:
    wrong = post_on("wrong", date(2026, 10, 20))
    lock(OCTOBER)
    with engine.begin() as connection:
        day = periods.open_day(connection, BOOK, date(2026, 10, 20))
        values = {"reason": "记错", "now": NOW, "actor": "test", "principal_id": None}
        reverse(connection, wrong, effective_on=day, **values)  # type: ignore[arg-type]
        other = post(connection, [entry("right", NOVEMBER)])[0].entry_id
        with pytest.raises(PeriodLockedError), connection.begin_nested():
            reverse(connection, other, effective_on=date(2026, 10, 20), **values)  # type: ignore[arg-type]
    with engine.connect() as connection:
        october = trial_balance(connection, BOOK, date(2026, 10, 31))
        november = trial_balance(connection, BOOK, NOVEMBER + timedelta(days=29))
    assert [one.balance_fen for one in october] == [100, -100]
    assert [one.balance_fen for one in november] == [100, -100], "the other entry alone"


@pytest.mark.parametrize("kind", ["manual", "write_off", "waiver"])
@pytest.mark.parametrize("role", ["app", "owner"])
def test_raw_sql_posts_nothing_that_needs_two_people(
    database: Database, office: Office, agreed: Callable[..., UUID], role: str, kind: str
) -> None:
    for key in ("1", str(agreed(OCTOBER))):
        with connect(getattr(database, f"{role}_url")) as raw, pytest.raises(psycopg.Error) as caught:
            raw.execute(BACK_DATED.format(kind=kind, key=key, day="2026-11-03"))
        assert caught.value.diag.constraint_name == "journal_entry_is_approved"


def test_a_manual_entry_is_posted_as_two_people_agreed(
    engine: Engine, office: Office, agreed: Callable[..., UUID]
) -> None:
    proposal_id = agreed(OCTOBER, kind="manual_entry")
    lines = (debit("1001", 5), credit("1002", 5))
    new = manual_entry(Occasion(BOOK, NOW, NOVEMBER, "test", None), proposal_id, "更正", lines)
    with engine.begin() as connection, pytest.raises(NotApprovedError):
        post(connection, [new])
    with engine.begin() as connection:
        use(connection, proposal_id, "manual_entry", NOW)
        assert post(connection, [new])[0].is_new
