"""One account at Stripe for three estates: one balance, the books' shares, one case, packs that prove it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
import responses
from click.testing import CliRunner
from sqlalchemy import insert, select, text

from backend.approvals import service as approvals
from backend.closing import build, verify_pack
from backend.closing.checklist import checklist
from backend.closing.errors import MonthNotReadyError, PackWrongError
from backend.closing.records import Month, Share
from backend.closing.service import Closed, close_month
from backend.identity.principal import Principal
from backend.ledger.books import CITY_BOOK, open_books
from backend.payments import refunds
from backend.payments.port import Method
from backend.payments.providers import Providers
from backend.payments.stripe_adapter import StripeProvider
from backend.reconciliation import actions
from backend.reconciliation.accounts import AccountEntry, load_accounts
from backend.reconciliation.cases import CaseView, case_of, open_cases
from backend.reconciliation.dayend import check_when_due
from backend.reconciliation.errors import NotMatchableError
from backend.reconciliation.settings import ReconciliationSettings
from backend.reconciliation.shares import shared_states
from backend.reconciliation.tables import shared_balance
from backend.registry import tables as registry
from estate.cli import estate
from simulators.stripe import ledger as channel_ledger
from simulators.stripe.core import StripeCore
from simulators.stripe.mock import register
from simulators.stripe.settings import AccountSettings
from tests.integration.money.conftest import (
    API_KEY,
    ESTATES,
    MONEY_NOTICES,
    NOW,
    SECRET,
    Clock,
    Desk,
    Home,
    Office,
)

BOOKS = (*ESTATES, "xinhui-1")
NOVEMBER = Month(date(2026, 11, 1))
RULES = ReconciliationSettings()


@dataclass
class Town:
    """Three estates, a household in each, and the channel that takes the money of all."""

    office: Office
    desk: Desk
    providers: Providers
    homes: list[Home]
    people: tuple[Principal, Principal]
    paid: list[UUID]

    def day(self, on: date) -> None:
        """A day passes, and the worker checks on the next morning."""
        match on.day:
            case 4 | 11 | 20 | 30:
                for home in self.homes[: on.day % 3 + 1]:
                    self.pay(home, 10_000 + on.day)
            case 13:
                self.refund(self.paid[0], 2_500)
            case 24:
                self.refund(self.paid[1], 1)
        self.until(datetime(on.year, on.month, on.day, 3, tzinfo=UTC) + timedelta(days=1))
        self.check()

    def pay(self, home: Home, amount_fen: int) -> None:
        started = self.desk.start(home, amount_fen, Method.CARD)
        self.desk.pay(started, Method.CARD)
        self.desk.deliver()
        self.desk.work()
        self.paid.append(UUID(str(self.desk.checkout(started.checkout_id).payment_id)))

    def refund(self, payment_id: UUID, amount_fen: int) -> None:
        asks, agrees = self.people
        engine, now = self.office.engine, self.desk.clock()
        with engine.begin() as connection:
            refund_id = refunds.propose_refund(
                connection, self.providers, payment_id, amount_fen, "多缴", asks, now
            )
            approvals.approve(
                connection, approvals.about(connection, f"payment:{payment_id}")[0].proposal_id, agrees, now
            )
        refunds.carry_out(engine, self.providers, refund_id, now)

    def until(self, moment: datetime) -> None:
        """Time passes; the channel does what it does by itself."""
        self.desk.clock.now = moment
        self.desk.core.advance()
        self.desk.deliver()
        self.desk.work()

    def check(self) -> None:
        assert check_when_due(self.office.engine, [self.desk.provider], self.desk.clock(), RULES) == 1

    def cases(self) -> list[CaseView]:
        with self.office.engine.connect() as connection:
            return open_cases(connection)

    def shared_point(self, book_id: str) -> tuple[int, str]:
        """What the checklist says about accounts that are shared."""
        with self.office.engine.connect() as connection:
            points = checklist(connection, book_id, NOVEMBER, self.desk.clock())
        point = next(one for one in points if one.name == "shared_accounts")
        return point.open, point.detail

    def close(self, book_id: str, out: Path, despite: tuple[str, ...] = ()) -> Closed:
        reason = "渠道在查" if despite else ""
        return close_month(
            self.office.engine, book_id, NOVEMBER, self.people[0], self.desk.clock(), out, despite, reason
        )


@pytest.fixture
def town(office: Office, clock: Clock) -> Iterator[Town]:
    with office.engine.begin() as connection:
        for table in (registry.estate, registry.building):
            row = connection.execute(select(table).where(table.c.estate_id == ESTATES[0])).one()
            connection.execute(insert(table).values(**{**row._mapping, "estate_id": BOOKS[2]}))
        open_books(connection, NOW)
        entry = AccountEntry(
            id="stripe-all",
            source="stripe",
            ref="acct_all",
            name_zh="Stripe 收款账户（示例）",
            account_code="1021.01",
            since_on=NOVEMBER.from_on,
        )
        load_accounts(connection, [entry], NOW)
    core = StripeCore(clock, Random(7), AccountSettings(), api_key=API_KEY)
    core.add_endpoint("https://city.invalid/webhooks/stripe", SECRET, MONEY_NOTICES)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        register(core, mock)
        provider = StripeProvider(API_KEY, [SECRET], retries=0)
        desk = Desk(office, core, provider, clock)
        homes = [office.move_in(estate_id=book) for book in BOOKS]
        office.charge("2026-11")
        people = (office.clerk(), office.clerk())
        yield Town(office, desk, Providers({"stripe": provider}), homes, people, [])


def november(town: Town, last: date = date(2026, 12, 1)) -> None:
    """Payments, fees, refunds and payouts of a month, a day at a time."""
    on = NOW.date()
    while on <= last:
        town.day(on)
        on += timedelta(days=1)


def off_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the channel says that the account holds 1 fen more than it booked."""
    totals = channel_ledger.totals
    monkeypatch.setattr(channel_ledger, "totals", lambda world: (totals(world)[0] + 1, totals(world)[1]))


