"""A monthly run between two people."""

from __future__ import annotations

import threading
from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from sqlalchemy import text

from backend.approvals import service as approvals
from backend.approvals.errors import ApprovalMissingError, NoRightError, SecondPersonNeededError
from backend.approvals.service import Proposal
from backend.rent import runs
from backend.rent.errors import NothingToChargeError, RunChangedError, RunUnknownError
from backend.rent.preview import Preview, preview
from backend.rent.rules import LineKind, TermKind
from backend.rent.runs import post_agreed, post_run, propose_run, run_of, step
from backend.rent.service import Agreed, add_term
from backend.rent.settings import LateFeeRule, RentSettings
from tests.integration.money.conftest import make_principal

if TYPE_CHECKING:
    from backend.identity.principal import Principal
    from tests.integration.money.conftest import Home, Office

NOVEMBER = date(2026, 11, 1)
RULES = RentSettings(batch_size=2)


@pytest.fixture
def second(office: Office) -> Principal:
    """Another person of the finance staff."""
    with office.engine.begin() as connection:
        return make_principal(connection, "second", "finance", None)


def look(office: Office, estate_id: str | None = None) -> Preview:
    with office.engine.connect() as connection:
        return preview(connection, estate_id, NOVEMBER, RULES)


def ask(office: Office, clerk: Principal, estate_id: str | None = None) -> Proposal:
    with office.engine.begin() as connection:
        return propose_run(
            connection, preview(connection, estate_id, NOVEMBER, RULES), "11月计租", clerk, office.now
        )


def agree(office: Office, proposal: Proposal, who: Principal) -> UUID:
    with office.engine.begin() as connection:
        approvals.approve(connection, proposal.proposal_id, who, office.now)
    return proposal.proposal_id


@pytest.fixture
def homes(office: Office) -> list[Home]:
    """Five households in two estates."""
    return [office.move_in(estate_id=where) for where in ("pengjiang-1",) * 3 + ("jianghai-1",) * 2]


def test_a_preview_charges_nothing_and_says_what_is_new(office: Office, clerk: Principal) -> None:
    old, new = office.move_in(60_000), office.move_in(100_000, from_on=date(2026, 11, 16))
    office.charge("2026-10")
    with office.engine.begin() as connection:
        add_term(
            connection,
            old.tenancy_id,
            Agreed(TermKind.RELIEF, NOVEMBER, None, "减免", share_permille=500),
            clerk,
            office.now,
        )
    seen = look(office)
    assert office.count("rent_charge") == 1
    assert (seen.amount_fen, seen.before_fen, seen.already) == (80_000, 60_000, 0)
    assert seen.by_kind == {LineKind.RENT: 110_000, LineKind.RELIEF: -30_000}
    found = {one.tenancy_id: (one.before_fen, one.amount_fen, one.change_fen) for one in seen.charges}
    assert found == {old.tenancy_id: (60_000, 30_000, -30_000), new.tenancy_id: (None, 50_000, 50_000)}
    assert look(office).seal == seen.seal


def test_what_was_agreed_on_is_charged_and_nothing_else(
    office: Office, homes: list[Home], clerk: Principal, second: Principal
) -> None:
    asked = ask(office, clerk, "pengjiang-1")
    assert asked.summary_zh == "2026年11月 pengjiang-1 计租 3 户，合计 ¥3,000.00"
    with pytest.raises(ApprovalMissingError):
        post_run(office.engine, asked.proposal_id, office.now, RULES)
    with pytest.raises(SecondPersonNeededError):
        agree(office, asked, clerk)
    run_id = agree(office, asked, second)
    done = post_run(office.engine, run_id, office.now, RULES)
    assert (done.charged, done.planned, done.amount_fen) == (3, 3, 300_000)
    assert done.finished_at == office.now
    assert (office.count("rent_charge"), office.count("journal_entry")) == (3, 3)
    # Again, it is the run that was finished.
    assert post_run(office.engine, run_id, office.now, RULES) == done
    assert office.count("rent_charge") == 3


def test_the_worker_charges_all_estates_batch_by_batch(
    office: Office, homes: list[Home], clerk: Principal, second: Principal
) -> None:
    assert post_agreed(office.engine, office.now, RULES) == 0
    run_id = agree(office, ask(office, clerk), second)
    looked: list[int] = []
    while done := post_agreed(office.engine, office.now, RULES):
        looked.append(done)
    assert max(looked) <= 2
    with office.engine.connect() as connection:
        found = run_of(connection, run_id)
    assert (found.charged, found.amount_fen) == (5, 500_000)
    assert office.count("rent_charge") == 5


