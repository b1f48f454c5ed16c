"""Everything that is held of a person, for that person: JSON for programs and a page for people, zipped.

The tables are found by their columns and not by a list, so that what another capability adds is in it, too.
"""

from __future__ import annotations

import html
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, text

from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry.errors import UnknownThingError
from backend.registry.keys import MasterKey
from backend.registry.rights import REGISTRARS
from backend.registry.tables import household_member, person
from backend.retention.evidence import open_sealed
from backend.retention.tables import evidence

# Columns that are secrets of the system, or of nobody's understanding.
SECRET_WORDS = ("hmac", "sealed", "wrapped", "hash", "sha256", "secret", "seed", "token", "signature", "pin")
TITLES = {
    "person": "本人登记",
    "household_member": "家庭成员关系",
    "tenancy": "租约",
    "door_right": "通行权限",
    "card": "门卡",
    "consent": "同意记录",
    "access_record": "通行记录",
    "erasure_order": "人脸删除指令",
    "erasure_certificate": "人脸删除证明",
    "evidence": "证明文件",
    "principal": "登录账号",
    "audit_record": "与本人有关的操作记录",
    "rent_charge": "租金应收",
    "payment": "收款",
}
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
PAGE_HEAD = """<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>我的信息</title>
<style>body{font:18px/1.6 sans-serif;max-width:60em;margin:auto;padding:1em}
table{border-collapse:collapse;width:100%;margin:0 0 1em}td{border:1px solid #bbb;padding:.3em}
td:first-child{width:14em}</style></head><body>"""
SUFFIXES = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}


def person_file(
    connection: Connection, master_key: MasterKey, person_id: UUID, *, actor: Principal, now: datetime
) -> bytes:
    """A zip with `person.json`, `person.html` and the evidence files; made for the person or by a registrar.

    Raises:
        UnknownThingError, NotAllowedError.
    """
    estate_id = connection.scalar(select(person.c.estate_id).where(person.c.person_id == person_id))
    if estate_id is None:
        raise UnknownThingError("person", person_id)
    if actor.person_id != person_id:
        check_role(actor, "export_person", estate_id, *REGISTRARS)
    audit(connection, actor, "export_person", "done", "person", str(person_id), estate_id, "", now)
    held = everything_held(connection, person_id)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("person.json", json.dumps(held, ensure_ascii=False, indent=2))
        archive.writestr("person.html", _page(held, now))
        for name, body in _files(connection, master_key, person_id):
            archive.writestr(f"evidence/{name}", body)
    return target.getvalue()


def everything_held(connection: Connection, person_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """The rows about a person and the person's households, by table; secrets left out."""
    households = list(
        connection.scalars(
            select(household_member.c.household_id).where(household_member.c.person_id == person_id)
        )
    )
    held: dict[str, list[dict[str, Any]]] = {}
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
    return held


def _condition(table: str, columns: Iterable[str]) -> str | None:
    if table == "audit_record":
        return "object_kind = 'person' AND object_id = CAST(:person AS text)"
    if "person_id" in columns:
        return "person_id = :person"
    if "household_id" in columns:
        return "household_id = ANY (CAST(:households AS uuid[]))"
    return None


def _files(connection: Connection, master_key: MasterKey, person_id: UUID) -> Iterable[tuple[str, bytes]]:
    rows = connection.execute(
        select(evidence).where(evidence.c.person_id == person_id, evidence.c.sealed.is_not(None))
    )
    for row in rows:
        name = f"{row.kind}-{row.evidence_id}.{SUFFIXES[row.media_type]}"
        yield name, open_sealed(master_key, row.evidence_id, row.wrapped_key, row.sealed)


def _page(held: Mapping[str, list[dict[str, Any]]], now: datetime) -> str:
    parts = [PAGE_HEAD, f"<h1>我的信息 What is held of me</h1><p>{now:%Y-%m-%d %H:%M} UTC</p>"]
    for table, rows in held.items():
        parts.append(f"<h2>{html.escape(TITLES.get(table, table))} <small>{html.escape(table)}</small></h2>")
        for row in rows:
            cells = "".join(
                f"<tr><td>{html.escape(name)}</td><td>{html.escape(_readable(value))}</td></tr>"
                for name, value in row.items()
            )
            parts.append(f"<table>{cells}</table>")
    parts.append("</body></html>")
    return "\n".join(parts)


def _readable(value: object) -> str:
    if value is None:
        return "—"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
