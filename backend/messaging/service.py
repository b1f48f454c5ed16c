"""The use cases of messages: write one down, hand over what is due, ask what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Row, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert

from backend.db.arrays import among
from backend.messaging.errors import AddressError
from backend.messaging.port import (
    Channel,
    Delivery,
    Fate,
    MessageRefusedError,
    Messenger,
    MessengerUnavailableError,
    Outgoing,
)
from backend.messaging.rules import give_up, next_try, read_address
from backend.messaging.settings import MessageSettings
from backend.messaging.tables import message, message_address

# The worker listens to it: a message that was just written leaves at once.
NOTIFY_CHANNEL = "estate_message"


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to one person.

    Attributes:
        idempotency_key: what it is about; a second one with the same key is not written.
    """

    idempotency_key: str
    estate_id: str
    household_id: UUID | None
    person_id: UUID
    text_zh: str


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message and what became of it, without its address."""

    message_id: UUID
    channel: Channel
    text_zh: str
    state: str
    reason: str | None
    created_at: datetime
    sent_at: datetime | None
    finished_at: datetime | None


def set_address(
    connection: Connection, person_id: UUID, channel: Channel, address: str, now: datetime
) -> None:
    """Where a person is reached; replaces the former address.

    Raises:
        AddressError: it is no telephone number or open id.
    """
    values = {"address": read_address(channel, address), "updated_at": now}
    connection.execute(
        insert(message_address)
        .values(person_id=person_id, channel=channel.value, **values)
        .on_conflict_do_update(index_elements=["person_id", "channel"], set_=values)
    )


def write(connection: Connection, new: NewMessage, now: datetime) -> int:
    """Put a message into the outbox, on each channel on which the person is reached.

    Returns:
        How many were written: 0 where the same was written before, or nobody knows an address.
    """
    found = connection.execute(
        select(message_address).where(message_address.c.person_id == new.person_id)
    ).all()
    if not found:
        return 0
    rows = [
        {
            "message_id": uuid4(),
            "idempotency_key": f"{new.idempotency_key}:{new.person_id}:{row.channel}",
            "estate_id": new.estate_id,
            "household_id": new.household_id,
            "person_id": new.person_id,
            "channel": row.channel,
            "address": row.address,
            "text_zh": new.text_zh,
            "state": "waiting",
            "attempts": 0,
            "created_at": now,
            "next_try_at": now,
        }
        for row in found
    ]
    written = connection.execute(
        insert(message).values(rows).on_conflict_do_nothing().returning(message.c.message_id)
    ).all()
    if written:
        connection.exec_driver_sql(f"NOTIFY {NOTIFY_CHANNEL}")
    return len(written)


def work_messages(
    engine: Engine, messenger: Messenger, now: datetime, limit: int, rules: MessageSettings
) -> int:
    """Hand over what waits, and ask about what was handed over; returns how many were looked at.

    A message is claimed by moving its next attempt into the future before the messenger is asked, so that
    two workers do not take the same, and one that died is taken up again; its id keeps it from being sent
    twice.
    """
    rows = _claim(engine, now, limit, rules)
    for row in rows:
        values = _hand_over(messenger, row, now, rules) if row.state == "waiting" else None
        if row.state == "sent":
            values = _ask(messenger, row, now, rules)
        if values:
            with engine.begin() as connection:
                connection.execute(
                    update(message)
                    .where(message.c.message_id == row.message_id, message.c.finished_at.is_(None))
                    .values(**values)
                )
    return len(rows)


def messages_of(connection: Connection, household_ids: Iterable[UUID], limit: int) -> list[MessageView]:
    """The latest messages to these households, newest first."""
    rows = connection.execute(
        select(message)
        .where(among(message.c.household_id, household_ids))
        .order_by(message.c.created_at.desc(), message.c.message_id)
        .limit(limit)
    )
    return [_view(row) for row in rows]


def messages_by_household(connection: Connection, household_ids: Iterable[UUID]) -> dict[UUID, MessageView]:
    """The latest message to each of these households."""
    rows = connection.execute(
        select(message)
        .ext(distinct_on(message.c.household_id))
        .where(among(message.c.household_id, household_ids))
        .order_by(message.c.household_id, message.c.created_at.desc(), message.c.message_id)
    )
    return {row.household_id: _view(row) for row in rows}


def _view(row: Row[Any]) -> MessageView:
    return MessageView(
        row.message_id,
        Channel(row.channel),
        row.text_zh,
        row.state,
        row.reason,
        row.created_at,
        row.sent_at,
        row.finished_at,
    )


def _claim(engine: Engine, now: datetime, limit: int, rules: MessageSettings) -> list[Row[Any]]:
    with engine.begin() as connection:
        due = (
            select(message.c.message_id)
            .where(message.c.next_try_at <= now)
            .order_by(message.c.next_try_at, message.c.message_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return list(
            connection.execute(
                update(message)
                .where(message.c.message_id.in_(due.scalar_subquery()))
                .values(
                    next_try_at=now + timedelta(seconds=rules.claim_seconds),
                    attempts=message.c.attempts + 1,
                )
                .returning(message)
            )
        )


def _hand_over(messenger: Messenger, row: Row[Any], now: datetime, rules: MessageSettings) -> dict[str, Any]:
    outgoing = Outgoing(row.message_id, Channel(row.channel), row.address, row.text_zh)
    try:
        ref = messenger.send(outgoing)
    except MessageRefusedError as refused:
        return _end("refused", refused.reason, now)
    except MessengerUnavailableError as away:
        if give_up(row.created_at, now, rules):
            return _end("failed", away.reason, now)
        return {"next_try_at": next_try(row.attempts, now, rules), "reason": away.reason}
    return {
        "state": "sent",
        "messenger": messenger.name,
        "messenger_ref": ref,
        "sent_at": now,
        "reason": None,
        "attempts": 0,
        "next_try_at": next_try(1, now, rules),
    }


def _ask(messenger: Messenger, row: Row[Any], now: datetime, rules: MessageSettings) -> dict[str, Any]:
    try:
        found = messenger.delivery(row.messenger_ref)
    except MessengerUnavailableError as away:
        found = Delivery(Fate.UNDERWAY, None, away.reason)
    except MessageRefusedError as refused:
        return _end("failed", refused.reason, now)
    if found.fate is Fate.DELIVERED:
        return _end("delivered", None, found.at or now)
    if found.fate is Fate.FAILED:
        return _end("failed", found.reason or "no reason given", found.at or now)
    if give_up(row.sent_at, now, rules):
        return _end("failed", "no proof of delivery in time", now)
    return {"next_try_at": next_try(row.attempts, now, rules)}


def _end(state: str, reason: str | None, at: datetime) -> dict[str, Any]:
    return {"state": state, "reason": reason, "finished_at": at, "next_try_at": None}


__all__ = [
    "NOTIFY_CHANNEL",
    "AddressError",
    "MessageView",
    "NewMessage",
    "messages_by_household",
    "messages_of",
    "set_address",
    "work_messages",
    "write",
]