def test_a_run_that_was_killed_goes_on_where_it_stopped(
    office: Office,
    homes: list[Home],
    clerk: Principal,
    second: Principal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_id = agree(office, ask(office, clerk), second)
    real, batches = runs.Batch.charge, iter([True, False])

    def dies(self: object, tenancies: object) -> object:
        made = real(self, tenancies)  # type: ignore[arg-type]
        if not next(batches):
            raise KeyboardInterrupt
        return made

    monkeypatch.setattr(runs.Batch, "charge", dies)
    with pytest.raises(KeyboardInterrupt):
        post_run(office.engine, run_id, office.now, RULES)
    monkeypatch.undo()
    before = office.count("rent_charge")
    assert 0 < before < 5
    done = post_run(office.engine, run_id, office.now, RULES)
    assert (done.charged, office.count("rent_charge"), office.count("journal_entry")) == (5, 5, 5)


def test_two_who_step_at_the_same_time_charge_nobody_twice(
    office: Office, homes: list[Home], clerk: Principal, second: Principal
) -> None:
    run_id = agree(office, ask(office, clerk), second)
    with office.engine.begin() as connection:
        runs.begin_run(connection, run_id, office.now, RULES)
    start = threading.Barrier(3)

    def work() -> None:
        start.wait()
        while step(office.engine, run_id, office.now, RULES):
            pass

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with office.engine.connect() as connection:
        assert run_of(connection, run_id).charged == 5
    assert (office.count("rent_charge"), office.count("journal_entry")) == (5, 5)


def change_a_term(office: Office, home: Home, clerk: Principal) -> None:
    with office.engine.begin() as connection:
        agreed = Agreed(TermKind.RENT, NOVEMBER, None, "新租金", monthly_fen=1)
        add_term(connection, home.tenancy_id, agreed, clerk, office.now)


def test_a_run_that_changed_after_it_was_agreed_on_is_not_charged(
    office: Office, homes: list[Home], clerk: Principal, second: Principal
) -> None:
    run_id = agree(office, ask(office, clerk), second)
    change_a_term(office, homes[0], clerk)
    with pytest.raises(RunChangedError):
        post_run(office.engine, run_id, office.now, RULES)
    assert post_agreed(office.engine, office.now, RULES) == 0
    assert office.count("rent_charge") == 0
    again = agree(office, ask(office, clerk), second)
    assert post_run(office.engine, again, office.now, RULES).amount_fen == 400_001


def test_an_interrupted_run_that_changed_stops(
    office: Office, homes: list[Home], clerk: Principal, second: Principal
) -> None:
    run_id = agree(office, ask(office, clerk), second)
    with office.engine.begin() as connection:
        runs.begin_run(connection, run_id, office.now, RULES)
    step(office.engine, run_id, office.now, RULES)
    with office.engine.connect() as connection:
        left = connection.execute(
            text(
                "SELECT tenancy_id FROM tenancy WHERE tenancy_id NOT IN (SELECT tenancy_id FROM rent_charge)"
            )
        ).scalars()
        tenancy_id = next(iter(left))
    home = next(home for home in homes if home.tenancy_id == tenancy_id)
    change_a_term(office, home, clerk)
    with pytest.raises(RunChangedError):
        post_run(office.engine, run_id, office.now, RULES)


def test_who_has_no_price_is_named_and_left_out(office: Office, home: Home, clerk: Principal) -> None:
    other = office.move_in()
    with office.engine.begin() as connection:
        add_term(
            connection,
            other.tenancy_id,
            Agreed(TermKind.RENT, NOVEMBER, None, "按面积", plan_id="standard"),
            clerk,
            office.now,
        )
    seen = look(office)
    assert [one.tenancy_id for one in seen.charges] == [home.tenancy_id]
    assert [(one.tenancy.tenancy_id, "standard" in one.why_zh) for one in seen.unpriced] == [
        (other.tenancy_id, True)
    ]
    result = office.charge()
    assert (result.charged, result.unpriced) == (1, 1)


def test_nothing_is_asked_for_where_nobody_would_be_charged(
    office: Office, home: Home, clerk: Principal
) -> None:
    office.charge()
    with pytest.raises(NothingToChargeError):
        ask(office, clerk)
    with pytest.raises(RunUnknownError):
        step(office.engine, home.household_id, office.now, RULES)


def test_a_tenant_proposes_no_run(office: Office, home: Home) -> None:
    with pytest.raises(NoRightError):
        ask(office, home.tenant, "pengjiang-1")


def test_late_fees_of_last_month_are_lines_of_this_months_charge(office: Office, home: Home) -> None:
    rules = RentSettings(late_fee=LateFeeRule(daily_ppm=500))
    office.charge("2026-10")
    with office.engine.connect() as connection:
        seen = preview(connection, None, NOVEMBER, rules)
    # Due on the 15th: 16 days to the end of October, 0.50 each.
    assert seen.by_kind == {LineKind.RENT: 100_000, LineKind.LATE_FEE: 800}
    office.take(home, 100_000)
    with office.engine.connect() as connection:
        # Paid on 3 November: October's days stay as they were.
        assert preview(connection, None, NOVEMBER, rules).by_kind[LineKind.LATE_FEE] == 800
        later = preview(connection, None, date(2026, 12, 1), rules).by_kind[LineKind.LATE_FEE]
    assert later == 100  # 1 and 2 November
