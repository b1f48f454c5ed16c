"""Who may propose and approve what: a file, kept in a table that only the owner writes."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
import psycopg
from msgspec import Meta

from backend.identity.principal import Role
from estate.config import SettingsError, convert, read_toml

Text = Annotated[str, Meta(min_length=1)]
Roles = Annotated[tuple[Role, ...], Meta(min_length=1)]


class KindRights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of proposal: its names, and the roles that may propose and approve it."""

    kind: Annotated[str, Meta(pattern="^[a-z_]{1,40}$")]
    name_zh: Text
    name_en: Text
    propose: Roles
    approve: Roles


class RightsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    kind: tuple[KindRights, ...]


def read_rights(path: Path | None = None) -> tuple[KindRights, ...]:
    """Read a file of rights; without a path, the one that comes with the software.

    Raises:
        SettingsError: a wrong key or value, a tenant among those who approve, or a kind twice.
    """
    if path is None:
        with resources.as_file(resources.files("backend.approvals") / "rights.toml") as packaged:
            return read_rights(packaged)
    kinds = convert(RightsFile, read_toml(path), str(path)).kind
    names = [one.kind for one in kinds]
    for one in kinds:
        if names.count(one.kind) > 1:
            raise SettingsError(str(path), "kind", f"重复 (twice): {one.kind}")
        if "tenant" in one.approve:
            raise SettingsError(str(path), f"kind.{one.kind}", "租户不能审批 (a tenant never approves)")
    return kinds


def store_rights(owner: psycopg.Connection[tuple[object, ...]], kinds: tuple[KindRights, ...]) -> None:
    """Bring the table in line with the file; a kind that the file leaves out stays as it is."""
    with owner.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO approval_kind (kind, name_zh, name_en, propose_roles, approve_roles)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (kind) DO UPDATE SET name_zh = excluded.name_zh,"
            " name_en = excluded.name_en, propose_roles = excluded.propose_roles,"
            " approve_roles = excluded.approve_roles",
            [(one.kind, one.name_zh, one.name_en, list(one.propose), list(one.approve)) for one in kinds],
        )
