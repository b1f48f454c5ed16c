"""Two small estates with one household each, and people who may act in them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, text

from backend.identity.accounts import add_principal, grant_role, principal_by_login
from backend.identity.gateways import add_gateway
from backend.identity.principal import Principal, Role
from backend.registry.consents import publish_notice
from backend.registry.estates import estate_key, load_estates
from backend.registry.estates_file import check_estates
from backend.registry.facts import OPEN_DOORS
from backend.registry.importing import ImportResult, import_households
from backend.registry.keys import MasterKey
from backend.settings import BackendSettings

NOW = datetime(2026, 6, 1, 4, tzinfo=UTC)
PASSWORD = "correct horse"

ESTATE = """
[[estate]]
id = "{id}"
name_zh = "{id} 小区"
name_en = "Estate {id}"
district = "测试区"
faces = {{ enabled = true, assessed_on = 2026-01-01 }}

[[estate.building]]
id = "a"
name_zh = "A栋"
floors = 2
units_per_floor = 2

[[estate.door]]
id = "{id}-gate"
name_zh = "大门"
name_en = "Gate"
group = "gate"
credentials = ["face", "card"]

[[estate.door]]
id = "{id}-a"
name_zh = "A栋大门"
name_en = "Entrance A"
building = "a"
credentials = ["face", "card"]
"""
ESTATES_TOML = ESTATE.format(id="east") + ESTATE.format(id="west")


def member(ref: str, **changes: Any) -> dict[str, Any]:
    """One person of an import file."""
    plain: dict[str, Any] = {
        "ref": ref,
        "name": f"某{ref}",
        "kind": "tenant",
        "born_on": "1980-05-05",
        "face_consent": {"given": True, "channel": "counter", "guardian": None},
        "cards": [f"card-{ref}"],
        "login": None,
        "door_groups": ["gate", "a"],
    }
    return plain | changes


def household(ref: str, estate: str, unit: str, *members: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """One household of an import file."""
    plain: dict[str, Any] = {
        "ref": ref,
        "estate": estate,
        "building": "a",
        "unit": unit,
        "monthly_rent_fen": 38_640,
        "from": "2026-01-01",
        "members": list(members),
    }
    return plain | changes


def import_file(*households: dict[str, Any]) -> bytes:
    """The file as it is read."""
    return json.dumps({"households": list(households)}).encode()


@dataclass(frozen=True)
class Town:
    """The test's two estates `east` and `west`, and how to act in them."""

    engine: Engine
    master_key: MasterKey
    admin: Principal
    clerk_of_east: Principal

    def run_import(self, *households: dict[str, Any], actor: Principal | None = None) -> ImportResult:
        """Import households in a transaction of its own."""
        with self.engine.begin() as connection:
            return import_households(
                connection,
                import_file(*households),
                lambda estate_id: estate_key(connection, self.master_key, estate_id),
                actor=actor or self.admin,
                now=NOW,
            )

    def resident(self, ref: str = "chen", estate: str = "east", unit: str = "0101") -> UUID:
        """A registered tenant with a card and rights to both door groups."""
        return self.run_import(household(f"h-{ref}", estate, unit, member(ref))).ids[ref]

    def add_login(self, login: str, role: Role, estate_id: str | None) -> Principal:
        """Somebody who can log in with PASSWORD."""
        with self.engine.begin() as connection:
            principal_id = add_principal(connection, login, login, PASSWORD, actor="system:test", now=NOW)
            grant_role(connection, principal_id, role, estate_id, actor="system:test", now=NOW)
            return principal_by_login(connection, login, NOW)

    def add_gateway(self, gateway_id: str, *estates: str) -> str:
        """A gateway's credential."""
        with self.engine.begin() as connection:
            return add_gateway(connection, gateway_id, estates, actor="system:test", now=NOW)

    def value(self, query: str, **values: Any) -> Any:
        """The one value of a query."""
        with self.engine.connect() as connection:
            return connection.scalar(text(query), values)

    def rows(self, query: str, **values: Any) -> list[Any]:
        """The rows of a query."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(query), values).all())

    def text_of(self, table: str) -> str:
        """All rows of a table as PostgreSQL writes them, whole."""
        return "\n".join(row[0] for row in self.rows(f'SELECT t::text FROM "{table}" AS t'))

    def change(self, act: Callable[[Connection], Any]) -> Any:
        """Run something in a transaction of its own."""
        with self.engine.begin() as connection:
            return act(connection)


@pytest.fixture
def town(engine: Engine, settings: BackendSettings) -> Town:
    """Two estates with doors, a published notice, an administrator and a clerk of `east`."""
    master_key = MasterKey.from_file(settings.secrets.master_key_file)
    file = check_estates(tomllib.loads(ESTATES_TOML), "test")
    assert settings.notice is not None
    with engine.begin() as connection:
        load_estates(connection, file, master_key, actor="system:test", now=NOW)
        publish_notice(connection, OPEN_DOORS, settings.notice, actor="system:test", now=NOW)
        logins: tuple[tuple[str, Role, str | None], ...] = (
            ("admin", "admin", None),
            ("clerk", "operator", "east"),
        )
        people = []
        for login, role, estate_id in logins:
            # Without a password: hashing one takes a tenth of a second, and most tests log nobody in.
            principal_id = add_principal(connection, login, login, None, actor="system:test", now=NOW)
            grant_role(connection, principal_id, role, estate_id, actor="system:test", now=NOW)
            people.append(principal_by_login(connection, login, NOW))
    return Town(engine, master_key, people[0], people[1])
