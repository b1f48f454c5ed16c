"""The rows that are held of a person, table by table, without secrets and without anybody else.

The tables are found by their columns and not by a list, so that what another capability adds is in it, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, text

from backend.db.arrays import among
from backend.identity.tables import principal
from backend.registry.tables import household_member, person

Held = dict[str, list[dict[str, Any]]]
# Columns that are secrets of the system, or of nobody's understanding.
SECRET_WORDS = ("hmac", "sealed", "wrapped", "hash", "sha256", "secret", "seed", "token", "signature", "pin")
# A household's rows may carry what another member did, or where another person's money went.
BY_SOMEBODY = ("principal_id", "opened_by", "asked_by")
PAID_TO = ("payee_zh", "payee_account")
SOMEBODY_ELSE = "（他人，未列出 somebody else）"
UUIDS = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
TABLES = text("""
SELECT class.relname AS name, array_agg(attribute.attname::text) AS columns
FROM pg_class AS class
JOIN pg_namespace AS space ON space.oid = class.relnamespace AND space.nspname = 'public'
JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid AND attribute.attnum > 0
    AND NOT attribute.attisdropped
WHERE class.relkind IN ('r', 'p') AND NOT class.relispartition
    AND has_table_privilege(class.oid, 'SELECT')
GROUP BY class.relname ORDER BY class.relname
""")


@dataclass(frozen=True, slots=True)
class _Someone:
    """Whose file it is, and who may not be in it."""

    name: str
    principals: frozenset[str]
    other_ids: frozenset[str]
    other_names: frozenset[str]


def everything_held(connection: Connection, person_id: UUID) -> Held:
    """The rows about a person and the person's households, by table; secrets and others left out."""
    households = list(
        connection.scalars(
            select(household_member.c.household_id).where(household_member.c.person_id == person_id)
        )
    )
    held: Held = {}
    for table in connection.execute(TABLES).all():
        condition = _condition(table.name, table.columns)
        if condition is None:
            continue
        secret = [name for name in table.columns if any(word in name for word in SECRET_WORDS)]
        rows = connection.scalars(
            # Names of tables come from the catalogue.
            text(f'SELECT to_jsonb(t) - CAST(:secret AS text[]) FROM "{table.name}" AS t WHERE {condition}'),  # noqa: S608
            {"secret": secret, "person": person_id, "households": households},
        ).all()
        if rows:
            held[table.name] = list(rows)
    someone = _someone(connection, person_id, households, held)
    return {name: [_without_others(row, someone) for row in rows] for name, rows in held.items()}


def _condition(table: str, columns: Iterable[str]) -> str | None:
    if table == "audit_record":
        return "object_kind = 'person' AND object_id = CAST(:person AS text)"
    if "person_id" in columns:
        return "person_id = :person"
    if "household_id" in columns:
        return "household_id = ANY (CAST(:households AS uuid[]))"
    return None


def _someone(connection: Connection, person_id: UUID, households: list[UUID], held: Held) -> _Someone:
    mentioned = set(UUIDS.findall(json.dumps(held))) - {str(person_id)}
    shared = select(household_member.c.person_id).where(among(household_member.c.household_id, households))
    others = connection.execute(
        select(person.c.person_id, person.c.name)
        .where(among(person.c.person_id, mentioned) | person.c.person_id.in_(shared))
        .where(person.c.person_id != person_id)
    ).all()
    own = select(principal.c.principal_id).where(principal.c.person_id == person_id)
    name = connection.scalar(select(person.c.name).where(person.c.person_id == person_id)) or ""
    return _Someone(
        name,
        frozenset(str(one) for one in connection.scalars(own)),
        frozenset(str(one.person_id) for one in others),
        frozenset(one.name for one in others if one.name not in name),
    )


def _without_others(row: Mapping[str, Any], someone: _Someone) -> dict[str, Any]:
    paid_to_self = row.get("payee_zh") in (None, someone.name)
    kept = {}
    for column, value in row.items():
        by_other = column in BY_SOMEBODY and value not in (None, *someone.principals)
        foreign = by_other or (column in PAID_TO and not paid_to_self)
        kept[column] = SOMEBODY_ELSE if foreign else _masked(value, someone)
    return kept


def _masked(value: Any, someone: _Someone) -> Any:
    if isinstance(value, list):
        return [_masked(one, someone) for one in value]
    if isinstance(value, dict):
        return {name: _masked(one, someone) for name, one in value.items()}
    if isinstance(value, str):
        for word in (*someone.other_names, *someone.other_ids):
            value = value.replace(word, SOMEBODY_ELSE)
    return value
