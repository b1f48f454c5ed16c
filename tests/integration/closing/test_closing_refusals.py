"""What keeps a month open, point by point; and how a closed one is opened again by two people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from backend.approvals import service as approvals
from backend.approvals.errors import (
    ApprovalMissingError,
    ApprovalUsedError,
    ReasonMissingError,
    SecondPersonNeededError,
)
from backend.closing import verify_pack
from backend.closing.errors import (
    BookUnknownError,
    MonthNotClosedError,
    MonthNotReadyError,
    NotLastClosedError,
)
from backend.closing.records import Month
from backend.closing.reopening import propose_reopening, reopen_agreed
from backend.closing.service import Closed, close_month, closes, lock_of
from backend.identity.errors import NotAllowedError
from backend.identity.principal import Grant, Principal
from backend.ledger import periods
from backend.ledger import service as ledger
from backend.payments.tables import provider_notice
from backend.reconciliation import tables as said
from tests.integration.closing.year import ESTATE, Year
from tests.sealing import seal_all

JANUARY, FEBRUARY = Month(date(2026, 1, 1)), Month(date(2026, 2, 1))
LATER = datetime(2026, 3, 2, 4, tzinfo=UTC)


def charge(year: Year, month: Month) -> None:
    for house in year.houses:
        year.charge(house, month.from_on, month.from_on, {"rent": year.rent_fen(house)})


@pytest.fixture
def ready(year: Year) -> Year:
    """January can be closed."""
    charge(year, JANUARY)
    year.pay(year.houses[0], date(2026, 1, 15), "bank", "1")
    year.state(1)
    return year


def close(year: Year, out: Path, month: Month = JANUARY, **how: object) -> Closed:
    who = how.pop("who", year.people[0])
    now = how.pop("now", LATER)
    return close_month(year.engine, ESTATE, month, who, now, out, **how)  # type: ignore[arg-type]


def points(year: Year, out: Path, month: Month = JANUARY, **how: object) -> set[str]:
    with pytest.raises(MonthNotReadyError) as refused:
        close(year, out, month, **how)
    with year.engine.connect() as connection:
        assert lock_of(connection, ESTATE, month) is None
    assert list(out.iterdir()) == []
    return {point.name for point in refused.value.points}


def open_case(year: Year) -> None:
    with year.engine.begin() as connection:
        connection.execute(
            insert(said.reconciliation_case).values(
                account_id=f"bank-{ESTATE}",
                book_id=ESTATE,
                key="line:1",
                kind="extra",
                side="theirs",
                on_day=date(2026, 1, 20),
                difference_fen=100,
                suggestion="",
                opened_at=LATER,
            )
        )


def leave_a_notice(year: Year) -> None:
    with year.engine.begin() as connection:
        connection.execute(
            insert(provider_notice).values(
                provider="stripe",
                event_id="evt_1",
                body=b"{}",
                received_at=datetime(2026, 1, 9, tzinfo=UTC),
                state="waiting",
                attempts=0,
                next_try_at=LATER,
            )
        )


def forget_a_day(year: Year) -> None:
    with year.engine.begin() as connection:
        connection.execute(
            insert(said.statement_account).values(
                account_id="second-bank",
                source="bank",
                account_ref="2",
                name_zh="bank",
                book_id=ESTATE,
                account_code="1002",
                settings={},
                since_on=date(2026, 1, 31),
                created_at=LATER,
            )
        )


def leave_in_suspense(year: Year) -> None:
    """Cash of which nobody knows whose it is: what the bank states stays right."""
    entry = year.entry("suspense_received", "line-1", date(2026, 1, 20), {"amount": 7_777})
    lines = tuple(replace(one, account_code=one.account_code.replace("1002", "1001")) for one in entry.lines)
    with year.engine.begin() as connection:
        ledger.post(connection, [replace(entry, lines=lines)])


def take_in_by_channel(year: Year) -> None:
    """Money at a channel of which no statement at all has come."""
    year.pay(year.houses[1], date(2026, 1, 16), "alipay", "2")


@pytest.mark.parametrize(
    ("spoil", "point"),
    [
        (open_case, "cases"),
        (leave_a_notice, "notices"),
        (forget_a_day, "days"),
        (leave_in_suspense, "suspense"),
    ],
)
def test_what_is_open_keeps_the_month_open_unless_somebody_says_why(
    ready: Year, tmp_path: Path, spoil: Callable[[Year], None], point: str
) -> None:
    spoil(ready)
    assert points(ready, tmp_path) == {point}
    assert points(ready, tmp_path, despite=(point,)) == {point}
    assert points(ready, tmp_path, despite=("month_over",), reason="x") == {point}
    close(ready, tmp_path, despite=(point,), reason="下月处理")
    with ready.engine.connect() as connection:
        (row,) = closes(connection, [ESTATE])
    assert row.reason == "下月处理"
    assert len(row.despite) == 1


def test_a_tenancy_without_its_charge_keeps_the_month_open(year: Year, tmp_path: Path) -> None:
    year.state(1)
    assert points(year, tmp_path) == {"charges"}


def test_a_statement_that_is_missing_cannot_wait(year: Year, tmp_path: Path) -> None:
    charge(year, JANUARY)
    take_in_by_channel(year)
    with year.engine.begin() as connection:
        for holder in ("bank", "stripe", "wechat", "alipay"):
            year._reconciled(connection, holder, JANUARY.from_on, JANUARY.last_on)
    assert points(year, tmp_path) == {"statements"}
    assert points(year, tmp_path, despite=("statements",), reason="没有") == {"statements"}


def test_a_month_waits_for_the_one_before_and_for_its_own_end(ready: Year, tmp_path: Path) -> None:
    charge(ready, FEBRUARY)
    ready.state(2)
    assert points(ready, tmp_path, FEBRUARY) == {"previous_month"}
    assert points(ready, tmp_path, now=datetime(2026, 1, 31, 15, tzinfo=UTC)) == {"month_over"}


def test_entries_without_a_seal_are_sealed_by_the_close(ready: Year, tmp_path: Path) -> None:
    with ready.engine.begin() as connection:
        before = seal_all(connection)
    ready.pay(ready.houses[2], date(2026, 1, 30), "cash", "3")
    closed = close(ready, tmp_path)
    with ready.engine.begin() as connection:
        assert not seal_all(connection)
    assert before
    assert closed.path.is_file()


def test_only_finance_staff_of_the_book_close_it(ready: Year, tmp_path: Path) -> None:
    first = ready.people[0]
    for role, estate in (("supervisor", None), ("finance", "elsewhere"), ("operator", ESTATE)):
        other = Principal(
            first.principal_id,
            "x",
            "x",
            None,
            (Grant(role, estate, LATER, None),),  # type: ignore[arg-type]
        )
        with pytest.raises(NotAllowedError):
            close(ready, tmp_path, who=other)
    with pytest.raises(BookUnknownError):
        close_month(ready.engine, "nowhere", JANUARY, first, LATER, tmp_path)


def test_a_month_is_opened_again_by_two_people_and_closed_a_second_time(ready: Year, tmp_path: Path) -> None:
    first, second = ready.people
    with pytest.raises(MonthNotClosedError), ready.engine.begin() as connection:
        propose_reopening(connection, ESTATE, JANUARY, "漏记", first, LATER)
    once = close(ready, tmp_path)
    with pytest.raises(ReasonMissingError), ready.engine.begin() as connection:
        propose_reopening(connection, ESTATE, JANUARY, " ", first, LATER)
    with ready.engine.begin() as connection:
        asked = propose_reopening(connection, ESTATE, JANUARY, "漏记", first, LATER).proposal_id
    with pytest.raises(ApprovalMissingError), ready.engine.begin() as connection:
        reopen_agreed(connection, asked, first, LATER)
    with pytest.raises(SecondPersonNeededError), ready.engine.begin() as connection:
        approvals.approve(connection, asked, first, LATER)
    with ready.engine.begin() as connection:
        approvals.approve(connection, asked, second, LATER)
        reopen_agreed(connection, asked, second, LATER)
    ready.pay(ready.houses[3], date(2026, 1, 31), "cash", "late")
    again = close(ready, tmp_path)
    with pytest.raises(ApprovalUsedError), ready.engine.begin() as connection:
        reopen_agreed(connection, asked, second, LATER)
    with ready.engine.connect() as connection:
        trace = [(one.change, one.proposal_id) for one in periods.changes(connection, ESTATE)]
        revisions = [row.revision for row in closes(connection, [ESTATE])]
    assert trace == [("lock", None), ("unlock", asked), ("lock", None)]
    assert revisions == [2, 1]
    assert (once.revision, again.revision) == (1, 2)
    assert once.path.is_file()
    assert again.path.is_file()
    assert once.head_hash != again.head_hash


def test_only_the_last_closed_month_is_opened(ready: Year, tmp_path: Path) -> None:
    close(ready, tmp_path)
    charge(ready, FEBRUARY)
    ready.state(2)
    close(ready, tmp_path, FEBRUARY)
    with pytest.raises(NotLastClosedError), ready.engine.begin() as connection:
        propose_reopening(connection, ESTATE, JANUARY, "漏记", ready.people[0], LATER)


def test_months_before_the_first_entry_are_closed_like_any_other(year: Year, tmp_path: Path) -> None:
    year.state(1)
    empty = close(year, tmp_path, despite=("charges",), reason="还没有收租")
    charge(year, FEBRUARY)
    year.state(2)
    following = close(year, tmp_path, FEBRUARY)
    assert verify_pack.verify(empty.path, "0" * 64) == []
    assert verify_pack.verify(following.path, following.head_hash, empty.path) == []
