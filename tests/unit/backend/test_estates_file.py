"""`estates.toml`: what is refused, and how it is named."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from backend.registry.estates_file import check_estates, read_estates
from estate.config import SettingsError

GOOD: dict[str, Any] = {
    "estate": [
        {
            "id": "east",
            "name_zh": "东",
            "name_en": "East",
            "district": "区",
            "faces": {"enabled": False},
            "building": [{"id": "a", "name_zh": "A栋", "floors": 2, "units_per_floor": 3}],
            "door": [
                {
                    "id": "d1",
                    "name_zh": "门",
                    "name_en": "Door",
                    "building": "a",
                    "credentials": ["face", "card"],
                }
            ],
        }
    ]
}


def changed(path: str, value: object) -> dict[str, Any]:
    """GOOD with one value changed; a path such as `estate.0.door.0.way`."""
    file = copy.deepcopy(GOOD)
    *steps, last = path.split(".")
    place: Any = file
    for step in steps:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value
    return file


def test_the_repositorys_own_file_is_accepted() -> None:
    file = read_estates(Path("config/estates.toml"))
    assert len(file.estate) == 11
    assert {len(estate.door) for estate in file.estate} == {2}


def test_a_door_without_a_group_belongs_to_its_building() -> None:
    door = check_estates(GOOD, "x").estate[0].door[0]
    assert (door.group_id, door.way, door.protocol, door.active) == ("a", "in", "native", True)


@pytest.mark.parametrize(
    ("path", "value", "key", "words"),
    [
        ("estate.0.door.0.credentials", ["face"], "door[0] (d1).credentials", "another credential"),
        ("estate.0.door.0.credentials", ["face", "face"], "credentials", "another credential"),
        ("estate.0.door.0.credentials", ["card", "card"], "credentials", "more than once"),
        ("estate.0.door.0.credentials", [], "credentials", "length >= 1"),
        ("estate.0.door.0.credentials", ["shout"], "credentials", "shout"),
        ("estate.0.door.0.building", "z", "door[0] (d1).building", "no such building"),
        ("estate.0.door.0.way", "up", "way", "up"),
        ("estate.0.door.0.protocol", "Telex 7", "protocol", "regex"),
        ("estate.0.door.0.colour", "red", "door[0]", "colour"),
        ("estate.0.faces", {"enabled": True}, "faces.assessed_on", "assessment"),
        ("estate.0.faces", {"enabled": True, "assessed_on": "soon"}, "assessed_on", "date"),
        ("estate.0.faces", {"enabled": False, "fpir": 0}, "fpir", "> 0"),
        ("estate.0.liveness_waiver", {"until": "2027-01-01"}, "liveness_waiver", "author"),
        ("estate.0.id", "East End", "id", "regex"),
        ("estate.0.building.0.floors", 0, "floors", ">= 1"),
        ("estate.0.building", [GOOD["estate"][0]["building"][0]] * 2, "building", "more than once"),
        ("estate.0.door", [GOOD["estate"][0]["door"][0]] * 2, "door", "more than once"),
        ("estate", [GOOD["estate"][0]] * 2, "estate", "more than once"),
        ("estate", [], "estate", "length >= 1"),
    ],
)
def test_a_fault_is_named_with_file_key_and_reason(path: str, value: object, key: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        check_estates(changed(path, value), "estates.toml")
    assert refused.value.source == "estates.toml"
    assert key in refused.value.key
    assert words in refused.value.reason


def test_a_door_without_group_and_building_is_refused() -> None:
    file = changed("estate.0.door.0.building", None)
    del file["estate"][0]["door"][0]["building"]
    with pytest.raises(SettingsError, match="give a group or a building"):
        check_estates(file, "x")
