"""The people who may log in: principals, their passwords and their roles."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, select, text, update

from backend.identity.audit import audit
from backend.identity.errors import BadNameError, LoginTakenError, UnknownEstateError, UnknownPrincipalError
from backend.identity.passwords import hash_password
from backend.identity.principal import Grant, Principal, Role
from backend.identity.tables import login_session, principal, principal_role

LOGIN_MAX = 64
LOGIN = re.compile(r"[^\s\x00-\x1f\x7f]{1,64}")


def principal_by_login(connection: Connection, login: str, now: datetime) -> Principal:
    """The principal in whose name a command runs.

    Raises:
        UnknownPrincipalError: no such login, or disabled.
    """
    row = connection.execute(
        select(principal).where(principal.c.login == normal_login(login), principal.c.disabled_at.is_(None))
    ).one_or_none()
    if row is None:
        raise UnknownPrincipalError(login)
    return read_principal(connection, row, now)


def principals(connection: Connection, now: datetime) -> list[Principal]:
    """Everybody who may log in, by login."""
    rows = connection.execute(
        select(principal).where(principal.c.disabled_at.is_(None)).order_by(principal.c.login)
    ).all()
    return [read_principal(connection, row, now) for row in rows]


def add_principal(
    connection: Connection,
    login: str,
    display_name: str,
    password: str | None,
    *,
    actor: Principal | str,
    now: datetime,
    person_id: UUID | None = None,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> UUID:
    """Create a login, with no role yet; without a password it cannot log in until it gets one.

    Raises:
        LoginTakenError, WeakPasswordError, BadNameError.
    """
    login = normal_login(login)
    if not LOGIN.fullmatch(login):
        raise BadNameError(login)
    principal_id = new_id()
    password_hash = hash_password(password) if password is not None else None
    taken = connection.execute(select(principal.c.login).where(principal.c.login == login)).first()
    if taken is not None:
        raise LoginTakenError(login)
    connection.execute(
        insert(principal).values(
            principal_id=principal_id,
            login=login,
            display_name=display_name,
            password_hash=password_hash,
            person_id=person_id,
            created_at=now,
        )
    )
    audit(connection, actor, "add_principal", "done", "principal", str(principal_id), None, "", now)
    return principal_id


def set_password(
    connection: Connection, principal_id: UUID, password: str, *, actor: Principal | str, now: datetime
) -> None:
    """Give a new password and end all sessions of the old one."""
    store_hash(connection, principal_id, hash_password(password))
    connection.execute(
        update(login_session)
        .where(login_session.c.principal_id == principal_id, login_session.c.ended_at.is_(None))
        .values(ended_at=now)
    )
    audit(connection, actor, "set_password", "done", "principal", str(principal_id), None, "", now)


def grant_role(
    connection: Connection,
    principal_id: UUID,
    role: Role,
    estate_id: str | None,
    *,
    actor: Principal | str,
    now: datetime,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> UUID:
    """Give a role for one estate, or for all when `estate_id` is None, in [valid_from, valid_to).

    Raises:
        UnknownEstateError.
    """
    if estate_id is not None:
        check_estates(connection, [estate_id])
    grant_id = new_id()
    connection.execute(
        insert(principal_role).values(
            grant_id=grant_id,
            principal_id=principal_id,
            role=role,
            estate_id=estate_id,
            valid_from=valid_from or now,
            valid_to=valid_to,
            created_at=now,
        )
    )
    audit(connection, actor, "grant_role", "done", "principal", str(principal_id), estate_id, role, now)
    return grant_id


def end_role(
    connection: Connection,
    principal_id: UUID,
    role: Role,
    estate_id: str | None,
    *,
    actor: Principal | str,
    now: datetime,
) -> int:
    """End every live grant of that role for that estate; returns how many there were."""
    grants = principal_role.c
    ended = connection.execute(
        update(principal_role)
        .where(grants.principal_id == principal_id, grants.role == role)
        .where(grants.estate_id.is_not_distinct_from(estate_id))
        .where(grants.valid_from <= now, grants.valid_to.is_(None) | (grants.valid_to > now))
        .values(valid_to=now)
    )
    audit(connection, actor, "end_role", "done", "principal", str(principal_id), estate_id, role, now)
    return int(ended.rowcount)


def check_estates(connection: Connection, estate_ids: Collection[str]) -> None:
    """Let no scope name an estate that is not registered.

    Raises:
        UnknownEstateError
    """
    # By name: the registry, which owns the table, stands above identity.
    known = connection.scalars(
        text("SELECT estate_id FROM estate WHERE estate_id = ANY(:ids)"), {"ids": list(estate_ids)}
    ).all()
    for estate_id in estate_ids:
        if estate_id not in known:
            raise UnknownEstateError(estate_id)


def normal_login(login: str) -> str:
    """The form in which logins are compared: lower case, no blanks around; too long ones fit nobody."""
    return login.strip().lower()[: LOGIN_MAX + 1]


def store_hash(connection: Connection, principal_id: UUID, password_hash: str) -> None:
    """Replace the password's hash, and nothing else."""
    connection.execute(
        update(principal).where(principal.c.principal_id == principal_id).values(password_hash=password_hash)
    )


def read_principal(connection: Connection, row: Row[Any], now: datetime) -> Principal:
    """A row of the principal table with the grants that are live at `now`."""
    held = connection.execute(
        select(
            principal_role.c.role,
            principal_role.c.estate_id,
            principal_role.c.valid_from,
            principal_role.c.valid_to,
        ).where(principal_role.c.principal_id == row.principal_id)
    )
    grants = (Grant(*grant) for grant in held)
    return Principal(
        principal_id=row.principal_id,
        login=row.login,
        display_name=row.display_name,
        person_id=row.person_id,
        grants=tuple(grant for grant in grants if grant.live(now)),
    )
