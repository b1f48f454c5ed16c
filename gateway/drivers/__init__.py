"""A driver turns one protocol's bytes into our values, and our answers and commands into its bytes.

One file each. The gateway itself knows no topic and no payload: it subscribes to what a driver names,
gives it each message, and publishes what it makes of an answer or a command. docs/drivers.md says how to
add one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from gateway.drivers.commands import Command
from gateway.messages import AnswerItem, Credential, Liveness

Message: TypeAlias = tuple[str, bytes]  # topic, payload
PanelVerdict: TypeAlias = Literal["match", "unsure", "unknown"]


class Address(NamedTuple):
    """A device, as the topic that it alone may write names it."""

    estate: str
    device: str


class DoorEvent(Struct, frozen=True):
    """Somebody stood at a door: our own value, whatever the protocol."""

    address: Address
    event_id: str
    at_s: float  # device time, seconds since 1970
    credential: Credential
    track: str | None = None
    resent: bool = False
    templates: tuple[bytes, ...] = ()  # each 128 little-endian float32
    images: tuple[bytes, ...] = ()
    liveness: Liveness | None = None
    card: str = ""
    code: str = ""  # a PIN, what a QR code says, a visitor's code
    last: bool = False  # no further frame of the track will come
    person: str = ""  # whom the device itself took it for, by our own reference; "" when by none of ours
    verdict: PanelVerdict | None = None  # of the device's own match
    opened: bool = False  # the device says that it has let the person in by itself


class DeviceSign(Struct, frozen=True):
    """A device's sign of life on its own topic, or its last will (alive False)."""

    address: Address
    alive: bool
    at_s: float | None  # device time; None where it proves nothing
    contact: Literal["closed", "open", "forced", "held_open"] | None = None
    battery_percent: int | None = None
    fire: bool = False


class DeviceHint(Struct, frozen=True):
    """What was said of a device on a topic that others may write, too: it proves nothing of itself."""

    address: Address
    kind: Literal["online", "alive", "offline"]
    at_s: float | None  # device time
    message_id: str = ""


class PersonResult(Struct, frozen=True):
    """What a device says of one person of a command."""

    person: str
    ok: bool
    code: int | None = None


class DeviceReply(Struct, frozen=True):
    """A device's own acknowledgement of a command."""

    address: Address
    operator: str  # of the command, without its suffix
    message_id: str
    ok: bool
    code: int | None = None  # means different things by operator
    results: tuple[PersonResult, ...] = ()  # where the command was about several people
    people: tuple[str, ...] | None = None  # a page of its list
    total: int | None = None


class Rejected(Struct, frozen=True):
    """A message that is set aside: the reason, and never the content."""

    address: Address | None
    reason: str
    size_bytes: int
    event_id: str | None = None  # where one is readable, it is confirmed, so that the sender moves on


Reading: TypeAlias = DoorEvent | DeviceSign | DeviceHint | DeviceReply | Rejected


@dataclass(frozen=True, slots=True)
class DriverContext:
    """What a driver is made with.

    Attributes:
        root: the topic root of the native protocol, for drivers that share it.
        estate_of: the estate of a device id that is on a roster for this protocol, else None; for
            protocols whose topics name no estate.
        options: the driver's own section of the configuration, `[drivers.<name>]`.
    """

    root: str = "estate"
    estate_of: Callable[[str], str | None] = lambda _device: None
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)


class Driver(Protocol):
    """One protocol."""

    name: str

    def filters(self, estates: Iterable[str]) -> list[str]:
        """The MQTT topic filters to subscribe to for these estates."""

    def owns(self, topic: str) -> bool:
        """Whether a topic is of this protocol."""

    def read(self, topic: str, payload: bytes) -> Reading:
        """One message as our own value; never raises, whatever the bytes."""

    def write(
        self, address: Address, answers: Sequence[AnswerItem], recorded: Sequence[str]
    ) -> list[Message]:
        """The messages that carry these answers and confirmations to the device."""

    def command(self, address: Address, command: Command) -> list[Message]:
        """The messages that carry a command to the device; none where the protocol has no such command."""

    def opening_id(self, event_id: str) -> str | None:
        """What the device will acknowledge the opening for an event by; None where it does not."""
