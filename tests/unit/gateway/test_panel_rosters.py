"""Rosters of panels that match by themselves: leases, removal, erasure, repair, reconciling."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from gateway.decision import Door, Person, Policy
from gateway.panels.lease import DAY_S, REMOVE_MAX, Held, Put, Remove, compare, next_step, wanted
from gateway.panels.photos import PhotoServer, Tokens
from tests.unit.gateway.panel_stage import (
    ESTATE,
    NEIGHBOUR,
    NOON_S,
    PANEL,
    RESIDENT,
    PanelStage,
    at,
    person,
)

WEEK_S = 7 * DAY_S


@pytest.fixture
def stage(tmp_path: Path) -> PanelStage:
    """A panel with both residents on it."""
    stage = PanelStage(tmp_path)
    stage.album.keep(RESIDENT, NEIGHBOUR)
    stage.connect()
    stage.pass_by(10)
    assert set(stage.panel.roster) == {RESIDENT, NEIGHBOUR}
    return stage


def lease_end_s(stage: PanelStage, who: str = RESIDENT) -> float:
    return stage.panel.roster[who].until_s


# -- leases -----------------------------------------------------------------------------------------


def test_each_person_on_a_panel_carries_an_end_at_most_the_lease_ahead(stage: PanelStage) -> None:
    assert lease_end_s(stage) == pytest.approx(NOON_S + WEEK_S, abs=15)


def test_a_lease_is_renewed_while_right_and_consent_live_and_without_a_new_picture(stage: PanelStage) -> None:
    sent = len(stage.sent)
    stage.sleep(4 * DAY_S)
    stage.pass_by(60)
    assert lease_end_s(stage) > NOON_S + WEEK_S + 3 * DAY_S
    assert lease_end_s(stage) <= stage.wall_s + WEEK_S
    edits = [letter for _, letter in stage.sent[sent:] if letter["operator"].startswith("EditPerson")]
    assert edits
    assert not any("picURI" in letter["info"] for letter in edits)


def test_who_was_photographed_again_gets_the_new_picture_on_the_panel(stage: PanelStage) -> None:
    before = stage.panel.roster[RESIDENT].picture
    stage.album.keep(RESIDENT)
    stage.pass_by(5)
    assert stage.panel.roster[RESIDENT].picture == stage.album.kept[RESIDENT] != before
    assert stage.panel.roster[NEIGHBOUR].picture == stage.album.kept[NEIGHBOUR]


def test_a_lease_never_outlives_the_right(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path)
    stage.change("person", RESIDENT, person(at(NOON_S + 2 * DAY_S)))
    stage.album.keep(RESIDENT)
    stage.connect()
    stage.pass_by(10)
    assert lease_end_s(stage) == NOON_S + 2 * DAY_S


def test_a_right_that_was_shortened_shortens_the_lease_at_once(stage: PanelStage) -> None:
    stage.change("person", RESIDENT, person(at(NOON_S + DAY_S)))
    stage.pass_by(5)
    assert lease_end_s(stage) == NOON_S + DAY_S


def test_a_panel_that_is_cut_off_opens_for_nobody_beyond_the_lease(stage: PanelStage) -> None:
    stage.panel.disconnect()
    stage.wall_s += WEEK_S + 60
    assert not stage.panel.look(RESIDENT, stage.wall_s)


def test_who_has_no_photograph_or_no_consent_to_it_is_on_no_panel(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path)
    stage.album.keep(RESIDENT)
    stage.change("person", RESIDENT, person(panels=False))
    stage.connect()
    stage.pass_by(10)
    assert stage.panel.roster == {}
    stage.change("person", RESIDENT, person())
    stage.pass_by(5)
    assert set(stage.panel.roster) == {RESIDENT}


def test_an_estate_where_the_gateway_decides_puts_nobody_on_a_panel(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path, matching=False)
    stage.album.keep(RESIDENT)
    stage.connect()
    stage.pass_by(30)
    assert stage.panel.roster == {}
    assert not {"EditPerson", "EditPersonsNew", "SearchPersonList"} & set(stage.operators())


def test_a_panel_gets_no_name_and_no_number_of_a_person(stage: PanelStage) -> None:
    edits = [letter for _, letter in stage.sent if letter["operator"].startswith("EditPerson")]
    rows = [row for one in edits for row in (one["info"] if isinstance(one["info"], list) else [one["info"]])]
    allowed = {"customId", "name", "personType", "tempValid", "validBegin", "validEnd", "picURI"}
    assert all(set(row) <= allowed and row["name"] == row["customId"][:8] for row in rows)


# -- pacing -----------------------------------------------------------------------------------------


def test_one_command_is_in_flight_at_a_time_and_pictures_are_a_second_apart(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path)
    stage.connect()
    stage.pass_by(5)
    times = []
    for number in range(4):
        who = f"33333333-3333-4333-8333-33333333333{number}"
        stage.change("person", who, person())
        stage.album.keep(who)
        stage.pass_by(0.25, step_s=0.25)
        times.append(len(edits(stage)))
    assert times[-1] == 1
    stage.pass_by(3, step_s=0.25)
    assert len(stage.panel.roster) == 4


def edits(stage: PanelStage) -> list[str]:
    return [name for name in stage.operators() if name.startswith("EditPerson")]


def test_many_newcomers_go_in_batches_with_a_result_for_each(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path)
    people = [f"44444444-4444-4444-8444-{number:012}" for number in range(130)]
    for who in people:
        stage.change("person", who, person())
    stage.album.keep(*people)
    stage.connect()
    stage.pass_by(12)
    assert len(stage.panel.roster) == 130
    assert stage.operators().count("EditPersonsNew") == 2
    assert stage.report().people == 130


def test_a_person_whom_the_panel_refuses_is_shown_and_tried_again_later(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path)
    stage.album.keep(RESIDENT, NEIGHBOUR)
    del stage.album.kept[RESIDENT]  # there when the list was made, gone when the panel asks for it
    stage.album.listed = {RESIDENT, NEIGHBOUR}
    stage.connect()
    stage.pass_by(10)
    assert set(stage.panel.roster) == {NEIGHBOUR}
    assert stage.report().refused == 1
    assert stage.store.held(PANEL)[RESIDENT].reason == "EditPersonsNew:467"
    asked = len(edits(stage))
    stage.pass_by(600, step_s=10)
    assert len(edits(stage)) == asked
    stage.pass_by(3_700, step_s=60)
    assert len(edits(stage)) > asked


def test_a_panel_that_was_offline_gets_what_it_has_not_answered_again(stage: PanelStage) -> None:
    stage.panel.disconnect()
    stage.change("person", "55555555-5555-4555-8555-555555555555", person())
    stage.album.keep("55555555-5555-4555-8555-555555555555")
    stage.pass_by(200)
    stage.panel.connect(stage.wall_s)
    stage.pass_by(20)
    assert "55555555-5555-4555-8555-555555555555" in stage.panel.roster


# -- erasure ----------------------------------------------------------------------------------------


def test_withdrawal_erases_on_the_panel_within_seconds_and_the_erasure_is_reported(stage: PanelStage) -> None:
    stage.change("person", RESIDENT, person(faces=False, panels=False))
    stage.album.erase(RESIDENT)
    stage.pass_by(3)
    assert set(stage.panel.roster) == {NEIGHBOUR}
    report = stage.report()
    assert [one.person for one in report.erased] == [RESIDENT]
    assert report.may_still_open == ()


def test_withdrawal_with_the_panel_offline_is_listed_until_the_lease_end_and_done_on_return(
    stage: PanelStage,
) -> None:
    lease_s = lease_end_s(stage)
    stage.panel.disconnect()
    stage.pass_by(100)
    stage.change("person", RESIDENT, person(faces=False, panels=False))
    stage.album.erase(RESIDENT)
    stage.pass_by(2)
    [left] = stage.report().may_still_open
    assert (left.person, left.until) == (RESIDENT, stage.moment(lease_s))
    stage.restart()  # the box starts anew: it still knows
    stage.pass_by(60)
    assert [one.person for one in stage.report().may_still_open] == [RESIDENT]
    stage.panel.connect(stage.wall_s)
    stage.pass_by(10)
    assert set(stage.panel.roster) == {NEIGHBOUR}
    report = stage.report()
    assert report.may_still_open == ()
    assert [one.person for one in report.erased] == [RESIDENT]


def test_an_erasure_is_told_until_the_backend_has_it(stage: PanelStage) -> None:
    stage.change("person", RESIDENT, None)
    stage.pass_by(5)
    [erased] = stage.report().erased
    stage.store.told(erased.seq)
    assert stage.report().erased == ()


def test_switching_self_matching_off_empties_the_panels(stage: PanelStage) -> None:
    stage.change("estate", ESTATE, {"name_zh": "测", "name_en": "T", "faces": True})
    stage.pass_by(10)
    assert stage.panel.roster == {}


def test_who_moves_out_and_back_in_before_the_panel_heard_of_it_stays(stage: PanelStage) -> None:
    stage.panel.disconnect()
    stage.change("person", RESIDENT, None)
    stage.pass_by(3)
    stage.change("person", RESIDENT, person())
    stage.panel.connect(stage.wall_s)
    stage.pass_by(15)
    assert set(stage.panel.roster) == {RESIDENT, NEIGHBOUR}
    assert stage.report().may_still_open == ()


# -- reconciling --------------------------------------------------------------------------------------


def test_a_panel_that_was_reset_is_filled_again(stage: PanelStage) -> None:
    stage.panel.disconnect()
    stage.pass_by(100)
    stage.panel.factory_reset()
    stage.panel.connect(stage.wall_s)
    stage.pass_by(30)
    assert set(stage.panel.roster) == {RESIDENT, NEIGHBOUR}
    assert stage.panel.resume  # switched on again, too


def test_somebody_on_a_panel_whom_we_never_put_there_is_removed_and_reported(stage: PanelStage) -> None:
    stage.panel.roster["stranger-1"] = stage.panel.roster[RESIDENT]
    stage.panel.enrol_by_hand(stage.wall_s)
    stage.store.ask([PANEL])
    stage.pass_by(10)
    assert "stranger-1" not in stage.panel.roster
    report = stage.report()
    assert (report.extra, report.nameless, report.missing) == (1, 1, 0)
    assert "roster_differs" in stage.alarm_kinds()
    del stage.panel.roster[""]
    stage.store.ask([PANEL])
    stage.pass_by(10)
    assert "roster_differs" not in stage.alarm_kinds()


def test_a_long_list_is_read_page_by_page(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path)
    people = [f"66666666-6666-4666-8666-{number:012}" for number in range(120)]
    for who in people:
        stage.change("person", who, person())
    stage.album.keep(*people)
    stage.connect()
    stage.pass_by(20)
    for who in people[100:110]:
        del stage.panel.roster[who]
    stage.store.ask([PANEL])
    stage.pass_by(20)
    assert set(stage.panel.roster) >= set(people)
    assert stage.report().missing == 10


def test_firmware_that_lists_nothing_is_asked_for_its_references_instead(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path, quirks=["no_list"])
    stage.album.keep(RESIDENT, NEIGHBOUR)
    stage.connect()
    stage.pass_by(40)
    assert set(stage.panel.roster) == {RESIDENT, NEIGHBOUR}
    assert stage.report().reconciled_at is not None
    assert "QueryPerson" in stage.operators()


def test_a_panel_whose_list_cannot_be_read_at_all_is_filled_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = PanelStage(tmp_path)
    receive = type(stage.panel).receive
    deaf = {"SearchPersonList", "QueryPerson"}
    monkeypatch.setattr(
        type(stage.panel),
        "receive",
        lambda panel, letter, now_s: (
            receive(panel, letter, now_s) if letter["operator"] not in deaf else None
        ),
    )
    stage.album.keep(RESIDENT)
    stage.connect()
    stage.pass_by(120)
    assert set(stage.panel.roster) == {RESIDENT}


# -- the rules themselves -------------------------------------------------------------------------------

PEOPLE = st.sampled_from([f"p{number}" for number in range(6)])
ENDS = st.floats(1, 2 * WEEK_S)
HELD = st.dictionaries(
    PEOPLE, st.tuples(ENDS, st.sampled_from(["putting", "on", "removing", "refused"])), max_size=6
)


@given(st.dictionaries(PEOPLE, ENDS, max_size=6), HELD)
def test_whoever_may_not_enter_goes_before_anybody_comes(
    ends: dict[str, float], rows: dict[str, tuple[float, str]]
) -> None:
    held = {who: Held(who, NOON_S + end, state, NOON_S) for who, (end, state) in rows.items()}  # type: ignore[arg-type]
    step = next_step({who: NOON_S + end for who, end in ends.items()}, held, NOON_S, WEEK_S)
    gone = set(held) - set(ends)
    if gone:
        assert isinstance(step, Remove)
        assert set(step.people) == gone
    elif step is not None:
        assert isinstance(step, Put)
        assert {who for who, _ in step.people} <= set(ends)


@given(st.dictionaries(PEOPLE, ENDS, max_size=6), HELD)
def test_step_by_step_a_panel_comes_to_hold_what_it_should(
    ends: dict[str, float], rows: dict[str, tuple[float, str]]
) -> None:
    target = {who: NOON_S + end for who, end in ends.items()}
    held = {who: Held(who, NOON_S + end, state, NOON_S - 7_200) for who, (end, state) in rows.items()}  # type: ignore[arg-type]
    for _ in range(40):
        step = next_step(target, held, NOON_S, WEEK_S)
        if step is None:
            break
        if isinstance(step, Remove):
            assert len(step.people) <= REMOVE_MAX
            held = {who: one for who, one in held.items() if who not in step.people}
        else:
            held |= {who: Held(who, until_s, "on", NOON_S) for who, until_s in step.people}
    assert set(held) == set(target)
    assert all(one.until_s <= target[who] + 1 for who, one in held.items())


@given(st.lists(PEOPLE | st.just("")), HELD)
def test_a_comparison_names_each_difference_once(
    listed: list[str], rows: dict[str, tuple[float, str]]
) -> None:
    held = {who: Held(who, NOON_S + end, state, NOON_S) for who, (end, state) in rows.items()}  # type: ignore[arg-type]
    found = compare(listed, held)
    assert set(found.extra) == set(listed) - {""} - set(held)
    assert not set(found.missing) & set(listed)
    assert not set(found.gone) & set(listed)
    assert found.nameless == listed.count("")


@pytest.mark.parametrize(
    "policy",
    [
        Policy(faces=True),
        Policy(faces=False, panels_match=True),
    ],
)
def test_without_faces_or_without_self_matching_nobody_is_wanted(policy: Policy) -> None:
    door = Door("d", "gate", frozenset({"face", "card"}))
    who = Person("p", {"gate": ((0.0, float("inf")),)}, True, True)
    assert wanted(policy, door, [who], {"p"}, NOON_S) == {}
    both = Policy(faces=True, panels_match=True)
    assert set(wanted(both, door, [who], {"p"}, NOON_S)) == {"p"}
    assert wanted(both, Door("d", "gate", frozenset({"card"})), [who], {"p"}, NOON_S) == {}
    assert wanted(both, Door("d", "gate", frozenset({"face"}), active=False), [who], {"p"}, NOON_S) == {}


# -- photographs ----------------------------------------------------------------------------------------


def test_an_address_of_a_photograph_works_once_and_for_minutes(stage: PanelStage) -> None:
    now_s = [0.0]
    tokens = Tokens(monotonic=lambda: now_s[0])
    server = PhotoServer("127.0.0.1", 0, None, stage.album, tokens)
    server.start()
    try:
        base = f"http://127.0.0.1:{server.port}/photo/"
        token = tokens.give(ESTATE, RESIDENT)
        assert fetch(base + token) == (200, stage.album.kept[RESIDENT])
        assert fetch(base + token)[0] == 404
        assert fetch(base + "guess")[0] == 404
        late = tokens.give(ESTATE, RESIDENT)
        now_s[0] += 601
        assert fetch(base + late)[0] == 404
        gone = tokens.give(ESTATE, NEIGHBOUR)
        stage.album.erase(NEIGHBOUR)
        assert fetch(base + gone)[0] == 404
    finally:
        server.close()


def test_of_many_who_ask_with_one_token_one_gets_the_photograph() -> None:
    tokens, found = Tokens(), []
    token = tokens.give(ESTATE, RESIDENT)
    askers = [threading.Thread(target=lambda: found.append(tokens.take(token))) for _ in range(20)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert sorted(one is not None for one in found) == [False] * 19 + [True]


def fetch(url: str) -> tuple[int, bytes]:
    answer = requests.get(url, timeout=5)
    return answer.status_code, answer.content if answer.ok else b""
