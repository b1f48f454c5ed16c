"""The driver port: who reads what, third parties' drivers, and the rules that all of them keep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from estate.config import SettingsError
from estate.processes import StartFailedError
from gateway.commands import gateway
from gateway.drivers import Address, DoorEvent, DriverContext, Reading, Rejected, choice
from gateway.drivers.choice import BUILT_IN, Drivers, known_drivers
from gateway.drivers.commands import Command, SetTime
from gateway.drivers.conformance import DEVICE, ESTATE, Sample, faults
from gateway.drivers.mqtt_face import MqttFaceDriver
from gateway.drivers.native import NativeDriver
from gateway.messages import AnswerItem

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
CONTEXT = DriverContext(estate_of={DEVICE: ESTATE}.get)


def native_samples() -> list[tuple[str, Sample]]:
    paths = sorted((CONTRACTS / "native/event/good").glob("*.json"))
    topic = f"estate/{ESTATE}/{DEVICE}/event"
    return [(path.name, Sample(topic, "event", json.loads(path.read_bytes()))) for path in paths]


def face_samples() -> list[tuple[str, Sample]]:
    paths = sorted((CONTRACTS / "mqtt_face/rec/good").glob("*.json"))
    contents = [json.loads(path.read_bytes().replace(b'"P100"', f'"{DEVICE}"'.encode())) for path in paths]
    topic = f"mqtt/face/{DEVICE}/Rec"
    return [
        (path.name, Sample(topic, "event", content)) for path, content in zip(paths, contents, strict=True)
    ]


SAMPLES = {"native": native_samples(), "mqtt_face": face_samples()}


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_our_own_drivers_keep_every_rule(name: str) -> None:
    assert faults(BUILT_IN[name](CONTEXT), SAMPLES[name]) == []


class Careless:
    """A driver that breaks rules, one at a time."""

    name = "careless"

    def __init__(self, sin: str = "") -> None:
        self.sin, self.reads = sin, 0

    def filters(self, _estates: Iterable[str]) -> list[str]:
        return ["#"] if self.sin == "everything" else ["careless/+/event"]

    def owns(self, topic: str) -> bool:
        return topic.startswith("careless/")

    def read(self, topic: str, payload: bytes) -> Reading:
        self.reads += 1
        if self.sin == "raises":
            raise ValueError(topic)
        if self.sin == "quotes":
            return Rejected(None, payload.decode("latin-1"), len(payload))
        if self.sin == "moody":
            return Rejected(None, "a" if self.reads % 2 else "b", len(payload))
        if self.sin == "long id":
            return DoorEvent(Address("e", "d"), "x" * 65, 0.0, "card")
        return Rejected(None, "nothing_known", len(payload))

    def write(
        self, _address: Address, answers: Sequence[AnswerItem], _recorded: Sequence[str]
    ) -> list[tuple[str, bytes]]:
        return [("careless/+", b"")] if answers and self.sin == "wildcard" else []

    def command(self, _address: Address, _command: Command) -> list[tuple[str, bytes]]:
        return []

    def opening_id(self, _event_id: str) -> str | None:
        return None


@pytest.mark.parametrize(
    ("sin", "words"),
    [
        ("everything", "every protocol's messages"),
        ("raises", "raises ValueError"),
        ("quotes", "a refusal's reason"),
        ("moody", "differently a second time"),
        ("long id", "an event's id"),
        ("wildcard", "no topic to publish on"),
    ],
)
def test_a_driver_that_breaks_a_rule_is_told_which(sin: str, words: str) -> None:
    assert faults(Careless()) == []
    assert any(words in fault for fault in faults(Careless(sin)))


def test_a_sample_that_reads_as_something_else_is_a_fault() -> None:
    sample = Sample("careless/d/event", "event", {})
    assert faults(Careless(), [("one.json", sample)]) == ["one.json: reads as nothing_known, not as event"]


def install(monkeypatch: pytest.MonkeyPatch, *entries: tuple[str, str]) -> None:
    points = [EntryPoint(name, value, choice.GROUP) for name, value in entries]
    monkeypatch.setattr(choice, "entry_points", lambda group: EntryPoints(points).select(group=group))


def test_an_installed_package_brings_a_driver_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("careless", f"{__name__}:make_careless"))
    assert isinstance(known_drivers()["careless"](CONTEXT), Careless) or known_drivers()["careless"]
    done = CliRunner().invoke(gateway, ["drivers", "list"])
    assert done.output.splitlines() == ["native\tbuilt in", "mqtt_face\tbuilt in", "careless\tinstalled"]
    assert CliRunner().invoke(gateway, ["drivers", "check", "careless"]).exit_code == 0


def make_careless(_context: DriverContext) -> Careless:
    return Careless()


@pytest.mark.parametrize("entry", [("native", f"{__name__}:make_careless"), ("ghost", "no_such_module:make")])
def test_a_driver_that_takes_our_name_or_cannot_be_loaded_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, entry: tuple[str, str]
) -> None:
    install(monkeypatch, entry)
    with pytest.raises(SettingsError) as refused:
        known_drivers()
    assert entry[0] in str(refused.value)


def test_the_command_checks_samples_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    sample = {"topic": f"mqtt/face/{DEVICE}/Rec", "reads_as": "unreadable", "payload": []}
    (tmp_path / "list.json").write_text(json.dumps(sample))
    checked = CliRunner().invoke(gateway, ["drivers", "check", "mqtt_face", "--samples", str(tmp_path)])
    assert checked.exit_code == 0, checked.output
    (tmp_path / "list.json").write_text(json.dumps(sample | {"reads_as": "event"}))
    failed = CliRunner().invoke(gateway, ["drivers", "check", "mqtt_face", "--samples", str(tmp_path)])
    assert failed.exit_code == 1
    (tmp_path / "list.json").write_text("{}")
    broken = CliRunner().invoke(gateway, ["drivers", "check", "mqtt_face", "--samples", str(tmp_path)])
    assert isinstance(broken.exception, SettingsError)
    assert isinstance(CliRunner().invoke(gateway, ["drivers", "check", "telex"]).exception, StartFailedError)


PROTOCOLS: dict[Address, str] = {Address("e", "gate"): "native", Address("e", "P100"): "mqtt_face"}


def both() -> Drivers:
    face = MqttFaceDriver(DriverContext(estate_of={"P100": "e", "gate": "e"}.get))
    return Drivers([NativeDriver("estate"), face], PROTOCOLS.get)


def card() -> bytes:
    return (CONTRACTS / "native/event/good/card.json").read_bytes()


def test_each_protocols_messages_go_to_its_driver() -> None:
    drivers = both()
    native, face = drivers.read("estate/e/gate/event", card()), drivers.read("mqtt/face/P100/Rec", record())
    assert isinstance(native, DoorEvent)
    assert isinstance(face, DoorEvent)
    assert (native.credential, face.credential) == ("card", "panel")
    assert drivers.read("nobody/e/gate", b"{}") == Rejected(None, "unknown_topic", 2)


def test_a_device_speaks_its_own_protocol_and_no_other() -> None:
    drivers = both()
    reading = drivers.read("estate/e/P100/event", card())
    assert isinstance(reading, Rejected)
    assert reading.reason == "wrong_protocol"


def test_answers_and_commands_go_out_in_the_devices_protocol() -> None:
    drivers, command = both(), SetTime("m", 0.0)
    assert [topic for topic, _ in drivers.command(Address("e", "P100"), command)] == ["mqtt/face/P100"]
    assert drivers.command(Address("e", "gate"), command) == []
    [(topic, _)] = drivers.write(Address("e", "gate"), [], ["x"])
    assert topic == "estate/e/gate/answer"


def record() -> bytes:
    return (CONTRACTS / "mqtt_face/rec/good/live.json").read_bytes()


def test_the_panel_drivers_root_and_zone_are_configuration() -> None:
    options: dict[str, Any] = {"root": "site/face", "utc_offset_hours": 0}
    driver = MqttFaceDriver(DriverContext(estate_of={"P100": "e"}.get, options=options))
    reading = driver.read("site/face/P100/Rec", record())
    assert isinstance(reading, DoorEvent)
    plain = MqttFaceDriver(DriverContext(estate_of={"P100": "e"}.get)).read("mqtt/face/P100/Rec", record())
    assert isinstance(plain, DoorEvent)
    assert reading.at_s - plain.at_s == 8 * 3600
