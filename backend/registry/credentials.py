"""PINs and QR seeds: chosen here, shown once or for half a minute, kept as references."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry.codes import (
    NONCE_BYTES,
    SEED_BYTES,
    Below,
    draw_pin,
    open_seed,
    pin_digits,
    pin_reference,
    seal_seed,
)
from backend.registry.errors import NoRightError
from backend.registry.rights import REGISTRARS
from backend.registry.roster import publish_persons
from backend.registry.tables import door, door_right, pin, qr_seed

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
QR_ID_LENGTH = 10


@dataclass(frozen=True, slots=True)
class IssuedPins:
    """What is shown once, to its holder, and is nowhere afterwards."""

    pin: str
    duress_pin: str


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """A door group that somebody may open now, with the names of its doors that take a credential."""

    estate_id: str
    group_id: str
    name_zh: str
    name_en: str
    credentials: frozenset[str]


def issue_pins(
    connection: Connection,
    person_id: UUID,
    estate_id: str,
    group_id: str,
    key: bytes,
    *,
    actor: Principal,
    now: datetime,
    below: Below = secrets.randbelow,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> IssuedPins:
    """Give somebody a new PIN for a door group, and one for when they are forced; earlier ones end.

    Raises:
        NotAllowedError, NoRightError.
    """
    _check_own(actor, person_id, estate_id, "issue_pin")
    _check_right(connection, person_id, estate_id, group_id, now)
    # One at a time for a group: two drawings at once could choose the same.
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"pin {estate_id} {group_id}"))))
    _end_pins(connection, person_id, estate_id, group_id, now)
    live = connection.scalar(
        select(func.count())
        .select_from(pin)
        .where(pin.c.estate_id == estate_id, pin.c.group_id == group_id, pin.c.ended_at.is_(None))
    )
    digits, drawn = pin_digits(int(live or 0)), []
    for duress in (False, True):
        while True:
            candidate = draw_pin(digits, below)
            written = connection.scalar(
                insert(pin)
                .values(
                    pin_id=new_id(),
                    estate_id=estate_id,
                    group_id=group_id,
                    person_id=person_id,
                    hmac=pin_reference(key, group_id, candidate),
                    duress=duress,
                    issued_at=now,
                )
                .on_conflict_do_nothing()
                .returning(pin.c.pin_id)
            )
            if written is not None:
                drawn.append(candidate)
                break
    audit(connection, actor, "issue_pin", "done", "person", str(person_id), estate_id, group_id, now)
    publish_persons(connection, [person_id], now)
    return IssuedPins(*drawn)


def end_pins(
    connection: Connection, person_id: UUID, estate_id: str, group_id: str, *, actor: Principal, now: datetime
) -> None:
    """Take somebody's PINs of a group back.

    Raises:
        NotAllowedError.
    """
    _check_own(actor, person_id, estate_id, "end_pin")
    _end_pins(connection, person_id, estate_id, group_id, now)
    audit(connection, actor, "end_pin", "done", "person", str(person_id), estate_id, group_id, now)
    publish_persons(connection, [person_id], now)


def qr_of(
    connection: Connection, person_id: UUID, estate_id: str, key: bytes, *, actor: Principal, now: datetime
) -> tuple[str, bytes]:
    """The id and seed of somebody's QR codes in an estate; made at the first time.

    Raises:
        NotAllowedError.
    """
    _check_own(actor, person_id, estate_id, "show_qr")
    live = select(qr_seed.c.qr_id, qr_seed.c.sealed).where(
        qr_seed.c.estate_id == estate_id, qr_seed.c.person_id == person_id, qr_seed.c.ended_at.is_(None)
    )
    row = connection.execute(live).first()
    if row is None:
        qr_id = "".join(secrets.choice(_LETTERS) for _ in range(QR_ID_LENGTH))
        seed, nonce = secrets.token_bytes(SEED_BYTES), secrets.token_bytes(NONCE_BYTES)
        sealed = seal_seed(key, estate_id, qr_id, seed, nonce)
        connection.execute(
            insert(qr_seed)
            .values(qr_id=qr_id, estate_id=estate_id, person_id=person_id, sealed=sealed, created_at=now)
            .on_conflict_do_nothing()
        )
        audit(connection, actor, "make_qr", "done", "person", str(person_id), estate_id, "", now)
        publish_persons(connection, [person_id], now)
        row = connection.execute(live).one()
    return row.qr_id, open_seed(key, estate_id, row.qr_id, row.sealed)


def renew_qr(
    connection: Connection, person_id: UUID, estate_id: str, *, actor: Principal, now: datetime
) -> None:
    """Make all earlier QR codes of somebody worthless, as after a lost phone; the next look makes a new seed.

    Raises:
        NotAllowedError.
    """
    _check_own(actor, person_id, estate_id, "renew_qr")
    connection.execute(
        update(qr_seed)
        .where(
            qr_seed.c.estate_id == estate_id, qr_seed.c.person_id == person_id, qr_seed.c.ended_at.is_(None)
        )
        .values(ended_at=now)
    )
    audit(connection, actor, "renew_qr", "done", "person", str(person_id), estate_id, "", now)
    publish_persons(connection, [person_id], now)


def open_groups(connection: Connection, person_id: UUID, now: datetime) -> list[OpenGroup]:
    """Where somebody has a right now, by estate and group, with what the doors there take."""
    rows = connection.execute(
        select(door)
        .join(
            door_right,
            (door_right.c.estate_id == door.c.estate_id) & (door_right.c.group_id == door.c.group_id),
        )
        .where(
            door_right.c.person_id == person_id,
            door_right.c.starts_at <= now,
            door_right.c.ends_at.is_(None) | (door_right.c.ends_at > now),
            door.c.active,
        )
        .order_by(door.c.estate_id, door.c.group_id, door.c.way, door.c.device_id)
    )
    found: dict[tuple[str, str], OpenGroup] = {}
    for row in rows:
        place = (row.estate_id, row.group_id)
        before = found.get(place)
        name_zh, name_en = (before.name_zh, before.name_en) if before else (row.name_zh, row.name_en)
        taken = frozenset(row.credentials) | (before.credentials if before else frozenset())
        found[place] = OpenGroup(row.estate_id, row.group_id, name_zh, name_en, taken)
    return list(found.values())


def _check_own(actor: Principal, person_id: UUID, estate_id: str, action: str) -> None:
    """People handle their own codes; for others, who hands out rights does it."""
    if actor.person_id is None or actor.person_id != person_id:
        check_role(actor, action, estate_id, *REGISTRARS)


def _check_right(
    connection: Connection, person_id: UUID, estate_id: str, group_id: str, now: datetime
) -> None:
    held = {(one.estate_id, one.group_id) for one in open_groups(connection, person_id, now)}
    if (estate_id, group_id) not in held:
        raise NoRightError(group_id)


def _end_pins(connection: Connection, person_id: UUID, estate_id: str, group_id: str, now: datetime) -> None:
    connection.execute(
        update(pin)
        .where(
            pin.c.person_id == person_id,
            pin.c.estate_id == estate_id,
            pin.c.group_id == group_id,
            pin.c.ended_at.is_(None),
        )
        .values(ended_at=now)
    )
