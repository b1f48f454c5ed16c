"""Panels of the mqtt/face family, simulated, before a gateway's loop: records, clocks, presence, openings."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.drivers.commands import ReplayRecords
from simulators.panels.words import QUIRKS, Quirk
from tests.unit.gateway.panel_stage import DEVICE, NEIGHBOUR, OTHER, PANEL, RESIDENT, PanelStage, person

HOUR_S = 3_600.0


@pytest.fixture
def stage(tmp_path: Path) -> PanelStage:
    """Panels that match by themselves, with both residents on them."""
    return filled(PanelStage(tmp_path))


def filled(stage: PanelStage) -> PanelStage:
    stage.album.keep(RESIDENT, NEIGHBOUR)
    stage.connect()
    stage.pass_by(10)
    assert set(stage.panel.roster) == {RESIDENT, NEIGHBOUR}
    return stage


# -- records ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quirk", QUIRKS)
def test_whatever_its_firmware_a_panel_is_confirmed_to_and_its_record_kept_once(
    tmp_path: Path, quirk: Quirk
) -> None:
    stage = filled(PanelStage(tmp_path, quirks=[quirk]))
    assert stage.look()
    assert (stage.last.outcome, stage.last.cause, stage.last.person) == ("open", "granted", RESIDENT)
    stage.pass_by(25)
    assert len(stage.disk.records) == 1
    assert bool(stage.panel.kept) == (quirk == "no_record_id")  # there is no number to confirm


def test_provisioning_switches_resume_on_and_a_panel_that_cannot_is_listed(stage: PanelStage) -> None:
    assert stage.panel.resume
    assert "records_not_kept" not in stage.alarm_kinds()
    refusal = {
        "operator": "UpMQTTconfig-Ack",
        "code": 404,
        "info": {"facesluiceId": DEVICE, "result": "fail"},
    }
    stage.say("Ack", refusal)
    assert "records_not_kept" in stage.alarm_kinds()


def test_a_panel_gets_its_online_ack_and_stops_repeating(stage: PanelStage) -> None:
    assert stage.panel.greeted
    assert stage.operators().count("Online-Ack") == 1


def test_records_kept_while_the_link_was_cut_come_later_and_open_nothing(stage: PanelStage) -> None:
    stage.panel.disconnect()
    assert stage.panel.look(RESIDENT, stage.wall_s)  # it opens by itself, and keeps the record
    openings = stage.panel.openings
    stage.pass_by(60)
    stage.panel.connect(stage.wall_s)
    stage.pass_by(15)
    assert (stage.last.outcome, stage.last.cause, stage.last.resent) == ("none", "answer_unknown", True)
    assert stage.panel.openings == openings
    assert not stage.panel.kept
    assert stage.alarm_kinds() == []  # it was right to open


@pytest.mark.parametrize("field", [{"Sendintime": 0}, {"PushType": 2}, {"Sendintime": 0, "PushType": 2}])
def test_a_late_or_replayed_record_is_recorded_and_confirmed_and_the_door_stays_shut(
    stage: PanelStage, field: dict[str, int]
) -> None:
    stage.panel.matches = False
    record = stage.panel.firmware.record(77, stage.wall_s, RESIDENT, 22)
    openings = stage.panel.openings
    stage.say("Rec", {"operator": "RecPush", "info": record | {"Sendintime": 1, "PushType": 0} | field})
    assert (stage.last.outcome, stage.last.cause) == ("none", "answer_unknown")
    assert confirmed(stage, 77) == [2]
    assert stage.panel.openings == openings


def test_a_record_older_than_the_limit_is_recorded_and_confirmed_and_the_door_stays_shut(
    stage: PanelStage,
) -> None:
    stage.pass_by(30)  # an event of before our start would be one of those whose answer is unknown
    record = stage.panel.firmware.record(78, stage.wall_s - 11, RESIDENT, 22)
    openings = stage.panel.openings
    stage.say("Rec", {"operator": "RecPush", "info": record | {"Sendintime": 1}})
    assert (stage.last.outcome, stage.last.cause) == ("deny", "late")
    assert confirmed(stage, 78) == [2]
    assert stage.panel.openings == openings


def test_a_record_delivered_again_is_confirmed_again_and_neither_kept_nor_answered_twice(
    tmp_path: Path,
) -> None:
    stage = filled(PanelStage(tmp_path, matching=True))
    record = {"operator": "RecPush", "info": stage.panel.firmware.record(79, stage.wall_s, RESIDENT, 1)}
    record["info"]["Sendintime"] = 1
    for _ in range(3):
        stage.say("Rec", record)
    assert len(stage.disk.records) == 1
    assert confirmed(stage, 79) == [2, 2, 2]
    assert "Unlock" not in stage.operators()
    stage.restart()
    stage.say("Rec", record)
    assert len(stage.disk.records) == 1
    assert confirmed(stage, 79) == [2] * 4


def test_a_poison_record_does_not_block_the_ones_behind_it(stage: PanelStage) -> None:
    stage.panel.look(RESIDENT, stage.wall_s - 0.001)
    stage.inbox.clear()  # lost on the way; the panel keeps it
    stage.panel.kept[0].info["customId"] = 12345
    stage.look(NEIGHBOUR)
    stage.pass_by(25)
    assert not stage.panel.kept
    assert stage.counters.set_aside["reference_malformed"] == 1
    assert stage.last.person == NEIGHBOUR


def test_a_manual_replay_brings_the_window_again_and_changes_nothing(stage: PanelStage) -> None:
    stage.look()
    before, openings = len(stage.disk.records), stage.panel.openings
    command = ReplayRecords("w-1", stage.wall_s - 60, stage.wall_s + 60)
    assert stage.command(command)
    stage.settle()
    assert stage.counters.repeats == 1
    assert (len(stage.disk.records), stage.panel.openings) == (before, openings)


def confirmed(stage: PanelStage, number: int) -> list[int]:
    return [
        letter["info"]["PushAckType"]
        for _, letter in stage.sent
        if letter["operator"] == "PushAck" and letter["info"]["SnapOrRecordID"] == number
    ]


# -- who decides ----------------------------------------------------------------------------------------


def test_a_panel_that_only_sends_opens_by_our_unlock(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path, matching=False)
    stage.connect()
    assert stage.enter()
    assert stage.panel.shown == ["请进"]
    assert confirmed(stage, 1) == [1]
    assert not stage.enter(face=0)
    assert confirmed(stage, 2) == [1]


def test_a_snapshot_has_no_liveness_verdict_and_never_opens_alone(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path, matching=False, waiver=False)
    stage.connect()
    assert not stage.look()
    assert (stage.last.outcome, stage.last.cause) == ("ask", "liveness_missing")
    assert confirmed(stage, 1) == [1]


def test_a_panels_own_match_counts_only_where_the_estate_lets_panels_match(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path, matching=False)
    stage.connect()
    record = stage.panel.firmware.record(5, stage.wall_s, RESIDENT, 22) | {"Sendintime": 1}
    stage.say("Rec", {"operator": "RecPush", "info": record})
    assert (stage.last.cause, stage.panel.openings) == ("credential_not_taken", 0)


@pytest.mark.parametrize(
    ("doc", "cause"),
    [
        (None, "unknown_person"),
        (person("2026-01-01T00:00:00Z"), "right_ended"),
        (person(group="shed"), "wrong_door"),
        (person(panels=False), "no_consent"),
        (person(faces=False), "no_consent"),
    ],
)
def test_a_panel_that_opened_for_somebody_who_may_not_enter_raises_an_alarm_and_is_repaired(
    stage: PanelStage, doc: object, cause: str
) -> None:
    stage.change("person", RESIDENT, doc)
    assert stage.look()  # the panel has not been told yet
    assert (stage.last.outcome, stage.last.cause) == ("deny", cause)
    assert "opened_for_nobody" in stage.alarm_kinds()
    stage.pass_by(5)
    assert RESIDENT not in stage.panel.roster


def test_a_panel_that_opened_for_somebody_enrolled_at_its_own_page_raises_an_alarm(stage: PanelStage) -> None:
    stage.panel.enrol_by_hand(stage.wall_s)
    assert stage.look("")
    assert (stage.last.cause, stage.last.person) == ("unknown_person", None)
    assert "opened_for_nobody" in stage.alarm_kinds()


def test_in_a_lockdown_a_panel_forgets_everybody_and_an_opening_raises_an_alarm(stage: PanelStage) -> None:
    given, until = stage.moment(stage.wall_s), stage.moment(stage.wall_s + 600)
    order = {"order": "o1", "action": "lockdown", "author": "guard", "reason": "drill"}
    times = {"given_at": given.isoformat(), "until": until.isoformat()}
    stage.change("order", "lockdown:*", {**order, **times})
    assert stage.look()  # the panel has not been told yet
    assert "opened_in_lockdown" in stage.alarm_kinds()
    stage.pass_by(10)
    assert stage.panel.roster == {}
    stage.pass_by(600)
    stage.settle()
    assert RESIDENT in stage.panel.roster


# -- identity -------------------------------------------------------------------------------------------


def test_a_panel_that_names_another_on_its_own_topic_is_refused_and_reported(stage: PanelStage) -> None:
    record = stage.panels[OTHER].firmware.record(5, stage.wall_s, RESIDENT, 22) | {"Sendintime": 1}
    before = len(stage.disk.records)
    stage.say("Rec", {"operator": "RecPush", "info": record})
    assert stage.counters.set_aside["speaks_for_another"] == 1
    assert stage.alarm_kinds() == ["speaks_for_another"]
    assert len(stage.disk.records) == before
    assert stage.panels[OTHER].openings == 0


# -- clocks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S])
@pytest.mark.parametrize("sign", ["heartbeat", "attempt"])
def test_a_panel_whose_clock_jumps_lets_residents_in_again_within_30_s_of_the_first_sign(
    tmp_path: Path, jump_s: float, sign: str
) -> None:
    stage = only_sending(tmp_path)
    stage.panel.jump(jump_s)
    if sign == "heartbeat":
        heartbeat(stage, stage.panel.clock_off_s)
        # Raised, and cleared by the panel's own answer.
        assert "clock_skew" in [alarm.kind for alarm in stage.alarms.everything()]
        assert "clock_skew" not in stage.alarm_kinds()
    else:
        # A message cannot arrive before it was sent: a clock that is ahead is known from the attempt itself.
        assert stage.enter() == (jump_s > 0)
    stage.pass_by(29)
    assert stage.enter()
    assert abs(stage.panel.clock_off_s) < 2
    assert stage.devices.device(PANEL).clock.offset_s == pytest.approx(0, abs=2)


def test_a_clock_that_is_right_again_by_itself_locks_nobody_out(tmp_path: Path) -> None:
    stage = only_sending(tmp_path)
    stage.panel.jump(HOUR_S)
    assert stage.enter()  # a message cannot arrive before it was sent: its clock is ahead
    stage.panel.clock_off_s = 0.0
    stage.enter()
    stage.pass_by(12)
    stage.enter()
    stage.pass_by(12)
    assert stage.enter()


@pytest.mark.parametrize("off_s", [HOUR_S, -HOUR_S])
def test_another_panel_that_speaks_for_it_on_a_shared_topic_changes_nothing(
    tmp_path: Path, off_s: float
) -> None:
    stage = only_sending(tmp_path)
    for _ in range(40):
        heartbeat(stage, off_s, speaker=OTHER)
        stage.pass_by(1)
        assert abs(stage.devices.device(PANEL).clock.offset_s) < 2
        assert stage.enter()
    assert stage.operators().count("SetSysTime") < 10
    assert abs(stage.panel.clock_off_s) < 2


def test_a_clock_that_was_set_by_an_old_command_is_set_again(tmp_path: Path) -> None:
    stage = only_sending(tmp_path)
    stage.pass_by(20)
    stage.panel.connected = False  # the command waits at the broker
    heartbeat(stage, 600.0)
    [*_, (_, command)] = [sent for sent in stage.sent if sent[1]["operator"] == "SetSysTime"]
    stage.wall_s += 50
    stage.monotonic_s += 50
    stage.panel.connected = True
    stage.panel.receive(command, stage.wall_s)
    stage.settle()
    assert abs(stage.panel.clock_off_s) < 2
    assert stage.enter()


def only_sending(folder: Path) -> PanelStage:
    stage = PanelStage(folder, matching=False)
    stage.connect()
    stage.pass_by(12)
    assert stage.enter()
    return stage


def heartbeat(stage: PanelStage, off_s: float, speaker: str = DEVICE) -> None:
    time = stage.panel.firmware.moment(stage.wall_s + off_s)
    stage.say("heartbeat", {"operator": "HeartBeat", "info": {"facesluiceId": DEVICE, "time": time}}, speaker)


# -- presence ---------------------------------------------------------------------------------------------


def state(stage: PanelStage) -> str:
    return stage.devices.device(PANEL).state


def test_a_panel_is_online_when_it_has_answered_on_its_own_topic_and_not_before(tmp_path: Path) -> None:
    stage = PanelStage(tmp_path)
    stage.say("basic", {"operator": "Online", "info": {"facesluiceId": DEVICE}}, OTHER)
    heartbeat(stage, 0.0, speaker=OTHER)
    assert state(stage) == "offline"
    stage.pass_by(10)
    stage.connect()
    assert state(stage) == "online"


def test_a_panel_that_only_beats_stays_online_and_one_that_fell_silent_does_not(stage: PanelStage) -> None:
    stage.pass_by(300)
    assert state(stage) == "online"
    stage.panel.disconnect()
    stage.pass_by(100)
    assert state(stage) == "offline"


def test_a_will_takes_a_dead_panel_off_within_seconds(stage: PanelStage) -> None:
    stage.panel.disconnect()
    stage.say("basic", stage.panel.will())
    assert state(stage) == "online"
    stage.pass_by(6)
    assert state(stage) == "offline"
    assert stage.alarm_kinds() == []


def test_a_late_will_does_not_take_off_a_panel_that_is_back(stage: PanelStage) -> None:
    stage.panel.disconnect()
    stage.pass_by(100)
    stage.panel.connect(stage.wall_s)
    stage.settle()
    stage.say("basic", stage.panel.will())  # of the connection before
    stage.pass_by(10)
    assert state(stage) == "online"
    assert "spoken_for" not in stage.alarm_kinds()


def test_a_forged_will_is_disproved_by_the_panel_and_reported(stage: PanelStage) -> None:
    stage.pass_by(100)
    stage.say("basic", stage.panel.will(), OTHER)
    stage.pass_by(10)
    assert state(stage) == "online"
    assert stage.alarm_kinds() == ["spoken_for"]


def test_an_opening_that_is_not_acknowledged_within_15_s_is_reported(tmp_path: Path) -> None:
    stage = only_sending(tmp_path)
    stage.panel.look("", stage.wall_s)
    stage.settle()
    stage.panel.connected = False
    stage.pipeline.encoded(stage.darkroom.develop(1))
    stage.settle()
    stage.pass_by(14)
    assert stage.alarm_kinds() == []
    stage.pass_by(2)
    assert "opening_unanswered" in stage.alarm_kinds()


def test_alarms_of_what_happened_once_end_after_an_hour_without_repetition(stage: PanelStage) -> None:
    stage.care.spoke_for_another(PANEL, stage.wall_s)
    stage.pass_by(3_500, step_s=100)
    assert "speaks_for_another" in stage.alarm_kinds()
    stage.pass_by(300, step_s=100)
    assert "speaks_for_another" not in stage.alarm_kinds()