def test_a_balance_that_is_the_sum_of_the_books_opens_no_case_and_lets_all_of_them_close(
    town: Town, tmp_path: Path
) -> None:
    november(town)
    assert town.cases() == []
    with town.office.engine.connect() as connection:
        kinds = set(connection.scalars(text("SELECT DISTINCT event_kind FROM journal_entry")))
        assert {"payment", "refund", "provider_fee", "payout"} <= kinds
        said = connection.execute(select(shared_balance.c.on_day, shared_balance.c.amount_fen))
        stated = {row.on_day: row.amount_fen for row in said}
        # A word for every day, and each is what the books make of that day.
        assert set(stated) == {NOVEMBER.from_on + timedelta(days=number) for number in range(31)}
        for on, fen in stated.items():
            (state,) = shared_states(connection, BOOKS[0], on)
            assert (state.stated_fen, state.difference_fen) == (fen, 0), on
        (end,) = shared_states(connection, BOOKS[0], NOVEMBER.last_on)
        assert sum(1 for one in end.shares if one.fen) >= 2
    packs = [town.close(book, tmp_path).path for book in (*BOOKS, CITY_BOOK)]
    assert verify_pack.verify_together(packs) == ([], [])
    assert verify_pack.main([str(path) for path in packs]) == 0
    told = CliRunner().invoke(estate, ["ledger", "verify", *map(str, packs)])
    assert told.exit_code == 0, told.output
    assert told.output.count("相符 OK") == 4
    assert "共用账户与各包相符" in told.output
    for words in (["--head", "0" * 64], ["--previous", str(packs[0])]):
        refused = CliRunner().invoke(estate, ["ledger", "verify", *map(str, packs), *words])
        assert refused.exit_code == 2
        assert "一次只对一个包" in refused.output
    # Three of four leave the fourth's share unproved, and say so.
    wrong, unchecked = verify_pack.verify_together(packs[:3])
    assert wrong == []
    assert unchecked == [f"no pack of {CITY_BOOK} is given, whose share of stripe-all is told"]
    # Written again, the pack is the same, although the chains of the others have gone on.
    before = packs[0].read_bytes()
    town.pay(town.homes[2], 777)
    assert town.close(BOOKS[0], tmp_path).path.read_bytes() == before


