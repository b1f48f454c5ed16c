"""What every adapter of the provider port must do, whichever provider is behind it.

An adapter passes with a `Bench` of its own: the provider, and what people and the provider do from outside.
A new one is added to the benches at the end of this file; `test_conformance.py` is the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Protocol
from uuid import UUID, uuid4

import responses

from backend.payments.counter import write_slip
from backend.payments.counter_adapter import CounterProvider
from backend.payments.money_back import RefundOrder
from backend.payments.port import Method, Provider
from backend.payments.stripe_adapter import StripeProvider
from backend.payments.wechat_adapter import WechatAccount, WechatProvider
from simulators.stripe import mock as stripe_mock
from simulators.stripe import people
from simulators.stripe.core import StripeCore
from simulators.stripe.faults import Fault
from simulators.stripe.settings import AccountSettings
from simulators.wechat import mock as wechat_mock
from simulators.wechat.core import WechatCore
from simulators.wechat.keys import Merchant, Platform, make_key, pem, platform_with_certificate
from simulators.wechat.settings import MerchantSettings

if TYPE_CHECKING:
    from tests.integration.money.conftest import Clock, Office

API_KEY, SECRET, V3_KEY = "sk_test_conformance", "whsec_conformance", "0123456789abcdef0123456789abcdef"
LONG_S = 10 * 366 * 24 * 3600
# Two RSA keys take a second to make, and every test may have the same.
MERCHANT_KEY, PLATFORM_KEY = make_key(), make_key()


@dataclass(frozen=True)
class Sent:
    """A notice on its way: the bytes, and the headers with their signature."""

    body: bytes
    headers: Mapping[str, str]


class Bench(Protocol):
    """A provider with its outside."""

    provider: Provider
    method: Method
    clock: Clock

    def pay(self, provider_ref: str) -> None:
        """Somebody pays a checkout."""

    def hand_back(self, order: RefundOrder) -> None:
        """A refund that was asked for comes to its good end."""

    def notices(self) -> list[Sent]:
        """The notices that the provider wants to send now."""

    def break_next(self) -> None:
        """The next request that changes something is done, and its answer is lost."""


@dataclass
class StripeBench:
    """Stripe's own client before the stand-in."""

    clock: Clock
    core: StripeCore
    provider: Provider = field(default_factory=lambda: StripeProvider(API_KEY, [SECRET], retries=0))
    method: Method = Method.WECHAT_PAY

    def pay(self, provider_ref: str) -> None:
        self.core.act(people.pay_session, provider_ref, self.method.value)

    def hand_back(self, _order: RefundOrder) -> None:
        self.clock.forward(3_700)
        self.core.advance()

    def notices(self) -> list[Sent]:
        return [Sent(one.body, one.headers) for one in self.core.due_notices()]

    def break_next(self) -> None:
        self.core.plan_fault(Fault(kind="answer_lost"))


@dataclass
class WechatBench:
    """wechatpayv3 before the stand-in."""

    clock: Clock
    core: WechatCore
    provider: Provider
    method: Method = Method.WECHAT_PAY

    def pay(self, provider_ref: str) -> None:
        self.core.pay(provider_ref)

    def hand_back(self, _order: RefundOrder) -> None:
        self.clock.forward(3_700)

    def notices(self) -> list[Sent]:
        return [Sent(one.body, one.headers) for one in self.core.due_notices()]

    def break_next(self) -> None:
        self.core.plan_fault(Fault(kind="answer_lost", path="/v3/"))


@dataclass
class CounterBench:
    """A cashier with a receipt book, or with the bank's statement in front of them."""

    clock: Clock
    office: Office
    provider: CounterProvider
    method: Method

    def pay(self, provider_ref: str) -> None:
        self._write("payment", UUID(provider_ref), 30_000)

    def hand_back(self, order: RefundOrder) -> None:
        self._write("refund", order.refund_id, order.amount_fen)

    def notices(self) -> list[Sent]:
        return []

    def break_next(self) -> None:
        """There is nothing between the cashier and our own database."""

    def _write(self, kind: str, subject_id: UUID, amount_fen: int) -> None:
        clerk, now = self.office.clerk(), self.clock()
        number, where = f"No. {uuid4().hex[:8]}", "pengjiang-1"
        with self.office.engine.begin() as connection:
            write_slip(
                connection, self.provider.name, number, kind, subject_id, where, amount_fen, now, clerk, now
            )


Build = Callable[["Office", "Clock", responses.RequestsMock], Bench]


def stripe_bench(_office: Office, clock: Clock, mock: responses.RequestsMock) -> Bench:
    """One account, nothing paid out by itself."""
    core = StripeCore(clock, Random(7), AccountSettings(payouts="manual"), api_key=API_KEY)
    core.add_endpoint("https://city.invalid/webhooks/stripe", SECRET, ("*",))
    stripe_mock.register(core, mock)
    return StripeBench(clock, core)


def wechat_bench(_office: Office, clock: Clock, mock: responses.RequestsMock) -> Bench:
    """The platform is known by its public key."""
    return _wechat(clock, mock, certificates=False)


def wechat_certificate_bench(_office: Office, clock: Clock, mock: responses.RequestsMock) -> Bench:
    """The platform is known by the certificates that it hands out, sealed."""
    return _wechat(clock, mock, certificates=True)


def cash_bench(office: Office, clock: Clock, _mock: responses.RequestsMock) -> Bench:
    """Cash."""
    return CounterBench(clock, office, CounterProvider(office.engine, Method.CASH), Method.CASH)


def transfer_bench(office: Office, clock: Clock, _mock: responses.RequestsMock) -> Bench:
    """A bank transfer."""
    method = Method.BANK_TRANSFER
    return CounterBench(clock, office, CounterProvider(office.engine, method), method)


def _wechat(clock: Clock, mock: responses.RequestsMock, *, certificates: bool) -> Bench:
    platform = (
        platform_with_certificate(PLATFORM_KEY) if certificates else Platform(PLATFORM_KEY, "PUB_KEY_ID_1")
    )
    merchant = Merchant("1900000109", "wx8888888888888888", "AB12", MERCHANT_KEY.public_key(), V3_KEY)
    # The library signs by the machine's clock, and the test has one of its own.
    settings = MerchantSettings(request_age_s_max=LONG_S, opening_balance_fen=1_000_000)
    core = WechatCore(clock, Random(7), merchant, platform, settings)
    wechat_mock.register(core, mock)
    account = WechatAccount(
        mchid=merchant.mchid,
        appid=merchant.appid,
        serial=merchant.serial,
        notify_url="https://city.invalid/webhooks/wechat",
        private_key=pem(MERCHANT_KEY).decode(),
        api_v3_key=V3_KEY,
        public_key=None if certificates else pem(PLATFORM_KEY.public_key()).decode(),
        public_key_id=None if certificates else platform.serial,
    )
    return WechatBench(clock, core, WechatProvider(account))


WITH_NOTICES: Mapping[str, Build] = {
    "stripe": stripe_bench,
    "wechat": wechat_bench,
    "wechat-certificates": wechat_certificate_bench,
}
BENCHES: Mapping[str, Build] = {**WITH_NOTICES, "cash": cash_bench, "transfer": transfer_bench}
