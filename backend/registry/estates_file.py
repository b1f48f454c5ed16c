"""`estates.toml`: which estates this installation serves, checked as a whole before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from estate.config import SettingsError, convert, read_toml

Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,80}$")]
Id = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
DeviceId = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Credential = Literal["face", "card", "pin", "qr"]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all tables of the file have in common."""


class Faces(Entry, frozen=True):
    """Whether the estate uses faces, and when the impact of that was assessed."""

    enabled: bool = False
    assessed_on: date | None = None
    fpir: Annotated[float, Meta(gt=0, le=0.1)] = 0.003


class Waiver(Entry, frozen=True):
    """Faces are accepted without a liveness verdict until that day."""

    until: date
    author: Name
    reason: Annotated[str, Meta(min_length=1, max_length=400)]


class Panels(Entry, frozen=True):
    """Whether door panels match faces by themselves; by default the gateway decides and they only send."""

    match: bool = False
    roster_lease_days: Annotated[int, Meta(ge=1, le=90)] = 7


class Building(Entry, frozen=True):
    """A building; its units are numbered 0101, 0102 …, 0201 …"""

    id: Id
    name_zh: Name
    floors: Annotated[int, Meta(ge=1, le=200)]
    units_per_floor: Annotated[int, Meta(ge=1, le=99)]


class Hours(Entry, frozen=True):
    """When residents may use a door: ISO weekdays, from when till when; `till` 24:00 is the day's end."""

    days: Annotated[list[Annotated[int, Meta(ge=1, le=7)]], Meta(min_length=1)]
    begin: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    till: Annotated[str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]


class Door(Entry, frozen=True):
    """A door; its id is the device's. Without a group it belongs to its building's."""

    id: DeviceId
    name_zh: Name
    name_en: Name
    credentials: Annotated[list[Credential], Meta(min_length=1)]
    group: Id | None = None
    building: Id | None = None
    way: Literal["in", "out"] = "in"
    protocol: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")] = "native"  # a driver of the gateway's
    active: bool = True
    hours: list[Hours] | None = None

    @property
    def group_id(self) -> str:
        """What door rights are given for."""
        return self.group or self.building or self.id.lower()


class Estate(Entry, frozen=True):
    """One estate."""

    id: Id
    name_zh: Name
    name_en: Name
    district: Name
    faces: Faces = Faces()
    liveness_waiver: Waiver | None = None
    panels: Panels | None = None
    passback: Literal["off", "soft", "hard"] = "soft"  # in twice without going out: told, or refused
    building: list[Building] = []
    door: list[Door] = []


class EstatesFile(Entry, frozen=True):
    """The whole file."""

    estate: Annotated[list[Estate], Meta(min_length=1)]


def read_estates(path: Path) -> EstatesFile:
    """Read and check the file.

    Raises:
        SettingsError: naming the file, the key and the reason.
    """
    return check_estates(read_toml(path), str(path))


def check_estates(values: dict[str, Any], source: str) -> EstatesFile:
    """The file's values as estates.

    Raises:
        SettingsError: naming `source`, the key and the reason.
    """
    file = convert(EstatesFile, values, source)
    for key, reason in _faults(file):
        raise SettingsError(source, key, reason)
    return file


def _faults(file: EstatesFile) -> Iterator[tuple[str, str]]:
    yield from _repeated("estate", [estate.id for estate in file.estate])
    yield from _repeated("door", [door.id for estate in file.estate for door in estate.door])
    for number, estate in enumerate(file.estate):
        key = f"estate[{number}] ({estate.id})"
        if estate.faces.enabled and estate.faces.assessed_on is None:
            yield (
                f"{key}.faces.assessed_on",
                "启用人脸前须完成影响评估并填写日期 (faces need an impact assessment and its date)",
            )
        if estate.panels is not None and estate.panels.match and not estate.faces.enabled:
            yield (
                f"{key}.panels.match",
                "面板自行识别须先启用人脸 (panels match faces only with faces enabled)",
            )
        buildings = [building.id for building in estate.building]
        yield from _repeated(f"{key}.building", buildings)
        for place, door in enumerate(estate.door):
            yield from _door_faults(f"{key}.door[{place}] ({door.id})", door, set(buildings))


def _door_faults(key: str, door: Door, buildings: set[str]) -> Iterator[tuple[str, str]]:
    if set(door.credentials) == {"face"}:
        yield (
            f"{key}.credentials",
            "不得只有人脸一种方式，请加上 card (a door that takes faces must take another credential, too)",
        )
    yield from _repeated(f"{key}.credentials", list(door.credentials))
    if door.building is not None and door.building not in buildings:
        yield f"{key}.building", f"没有楼栋 {door.building} (there is no such building)"
    if door.group is None and door.building is None:
        yield f"{key}.group", "group 和 building 至少填一个 (give a group or a building)"


def _repeated(key: str, ids: list[Any]) -> Iterator[tuple[str, str]]:
    for one in sorted({one for one in ids if ids.count(one) > 1}):
        yield key, f"{one} 出现了不止一次 (stands here more than once)"
