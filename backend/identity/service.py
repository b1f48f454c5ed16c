"""Logging in and out, and who a session belongs to."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from backend.identity.accounts import LOGIN, normal_login, read_principal, store_hash
from backend.identity.audit import audit, audit_refusal
from backend.identity.errors import LoginRefusedError, NotAllowedError, TooManyAttemptsError
from backend.identity.limits import Limit, charge, forget_old, refund
from backend.identity.passwords import hash_password, needs_rehash, verify_password
from backend.identity.principal import ALL, Grant, Principal, Role, Scope
from backend.identity.tables import login_session, principal
from backend.settings import LoginSettings

__all__ = [
    "ALL",
    "Grant",
    "Principal",
    "Role",
    "Scope",
    "audit",
    "audit_refusal",
    "check_role",
    "log_in",
    "log_out",
    "principal_of",
]

# A session's last use is written down at most this often.
SEEN_EVERY = timedelta(minutes=1)
TOKEN_BYTES = 32

log = structlog.get_logger()


def check_role(who: Principal, action: str, estate_id: str, *roles: Role) -> None:
    """Let nobody pass who holds none of `roles` for the estate.

    Raises:
        NotAllowedError: audited by whoever catches it at the edge.
    """
    if not any(who.may(role, estate_id) for role in roles):
        raise NotAllowedError(who.actor, action, roles, estate_id)


def log_in(
    engine: Engine, login: str, password: str, *, address: str, now: datetime, rules: LoginSettings
) -> str:
    """Begin a session and return its token, which is stored nowhere but with the browser.

    It takes the engine and not a connection: attempts are counted, and refusals audited, in transactions
    of their own that no error rolls back, and no connection is held while the hash is computed.

    Raises:
        LoginRefusedError: unknown login, wrong password or disabled; all cost the same time.
        TooManyAttemptsError: too many failures of this login or from this address.
    """
    login = normal_login(login)
    by_login, by_address = _limits(rules)
    _charge(engine, [(by_login, login), (by_address, address)], now)
    row = _find(engine, login)
    usable = row is not None and row.disabled_at is None
    fits = verify_password(row.password_hash if row is not None and usable else None, password)
    if row is None or not fits:
        _refuse_login(engine, row, now)
        raise LoginRefusedError
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with engine.begin() as connection:
        refund(connection, by_address, address)
        refund(connection, by_login, login, whole=True)
        for limit in (by_login, by_address):
            forget_old(connection, limit, now)
        if needs_rehash(row.password_hash):
            store_hash(connection, row.principal_id, hash_password(password))
        _begin_session(connection, row.principal_id, token, now, rules)
        audit(connection, _actor(row), "log_in", "done", "principal", str(row.principal_id), None, "", now)
    return token


def log_out(connection: Connection, token: str, now: datetime) -> None:
    """End a session; an unknown or ended one is left as it is."""
    connection.execute(
        update(login_session)
        .where(login_session.c.token_sha256 == digest(token), login_session.c.ended_at.is_(None))
        .values(ended_at=now)
    )


def principal_of(connection: Connection, token: str, now: datetime, rules: LoginSettings) -> Principal | None:
    """Who a session's token belongs to; None when it ended, expired or never was. Slides the expiry."""
    key = digest(token)
    seen = connection.execute(
        select(login_session.c.seen_at, principal)
        .join(principal, principal.c.principal_id == login_session.c.principal_id)
        .where(
            login_session.c.token_sha256 == key,
            login_session.c.ended_at.is_(None),
            login_session.c.seen_at > now - timedelta(minutes=rules.idle_minutes),
            login_session.c.created_at > now - timedelta(hours=rules.session_hours),
            principal.c.disabled_at.is_(None),
        )
    ).one_or_none()
    if seen is None:
        return None
    if seen.seen_at <= now - SEEN_EVERY:
        connection.execute(
            update(login_session).where(login_session.c.token_sha256 == key).values(seen_at=now)
        )
    return read_principal(connection, seen, now)


def digest(token: str) -> bytes:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode()).digest()


def _find(engine: Engine, login: str) -> Row[Any] | None:
    if not LOGIN.fullmatch(login):
        return None
    with engine.begin() as connection:
        return connection.execute(select(principal).where(principal.c.login == login)).one_or_none()


def _limits(rules: LoginSettings) -> tuple[Limit, Limit]:
    window = timedelta(minutes=rules.attempts_minutes)
    return (
        Limit("login", rules.attempts_by_login, window),
        Limit("login_address", rules.attempts_by_address, window),
    )


def _charge(engine: Engine, attempts: list[tuple[Limit, str]], now: datetime) -> None:
    with engine.begin() as connection:
        charged = [(limit, charge(connection, limit, subject, now)) for limit, subject in attempts]
        for limit, state in charged:
            # The first refusal of a window is audited, the rest only logged: no one may fill the log.
            if state.hits == limit.hits_max + 1:
                audit(connection, "unknown", "log_in", "refused", "limit", limit.bucket, None, "rate", now)
    wait_s = max(state.retry_after_s for _, state in charged)
    if wait_s:
        log.warning("login_limited", retry_after_s=wait_s)
        raise TooManyAttemptsError(wait_s)


def _refuse_login(engine: Engine, row: Row[Any] | None, now: datetime) -> None:
    log.warning("login_refused", known=row is not None)
    object_id = str(row.principal_id) if row is not None else "unknown"
    with engine.begin() as connection:
        audit(connection, "unknown", "log_in", "refused", "principal", object_id, None, "login_refused", now)


def _begin_session(
    connection: Connection, principal_id: UUID, token: str, now: datetime, rules: LoginSettings
) -> None:
    oldest = now - timedelta(hours=rules.session_hours)
    connection.execute(
        delete(login_session).where(
            login_session.c.principal_id == principal_id, login_session.c.created_at <= oldest
        )
    )
    connection.execute(
        insert(login_session).values(
            token_sha256=digest(token), principal_id=principal_id, created_at=now, seen_at=now
        )
    )


def _actor(row: Row[Any]) -> str:
    return f"principal:{row.principal_id}"
