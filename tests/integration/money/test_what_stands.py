"""Nothing leaves above what stands in its account: also for raw SQL, and for two at the same moment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import text

from backend.ledger import books, service
from backend.ledger.errors import AboveWhatStandsError
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import (
    CASH_BANKED,
    SUSPENSE_RECEIVED,
    SUSPENSE_RETURNED,
    Occasion,
    paid_on_entry,
    pair_entry,
    remittance_entry,
)
from backend.payments.vouchers import deposit_returned_entry, refund_entry
from backend.rent.returns import Returned
from tests.integration.conftest import Database
from tests.sealing import seal_all

if TYPE_CHECKING:
    from tests.integration.money.conftest import Home, Office

BOOK = "pengjiang-1"
HERE = Dimensions(BOOK)


class Till:
    """Builds and posts the entries of money that leaves."""

    def __init__(self, office: Office) -> None:
        self.office = office
        with office.engine.begin() as connection:
            self.chart = books.chart_of(connection, office.now)
        self.occasion = Occasion(BOOK, office.now, office.now.date(), "test", None)

    def remittance(self, order: str, rent_fen: int) -> NewEntry:
        return remittance_entry(self.chart, self.occasion, order, HERE, {"rent": rent_fen})

    def post(self, entry: NewEntry) -> None:
        with self.office.engine.begin() as connection:
            service.post(connection, [entry])


@pytest.fixture
def till(office: Office, home: Home) -> Till:
    """1,000.00 of rent is collected and 200.00 paid ahead."""
    office.charge("2026-11")
    office.take(home, 120_000)
    return Till(office)


@pytest.mark.parametrize("sealed", [False, True])
def test_no_more_is_remitted_than_was_collected(till: Till, sealed: bool) -> None:
    if sealed:
        with till.office.engine.begin() as connection:
            assert seal_all(connection) > 0
    till.post(till.remittance("JK-1", 60_000))
    with pytest.raises(AboveWhatStandsError) as refused:
        till.post(till.remittance("JK-2", 40_001))
    assert (refused.value.account_code, refused.value.missing_fen) == ("2103.02", 1)
    till.post(till.remittance("JK-3", 40_000))
    till.post(till.remittance("JK-3", 40_000))
    assert "2103.02 应缴财政款—租金（已收待缴） 平 0.00" in till.office.balances()


def test_of_two_remittances_at_once_one_is_refused(till: Till) -> None:
    outcomes: list[str] = []
    ready = threading.Barrier(2)

    def run(order: str) -> None:
        ready.wait(10)
        try:
            till.post(till.remittance(order, 60_000))
            outcomes.append("posted")
        except AboveWhatStandsError:
            outcomes.append("refused")

    threads = [threading.Thread(target=run, args=(order,)) for order in ("JK-1", "JK-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["posted", "refused"]
    assert "2103.02 应缴财政款—租金（已收待缴） 贷 400.00" in till.office.balances()


def test_a_writer_that_began_earlier_elsewhere_does_not_hide_what_leaves(till: Till) -> None:
    with till.office.engine.begin() as other:
        # Its number is lower, and it is not through: ours lies above what the snapshot calls its end.
        other.execute(text("SELECT pg_current_xact_id()"))
        with pytest.raises(AboveWhatStandsError):
            till.post(till.remittance("JK-1", 100_001))
        till.post(till.remittance("JK-2", 100_000))
        with pytest.raises(AboveWhatStandsError):
            till.post(till.remittance("JK-3", 1))


def test_the_second_waits_for_the_first_and_sees_what_it_took(till: Till) -> None:
    with till.office.engine.begin() as first:
        service.post(first, [till.remittance("JK-1", 100_000)])
        refused: list[BaseException] = []

        def run() -> None:
            try:
                till.post(till.remittance("JK-2", 100_000))
            except AboveWhatStandsError as error:
                refused.append(error)

        second = threading.Thread(target=run)
        second.start()
        second.join(0.3)
        assert second.is_alive()
    second.join(30)
    assert len(refused) == 1


def test_companies_get_no_more_than_was_collected_for_them(till: Till) -> None:
    with pytest.raises(AboveWhatStandsError):
        till.post(paid_on_entry(till.chart, till.occasion, "FK-1", HERE, {"property_fee": 1}))


def test_a_household_gets_back_its_own_and_no_other_households(
    till: Till, office: Office, home: Home
) -> None:
    other = office.move_in()
    mine, theirs = (Dimensions(BOOK, None, one.household_id, None) for one in (home, other))
    for about, fen in ((mine, 20_001), (theirs, 1)):
        entry = refund_entry(till.chart, till.occasion, "T-1", "bank", about, Returned(fen, ()))
        with pytest.raises(AboveWhatStandsError):
            till.post(entry)
    with pytest.raises(AboveWhatStandsError):
        till.post(deposit_returned_entry(till.chart, till.occasion, "T-1", mine, 1))
    till.post(refund_entry(till.chart, till.occasion, "T-1", "bank", mine, Returned(20_000, ())))


def test_cash_and_suspense_that_are_not_there_do_not_leave(till: Till) -> None:
    for kind in (CASH_BANKED, SUSPENSE_RETURNED):
        with pytest.raises(AboveWhatStandsError):
            till.post(pair_entry(till.chart, till.occasion, kind, "1", HERE, 500))
    till.post(pair_entry(till.chart, till.occasion, SUSPENSE_RECEIVED, "1", HERE, 500))
    till.post(pair_entry(till.chart, till.occasion, SUSPENSE_RETURNED, "2", HERE, 500))


@pytest.mark.parametrize("role", ["app", "owner"])
def test_raw_sql_remits_no_more_either(till: Till, database: Database, role: str) -> None:
    assert "2103.02 应缴财政款—租金（已收待缴） 贷 1,000.00" in till.office.balances()
    url = database.app_url if role == "app" else database.owner_url
    entry = (
        "WITH entry AS (INSERT INTO journal_entry (book_id, event_kind, event_key, effective_on, posted_at,"
        " line_count, total_fen, summary_zh, actor) VALUES"
        f" ('{BOOK}', 'remittance', 'x', '2026-11-03', now(), 2, 100001, 'x', 'x') RETURNING entry_id)"
        " INSERT INTO posting (entry_id, line_no, account_code, debit_fen, credit_fen)"
        " SELECT entry_id, 1, '2103.02', 100001, 0 FROM entry"
        " UNION ALL SELECT entry_id, 2, '1002', 0, 100001 FROM entry"
    )
    with psycopg.connect(url) as connection, pytest.raises(psycopg.Error) as refused:
        connection.execute(entry)
    assert refused.value.diag.constraint_name == "journal_entry_within_what_stands"