def test_one_fen_too_much_is_one_case_and_every_close_says_so(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    november(town, date(2026, 11, 27))
    with monkeypatch.context() as wrongly:
        off_by_one(wrongly)
        for on in (28, 29, 30):
            town.day(date(2026, 11, on))
            (case,) = town.cases()
            assert (case.kind, case.side, case.book_id, case.account_id, case.on, case.difference_fen) == (
                "balance",
                "balance",
                CITY_BOOK,
                "stripe-all",
                date(2026, 11, 28),
                1,
            )
        assert case.age_days(town.desk.clock()) == 2
        for book in (*BOOKS, CITY_BOOK):
            count, detail = town.shared_point(book)
            assert count == 1
            assert re.search(r"差 0\.01 元", detail)
        with pytest.raises(MonthNotReadyError) as refused:
            town.close(BOOKS[0], tmp_path)
        assert [point.name for point in refused.value.points] == ["shared_accounts"]
        closed = town.close(BOOKS[0], tmp_path, ("shared_accounts",))
        assert verify_pack.main([str(closed.path)]) == 0
        assert "stripe-all 对方余额与各账簿合计差 1 分" in capsys.readouterr().out
    # The channel puts it right, and the case goes away.
    town.day(date(2026, 12, 1))
    assert town.cases() == []
    with town.office.engine.connect() as connection:
        assert "相符" in str(case_of(connection, case.case_id).close_reason)


def one_fen_off(town: Town, monkeypatch: pytest.MonkeyPatch) -> CaseView:
    """The case about a balance that the channel has told wrongly since the tenth."""
    november(town, date(2026, 11, 9))
    off_by_one(monkeypatch)
    town.day(date(2026, 11, 10))
    (case,) = town.cases()
    return case


def test_a_difference_that_somebody_explained_does_not_come_back_until_it_is_another(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, now = one_fen_off(town, monkeypatch), town.desk.clock()
    with town.office.engine.begin() as connection:
        with pytest.raises(NotMatchableError):
            actions.match_case(
                connection, case.case_id, suspense=True, reason="x", who=town.people[0], now=now
            )
        actions.close_case(connection, case.case_id, reason="渠道回函", who=town.people[0], now=now)
    town.day(date(2026, 11, 11))
    assert town.cases() == []
    off_by_one(monkeypatch)
    town.day(date(2026, 11, 12))
    (case,) = town.cases()
    assert (case.on, case.difference_fen) == (date(2026, 11, 12), 2)


def test_work_on_a_line_explains_nothing_about_the_balance(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    about_balance = one_fen_off(town, monkeypatch)
    clerk, now = town.people[0], town.desk.clock()
    with town.office.engine.begin() as connection:
        match_id = connection.scalar(
            text("SELECT min(match_id) FROM reconciliation_match JOIN line_standing USING (match_id)")
        )
        case_id = actions.unmatch(connection, match_id, reason="看错了", who=clerk, now=now)
        actions.match_case(connection, case_id, reason="没错", who=clerk, now=now)
    assert town.cases() == [about_balance]
    with town.office.engine.connect() as connection:
        assert case_of(connection, case_id).closed_at is not None


def test_a_line_that_has_its_own_case_is_not_a_second_one(town: Town) -> None:
    november(town, date(2026, 11, 5))
    # Paid at the channel, and its notice never came to us.
    started = town.desk.start(town.homes[0], 5_000, Method.CARD)
    town.desk.pay(started, Method.CARD)
    town.desk.clock.now = datetime(2026, 11, 7, 3, tzinfo=UTC)
    town.check()
    (case,) = town.cases()
    assert case.kind == "extra"
    town.day(date(2026, 11, 7))
    assert [one for one in town.cases() if one.kind == "balance"] == []


def test_a_share_that_was_moved_is_found_when_the_packs_are_verified_together(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    november(town)
    packs = [town.close(book, tmp_path).path for book in (BOOKS[0], BOOKS[1], CITY_BOOK)]
    read = build.book_reading.read_shares

    def forged(by: tuple[int, ...]) -> None:
        def moved(*given: object) -> list[Share]:
            shares = read(*given)  # type: ignore[arg-type]
            # Those of others; by book they stand as city, jianghai-1, pengjiang-1, xinhui-1.
            return [replace(one, share_fen=one.share_fen + fen) for one, fen in zip(shares, by, strict=True)]

        monkeypatch.setattr(build.book_reading, "read_shares", moved)

    for by, said in (((0, 1, 0, 0), "their shares make"), ((0, 1, 0, -1), "the entries make it")):
        forged(by)
        with pytest.raises(PackWrongError, match=said):
            town.close(BOOKS[2], tmp_path)
    # A fen from one to another: the pack by itself cannot know.
    forged((0, 1, -1, 0))
    packs.append(town.close(BOOKS[2], tmp_path).path)
    assert verify_pack.verify(packs[-1]) == []
    wrong, _ = verify_pack.verify_together(packs)
    assert len(wrong) == 2
    assert all("share_fen of stripe-all" in said for said in wrong)
    assert verify_pack.main([str(path) for path in packs]) == 1
    told = CliRunner().invoke(estate, ["ledger", "verify", *map(str, packs)])
    assert told.exit_code == 1
    assert "share_fen of stripe-all" in told.output


def test_a_chain_that_was_told_wrongly_is_found(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    november(town)
    packs = [town.close(book, tmp_path).path for book in (BOOKS[0], BOOKS[1], CITY_BOOK)]
    read = build.book_reading.read_shares
    monkeypatch.setattr(
        build.book_reading,
        "read_shares",
        lambda *given: [
            replace(one, head_hash="f" * 64) if one.book_id == BOOKS[0] else one for one in read(*given)
        ],
    )
    packs.append(town.close(BOOKS[2], tmp_path).path)
    wrong, _ = verify_pack.verify_together(packs)
    assert [re.sub(r" \d+ ", " N ", said) for said in wrong] == [
        f"together: the chain of {BOOKS[0]} at N is not as {BOOKS[2]} tells"
    ]
