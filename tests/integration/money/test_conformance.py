"""The conformance suite of the provider port; see `conformance.py` for how an adapter joins it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
import responses

from backend.payments.checkouts import Wanted, open_checkout, order_of
from backend.payments.lines import LineKind
from backend.payments.money_back import RefundOrder, RefundState
from backend.payments.port import (
    CheckoutState,
    CheckoutStatus,
    NoticeKind,
    NoticeRefusedError,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from backend.payments.service import settle_pending, sweep, take_notice
from backend.payments.settlement import Settled, settle
from tests.integration.money.conformance import BENCHES, WITH_NOTICES, Bench, Build, Sent

if TYPE_CHECKING:
    from tests.integration.money.conftest import Clock, Home, Office

AMOUNT_FEN = 30_000


@dataclass
class Suite:
    """An adapter at work for one household."""

    bench: Bench
    office: Office
    home: Home

    def open(self) -> UUID:
        """A checkout at the provider."""
        return open_checkout(
            self.office.engine,
            self.bench.provider,
            Wanted(self.home.household_id, AMOUNT_FEN, self.bench.method),
            self.home.tenant.principal_id,
            "https://city.invalid/{checkout_id}",
            self.bench.clock(),
        ).checkout_id

    def ref(self, checkout_id: UUID) -> str:
        """The provider's reference of it."""
        found = self.office.row("checkout", checkout_id=checkout_id).provider_ref
        assert found
        return str(found)

    def paid(self) -> tuple[UUID, CheckoutStatus]:
        """A checkout that was paid, and what the provider says of it."""
        checkout_id = self.open()
        self.bench.pay(self.ref(checkout_id))
        return checkout_id, self.bench.provider.status(self.ref(checkout_id))

    def refund_order(self, status: CheckoutStatus, amount_fen: int) -> RefundOrder:
        """What the provider is asked to give back, known to our tables as well."""
        assert status.payment_ref is not None
        order = RefundOrder(uuid4(), f"refund-{uuid4()}", status.payment_ref, AMOUNT_FEN, amount_fen)
        self.office.write_refund(order, self.bench.provider.name)
        return order

    def settle(self, status: CheckoutStatus) -> Settled:
        """The provider's word goes into the books."""
        with self.office.engine.begin() as connection:
            done = settle(connection, self.bench.provider.name, status, self.bench.clock())
        assert isinstance(done, Settled)
        return done


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def suites(builds: Mapping[str, Build]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("build", builds.values(), ids=builds)


@pytest.fixture
def suite(build: Build, office: Office, home: Home, clock: Clock, mock: responses.RequestsMock) -> Suite:
    office.charge()
    return Suite(build(office, clock, mock), office, home)


@suites(BENCHES)
def test_the_same_order_again_is_the_same_checkout(suite: Suite) -> None:
    row = suite.office.row("checkout", checkout_id=suite.open())
    again = suite.bench.provider.start_checkout(order_of(row))
    assert (again.provider_ref, again.url, again.shown) == (row.provider_ref, row.url, row.shown)


@suites(BENCHES)
def test_an_open_checkout_is_open_and_a_paid_one_paid(suite: Suite) -> None:
    checkout_id = suite.open()
    before = suite.bench.provider.status(suite.ref(checkout_id))
    assert (before.state, before.checkout_id, before.paid_at) == (CheckoutState.OPEN, checkout_id, None)
    suite.bench.pay(suite.ref(checkout_id))
    paid = suite.bench.provider.status(suite.ref(checkout_id))
    assert (paid.state, paid.checkout_id) == (CheckoutState.PAID, checkout_id)
    assert (paid.amount_fen, paid.currency) == (AMOUNT_FEN, "cny")
    assert paid.payment_ref
    assert paid.paid_at is not None
    assert abs(paid.paid_at - suite.bench.clock()) < timedelta(seconds=2)


@suites(BENCHES)
def test_what_the_provider_does_not_know_is_refused(suite: Suite) -> None:
    for unknown in (uuid4().hex, "cs_test_a1nothing"):
        with pytest.raises(ProviderRefusedError):
            suite.bench.provider.status(unknown)
        with pytest.raises(ProviderRefusedError):
            suite.bench.provider.refund_status(unknown)


@suites(BENCHES)
def test_a_payment_is_one_receipt_however_often_it_is_told_of(suite: Suite) -> None:
    _, status = suite.paid()
    first, second = suite.settle(status), suite.settle(status)
    assert first.taken is not None
    assert second.taken is not None
    assert (first.taken.is_new, second.taken.is_new) == (True, False)
    assert suite.office.statement(suite.home).total_owed_fen == 100_000 - AMOUNT_FEN


@suites(BENCHES)
def test_a_refund_asked_for_again_is_the_same_refund_and_comes_to_its_end(suite: Suite) -> None:
    _, status = suite.paid()
    suite.settle(status)
    order = suite.refund_order(status, 10_001)
    first, again = suite.bench.provider.refund(order), suite.bench.provider.refund(order)
    assert (first.refund_id, first.provider_ref) == (order.refund_id, again.provider_ref)
    assert (first.amount_fen, first.currency, first.payment_ref) == (10_001, "cny", status.payment_ref)
    assert first.state in (RefundState.PENDING, RefundState.DONE)
    suite.bench.hand_back(order)
    assert suite.bench.provider.refund_status(first.provider_ref).state is RefundState.DONE


@suites(BENCHES)
def test_the_account_shows_the_payment_and_its_refund_to_the_fen(suite: Suite) -> None:
    _, status = suite.paid()
    suite.settle(status)
    order = suite.refund_order(status, 10_001)
    told = suite.bench.provider.refund(order)
    suite.bench.hand_back(order)
    since = suite.bench.clock() - timedelta(days=1)
    suite.bench.clock.forward(2 * 24 * 3600)  # the channel's bill comes next morning
    lines = suite.bench.provider.settlements(since, suite.bench.clock() - timedelta(days=1))
    (came,) = [line for line in lines if line.kind is LineKind.PAYMENT]
    (went,) = [line for line in lines if line.kind is LineKind.REFUND]
    assert (came.payment_ref, came.amount_minor, came.currency) == (status.payment_ref, AMOUNT_FEN, "cny")
    assert (went.refund_ref, went.amount_minor) == (told.provider_ref, -10_001)
    assert len({line.line_ref for line in lines}) == len(lines)
    assert list(lines) == sorted(lines, key=lambda line: line.at)
    assert suite.bench.provider.settlements(since - timedelta(days=3), since - timedelta(days=2)) == []


@suites(BENCHES)
def test_whoever_is_not_the_provider_is_not_heard(suite: Suite) -> None:
    for headers in ({}, {"Stripe-Signature": "t=1,v1=00"}, {"Wechatpay-Timestamp": "1"}):
        with pytest.raises(NoticeRefusedError):
            suite.bench.provider.parse_notice(b'{"id": "evt_1"}', headers, suite.bench.clock())


@suites(WITH_NOTICES)
def test_a_notice_says_what_the_provider_says(suite: Suite) -> None:
    _, status = suite.paid()
    (sent,) = told_of(suite, NoticeKind.CHECKOUT)
    notice = suite.bench.provider.parse_notice(sent.body, sent.headers, suite.bench.clock())
    assert notice.status == status
    assert suite.bench.provider.read_notice(sent.body) == notice


@suites(WITH_NOTICES)
def test_a_changed_early_or_late_notice_is_refused(suite: Suite) -> None:
    suite.paid()
    (sent,) = told_of(suite, NoticeKind.CHECKOUT)
    provider, now = suite.bench.provider, suite.bench.clock()
    for body, at in (
        (sent.body.replace(b"}", b" }", 1), now),
        (sent.body, now + timedelta(seconds=302)),
        (sent.body, now - timedelta(seconds=302)),
    ):
        with pytest.raises(NoticeRefusedError):
            provider.parse_notice(body, sent.headers, at)
    provider.parse_notice(sent.body, sent.headers, now + timedelta(seconds=298))


@suites(WITH_NOTICES)
def test_a_notice_about_a_refund_names_it(suite: Suite) -> None:
    _, status = suite.paid()
    suite.settle(status)
    suite.bench.notices()
    told = suite.bench.provider.refund(order := suite.refund_order(status, 7))
    suite.bench.hand_back(order)
    notices = [read.refund for sent in suite.bench.notices() if (read := parsed(suite, sent)).refund]
    assert notices
    assert {one.refund_id for one in notices if one is not None} == {order.refund_id}
    assert {one.provider_ref for one in notices if one is not None} == {told.provider_ref}


@suites(WITH_NOTICES)
def test_notices_settle_and_the_worker_asks_for_the_lost_ones(suite: Suite) -> None:
    for lost in (False, True):
        suite.paid()
        sent = suite.bench.notices()
        if not lost:
            for one in sent:
                take_notice(
                    suite.office.engine, suite.bench.provider, one.body, one.headers, suite.bench.clock()
                )
        suite.bench.clock.forward(200)
        settle_pending(suite.office.engine, suite.bench.provider, suite.bench.clock())
        sweep(suite.office.engine, suite.bench.provider, suite.bench.clock())
    assert suite.office.count("payment") == 2
    assert suite.office.statement(suite.home).total_owed_fen == 100_000 - 2 * AMOUNT_FEN


@suites(WITH_NOTICES)
def test_an_answer_that_was_lost_is_asked_for_again_and_is_one_checkout(suite: Suite) -> None:
    suite.bench.break_next()
    with pytest.raises(ProviderUnavailableError):
        suite.open()
    suite.bench.clock.forward(40)
    sweep(suite.office.engine, suite.bench.provider, suite.bench.clock())
    row = suite.office.row("checkout", household_id=suite.home.household_id)
    assert row.state == "open"
    suite.bench.pay(row.provider_ref)
    assert suite.bench.provider.status(row.provider_ref).checkout_id == row.checkout_id


@suites(WITH_NOTICES)
def test_more_than_is_left_is_never_given_back(suite: Suite) -> None:
    _, status = suite.paid()
    suite.settle(status)
    suite.bench.provider.refund(suite.refund_order(status, 20_000))
    with pytest.raises(ProviderRefusedError):
        suite.bench.provider.refund(suite.refund_order(status, 10_001))
    suite.bench.provider.refund(suite.refund_order(status, 10_000))


def parsed(suite: Suite, sent: Sent):  # type: ignore[no-untyped-def]
    return suite.bench.provider.parse_notice(sent.body, sent.headers, suite.bench.clock())


def told_of(suite: Suite, kind: NoticeKind) -> list[Sent]:
    return [sent for sent in suite.bench.notices() if parsed(suite, sent).kind is kind]
