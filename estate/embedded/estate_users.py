"""An estate's users of the broker: one identity for each device and gateway, and its own topics alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from estate.embedded.broker_users import BrokerUser, BrokerUserError

TOPIC_ROOT, FACE_ROOT = "estate", "mqtt/face"
# Every panel of the family speaks of its life on these; they prove nothing, see docs/drivers.md.
FACE_SHARED = (f"{FACE_ROOT}/basic", f"{FACE_ROOT}/heartbeat")
FACE_WAYS = ("Rec", "Snap", "Ack", "ack")
PROTOCOLS = ("native", "mqtt_face")


@dataclass(frozen=True, slots=True)
class DoorEntry:
    """A door as `estates.toml` has it, as far as the broker is concerned."""

    estate: str
    device: str
    protocol: str = "native"


def gateway_user(name: str, password: str, estates: Iterable[str], doors: Iterable[DoorEntry]) -> BrokerUser:
    """A gateway: it hears the devices of its estates and answers them; it can speak for none of them."""
    served = list(estates)
    panels = [door.device for door in doors if door.protocol == "mqtt_face"]
    return BrokerUser(
        name,
        password,
        reads=(
            *(f"{TOPIC_ROOT}/{estate}/+/{way}" for estate in served for way in ("event", "status")),
            *(f"{FACE_ROOT}/+/{way}" for way in FACE_WAYS),
            *FACE_SHARED,
        ),
        writes=(
            *(f"{TOPIC_ROOT}/{estate}/+/{way}" for estate in served for way in ("answer", "command")),
            *(f"{FACE_ROOT}/{panel}" for panel in panels),
        ),
    )


def device_user(door: DoorEntry, password: str) -> BrokerUser:
    """A device: it hears what is said to it, and speaks on its own topics.

    Raises:
        BrokerUserError: a protocol whose topics are not known here.
    """
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    if door.protocol == "native":
        own = f"{TOPIC_ROOT}/{door.estate}/{door.device}"
        reads, writes = (f"{own}/answer", f"{own}/command"), (f"{own}/event", f"{own}/status")
    elif door.protocol == "mqtt_face":
        own = f"{FACE_ROOT}/{door.device}"
        reads, writes = (own,), (*(f"{own}/{way}" for way in FACE_WAYS), *FACE_SHARED)
    else:
        raise BrokerUserError(
            door.device,
            f"不知道协议 {door.protocol} 的主题，请手工加入",
            f"the topics of {door.protocol} are not known here; add its user by hand",
        )
    return BrokerUser(door.device, password, reads, writes)
