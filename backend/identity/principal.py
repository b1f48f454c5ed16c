"""Who somebody is and what they may do: plain values, without a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, Literal
from uuid import UUID

Role = Literal["tenant", "finance", "operator", "supervisor", "admin"]
ROLES: tuple[Role, ...] = ("tenant", "finance", "operator", "supervisor", "admin")
ROLE_NAMES_ZH: dict[str, str] = {
    "tenant": "租户",
    "finance": "财务",
    "operator": "门卫和运营",
    "supervisor": "监管",
    "admin": "管理员",
}


class AllEstates(Enum):
    """The scope of somebody who may act in every estate, also in those of tomorrow."""

    ALL = "all"

    def __contains__(self, estate_id: object) -> bool:
        return isinstance(estate_id, str)


ALL: Final = AllEstates.ALL
Scope = frozenset[str] | AllEstates


@dataclass(frozen=True, slots=True)
class Grant:
    """One role, for one estate or for all (`estate_id` None), in [valid_from, valid_to)."""

    role: Role
    estate_id: str | None
    valid_from: datetime
    valid_to: datetime | None

    def live(self, now: datetime) -> bool:
        """Whether it counts at `now`."""
        return self.valid_from <= now and (self.valid_to is None or now < self.valid_to)


@dataclass(frozen=True, slots=True)
class Principal:
    """A person who is logged in, or in whose name a command runs.

    Attributes:
        person_id: the registered person behind a tenant's login; None for staff.
        grants: only those that were live when the principal was read.
    """

    principal_id: UUID
    login: str
    display_name: str
    person_id: UUID | None
    grants: tuple[Grant, ...]

    @property
    def actor(self) -> str:
        """How the audit log names this principal."""
        return f"principal:{self.principal_id}"

    def may(self, role: Role, estate_id: str) -> bool:
        """Whether the role is held for that estate."""
        return any(g.role == role and g.estate_id in (None, estate_id) for g in self.grants)

    def estates(self, role: Role) -> Scope:
        """Where the role is held; the empty set when it is not held at all."""
        held = [grant.estate_id for grant in self.grants if grant.role == role]
        return ALL if None in held else frozenset(estate for estate in held if estate is not None)

    def holds(self, role: Role) -> bool:
        """Whether the role is held for any estate."""
        return any(grant.role == role for grant in self.grants)
