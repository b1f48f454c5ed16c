"""Estates with households, and the books open, for the tests of money."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
import responses
from sqlalchemy import Connection, Engine, Row, insert, select

from backend.db import metadata
from backend.identity.principal import Grant, Principal
from backend.identity.tables import principal as principal_table
from backend.identity.tables import principal_role
from backend.ledger.books import open_books
from backend.ledger.service import trial_balance
from backend.payments.money_back import RefundOrder
from backend.payments.money_back_tables import refund
from backend.payments.port import Method, NoticeRefusedError, Provider
from backend.payments.service import CheckoutStarted, settle_pending, start_checkout, sweep, take_notice
from backend.payments.stripe_adapter import StripeProvider
from backend.payments.stripe_events import CHECKOUT_EVENTS, DISPUTE_EVENTS, REFUND_EVENTS
from backend.payments.tables import checkout, provider_notice
from backend.registry import tables as registry
from backend.rent.service import (
    NewPayment,
    PaymentTaken,
    RunResult,
    Statement,
    household_statement,
    read_month,
    run_month,
    take_payment,
)
from backend.rent.tables import payment, rent_charge
from simulators.stripe import people
from simulators.stripe.core import StripeCore
from simulators.stripe.mock import deliver, register
from simulators.stripe.settings import AccountSettings

API_KEY, SECRET = "sk_test_money", "whsec_money"
PAYOUT_EVENTS = {"payout.created", "payout.paid", "payout.updated"}
MONEY_NOTICES = tuple(sorted(CHECKOUT_EVENTS | REFUND_EVENTS | DISPUTE_EVENTS | PAYOUT_EVENTS))
NOW = datetime(2026, 11, 3, 2, 0, tzinfo=UTC)
ESTATES = ("pengjiang-1", "jianghai-1")
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Home:
    """A household in its unit, and the tenant who logs in for it."""

    estate_id: str
    household_id: UUID
    tenancy_id: UUID
    unit_id: UUID
    person_id: UUID
    tenant: Principal


@pytest.fixture
def estates(engine: Engine) -> tuple[str, ...]:
    """Two estates with a building each; the books are open."""
    with engine.begin() as connection:
        for estate_id in ESTATES:
            connection.execute(
                insert(registry.estate).values(
                    estate_id=estate_id,
                    name_zh="示例小区",
                    name_en="Sample",
                    district="蓬江区",
                    faces_enabled=False,
                    fpir=0.003,
                    hmac_key_sealed=b"sealed",
                    created_at=NOW,
                )
            )
            connection.execute(
                insert(registry.building).values(
                    estate_id=estate_id, building_id="a", name_zh="A栋", floors=6, units_per_floor=99
                )
            )
        open_books(connection, NOW)
    return ESTATES


@pytest.fixture
def office(engine: Engine, estates: tuple[str, ...]) -> Office:
    """The rent office at a moment of November 2026."""
    return Office(engine, NOW)


@pytest.fixture
def home(office: Office) -> Home:
    """One household that pays 1,000.00 a month."""
    return office.move_in()


@dataclass(frozen=True)
class Office:
    """What the tests do and look at, in a few words."""

    engine: Engine
    now: datetime

    def move_in(
        self,
        rent_fen: int = 100_000,
        from_on: date = date(2026, 1, 1),
        to_on: date | None = None,
        estate_id: str = "pengjiang-1",
    ) -> Home:
        """Make a household with a tenancy and a tenant's login."""
        with self.engine.begin() as connection:
            return make_home(connection, estate_id, rent_fen, from_on, to_on)

    def charge(self, month: str = "2026-11") -> RunResult:
        """Run a month for all estates."""
        return run_month(self.engine, None, read_month(month), None, self.now)

    def take(self, home: Home, amount_fen: int, ref: str = "pi_1") -> PaymentTaken:
        """Book a payment by WeChat Pay."""
        given = NewPayment(
            home.estate_id, home.household_id, "stripe", ref, "wechat_pay", amount_fen, self.now
        )
        with self.engine.begin() as connection:
            return take_payment(connection, given, actor="test", now=self.now)

    def charge_id(self, home: Home, month: date) -> UUID:
        """The run's charge of a month."""
        with self.engine.connect() as connection:
            found: UUID = connection.execute(
                select(rent_charge.c.charge_id).where(
                    rent_charge.c.tenancy_id == home.tenancy_id,
                    rent_charge.c.month == month,
                    rent_charge.c.revision == 0,
                )
            ).scalar_one()
            return found

    def statement(self, home: Home) -> Statement:
        """The household's account."""
        with self.engine.connect() as connection:
            return household_statement(connection, home.household_id)

    def clerk(self) -> Principal:
        """Somebody of the finance staff; another one each time."""
        with self.engine.begin() as connection:
            return make_principal(connection, f"clerk{next(_numbers)}", "finance", None)

    def row(self, table: str, **where: object) -> Row[Any]:
        """The one row of a table that has these values."""
        known = metadata.tables[table]
        with self.engine.connect() as connection:
            return connection.execute(
                select(known).where(*(known.c[name] == value for name, value in where.items()))
            ).one()

    def write_refund(self, order: RefundOrder, provider: str) -> None:
        """A refund that is being asked for, without the two people."""
        with self.engine.begin() as connection:
            paid = connection.execute(
                select(payment).where(payment.c.provider_ref == order.payment_ref)
            ).one()
            connection.execute(
                insert(refund).values(
                    refund_id=order.refund_id,
                    payment_id=paid.payment_id,
                    estate_id=paid.estate_id,
                    household_id=paid.household_id,
                    amount_fen=order.amount_fen,
                    provider=provider,
                    payment_ref=order.payment_ref,
                    state="asked",
                    idempotency_key=order.idempotency_key,
                    created_at=self.now,
                    checks=0,
                )
            )

    def count(self, table: str) -> int:
        """Rows of a table."""
        with self.engine.connect() as connection:
            return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())

    def balances(self, book_id: str = "pengjiang-1") -> str:
        """The trial balance as an accountant reads it: code, name, side, yuan."""
        with self.engine.connect() as connection:
            found = trial_balance(connection, book_id, date.max)
        assert sum(line.debit_fen for line in found) == sum(line.credit_fen for line in found)
        return "\n".join(
            f"{line.account_code} {line.name_zh} {'平借贷'[(line.balance_fen > 0) - (line.balance_fen < 0)]}"
            f" {abs(line.balance_fen) // 100:,}.{abs(line.balance_fen) % 100:02d}"
            for line in found
        )


