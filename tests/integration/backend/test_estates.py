"""Loading estates.toml: repeated, changed, and with doors that go."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import psycopg
import pytest

from backend.db.engine import connect
from backend.registry.errors import DoorElsewhereError
from backend.registry.estates import estate_key, estates, load_estates
from backend.registry.estates_file import check_estates
from backend.registry.keys import SealBrokenError
from backend.registry.roster import feed
from tests.integration.backend.conftest import ESTATE, ESTATES_TOML, NOW, Town
from tests.integration.conftest import Database


def load(town: Town, text: str) -> None:
    file = check_estates(tomllib.loads(text), "test")
    town.change(lambda c: load_estates(c, file, town.master_key, actor="system:test", now=NOW))


def documents(town: Town, since: int = 0) -> dict[str, Any]:
    with town.engine.connect() as connection:
        page = feed(connection, "east", since, 100)
    return {one.item_id: json.loads(one.document or "null") for one in page.items}


def version(town: Town) -> int:
    return int(town.value("SELECT version FROM roster_version WHERE estate_id = 'east'"))


def test_loading_again_changes_nothing(town: Town) -> None:
    before, key = version(town), town.value("SELECT hmac_key_sealed FROM estate WHERE estate_id = 'east'")
    load(town, ESTATES_TOML)
    assert version(town) == before
    assert town.value("SELECT count(*) FROM unit") == 8
    assert bytes(town.value("SELECT hmac_key_sealed FROM estate WHERE estate_id = 'east'")) == bytes(key)


def test_a_change_publishes_what_changed_and_nothing_else(town: Town) -> None:
    before = version(town)
    load(town, ESTATES_TOML.replace('name_zh = "大门"', 'name_zh = "正门"'))
    assert {name: one["name_zh"] for name, one in documents(town, before).items()} == {"east-gate": "正门"}


def test_a_door_that_is_no_longer_in_the_file_is_out_of_use(town: Town) -> None:
    without = ESTATE.format(id="east").partition('[[estate.door]]\nid = "east-a"')[0]
    load(town, without)
    found = documents(town)
    assert {name: found[name]["active"] for name in ("east-a", "east-gate")} == {
        "east-a": False,
        "east-gate": True,
    }


def test_a_liveness_waiver_is_told_with_its_author_and_end(town: Town) -> None:
    waiver = 'liveness_waiver = { until = 2026-12-31, author = "chen", reason = "camera on order" }'
    load(town, ESTATE.format(id="east").replace("[[estate.building]]", waiver + "\n[[estate.building]]", 1))
    assert documents(town)["east"]["liveness_waiver"] == {
        "until": "2026-12-31",
        "author": "chen",
        "reason": "camera on order",
    }


def test_a_device_of_another_estate_is_refused_whole(town: Town) -> None:
    before = town.text_of("door")
    stolen = ESTATE.format(id="north").replace('"north-a"', '"east-a"')
    with pytest.raises(DoorElsewhereError):
        load(town, stolen)
    assert town.text_of("door") == before
    assert town.value("SELECT count(*) FROM estate WHERE estate_id = 'north'") == 0


def test_estates_have_keys_of_their_own_bound_to_them(town: Town) -> None:
    with town.engine.begin() as connection:
        assert [one.estate_id for one in estates(connection)] == ["east", "west"]
        keys = [estate_key(connection, town.master_key, estate_id) for estate_id in ("east", "west")]
    assert len(set(keys)) == 2


def test_a_swapped_key_is_noticed(town: Town, database: Database) -> None:
    with connect(database.owner_url, autocommit=True) as owner:
        owner.execute(
            "UPDATE estate SET hmac_key_sealed ="
            " (SELECT hmac_key_sealed FROM estate WHERE estate_id = 'west')"
        )
    with pytest.raises(SealBrokenError):
        town.change(lambda c: estate_key(c, town.master_key, "east"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE door SET credentials = ARRAY['face']",
        "UPDATE door SET credentials = ARRAY['face', 'face']",
        "UPDATE door SET credentials = '{}'",
        "UPDATE door SET credentials = ARRAY['card', 'shout']",
        "UPDATE estate SET assessed_on = NULL",
        "UPDATE estate SET liveness_waiver_until = '2027-01-01'",
    ],
)
def test_the_database_refuses_a_face_only_door_and_faces_without_assessment(
    town: Town, database: Database, statement: str
) -> None:
    with connect(database.owner_url, autocommit=True) as owner, pytest.raises(psycopg.errors.CheckViolation):
        owner.execute(statement)
