"""Somebody else pays by a link; a card pays by itself; windows are closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import select

from backend.messaging.port import Channel
from backend.messaging.service import set_address
from backend.messaging.tables import message
from backend.payments import autopay, links
from backend.payments.checkouts import Wanted, open_checkout
from backend.payments.counter import take_at_counter
from backend.payments.counter_adapter import CounterProvider
from backend.payments.errors import (
    AmountOutOfRangeError,
    AutopayRunsError,
    ForeignHouseholdError,
    LinkExpiredError,
    LinkRevokedError,
    LinkUnknownError,
    OnlineClosedError,
)
from backend.payments.port import CheckoutState, Method
from backend.payments.providers import Providers
from backend.payments.service import settle_pending
from backend.payments.settings import EstatePaymentRules, PaymentRules
from backend.payments.windows import ClosedFor, closes_at, closure_at
from simulators.stripe import people
from simulators.stripe.people import CardEntry

if TYPE_CHECKING:
    from tests.integration.money.conftest import Desk, Home

RULES = PaymentRules()
URL = "https://city.invalid"


@pytest.fixture
def providers(desk: Desk) -> Providers:
    counter = [CounterProvider(desk.office.engine, one) for one in (Method.CASH, Method.BANK_TRANSFER)]
    return Providers({one.name: one for one in (desk.provider, *counter)})


def link(desk: Desk, home: Home, amount_fen: int | None = None) -> tuple[UUID, str]:
    with desk.office.engine.begin() as connection:
        return links.make_link(connection, home.household_id, home.tenant, desk.clock(), RULES, amount_fen)


def opened(desk: Desk, word: str) -> links.Asked:
    with desk.office.engine.connect() as connection:
        return links.open_link(connection, word, desk.clock())


def test_a_child_pays_for_the_parents_by_a_link_without_a_login(desk: Desk, home: Home) -> None:
    desk.office.charge()
    _, word = link(desk, home)
    asked = opened(desk, word)
    assert (asked.amount_fen, asked.estate_zh) == (100_000, "示例小区")
    assert asked.unit_zh
    assert asked.unit_zh not in asked.masked_zh
    started = open_checkout(
        desk.office.engine,
        desk.provider,
        Wanted(asked.household_id, asked.amount_fen, Method.ALIPAY, link_id=asked.link_id),
        asked.principal_id,
        URL,
        desk.clock(),
    )
    desk.pay(started, Method.ALIPAY)
    desk.deliver()
    desk.work()
    assert desk.office.statement(home).total_owed_fen == 0
    assert desk.checkout(started.checkout_id).link_id == asked.link_id


def test_a_link_ends_by_itself_and_is_taken_back(desk: Desk, home: Home) -> None:
    first, word = link(desk, home, 5_000)
    assert opened(desk, word).amount_fen == 5_000
    other = desk.office.move_in()
    with pytest.raises(ForeignHouseholdError), desk.office.engine.begin() as connection:
        links.revoke_link(connection, first, other.tenant, desk.clock())
    with desk.office.engine.begin() as connection:
        links.revoke_link(connection, first, home.tenant, desk.clock())
        assert links.links_of(connection, home.household_id, desk.clock()) == []
    with pytest.raises(LinkRevokedError):
        opened(desk, word)
    _, late = link(desk, home)
    desk.clock.forward(RULES.pay_link_hours * 3600)
    with pytest.raises(LinkExpiredError):
        opened(desk, late)
    for wrong in ("", word[:-1], "x" * 43):
        with pytest.raises(LinkUnknownError):
            opened(desk, wrong)


def test_the_word_of_a_link_stands_nowhere_and_no_stranger_makes_one(desk: Desk, home: Home) -> None:
    _, word = link(desk, home)
    stranger = desk.office.move_in().tenant
    with desk.office.engine.begin() as connection:
        kept = str(connection.exec_driver_sql("SELECT * FROM pay_link").all())
        assert word not in kept
        with pytest.raises(ForeignHouseholdError):
            links.make_link(connection, home.household_id, stranger, desk.clock(), RULES)
        for amount_fen in (0, -1, RULES.prepay_limit_fen + 1):
            with pytest.raises(AmountOutOfRangeError):
                links.make_link(connection, home.household_id, home.tenant, desk.clock(), RULES, amount_fen)


@pytest.mark.parametrize(
    ("building", "number", "seen"),
    [
        ("A栋", "0301", "＊栋 ＊＊01"),
        ("3", "12", "＊ ＊2"),
        ("甲座", "7", "＊座 ＊7"),
        ("1栋", "甲01", "＊栋 甲01"),
    ],
)
def test_a_masked_unit_is_known_only_to_whom_it_is_known(building: str, number: str, seen: str) -> None:
    assert links.masked(building, number) == seen


def test_several_chosen_charges_are_paid_before_older_ones(desk: Desk, home: Home) -> None:
    for month in ("2026-08", "2026-09", "2026-10", "2026-11"):
        desk.office.charge(month)
    unpaid = desk.office.statement(home).unpaid
    chosen = (unpaid[3].charge_id, unpaid[1].charge_id)
    started = open_checkout(
        desk.office.engine,
        desk.provider,
        Wanted(home.household_id, 200_000, Method.WECHAT_PAY, chosen),
        home.tenant.principal_id,
        URL,
        desk.clock(),
    )
    desk.pay(started)
    desk.deliver()
    desk.work()
    assert [charge.month.month for charge in desk.office.statement(home).unpaid] == [8, 10]


CLOSING = PaymentRules(
    closed_last_days=2,
    bank_batch_days=(15,),
    estates={"jianghai-1": EstatePaymentRules(closed_last_days=0, bank_batch_days=(16,))},
)


@pytest.mark.parametrize(
    ("estate_id", "day", "reason", "opens"),
    [
        ("pengjiang-1", "2026-11-28", None, ""),
        ("pengjiang-1", "2026-11-29", ClosedFor.MONTH_END, "2026-12-01"),
        ("pengjiang-1", "2026-11-30", ClosedFor.MONTH_END, "2026-12-01"),
        ("pengjiang-1", "2027-02-27", ClosedFor.MONTH_END, "2027-03-01"),
        ("pengjiang-1", "2026-11-15", ClosedFor.BANK_BATCH, "2026-11-16"),
        ("jianghai-1", "2026-11-15", None, ""),
        ("jianghai-1", "2026-11-16", ClosedFor.BANK_BATCH, "2026-11-17"),
        ("jianghai-1", "2026-11-30", None, ""),
    ],
)
def test_windows_are_closed_by_configuration_of_the_estate(
    estate_id: str, day: str, reason: ClosedFor | None, opens: str
) -> None:
    at = datetime.fromisoformat(f"{day}T12:00:00+08:00")
    found = closure_at(CLOSING, estate_id, at)
    assert (found and found.reason, str(found.opens_on) if found else "") == (reason, opens)
    assert closure_at(RULES, estate_id, at) is None


def test_the_next_closure_is_known_beforehand() -> None:
    after = datetime(2026, 11, 20, tzinfo=UTC)
    assert closes_at(CLOSING, "pengjiang-1", after) == datetime(2026, 11, 28, 16, tzinfo=UTC)
    assert closes_at(RULES, "pengjiang-1", after) is None


def test_a_closed_window_takes_nothing_online_and_the_counter_does(
    desk: Desk, home: Home, providers: Providers
) -> None:
    desk.office.charge()
    desk.clock.now = datetime(2026, 11, 30, 2, tzinfo=UTC)
    wanted = Wanted(home.household_id, 5_000, Method.CARD)
    with pytest.raises(OnlineClosedError) as refused:
        open_checkout(
            desk.office.engine,
            desk.provider,
            wanted,
            home.tenant.principal_id,
            URL,
            desk.clock(),
            rules=CLOSING,
        )
    assert "12月1日恢复" in refused.value.zh
    assert desk.office.count("checkout") == 0
    cash, now = providers.get("cash"), desk.clock()
    assert isinstance(cash, CounterProvider)
    take_at_counter(
        desk.office.engine,
        cash,
        home.household_id,
        5_000,
        "R-1",
        now,
        desk.office.clerk(),
        now,
        rules=CLOSING,
    )
    assert desk.office.statement(home).total_owed_fen == 95_000


def test_what_was_opened_before_and_paid_while_closed_is_accepted_dated_and_listed(
    desk: Desk, home: Home
) -> None:
    desk.office.charge()
    desk.clock.now = datetime(2026, 11, 28, 15, 50, tzinfo=UTC)
    started = desk.start(home, 100_000)
    desk.clock.forward(1_200)  # ten past midnight in Jiangmen: the 29th
    desk.pay(started)
    desk.deliver()
    settle_pending(desk.office.engine, desk.provider, desk.clock(), rules=CLOSING)
    row = desk.checkout(started.checkout_id)
    assert (row.state, row.closed_reason) == ("paid", "month_end")
    assert desk.office.statement(home).total_owed_fen == 0
    assert str(desk.office.row("journal_entry", event_kind="payment").effective_on) == "2026-11-29"


def tell_of(desk: Desk) -> list[str]:
    with desk.office.engine.connect() as connection:
        return list(connection.execute(select(message.c.text_zh).order_by(message.c.created_at)).scalars())


def agreed(desk: Desk, home: Home, card: str = "4242424242424242", limit_fen: int = 150_000) -> UUID:
    """The tenant agrees, and pays once with the card that is to be kept."""
    with desk.office.engine.begin() as connection:
        set_address(connection, home.person_id, Channel.SMS, "13800000000", desk.clock())
        autopay_id = autopay.agree(
            connection, home.household_id, "card", "stripe", limit_fen, home.tenant, desk.clock()
        )
    started = open_checkout(
        desk.office.engine,
        desk.provider,
        Wanted(home.household_id, 10_000, Method.CARD, keep_card=True, autopay_id=autopay_id),
        home.tenant.principal_id,
        URL,
        desk.clock(),
    )
    ref = desk.checkout(started.checkout_id).provider_ref
    desk.core.act(people.pay_session, ref, "card", card=CardEntry(card, 12, 2034))
    desk.deliver()
    desk.work()
    return autopay_id


def run(desk: Desk, providers: Providers, rules: PaymentRules = RULES) -> None:
    for _ in range(3):
        autopay.run_autopay(desk.office.engine, providers, desk.clock(), rules, URL)


def test_a_kept_card_is_told_of_first_and_charged_once_on_its_day(
    desk: Desk, home: Home, providers: Providers
) -> None:
    desk.office.charge()
    agreed(desk, home)
    run(desk, providers)
    assert tell_of(desk) == []  # the 3rd; the 10th less three days is the 7th
    desk.clock.now = datetime(2026, 11, 7, 2, tzinfo=UTC)
    run(desk, providers)
    (told,) = tell_of(desk)
    assert "11月10日" in told
    assert "900.00 元" in told
    assert desk.office.statement(home).total_owed_fen == 90_000
    desk.clock.now = datetime(2026, 11, 10, 2, tzinfo=UTC)
    run(desk, providers)
    assert desk.office.statement(home).total_owed_fen == 0
    assert desk.office.count("payment") == 2
    run(desk, providers)
    assert desk.office.count("payment") == 2


def test_no_more_is_charged_than_the_limit_and_nothing_after_the_end(
    desk: Desk, home: Home, providers: Providers
) -> None:
    desk.office.charge()
    agreed(desk, home, limit_fen=20_000)
    desk.clock.now = datetime(2026, 11, 8, 2, tzinfo=UTC)
    run(desk, providers)
    desk.clock.now = datetime(2026, 11, 10, 2, tzinfo=UTC)
    run(desk, providers)
    assert desk.office.statement(home).total_owed_fen == 90_000  # told late, so taken late
    desk.clock.now = datetime(2026, 11, 11, 2, tzinfo=UTC)
    run(desk, providers)
    assert desk.office.statement(home).total_owed_fen == 70_000
    with desk.office.engine.begin() as connection:
        autopay.end(connection, home.household_id, home.tenant, desk.clock())
        assert autopay.autopay_of(connection, home.household_id) is None
    desk.office.charge("2026-12")
    desk.clock.now = datetime(2026, 12, 20, 2, tzinfo=UTC)
    run(desk, providers)
    assert desk.office.count("payment") == 2


def test_a_card_that_says_no_is_told_and_charges_nothing(
    desk: Desk, home: Home, providers: Providers
) -> None:
    desk.office.charge()
    autopay_id = agreed(desk, home)
    run(desk, providers)
    # 444.01 is declined by the amount, whatever the card.
    desk.office.take(home, 90_000 - 44_401, "pi_other")
    desk.clock.now = datetime(2026, 11, 7, 2, tzinfo=UTC)
    run(desk, providers)
    desk.clock.now = datetime(2026, 11, 10, 2, tzinfo=UTC)
    run(desk, providers)
    assert "没有扣成" in tell_of(desk)[-1]
    assert desk.office.statement(home).total_owed_fen == 44_401
    assert desk.office.row("checkout", autopay_id=autopay_id, keep_card=False).state == "failed"


def test_a_wallet_is_reminded_with_one_tap(desk: Desk, home: Home, providers: Providers) -> None:
    desk.office.charge()
    with desk.office.engine.begin() as connection:
        set_address(connection, home.person_id, Channel.SMS, "13800000000", desk.clock())
        autopay.agree(connection, home.household_id, "reminder", "reminder", 1, home.tenant, desk.clock())
        with pytest.raises(AutopayRunsError):
            autopay.agree(connection, home.household_id, "card", "stripe", 1, home.tenant, desk.clock())
    desk.clock.now = datetime(2026, 11, 7, 2, tzinfo=UTC)
    run(desk, providers)
    run(desk, providers)
    (told,) = tell_of(desk)
    word = told.split("/pay/")[1].split("（")[0]
    assert opened(desk, word).amount_fen == 100_000
    assert desk.office.count("payment") == 0


def test_nothing_is_taken_from_a_card_while_the_window_is_closed(
    desk: Desk, home: Home, providers: Providers
) -> None:
    desk.office.charge()
    agreed(desk, home)
    rules = msgspec.structs.replace(RULES, bank_batch_days=(10,))
    for day in (7, 10):
        desk.clock.now = datetime(2026, 11, day, 2, tzinfo=UTC)
        run(desk, providers, rules)
    assert desk.office.count("payment") == 1
    desk.clock.now += timedelta(days=1)
    run(desk, providers, rules)
    assert desk.office.count("payment") == 2
    assert desk.office.row("checkout", keep_card=False).state == CheckoutState.PAID
