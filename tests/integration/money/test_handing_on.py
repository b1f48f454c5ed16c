"""Collected money handed on: what stands there, once for each order, never more, and not by everybody."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from backend.identity.errors import NotAllowedError
from backend.ledger.errors import (
    AboveWhatStandsError,
    BookUnknownError,
    EntryConflictError,
    HandingOnError,
    PeriodLockedError,
)
from backend.ledger.handing_on import To, hand_on, handed_on, waiting
from backend.ledger.periods import lock_period
from backend.registry.rules import local_day
from tests.integration.money.conftest import make_principal
from tests.sealing import seal_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend.identity.principal import Principal
    from backend.ledger.service import PostedEntry
    from tests.integration.money.conftest import Home, Office

BOOK = "pengjiang-1"


class Desk:
    """One clerk with an order to record."""

    def __init__(self, office: Office) -> None:
        self.office, self.clerk, self.today = office, office.clerk(), local_day(office.now)

    def send(
        self,
        order_no: str,
        parts: Mapping[str, int],
        to: To = "treasury",
        on: date | None = None,
        who: Principal | None = None,
        book_id: str = BOOK,
    ) -> PostedEntry:
        with self.office.engine.begin() as connection:
            return hand_on(
                connection, to, book_id, order_no, on or self.today, parts, who or self.clerk, self.office.now
            )

    def waiting(self, to: To = "treasury") -> dict[str, int]:
        with self.office.engine.connect() as connection:
            return waiting(connection, BOOK, to, self.office.now)


@pytest.fixture
def desk(office: Office, home: Home) -> Desk:
    """1,000.00 of rent is collected, and 200.00 is paid ahead."""
    office.charge("2026-11")
    office.take(home, 120_000)
    return Desk(office)


def test_what_was_collected_waits_until_it_is_remitted(desk: Desk) -> None:
    assert desk.waiting() == {"rent": 100_000, "late_fee": 0, "damage": 0, "interest": 0}
    assert set(desk.waiting("companies").values()) == {0}
    desk.send(" JK-1 ", {"rent": 60_000, "late_fee": 0})
    assert desk.waiting()["rent"] == 40_000
    with desk.office.engine.connect() as connection:
        (row,) = handed_on(connection, BOOK, 10)
    assert (row.event_kind, row.event_key, row.total_fen) == ("remittance", "JK-1", 60_000)
    assert desk.office.row("audit_record", action="hand_on").reason == "JK-1"


def test_an_order_that_is_recorded_twice_is_one_entry_and_one_audit_row(desk: Desk) -> None:
    assert desk.send("JK-1", {"rent": 60_000}).is_new
    assert not desk.send("JK-1", {"rent": 60_000}).is_new
    assert desk.waiting()["rent"] == 40_000
    desk.office.row("audit_record", action="hand_on")
    with pytest.raises(EntryConflictError):
        desk.send("JK-1", {"rent": 40_000})


@pytest.mark.parametrize(
    ("order_no", "parts", "days"),
    [
        ("  ", {"rent": 1}, 0),
        ("J" * 61, {"rent": 1}, 0),
        ("JK-1", {}, 0),
        ("JK-1", {"rent": 0}, 0),
        ("JK-1", {"rent": 2, "damage": -1}, 0),
        ("JK-1", {"rent": 1}, 1),
    ],
)
def test_what_lacks_something_is_refused(desk: Desk, order_no: str, parts: dict[str, int], days: int) -> None:
    with pytest.raises(HandingOnError):
        desk.send(order_no, parts, on=desk.today + timedelta(days=days))
    assert desk.waiting()["rent"] == 100_000


def test_more_than_was_collected_is_refused(desk: Desk) -> None:
    with pytest.raises(AboveWhatStandsError):
        desk.send("JK-1", {"rent": 100_001})
    with pytest.raises(AboveWhatStandsError):
        desk.send("FK-1", {"property_fee": 1}, to="companies")


def test_only_finance_staff_of_the_estate_records_it(desk: Desk) -> None:
    with desk.office.engine.begin() as connection:
        supervisor = make_principal(connection, "looks", "supervisor", None)
        other = make_principal(connection, "elsewhere", "finance", "jianghai-1")
    for who in (supervisor, other):
        with pytest.raises(NotAllowedError):
            desk.send("JK-1", {"rent": 1}, who=who)
    with pytest.raises(BookUnknownError):
        desk.send("JK-1", {"rent": 1}, book_id="nowhere")


def test_a_locked_month_takes_no_remittance(desk: Desk) -> None:
    month = desk.today.replace(day=1)
    before = (month - timedelta(days=1)).replace(day=1)
    with desk.office.engine.begin() as connection:
        seal_all(connection)
        lock_period(connection, BOOK, before, desk.clerk, desk.office.now)
    with pytest.raises(PeriodLockedError):
        desk.send("JK-1", {"rent": 1}, on=month - timedelta(days=1))
