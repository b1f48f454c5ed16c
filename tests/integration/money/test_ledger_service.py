"""Posting through the ledger's service."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors as refusals
from sqlalchemy import Connection

from backend.db.engine import connect
from backend.ledger.books import CITY_BOOK, book_of, load_chart, open_books
from backend.ledger.chart import read_chart
from backend.ledger.errors import (
    ChartChangedError,
    EntryConflictError,
    EntryUnknownError,
    NotReversibleError,
    UnbalancedEntryError,
)
from backend.ledger.rules import Dimensions, NewEntry, credit, debit
from backend.ledger.service import (
    PostedEntry,
    count_of_day,
    entries_of_day,
    entry_of,
    post,
    reverse,
    sums_of_day,
    trial_balance,
)
from tests.benchmarks import ledger_floor as floor

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Office

ABOUT = Dimensions("pengjiang-1", uuid4(), uuid4(), "wechat_pay")
DAY = date(2026, 11, 3)


def entry(office: Office, key: str, fen: int = 100, book_id: str = CITY_BOOK, on: date = DAY) -> NewEntry:
    lines = (debit("1001", fen, ABOUT), credit("1002", fen - 1), credit("1212.01", 1, ABOUT))
    return NewEntry(book_id, "test", key, on, office.now, "测试", lines, "test", uuid4())


def test_a_day_is_read_in_parts_that_together_are_the_day(office: Office) -> None:
    with office.engine.begin() as connection:
        post(connection, [entry(office, str(number), fen=100 + number) for number in range(7)])
        whole = entries_of_day(connection, [CITY_BOOK], DAY)
        parts = [entries_of_day(connection, [CITY_BOOK], DAY, 3, start) for start in (0, 3, 6)]
        assert [len(part) for part in parts] == [3, 3, 1]
        assert [one for part in parts for one in part] == whole
        assert count_of_day(connection, [CITY_BOOK], DAY) == 7
        sums = {
            one.account_code: (one.debit_fen, one.credit_fen)
            for one in sums_of_day(connection, [CITY_BOOK], DAY)
        }
        assert sums == {"1001": (721, 0), "1002": (0, 714), "1212.01": (0, 7)}
        assert entry_of(connection, whole[4].entry_id) == whole[4]
        with pytest.raises(EntryUnknownError):
            entry_of(connection, 10**9)


def test_an_entry_reads_back_as_it_was_posted(office: Office) -> None:
    given = entry(office, "1")
    with office.engine.begin() as connection:
        (posted,) = post(connection, [given])
        (seen,) = entries_of_day(connection, [CITY_BOOK, "pengjiang-1"], DAY)
        assert entries_of_day(connection, ["pengjiang-1"], DAY) == []
        assert entries_of_day(connection, [CITY_BOOK], DAY + timedelta(days=1)) == []
    assert posted == PostedEntry(seen.entry_id, "city/test/1", is_new=True)
    assert (seen.posted_at, seen.principal_id, seen.total_fen) == (office.now, given.principal_id, 100)
    assert [(p.account_code, p.debit_fen, p.credit_fen, p.about) for p in seen.postings] == [
        (line.account_code, line.debit_fen, line.credit_fen, line.about) for line in given.lines
    ]


def test_the_same_event_again_gives_the_entry_that_is_there(office: Office) -> None:
    with office.engine.begin() as connection:
        first = post(connection, [entry(office, "1"), entry(office, "2")])
        again = post(connection, [entry(office, "2"), entry(office, "3"), entry(office, "1")])
    assert [one.is_new for one in again] == [False, True, False]
    assert [again[2].entry_id, again[0].entry_id] == [one.entry_id for one in first]
    assert office.count("journal_entry") == 3


@pytest.mark.parametrize("change", [{"fen": 200}, {"on": date(2026, 11, 4)}])
def test_the_same_event_with_other_figures_is_refused(office: Office, change: dict[str, object]) -> None:
    with office.engine.begin() as connection:
        post(connection, [entry(office, "1")])
        with pytest.raises(EntryConflictError):
            post(connection, [entry(office, "1", **change)])  # type: ignore[arg-type]
        with pytest.raises(EntryConflictError):
            post(connection, [entry(office, "9"), entry(office, "9", **change)])  # type: ignore[arg-type]
    assert office.count("journal_entry") == 1


def test_a_batch_with_one_wrong_entry_posts_nothing(office: Office) -> None:
    unbalanced = replace(entry(office, "2"), lines=(debit("1001", 5), credit("1002", 4)))
    unknown = replace(entry(office, "2"), lines=(debit("1001", 5), credit("7777", 5)))
    nowhere = entry(office, "2", book_id="nowhere")
    for wrong, error in (
        (unbalanced, UnbalancedEntryError),
        (unknown, refusals.ForeignKeyViolation),
        (nowhere, refusals.ForeignKeyViolation),
    ):
        for batch in ([entry(office, "1"), wrong], [wrong]):
            with pytest.raises(error), office.engine.begin() as connection:
                post(connection, batch)
    assert office.count("journal_entry") == 0


def test_the_rows_of_a_rolled_back_transaction_are_gone(office: Office) -> None:
    with office.engine.connect() as connection:
        post(connection, [entry(office, "1")])
        connection.rollback()
        post(connection, [entry(office, "2")])
        connection.commit()
    with office.engine.connect() as connection:
        assert [seen.event_key for seen in entries_of_day(connection, [CITY_BOOK], DAY)] == ["2"]


def test_writers_of_one_event_at_the_same_moment_post_it_once(office: Office) -> None:
    start, posted = threading.Barrier(6), []

    def write() -> None:
        start.wait()
        with office.engine.begin() as connection:
            posted.extend(post(connection, [entry(office, "1"), entry(office, "2")]))

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(posted) == 12
    assert sum(one.is_new for one in posted) == 2
    assert office.count("posting") == 6


def test_a_mistake_is_put_right_by_its_mirror(office: Office, table: Callable[[str], str]) -> None:
    with office.engine.begin() as connection:
        (wrong,) = post(connection, [entry(office, "1", 500)])
        taken_back = take_back(connection, office, wrong.entry_id)
        assert take_back(connection, office, wrong.entry_id) == taken_back._replace(is_new=False)
        with pytest.raises(NotReversibleError):
            take_back(connection, office, taken_back.entry_id)
        with pytest.raises(EntryUnknownError):
            take_back(connection, office, 999_999)
        right = replace(entry(office, "1", 700), event_key="1 更正")
        post(connection, [right])
        (_, mirror, _) = entries_of_day(connection, [CITY_BOOK], DAY)
    assert (mirror.reverses_entry_id, mirror.reason) == (wrong.entry_id, "金额录错")
    assert office.balances(CITY_BOOK) == table("""
        1001     库存现金       借  7.00
        1002     银行存款       贷  6.99
        1212.01  应收账款—租金  贷  0.01
    """)


def take_back(connection: Connection, office: Office, entry_id: int) -> PostedEntry:
    return reverse(
        connection,
        entry_id,
        reason="金额录错",
        effective_on=DAY,
        now=office.now,
        actor="test",
        principal_id=None,
    )


def test_the_trial_balance_of_a_day_leaves_out_what_counts_later(office: Office) -> None:
    with office.engine.begin() as connection:
        post(connection, [entry(office, str(day), 100, CITY_BOOK, date(2026, 11, day)) for day in (1, 2, 9)])
        sums = {
            day: [
                (line.account_code, line.balance_fen)
                for line in trial_balance(connection, CITY_BOOK, date(2026, 11, day))
            ]
            for day in (1, 8, 9)
        }
        assert trial_balance(connection, CITY_BOOK, date(2026, 10, 31)) == []
    assert sums[1] == [("1001", 100), ("1002", -99), ("1212.01", -1)]
    assert sums[8] == [("1001", 200), ("1002", -198), ("1212.01", -2)]
    assert sums[9] == [("1001", 300), ("1002", -297), ("1212.01", -3)]


def test_a_new_estate_gets_its_book_when_it_is_first_needed(office: Office) -> None:
    with office.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO estate (estate_id, name_zh, name_en, district, faces_enabled, fpir, hmac_key_sealed,"
            " created_at) VALUES ('new-1', '新', 'New', '区', false, 0.003, '', now())"
        )
        assert book_of(connection, "new-1", office.now) == "new-1"
        open_books(connection, office.now)
    assert office.count("book") == 4


def test_a_chart_renames_accounts_and_never_gives_them_another_meaning(
    office: Office, tmp_path: Path
) -> None:
    chart = list(read_chart())
    renamed = [replace_name(account, "现金") if account.code == "1001" else account for account in chart]
    with office.engine.begin() as connection:
        load_chart(connection, renamed)
        moved = [replace_kind(account) if account.code == "1001" else account for account in chart]
        with pytest.raises(ChartChangedError):
            load_chart(connection, moved)
    with office.engine.connect() as connection:
        sql = "SELECT name_zh FROM account WHERE account_code = '1001'"
        assert connection.exec_driver_sql(sql).scalar_one() == "现金"


def replace_name(account: object, name: str) -> object:
    import msgspec  # noqa: PLC0415

    return msgspec.structs.replace(account, name_zh=name)


def replace_kind(account: object) -> object:
    import msgspec  # noqa: PLC0415

    return msgspec.structs.replace(account, kind="expense")


def test_the_floor_takes_the_same_rows_without_a_guard(office: Office, database: Database) -> None:
    given = entry(office, "1")
    unbalanced = replace(given, lines=(debit("1001", 5), credit("7777", 4)), event_key="2")
    with connect(database.owner_url, autocommit=True) as owner:
        owner.execute(floor.FLOOR_TABLES)
        for one in (given, unbalanced):
            owner.execute(floor.bare_insert(len(one.lines)), floor.bare_parameters(one))
        with pytest.raises(psycopg.errors.UniqueViolation):
            owner.execute("INSERT INTO ledger_floor.posting SELECT * FROM ledger_floor.posting")
        rows = owner.execute(
            "SELECT account_code, debit_fen, credit_fen FROM ledger_floor.posting"
        ).fetchall()
    assert sorted(rows) == [
        ("1001", 5, 0),
        ("1001", 100, 0),
        ("1002", 0, 99),
        ("1212.01", 0, 1),
        ("7777", 0, 4),
    ]
    assert office.count("journal_entry") == 0
