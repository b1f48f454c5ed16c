"""A driver turns one protocol's bytes into our event, and our answer into its bytes. One file each.

The gateway itself knows no topic and no payload: it subscribes to what a driver names, gives it each
message, and publishes what it makes of an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from gateway.messages import AnswerItem, Credential, Liveness


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


class DeviceSign(Struct, frozen=True):
    """A device's sign of life on its own topic, or its last will (alive False)."""

    address: Address
    alive: bool
    at_s: float | None  # device time; None where it proves nothing


class Rejected(Struct, frozen=True):
    """A message that is set aside: the reason, and never the content."""

    address: Address | None
    reason: str
    size_bytes: int
    event_id: str | None = None  # where one is readable, it is confirmed, so that the sender moves on


Reading: TypeAlias = DoorEvent | DeviceSign | Rejected


class Driver(Protocol):
    """One protocol."""

    name: str

    def filters(self, estates: Iterable[str]) -> list[str]:
        """The MQTT topic filters to subscribe to for these estates."""

    def read(self, topic: str, payload: bytes) -> Reading:
        """One message as our own value; never raises, whatever the bytes."""

    def write(
        self, address: Address, answers: Sequence[AnswerItem], recorded: Sequence[str]
    ) -> list[tuple[str, bytes]]:
        """The messages (topic, payload) that carry these answers and confirmations to the device."""
