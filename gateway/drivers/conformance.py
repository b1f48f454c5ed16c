"""What every driver must keep, checked from outside: for our own ones, and for whoever writes another.

    estate gateway drivers check NAME [--samples FOLDER]

A sample is a JSON file `{"topic", "payload", "reads_as", …}`; `payload` is a JSON value or, under
`payload_base64`, bytes. `reads_as` is event, sign, hint, reply or a refusal's reason. docs/drivers.md
describes each rule.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gateway.drivers import Address, DeviceHint, DeviceReply, DeviceSign, DoorEvent, Driver, Reading, Rejected
from gateway.drivers.commands import GreetBack, ListPeople, OpenDoor, RemovePeople, SetTime
from gateway.messages import AnswerItem

ESTATE, DEVICE = "estate-1", "door-1"
HERE = Address(ESTATE, DEVICE)
ROUNDS = 2_000
_REASON = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ID = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_KINDS: dict[type[object], str] = {
    DoorEvent: "event",
    DeviceSign: "sign",
    DeviceHint: "hint",
    DeviceReply: "reply",
}
_JUNK = (
    b"",
    b"\x00",
    b"null",
    b"[]",
    b"{}",
    b'"x"',
    b"\xff\xfe",
    b"[" * 50_000,
    b'{"a":' * 20_000,
    b"9" * 5_000,
)
_COMMANDS = (
    OpenDoor("m-1"),
    GreetBack("m-2"),
    SetTime("m-3", 1_788_249_600.0),
    RemovePeople("m-4", ("p",)),
    ListPeople("m-5", 0, 10),
)


class Sample(Struct, frozen=True, forbid_unknown_fields=True):
    """One message, and what the driver must make of it."""

    topic: str
    reads_as: str
    payload: Any = None
    payload_base64: bytes | None = None

    @property
    def content(self) -> bytes:
        """The bytes on the wire."""
        return self.payload_base64 if self.payload_base64 is not None else msgspec.json.encode(self.payload)


def read_samples(folder: Path) -> list[tuple[str, Sample]]:
    """The samples of a folder by name.

    Raises:
        OSError, msgspec.MsgspecError: a file cannot be read, or is no sample.
    """
    paths = sorted(folder.glob("*.json"))
    return [(path.name, msgspec.json.decode(path.read_bytes(), type=Sample)) for path in paths]


def faults(driver: Driver, samples: Iterable[tuple[str, Sample]] = (), seed: int = 1) -> list[str]:
    """Every rule that the driver breaks, in words; empty when it conforms."""
    known = list(samples)
    found = [*_named(driver), *_writing(driver), *_reading(driver, known)]
    choice = random.Random(seed)  # noqa: S311 (a test's choice is no secret)
    topics = [sample.topic for _, sample in known] or _topics(driver)
    for _ in range(ROUNDS):
        topic = choice.choice(topics)
        payload = _noise(choice, [sample.content for _, sample in known])
        found += [f"{topic}: {fault}" for fault in _safely(driver, topic, payload)]
    return list(dict.fromkeys(found))


def _named(driver: Driver) -> Iterator[str]:
    if not _NAME.fullmatch(driver.name):
        yield f"its name {driver.name!r} is not lower-case letters, digits and underscores"
    filters = driver.filters([ESTATE])
    if not filters:
        yield "it subscribes to nothing"
    for one in filters:
        levels = one.split("/")
        if "#" in levels[:-1] or any(level != "+" and "+" in level for level in levels) or not one:
            yield f"{one!r} is no MQTT topic filter"
        elif levels[0] in ("+", "#"):
            yield f"{one!r} would take every protocol's messages"


def _writing(driver: Driver) -> Iterator[str]:
    no = AnswerItem("e-1", "deny", "late", "请再试", "Again.")
    yes = AnswerItem("e-2", "open", "granted", "请进", "Welcome.", open_within_ms=5000)
    written = {
        "an answer": driver.write(HERE, [no, yes], ["e-1"]),
        "nothing": driver.write(HERE, [], []),
        **{type(command).__name__: driver.command(HERE, command) for command in _COMMANDS},
    }
    for what, messages in written.items():
        for topic, payload in messages:
            if not topic or "+" in topic or "#" in topic or not isinstance(payload, bytes):
                yield f"{what} is written to {topic!r}, which is no topic to publish on"
    if written["nothing"]:
        yield "it sends a message where there is nothing to say"


def _reading(driver: Driver, samples: Sequence[tuple[str, Sample]]) -> Iterator[str]:
    for name, sample in samples:
        if not driver.owns(sample.topic):
            yield f"{name}: it does not own the topic {sample.topic}"
        yield from (f"{name}: {fault}" for fault in _safely(driver, sample.topic, sample.content))
        reading = driver.read(sample.topic, sample.content)
        said = reading.reason if isinstance(reading, Rejected) else _KINDS.get(type(reading), "?")
        if said != sample.reads_as:
            yield f"{name}: reads as {said}, not as {sample.reads_as}"
    for payload in _JUNK:
        for topic in ("", "/", "no/such/topic", "\u4f60\u597d"):
            yield from _safely(driver, topic, payload)


def _safely(driver: Driver, topic: str, payload: bytes) -> Iterator[str]:
    try:
        reading = driver.read(topic, payload)
        again = driver.read(topic, payload)
    except Exception as error:
        yield f"reading raises {type(error).__name__}"
        return
    yield from _reading_faults(reading, payload)
    if reading != again:
        yield "the same message reads differently a second time"


def _reading_faults(reading: Reading, payload: bytes) -> Iterator[str]:
    if isinstance(reading, Rejected):
        if not _REASON.fullmatch(reading.reason):
            yield "a refusal's reason is not a word of lower-case letters, digits and underscores"
        if reading.size_bytes != len(payload):
            yield "a refusal's size is not the message's"
        if reading.event_id is not None and not _ID.fullmatch(reading.event_id):
            yield "a refusal's event id is no id"
    elif type(reading) not in _KINDS:
        yield f"reading gives a {type(reading).__name__}"
    elif isinstance(reading, DoorEvent):
        if not _ID.fullmatch(reading.event_id):
            yield "an event's id is not 1 to 64 characters without control characters"
        if not 0 <= reading.at_s < 4_102_444_800:
            yield "an event's time is no clock's"
        if any(len(template) != 512 for template in reading.templates):
            yield "a template is not 128 float32"


def _topics(driver: Driver) -> list[str]:
    return [
        "/".join(DEVICE if level in ("+", "#") else level for level in one.split("/"))
        for one in driver.filters([ESTATE])
    ]


def _noise(choice: random.Random, contents: Sequence[bytes]) -> bytes:
    """Junk, or a sample with some of its bytes changed."""
    kind = choice.random()
    if kind < 0.2 or not contents:
        return choice.choice(_JUNK) if kind < 0.1 else choice.randbytes(choice.randrange(200))
    payload = bytearray(choice.choice(contents))
    for _ in range(choice.randint(1, 8)):
        if payload:
            payload[choice.randrange(len(payload))] = choice.randrange(256)
    return bytes(payload[: choice.randrange(len(payload) + 1)] if choice.random() < 0.2 else payload)
