"""The described protocol, the samples and the code agree; so do the causes and their contract file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from gateway.causes import CAUSES
from gateway.decision import PRECEDENCE
from gateway.drivers import Address, DeviceSign, DoorEvent, Rejected
from gateway.drivers.commands import HoldDoor, KeepCards, OpenDoor
from gateway.drivers.native import NativeDriver
from gateway.messages import PAYLOAD_BYTES_MAX, AnswerMessage

ROOT = Path(__file__).resolve().parents[3]
NATIVE = ROOT / "tests/contracts/native"
DOCUMENT = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text("utf-8"))


def schema(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**DOCUMENT, "$ref": f"#/components/schemas/{name}"})


SCHEMAS = {
    "event": schema("Event"),
    "status": schema("Status"),
    "answer": schema("Answer"),
    "command": schema("Command"),
}


def samples(*folders: str) -> list[Any]:
    paths = [path for folder in folders for path in sorted((NATIVE / folder).glob("*.json"))]
    assert paths
    return [
        pytest.param(path, id=f"{path.parent.parent.name}/{path.parent.name}/{path.stem}") for path in paths
    ]


def is_valid(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError:
        return False
    return SCHEMAS[path.parent.parent.name].is_valid(content)


def read(path: Path) -> DoorEvent | DeviceSign | Rejected:
    return NativeDriver("estate").read(f"estate/e/d/{path.parent.parent.name}", path.read_bytes())


@pytest.mark.parametrize("path", samples("event/good", "status/good"))
def test_a_good_sample_fits_the_document_and_is_read(path: Path) -> None:
    assert is_valid(path)
    reading = read(path)
    assert isinstance(reading, DeviceSign if path.parent.parent.name == "status" else DoorEvent)
    assert reading.address == Address("e", "d")


@pytest.mark.parametrize("path", samples("event/bad", "status/bad"))
def test_a_bad_sample_fits_neither_and_is_set_aside_with_its_reason(path: Path) -> None:
    assert not is_valid(path)
    reading = read(path)
    assert isinstance(reading, Rejected)
    assert reading.reason == path.stem.split("--")[0]


@pytest.mark.parametrize("path", samples("event/bad-content"))
def test_what_a_schema_cannot_see_is_set_aside_all_the_same(path: Path) -> None:
    reading = read(path)
    assert isinstance(reading, Rejected)
    assert reading.reason == path.stem.split("--")[0]


@pytest.mark.parametrize("path", samples("event/bad", "event/bad-content"))
def test_whatever_id_can_be_read_is_confirmed(path: Path) -> None:
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError:
        content = None
    found = content.get("id") if isinstance(content, dict) else None
    expected = found if isinstance(found, str) and 0 < len(found) <= 64 else None
    reading = read(path)
    assert isinstance(reading, Rejected)
    assert reading.event_id == expected


@pytest.mark.parametrize("path", samples("answer/good"))
def test_a_good_answer_fits_the_document_and_is_what_we_write(path: Path) -> None:
    assert is_valid(path)
    message = msgspec.json.decode(path.read_bytes(), type=AnswerMessage)
    written = NativeDriver("estate").write(Address("e", "d"), message.answers, message.recorded)
    assert written[0][0] == "estate/e/d/answer"
    assert json.loads(written[0][1]) == json.loads(path.read_bytes())


@pytest.mark.parametrize("path", samples("answer/bad"))
def test_a_bad_answer_does_not_fit_the_document(path: Path) -> None:
    assert not is_valid(path)


COMMANDS = {
    "open": OpenDoor("order:44444444-4444-4444-8444-444444444444"),
    "hold": HoldDoor("hold-1788249600-1", "released"),
    "cards": KeepCards("cards-1", 1_788_235_200.0, 1_788_408_000.0, 1, 1, ("f" * 64,)),
}


@pytest.mark.parametrize("path", samples("command/good"))
def test_a_good_command_fits_the_document_and_is_what_we_write(path: Path) -> None:
    assert is_valid(path)
    [(topic, payload)] = NativeDriver("estate").command(Address("e", "d"), COMMANDS[path.stem])
    assert topic == "estate/e/d/command"
    assert json.loads(payload) == json.loads(path.read_bytes())


@pytest.mark.parametrize("path", samples("command/bad"))
def test_a_bad_command_does_not_fit_the_document(path: Path) -> None:
    assert not is_valid(path)


def test_a_payload_over_the_limit_is_set_aside_by_its_size() -> None:
    padded = (NATIVE / "event/good/card.json").read_bytes().ljust(PAYLOAD_BYTES_MAX + 1)
    reading = NativeDriver("estate").read("estate/e/d/event", padded)
    assert isinstance(reading, Rejected)
    assert (reading.reason, reading.event_id, reading.size_bytes) == (
        "oversize",
        "ev-2",
        PAYLOAD_BYTES_MAX + 1,
    )


def test_much_to_say_goes_out_in_several_messages() -> None:
    ids = [f"e{number}" for number in range(450)]
    written = NativeDriver("estate").write(Address("e", "d"), [], ids)
    contents = [json.loads(payload) for _, payload in written]
    assert [len(content["recorded"]) for content in contents] == [200, 200, 50]
    assert [name for content in contents for name in content["recorded"]] == ids
    assert all(SCHEMAS["answer"].is_valid(content) for content in contents)


@pytest.mark.parametrize(
    "topic",
    ["estate/e/d/answer", "estate/e/event", "other/e/d/event", "estate//d/event", "estate/e/d/x/event", ""],
)
def test_a_topic_that_no_device_of_ours_has_is_nobodys(topic: str) -> None:
    reading = NativeDriver("estate").read(topic, b"{}")
    assert reading == Rejected(None, "unknown_topic", 2)


def test_the_document_names_every_channel_the_gateway_uses() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert addresses == {
        f"{{root}}/{{estate}}/{{device}}/{leaf}" for leaf in ("event", "status", "answer", "command")
    }
    assert NativeDriver("r").filters(["e"]) == ["r/e/+/event", "r/e/+/status"]


def test_the_contract_file_of_causes_is_the_table_and_the_order_of_the_rules() -> None:
    path = ROOT / "tests/contracts/causes.json"
    assert json.loads(path.read_text("utf-8")) == [asdict(cause) for cause in CAUSES]
    assert PRECEDENCE == CAUSES


def test_every_cause_has_words_in_both_languages_and_a_code_of_its_own() -> None:
    assert len({cause.code for cause in CAUSES}) == len(CAUSES)
    for cause in CAUSES:
        for words in (cause.tenant_zh, cause.guard_zh):
            assert any("\u4e00" <= letter <= "\u9fff" for letter in words), cause
        for words in (cause.tenant_en, cause.guard_en, cause.rule):
            assert words.isascii(), cause
            assert words, cause