class Clock:
    """A moment that only moves when it is told to."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def clock(office: Office) -> Clock:
    """The moment of the test, for everything in it."""
    return Clock(office.now)


@dataclass
class Desk:
    """Paying: the channel's stand-in behind Stripe's own client, and our side of it."""

    office: Office
    core: StripeCore
    provider: Provider
    clock: Clock
    answers: list[int] = field(default_factory=list)

    def start(
        self,
        home: Home,
        amount_fen: int = 100_000,
        method: Method = Method.WECHAT_PAY,
        attempt_id: UUID | None = None,
    ) -> CheckoutStarted:
        """The tenant asks for the channel's page."""
        return start_checkout(
            self.office.engine,
            self.provider,
            home.household_id,
            amount_fen,
            method,
            home.tenant,
            "https://city.invalid/my/rent/{checkout_id}",
            self.clock(),
            attempt_id=attempt_id,
        )

    def pay(self, started: CheckoutStarted, method: Method = Method.WECHAT_PAY) -> None:
        """The tenant pays on the channel's page."""
        row = self.checkout(started.checkout_id)
        self.core.act(people.pay_session, row.provider_ref, method.value)

    def deliver(self) -> int:
        """The channel sends the notices that are due."""
        return deliver(self.core, self.receive)

    def receive(self, _url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """What our webhook does, without the web server."""
        try:
            take_notice(self.office.engine, self.provider, body, headers, self.clock())
        except NoticeRefusedError:
            return 400
        return 200

    def signed(self, body: bytes, ahead_s: int = 0, secrets: Sequence[str] = (SECRET,)) -> dict[str, str]:
        """The header of a notice, signed `ahead_s` from now with each secret."""
        at = int(self.clock().timestamp()) + ahead_s
        signatures = (
            hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
            for secret in secrets
        )
        return {"Stripe-Signature": ",".join([f"t={at}", *(f"v1={one}" for one in signatures)])}

    def work(self) -> int:
        """The worker looks once at everything that is due."""
        now = self.clock()
        return settle_pending(self.office.engine, self.provider, now) + sweep(
            self.office.engine, self.provider, now
        )

    def checkout(self, checkout_id: UUID) -> Row[Any]:
        """The checkout's row."""
        with self.office.engine.connect() as connection:
            return connection.execute(select(checkout).where(checkout.c.checkout_id == checkout_id)).one()

    def notices(self) -> list[tuple[str, str | None]]:
        """State and reason of each notice, in the order of arrival."""
        with self.office.engine.connect() as connection:
            rows = connection.execute(select(provider_notice).order_by(provider_notice.c.notice_id))
            return [(row.state, row.reason) for row in rows]


@pytest.fixture
def desk(office: Office, clock: Clock) -> Iterator[Desk]:
    """Somewhere to pay, with the channel at hand."""
    core = StripeCore(clock, Random(7), AccountSettings(payouts="manual"), api_key=API_KEY)
    core.add_endpoint("https://city.invalid/webhooks/stripe", SECRET, MONEY_NOTICES)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        register(core, mock)
        yield Desk(office, core, StripeProvider(API_KEY, [SECRET], retries=0), clock)


def table(text: str) -> str:
    """A table of a test without its indentation and the blanks that align it."""
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


@pytest.fixture(name="table")
def table_fixture() -> Callable[[str], str]:
    """`table`, for tests to compare `Office.balances` with."""
    return table


def make_home(
    connection: Connection, estate_id: str, rent_fen: int, from_on: date, to_on: date | None
) -> Home:
    """Rows of one household."""
    number = next(_numbers)
    unit_id, household_id, person_id, tenancy_id = uuid4(), uuid4(), uuid4(), uuid4()
    common = {"estate_id": estate_id, "ref": f"h{number}", "created_at": NOW}
    connection.execute(
        insert(registry.unit).values(
            unit_id=unit_id, estate_id=estate_id, building_id="a", floor=1, number=f"{number:03d}"
        )
    )
    connection.execute(insert(registry.household).values(household_id=household_id, **common))
    connection.execute(
        insert(registry.person).values(person_id=person_id, name="示例", born_on=date(1960, 1, 1), **common)
    )
    connection.execute(
        insert(registry.household_member).values(
            household_id=household_id, person_id=person_id, kind="tenant", from_on=from_on, to_on=to_on
        )
    )
    connection.execute(
        insert(registry.tenancy).values(
            tenancy_id=tenancy_id,
            household_id=household_id,
            unit_id=unit_id,
            monthly_rent_fen=rent_fen,
            from_on=from_on,
            to_on=to_on,
            created_at=NOW,
        )
    )
    tenant = make_principal(connection, f"tenant{number}", "tenant", estate_id, person_id)
    return Home(estate_id, household_id, tenancy_id, unit_id, person_id, tenant)


def make_principal(
    connection: Connection, login: str, role: str, estate_id: str | None, person_id: UUID | None = None
) -> Principal:
    """A principal with one role."""
    principal_id = uuid4()
    connection.execute(
        insert(principal_table).values(
            principal_id=principal_id, login=login, display_name=login, person_id=person_id, created_at=NOW
        )
    )
    connection.execute(
        insert(principal_role).values(
            grant_id=uuid4(),
            principal_id=principal_id,
            role=role,
            estate_id=estate_id,
            valid_from=NOW,
            created_at=NOW,
        )
    )
    grant = Grant(role, estate_id, NOW, None)  # type: ignore[arg-type]
    return Principal(principal_id, login, login, person_id, (grant,))


@pytest.fixture
def clerk(engine: Engine, estates: tuple[str, ...]) -> Principal:
    """Somebody of the finance staff, for every estate."""
    with engine.begin() as connection:
        return make_principal(connection, "clerk", "finance", None)
