"""The panel family's driver: its contract samples, mutations of each, and whatever bytes may come."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drivers import Address, DeviceHint, DeviceReply, DoorEvent, DriverContext, Reading, Rejected
from gateway.drivers.commands import (
    Command,
    CountPeople,
    GreetBack,
    ListPeople,
    PutPeople,
    PutPerson,
    RemovePeople,
    ReplayRecords,
    ResumeOn,
    SetTime,
)
from gateway.drivers.mqtt_face import PAYLOAD_BYTES_MAX, MqttFaceDriver
from gateway.drivers.mqtt_face_commands import error_name
from gateway.messages import AnswerItem
from tests.unit.gateway.mutations import mutations

SAMPLES = Path(__file__).resolve().parents[2] / "contracts/mqtt_face"
PANEL, OTHER = "P100", "P200"
HERE = Address("e", PANEL)
RESIDENT = "5f0c6a52-3d0e-4f7a-9b11-2f8e6f1d7c01"
TOPICS = {"rec": "P100/Rec", "snap": "P100/Snap", "ack": "P100/Ack", "shared": "heartbeat"}
EIGHT_S = datetime(2026, 9, 1, tzinfo=UTC).timestamp()  # eight in the morning in China


def driver() -> MqttFaceDriver:
    return MqttFaceDriver(DriverContext(estate_of={PANEL: "e", OTHER: "e"}.get))


def samples(*folders: str) -> list[Any]:
    paths = [path for folder in folders for path in sorted((SAMPLES / folder).glob("*.json"))]
    assert paths
    return [pytest.param(path, id=f"{path.parent.parent.name}/{path.stem}") for path in paths]


def read(kind: str, payload: bytes) -> Reading:
    return driver().read(f"mqtt/face/{TOPICS[kind]}", payload)


def sample(path: str) -> Reading:
    return read(path.partition("/")[0], (SAMPLES / f"{path}.json").read_bytes())


def event(path: str) -> DoorEvent:
    reading = sample(path)
    assert isinstance(reading, DoorEvent)
    return reading


KINDS = {"rec": DoorEvent, "snap": DoorEvent, "ack": DeviceReply, "shared": DeviceHint}


@pytest.mark.parametrize("path", samples("rec/good", "snap/good", "ack/good", "shared/good"))
def test_a_good_sample_is_read_as_its_devices_own(path: Path) -> None:
    kind = path.parent.parent.name
    reading = read(kind, path.read_bytes())
    assert isinstance(reading, KINDS[kind])
    assert reading.address == HERE


@pytest.mark.parametrize("path", samples("rec/bad", "snap/bad", "ack/bad", "shared/bad"))
def test_a_bad_sample_is_set_aside_with_its_reason(path: Path) -> None:
    reading = read(path.parent.parent.name, path.read_bytes())
    assert isinstance(reading, Rejected)
    assert reading.reason == path.stem.split("--")[0]


@pytest.mark.parametrize("path", samples("rec/bad", "snap/bad"))
def test_a_poison_record_is_confirmed_all_the_same_so_that_it_blocks_no_later_one(path: Path) -> None:
    reading = read(path.parent.parent.name, path.read_bytes())
    assert isinstance(reading, Rejected)
    wanted = b"4021" if b'"RecordID"' in path.read_bytes() else b"946"
    if path.parent.parent.name == "snap" and wanted == b"4021":
        return  # a record on the strangers' topic has no number of theirs
    assert reading.event_id is not None
    [(topic, payload)] = driver().write(HERE, [], [reading.event_id])
    assert topic == "mqtt/face/P100"
    assert json.loads(payload)["info"]["SnapOrRecordID"] == int(wanted)


def test_identifications_are_confirmed_as_type_2_and_strangers_as_type_1() -> None:
    ids = [event("rec/good/live").event_id, event("snap/good/live").event_id]
    written = [json.loads(payload) for _, payload in driver().write(HERE, [], ids)]
    assert written == [down("pushack-record"), down("pushack-stranger")]


def test_a_record_without_a_number_cannot_be_confirmed_and_zero_is_confirmed_as_zero() -> None:
    assert driver().write(HERE, [], [event("rec/good/no-record-id").event_id]) == []
    [(_, payload)] = driver().write(HERE, [], [event("snap/good/snap-id-zero").event_id])
    assert json.loads(payload)["info"] == {"PushAckType": 1, "SnapOrRecordID": 0}


@pytest.mark.parametrize("name", ["numbers-as-numbers", "misspelt-name", "time-with-t", "old-firmware"])
def test_firmware_differs_and_the_event_is_the_same(name: str) -> None:
    assert event(f"rec/good/{name}") == event("rec/good/live")


def test_a_panels_yes_names_whom_it_means_by_our_reference() -> None:
    live = event("rec/good/live")
    assert (live.credential, live.person, live.verdict, live.opened, live.resent) == (
        "panel",
        RESIDENT,
        "match",
        True,
        False,
    )
    assert live.at_s == EIGHT_S + 15 * 60 + 30
    assert not live.images


@pytest.mark.parametrize("name", ["late", "replay", "replay-as-text", "send-in-time-missing"])
def test_what_is_not_proven_live_counts_as_sent_again(name: str) -> None:
    assert event(f"rec/good/{name}").resent


@pytest.mark.parametrize(
    ("name", "verdict", "opened"),
    [
        ("own-page", "unknown", True),
        ("not-registered", "unknown", False),
        ("awaiting-check", "unsure", False),
        ("block-list", "unsure", True),
    ],
)
def test_only_a_plain_yes_is_a_match(name: str, verdict: str, opened: bool) -> None:
    found = event(f"rec/good/{name}")
    assert (found.verdict, found.opened) == (verdict, opened)


def test_a_snapshot_has_its_picture_and_no_liveness_verdict() -> None:
    found = event("snap/good/live")
    assert (found.credential, found.liveness, len(found.images)) == ("face", None, 1)
    assert event("snap/good/bmp-under-a-jpeg-label").images[0].startswith(b"BM")
    assert event("snap/good/replay").resent


def test_a_record_without_a_number_is_known_again_by_what_it_is() -> None:
    payload = (SAMPLES / "rec/good/no-record-id.json").read_bytes()
    once, twice = read("rec", payload), read("rec", payload)
    other = read("rec", payload.replace(b'"71"', b'"72"'))
    assert isinstance(once, DoorEvent)
    assert isinstance(twice, DoorEvent)
    assert isinstance(other, DoorEvent)
    assert once.event_id == twice.event_id != other.event_id


def test_a_number_that_restarts_is_another_record_by_its_time() -> None:
    payload = (SAMPLES / "rec/good/live.json").read_bytes()
    later = read("rec", payload.replace(b"08:15:30", b"08:15:31"))
    assert isinstance(later, DoorEvent)
    assert later.event_id != event("rec/good/live").event_id


def test_a_picture_above_the_manuals_limit_is_taken_and_a_huge_payload_is_not() -> None:
    content = json.loads((SAMPLES / "snap/good/live.json").read_text())
    content["info"]["pic"] += "AAAA" * 400_000
    assert isinstance(read("snap", json.dumps(content).encode()), DoorEvent)
    content["info"]["scene"] = "A" * PAYLOAD_BYTES_MAX
    reading = read("snap", json.dumps(content).encode())
    assert isinstance(reading, Rejected)
    assert (reading.reason, reading.event_id) == ("oversize", "snap-946-unreadable")


def test_personal_data_of_a_record_reach_nobody() -> None:
    payload = (SAMPLES / "rec/good/live.json").read_text()
    secret = payload.replace('"telnum": ""', '"telnum": "13800000000"').replace("residents", "SECRETNAME")
    assert "SECRETNAME" in secret
    assert not any(word in repr(read("rec", secret.encode())) for word in ("SECRETNAME", "13800000000"))


def test_acknowledgements_tell_what_became_of_each_person() -> None:
    batch = sample("ack/good/batch")
    assert isinstance(batch, DeviceReply)
    assert [(one.person, one.ok, one.code) for one in batch.results] == [
        (RESIDENT, True, None),
        ("b", False, 467),
    ]
    failed = sample("ack/good/failed")
    assert isinstance(failed, DeviceReply)
    assert (failed.ok, failed.code, failed.operator) == (False, 461, "EditPerson")


@pytest.mark.parametrize(
    ("name", "people"),
    [
        ("list-of-rows", (RESIDENT, "")),
        ("list-of-numbered-rows", (RESIDENT,)),
        ("list-empty", ()),
        ("list-as-text", (RESIDENT, "b")),
        ("edit-person", None),
    ],
)
def test_a_panels_list_is_read_in_each_of_its_shapes(name: str, people: tuple[str, ...] | None) -> None:
    reply = sample(f"ack/good/{name}")
    assert isinstance(reply, DeviceReply)
    assert reply.people == people


def test_errors_are_told_apart_by_command_and_number() -> None:
    assert error_name("EditPerson", 461) == "no_reference"
    assert error_name("AddPersons", 461) == "reference_exists"
    assert error_name("DelPerson", 461) == "DelPerson:461"


WEEK_S = 7 * 86_400.0
PERSON = PutPerson("p-1", RESIDENT, EIGHT_S, EIGHT_S + WEEK_S, "https://box.example/t")
COMMANDS: list[tuple[str, Command]] = [
    ("online-ack", GreetBack("10")),
    ("set-time", SetTime("t-1", EIGHT_S)),
    ("resume-on", ResumeOn("r-1", EIGHT_S)),
    ("replay", ReplayRecords("w-1", EIGHT_S - 8 * 3600, EIGHT_S)),
    ("edit-person", PERSON),
    ("renew-person", PutPerson("p-2", RESIDENT, EIGHT_S, EIGHT_S + WEEK_S)),
    ("edit-persons", PutPeople("p-3", (PERSON,))),
    ("delete-person", RemovePeople("d-1", (RESIDENT,))),
    ("delete-persons", RemovePeople("d-2", (RESIDENT, "b"))),
    ("list", ListPeople("l-1", 0, 50)),
    ("query", CountPeople("q-1")),
]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_a_command_is_written_as_its_sample(name: str, command: Command) -> None:
    [(topic, payload)] = driver().command(HERE, command)
    assert topic == "mqtt/face/P100"
    assert json.loads(payload) == down(name)


def test_a_yes_opens_by_unlock_and_a_no_by_nothing() -> None:
    stranger, own = event("snap/good/live").event_id, event("rec/good/live").event_id
    answers = [
        AnswerItem(stranger, "open", "granted", "请进", "Welcome.", open_within_ms=5000),
        AnswerItem(stranger, "deny", "late", "请再试", "Again."),
        # The panel has opened by itself already.
        AnswerItem(own, "open", "granted", "请进", "Welcome.", open_within_ms=5000),
    ]
    assert [json.loads(payload) for _, payload in driver().write(HERE, answers, [])] == [down("unlock")]


def test_a_panel_that_is_on_no_roster_is_not_confirmed_to() -> None:
    payload = (SAMPLES / "rec/good/live.json").read_bytes()
    reading = driver().read("mqtt/face/P900/Rec", payload)
    assert reading == Rejected(None, "unknown_device", len(payload))


@pytest.mark.parametrize("topic", ["mqtt/face/P100", "mqtt/face//Rec", "mqtt/face/P100/x/Rec", "mqtt/face/"])
def test_a_topic_that_no_panel_has_is_nobodys(topic: str) -> None:
    assert driver().read(topic, b"{}") == Rejected(None, "unknown_topic", 2)


@pytest.mark.parametrize("path", samples("rec/good", "snap/good", "ack/good", "shared/good"))
def test_mutations_of_a_sample_are_handled_or_set_aside_and_never_taken_for_another(path: Path) -> None:
    kind = path.parent.parent.name
    choice, seen = random.Random(path.stem), Counter[str]()
    for payload in mutations(path.read_bytes(), choice, 150):
        reading = read(kind, payload)
        seen[type(reading).__name__] += 1
        # On the shared topics a message names whom it likes; what comes of it is a hint and no more.
        assert kind != "shared" or isinstance(reading, (DeviceHint, Rejected))
        check(reading, HERE if kind != "shared" else reading.address)
    assert sum(seen.values()) == 150


@given(st.sampled_from(sorted(TOPICS)), st.binary(max_size=300))
def test_whatever_bytes_come_are_set_aside(kind: str, payload: bytes) -> None:
    check(read(kind, payload))
    assert not isinstance(read(kind, payload), DoorEvent)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(TOPICS)), st.sampled_from(["RecPush", "StrSnapPush", "EditPerson-Ack"]), JSON)
def test_whatever_json_comes_is_handled_or_set_aside(kind: str, operator: str, info: Any) -> None:
    check(read(kind, json.dumps({"operator": operator, "info": info}).encode()))


@pytest.mark.parametrize(
    "payload", [b"[" * 100_000, b'{"info":' * 50_000, b'{"operator":"RecPush","info":' + b"[" * 9_000]
)
def test_a_tower_of_brackets_is_set_aside(payload: bytes) -> None:
    check(read("rec", payload))


def check(reading: Reading, whose: Address | None = HERE) -> None:
    """Whatever was read, it is this panel's or nobody's, and a refusal says why without quoting."""
    assert reading.address in (None, whose)
    if isinstance(reading, Rejected):
        assert reading.reason.replace("_", "").isalpha()
    if isinstance(reading, DoorEvent):
        assert 0 < len(reading.event_id) <= 64
        assert reading.person == "" or reading.credential == "panel"


def down(name: str) -> Any:
    return json.loads((SAMPLES / f"down/{name}.json").read_text())


@pytest.mark.parametrize("leaf", ["Rec", "Snap", "Ack"])
def test_a_panel_of_another_gateway_on_the_same_broker_is_passed_over_without_an_alarm(leaf: str) -> None:
    payload = b'{"operator": "RecPush", "info": {"facesluiceId": "P999"}}'
    # Without an address nothing is raised, logged, recorded or answered; it is counted.
    assert driver().read(f"mqtt/face/P999/{leaf}", payload) == Rejected(None, "unknown_device", len(payload))


@pytest.mark.parametrize("topic", ["mqtt/face/basic", "mqtt/face/heartbeat"])
def test_what_is_said_of_another_gateways_panel_on_a_shared_topic_is_passed_over(topic: str) -> None:
    payload = b'{"operator": "HeartBeat", "info": {"facesluiceId": "P999", "time": "2026-09-01 12:00:00"}}'
    assert driver().read(topic, payload) == Rejected(None, "unknown_device", len(payload))
