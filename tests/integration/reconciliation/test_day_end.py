"""The day-end check: it runs by itself once a day, knows when statements are due, and says what is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from backend.approvals.service import approve
from backend.closing.take_over import post_agreed, propose_take_over
from backend.identity.principal import Principal
from backend.ledger import service as ledger
from backend.ledger.books import open_books
from backend.ledger.periods import lock_period
from backend.payments.lines import LineKind, SettlementLine
from backend.payments.port import Provider, ProviderUnavailableError
from backend.reconciliation.accounts import account_of, load_accounts
from backend.reconciliation.balances import statement_balances
from backend.reconciliation.dayend import (
    CHECKED_DAYS,
    FETCHED_DAYS,
    DayState,
    check_all,
    check_when_due,
    days_of,
)
from backend.reconciliation.files import add_file
from backend.reconciliation.importers import stripe_api
from backend.reconciliation.lines import Format
from backend.reconciliation.run import around, run_account
from backend.reconciliation.settings import ReconciliationSettings
from backend.reconciliation.shares import stated_on
from backend.registry import tables as registry
from backend.rent.settings import RentSettings
from simulators.bank import channel_files
from simulators.bank.month import Payment
from tests.integration.money.conftest import make_principal
from tests.integration.reconciliation.conftest import (
    END,
    NOW,
    STRIPE,
    WECHAT,
    Books,
    entry_of,
    make_world,
    receipt_entry,
)
from tests.unit.closing.old_books import Evening
from tests.unit.reconciliation.sample import BOOK, FROM

RULES = ReconciliationSettings()
DAY = date(2026, 11, 20)


def beijing(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC) - timedelta(hours=8)


def states(books: Books, now: datetime) -> dict[tuple[str, date], DayState]:
    with books.engine.begin() as connection:
        _, days = check_all(connection, now, RULES)
    return {(one.account_id, one.on): one for one in days}


def test_a_reconciled_month_is_clean_on_every_day_with_equal_sums(books: Books) -> None:
    world = make_world()
    for channel, payments in world.payments.items():
        books.receive(channel, payments)
    for file in world.files():
        books.bring(file)
    found = states(books, NOW)
    assert {one.state for one in found.values()} == {"clean"}
    assert {one.book_id for one in found.values()} == {BOOK}
    assert all(one.line_fen == one.entry_fen for one in found.values())
    assert sum(one.line_count for one in found.values()) == books.count(
        "statement_line", f"value_on >= '{END - timedelta(days=CHECKED_DAYS)}'"
    )


def test_a_balance_that_was_taken_over_waits_for_no_line(books: Books, clerk: Principal) -> None:
    evening = Evening(money={"待缴租金": 500_000, "Stripe在途": 20_000})
    with books.engine.begin() as connection:
        second = make_principal(connection, "second", "finance", None)
        month, rent = date(2026, 12, 1), RentSettings()
        asked = propose_take_over(
            connection, BOOK, month, "期初", evening.workbook(), "上线", clerk, NOW, rent
        )
        approve(connection, asked.proposal.proposal_id, second, NOW)
        post_agreed(connection, asked.proposal.proposal_id, second, NOW)
    world = make_world()
    for channel, payments in world.payments.items():
        books.receive(channel, payments)
    for file in world.files():
        books.bring(file)
    found = states(books, NOW)
    assert {one.state for one in found.values()} == {"clean"}
    assert all(one.line_fen == one.entry_fen for one in found.values())
    assert books.cases() == []


def test_a_day_waits_until_its_statement_is_due_and_is_then_missing(books: Books) -> None:
    one = Payment("4200000001", "c1", BOOK, 10_000, beijing(DAY, 9))
    books.receive("wechat", [one])
    early, late = beijing(DAY + timedelta(days=1), 9, 59), beijing(DAY + timedelta(days=1), 10)
    assert states(books, early)["wechat-main", DAY].state == "waiting"
    found = states(books, late)["wechat-main", DAY]
    assert (found.state, found.entry_count, found.waiting_count) == ("no_statement", 1, 1)
    # On a day on which nothing was taken a channel writes no bill; a bank always has a statement.
    assert states(books, late)["wechat-main", DAY - timedelta(days=1)].state == "clean"
    assert states(books, late)["bank-main", DAY - timedelta(days=1)].state == "no_statement"


def test_a_day_with_a_case_is_open_and_names_how_many(books: Books) -> None:
    world = make_world(channels=("wechat",), errors=[("wechat", "bill", "extra", 1)])
    books.receive("wechat", world.payments["wechat"])
    for file in world.files():
        books.bring(file)
    found = [one for one in states(books, NOW).values() if one.state == "open"]
    assert [(one.account_id, one.case_count) for one in found] == [("wechat-main", 1)]


def test_what_was_taken_back_before_its_bill_came_is_nobodys_matter(books: Books) -> None:
    one = Payment("4200000001", "c1", BOOK, 10_000, beijing(DAY, 9))
    with books.engine.begin() as connection:
        (posted,) = ledger.post(connection, [receipt_entry("wechat", one)])
        ledger.reverse(
            connection,
            posted.entry_id,
            reason="错记",
            effective_on=DAY,
            now=NOW,
            actor="test",
            principal_id=None,
        )
    world = make_world(channels=("wechat",))
    books.receive("wechat", world.payments["wechat"])
    for file in world.files():
        books.bring(file)
    assert {one.state for one in states(books, NOW).values()} == {"clean"}
    assert books.cases() == []


def test_what_is_taken_back_after_its_bill_came_is_a_case_until_a_line_takes_it_back_too(
    books: Books,
) -> None:
    world = make_world(channels=("wechat",))
    books.receive("wechat", world.payments["wechat"])
    for file in world.files():
        books.bring(file)
    books.look()
    assert books.cases() == []
    with books.engine.begin() as connection:
        entry_id = connection.execute(
            text(
                "SELECT min(entry_id) FROM entry_standing JOIN journal_entry USING (entry_id)"
                " WHERE event_kind = 'payment' AND match_id IS NOT NULL"
            )
        ).scalar_one()
        ledger.reverse(
            connection,
            entry_id,
            reason="错记",
            effective_on=DAY,
            now=NOW,
            actor="test",
            principal_id=None,
        )
    for _ in range(2):
        books.look()
        # The mirror is open, in its case, and found there again.
        assert books.cases() == [("missing", "bill", "wechat-main")]
        assert books.count("reconciliation_case") == 1


def test_the_worker_checks_once_a_day_after_the_statements_are_there(books: Books) -> None:
    morning = beijing(END, 10, 29)
    assert check_when_due(books.engine, [], morning, RULES) == 0
    assert check_when_due(books.engine, [], morning + timedelta(minutes=1), RULES) == 1
    assert check_when_due(books.engine, [], morning + timedelta(minutes=2), RULES) == 0
    assert check_when_due(books.engine, [], morning + timedelta(days=1, minutes=1), RULES) == 1
    with books.engine.connect() as connection:
        assert days_of(connection, [BOOK], FROM, END)
        assert days_of(connection, ["other"], FROM, END) == []


def test_without_accounts_there_is_nothing_to_check(engine: Any) -> None:
    assert check_when_due(engine, [], NOW, RULES) == 0


class Told:
    """A provider that tells these lines."""

    name = "stripe"

    def __init__(self, lines: Sequence[SettlementLine], fault: bool = False) -> None:
        self.lines, self.fault = lines, fault

    def settlements(self, since: datetime, until: datetime) -> Sequence[SettlementLine]:
        if self.fault:
            raise ProviderUnavailableError("stripe", "timeout")
        return [line for line in self.lines if since <= line.at < until]


def settled(number: int, amount_fen: int, fee_fen: int, payout: str | None) -> SettlementLine:
    at = beijing(DAY, 9) + timedelta(seconds=number)
    return SettlementLine(
        f"txn_{number}",
        LineKind.PAYMENT,
        at,
        amount_fen,
        fee_fen,
        "cny",
        "charge",
        f"pi_{number}",
        None,
        payout,
    )


@pytest.fixture
def shared(books: Books) -> Books:
    """Two estates whose payments one Stripe account takes."""
    with books.engine.begin() as connection:
        connection.execute(
            insert(registry.estate).values(
                estate_id="xinhui-1",
                name_zh="示例小区二",
                name_en="Sample 2",
                district="新会区",
                faces_enabled=False,
                fpir=0.003,
                hmac_key_sealed=b"sealed",
                created_at=NOW,
            )
        )
        open_books(connection, NOW)
        account = replace(STRIPE, account_id="stripe-all", account_ref="acct_all", book_id=None)
        load_accounts(connection, [entry_of(account)], NOW)
        # The account of one estate alone is not in use here.
        connection.execute(
            text("UPDATE statement_account SET since_on = '2027-01-01' WHERE account_id = 'stripe-main'")
        )
    return books


def test_what_the_provider_tells_is_fetched_and_a_payout_is_shared_out_by_its_parts(shared: Books) -> None:
    for book, number in ((BOOK, 1), ("xinhui-1", 2)):
        shared.receive("stripe", [Payment(f"pi_{number}", "c", book, 10_000, beijing(DAY, 9), "wechat_pay")])
    payout = SettlementLine(
        "txn_9", LineKind.PAYOUT, beijing(DAY, 23), -19_560, 0, "cny", "payout", payout_ref="po_1"
    )
    # On the first day it is not known yet of which payout the payments are part.
    first = Told([settled(1, 10_000, 220, None), settled(2, 10_000, 220, None), payout])
    then = Told([settled(1, 10_000, 220, "po_1"), settled(2, 10_000, 220, "po_1"), payout])
    day = timedelta(days=1)
    assert check_when_due(shared.engine, [cast(Provider, first)], beijing(DAY + day, 11), RULES) == 1
    assert ("amount", "payout", "stripe-all") in shared.cases()
    assert check_when_due(shared.engine, [cast(Provider, then)], beijing(DAY + 2 * day, 11), RULES) == 1
    assert [one for one in shared.cases() if one[2] == "stripe-all"] == []
    with shared.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT book_id, total_fen FROM journal_entry WHERE event_kind = 'payout' ORDER BY book_id")
        ).all()
    assert [tuple(row) for row in rows] == [(BOOK, 9_780), ("xinhui-1", 9_780)]


def test_a_provider_that_does_not_answer_does_not_stop_the_check(shared: Books) -> None:
    silent = cast(Provider, Told([], fault=True))
    assert check_when_due(shared.engine, [silent], beijing(END, 11), RULES) == 1


def test_a_line_of_a_locked_month_is_posted_in_the_open_one(books: Books, clerk: Any) -> None:
    world = make_world(channels=("wechat",), count=60)
    books.receive("wechat", world.payments["wechat"])
    with books.engine.begin() as connection:
        lock_period(connection, BOOK, date(2026, 11, 1), clerk, NOW)
    for file in world.files(Format.MT940):
        books.bring(file)
    books.look()
    assert books.cases() == []
    with books.engine.connect() as connection:
        days = connection.scalars(
            text("SELECT DISTINCT effective_on FROM journal_entry WHERE event_kind = 'provider_fee'")
        ).all()
    assert days == [date(2026, 12, 1)]


def test_a_second_look_at_a_window_changes_nothing(books: Books) -> None:
    world = make_world(channels=("wechat",), errors=[("wechat", "flow", "amount", 2)])
    books.receive("wechat", world.payments["wechat"])
    for file in world.files():
        books.bring(file)
    books.look()
    with books.engine.begin() as connection:
        again = run_account(connection, WECHAT, around(FROM, END), NOW)
    assert (again.new_matches, again.undone_matches, again.new_cases, again.closed_cases) == (0, 0, 0, 0)


class Holding(Told):
    """The same, which also says what it holds."""

    def __init__(self, lines: Sequence[SettlementLine], holds_fen: int | None) -> None:
        super().__init__(lines)
        self.holds_fen, self.asked = holds_fen, list[datetime]()

    def balance_before(self, moment: datetime) -> int:
        self.asked.append(moment)
        if self.holds_fen is None:
            raise ProviderUnavailableError("stripe", "balance")
        return self.holds_fen


def test_what_the_provider_holds_for_one_book_is_stated_of_every_day_back_over_its_lines(
    books: Books,
) -> None:
    books.receive("stripe", [Payment(f"pi_{one}", "c", BOOK, 10_000, beijing(DAY, 9)) for one in (1, 2)])
    lines = [settled(1, 10_000, 220, None), settled(2, 10_000, 220, None)]
    after = DAY + timedelta(days=2)
    provider = Holding(lines, 19_560)
    assert check_when_due(books.engine, [cast(Provider, provider)], beijing(after, 11), RULES) == 1
    assert provider.asked == [beijing(after, 0)]
    with books.engine.connect() as connection:
        said = {one.on: one.amount_fen for one in statement_balances(connection, BOOK, FROM, after)}
    assert said == {
        after - timedelta(days=number): 19_560 if number <= 2 else 0 for number in range(1, FETCHED_DAYS + 1)
    }
    assert books.count("shared_balance") == 0


def test_lines_come_in_where_the_provider_does_not_say_what_it_holds(books: Books) -> None:
    books.receive("stripe", [Payment("pi_1", "c", BOOK, 10_000, beijing(DAY, 9))])
    provider = cast(Provider, Holding([settled(1, 10_000, 220, None)], None))
    assert check_when_due(books.engine, [provider], beijing(DAY + timedelta(days=1), 11), RULES) == 1
    assert books.count("statement_line") == 1
    assert books.count("statement_balance") == 0


def test_a_merchant_that_books_share_states_its_balance_in_its_flow(books: Books) -> None:
    account = replace(WECHAT, account_id="wechat-all", account_ref="1900000999", book_id=None)
    with books.engine.begin() as connection:
        load_accounts(connection, [entry_of(account)], NOW)
    month = make_world(channels=("wechat",)).months["wechat"]
    flows = channel_files.wechat_flow_bills(month)
    for raw in flows.values():
        for one in (account, WECHAT):
            books.bring((one, Format.WECHAT_FLOW, raw), None)
    same = (
        "account_id = 'wechat-all' AND (on_day, amount_fen) IN"
        " (SELECT on_day, amount_fen FROM statement_balance WHERE account_id = 'wechat-main')"
    )
    assert books.count("shared_balance", same) == books.count("shared_balance") > 20


def test_a_word_that_was_taken_back_counts_again(shared: Books) -> None:
    with shared.engine.connect() as connection:
        account = account_of(connection, "stripe-all")
    for days, fen in ((1, 7), (1, 9), (2, 7)):
        found, sha256 = stripe_api.read([], DAY - timedelta(days=days), DAY + timedelta(days=1), fen)
        with shared.engine.begin() as connection:
            add_file(connection, account, found, "stripe", sha256, principal_id=None, now=NOW)
    with shared.engine.connect() as connection:
        assert stated_on(connection, "stripe-all", DAY) == 7


def test_a_later_word_on_the_last_day_counts_and_nobody_changes_one(shared: Books) -> None:
    with shared.engine.connect() as connection:
        account = account_of(connection, "stripe-all")

    def say(last_on: date, fen: int) -> None:
        found, sha256 = stripe_api.read([], last_on - timedelta(days=1), last_on + timedelta(days=1), fen)
        with shared.engine.begin() as connection:
            add_file(connection, account, found, "stripe", sha256, principal_id=None, now=NOW)

    for fen in (7, 7, 9):
        say(DAY, fen)
    say(DAY + timedelta(days=1), 11)
    with shared.engine.connect() as connection:
        assert [stated_on(connection, "stripe-all", DAY + timedelta(days=one)) for one in (-1, 0, 1, 2)] == [
            7,
            9,
            11,
            None,
        ]
    for statement in ("UPDATE shared_balance SET amount_fen = 1", "DELETE FROM shared_balance"):
        with pytest.raises(DBAPIError), shared.engine.begin() as connection:
            connection.execute(text(statement))
