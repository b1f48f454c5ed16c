"""A household lets somebody else pay for it: by a link that only its holder knows, for a while.

The link shows the amount, the estate and a masked unit. Its word is 256 random bits; we keep its hash, so
that nobody who reads the table can use it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, insert, select, update

from backend.identity.principal import Principal
from backend.payments.checkouts import check_payer
from backend.payments.errors import (
    AmountOutOfRangeError,
    LinkExpiredError,
    LinkRevokedError,
    LinkUnknownError,
)
from backend.payments.settings import PaymentRules
from backend.payments.tables import pay_link
from backend.registry.homes import latest_home
from backend.registry.tables import estate
from backend.rent.service import household_statement

WORD_BYTES = 32


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link as its makers see it, without its word.

    Attributes:
        amount_fen: None for whatever is owed.
    """

    link_id: UUID
    amount_fen: int | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody with the link sees.

    Attributes:
        masked_zh: building and unit with most of them hidden; `unit_zh` is for a payer who has confirmed.
        owed_fen: what the household owes now.
    """

    link_id: UUID
    household_id: UUID
    principal_id: UUID
    estate_id: str
    estate_zh: str
    masked_zh: str
    unit_zh: str
    amount_fen: int
    owed_fen: int
    expires_at: datetime


def make_link(
    connection: Connection,
    household_id: UUID,
    principal: Principal,
    now: datetime,
    rules: PaymentRules,
    amount_fen: int | None = None,
) -> tuple[UUID, str]:
    """Make a link for this household; returns its id and its word, which is told once.

    Raises:
        HouseholdUnknownError, ForeignHouseholdError
        AmountOutOfRangeError: an amount that the household could not pay itself.
    """
    estate_id = check_payer(connection, household_id, principal, "payments.make_link", now)
    if amount_fen is not None:
        limit_fen = household_statement(connection, household_id).total_owed_fen + rules.prepay_limit_fen
        if not 1 <= amount_fen <= limit_fen:
            raise AmountOutOfRangeError(amount_fen, limit_fen)
    return _make(connection, estate_id, household_id, principal.principal_id, amount_fen, now, rules)


def make_link_for(connection: Connection, agreed: Row[Any], now: datetime, rules: PaymentRules) -> str:
    """The word of a link for a household that agreed to be reminded; `agreed` says for whom."""
    _, word = _make(connection, agreed.estate_id, agreed.household_id, agreed.principal_id, None, now, rules)
    return word


def _make(
    connection: Connection,
    estate_id: str,
    household_id: UUID,
    principal_id: UUID,
    amount_fen: int | None,
    now: datetime,
    rules: PaymentRules,
) -> tuple[UUID, str]:
    word, link_id = secrets.token_urlsafe(WORD_BYTES), uuid4()
    connection.execute(
        insert(pay_link).values(
            link_id=link_id,
            token_hash=_hash(word),
            estate_id=estate_id,
            household_id=household_id,
            principal_id=principal_id,
            amount_fen=amount_fen,
            created_at=now,
            expires_at=now + timedelta(hours=rules.pay_link_hours),
        )
    )
    return link_id, word


def links_of(connection: Connection, household_id: UUID, now: datetime) -> list[LinkView]:
    """The links that still work, newest first."""
    rows = connection.execute(
        select(pay_link)
        .where(
            pay_link.c.household_id == household_id,
            pay_link.c.expires_at > now,
            pay_link.c.revoked_at.is_(None),
        )
        .order_by(pay_link.c.created_at.desc(), pay_link.c.link_id)
    )
    return [
        LinkView(row.link_id, row.amount_fen, row.created_at, row.expires_at, row.revoked_at) for row in rows
    ]


def revoke_link(connection: Connection, link_id: UUID, principal: Principal, now: datetime) -> None:
    """Take a link back; it opens nothing from now on.

    Raises:
        LinkUnknownError, ForeignHouseholdError
    """
    row = connection.execute(select(pay_link).where(pay_link.c.link_id == link_id)).one_or_none()
    if row is None:
        raise LinkUnknownError
    check_payer(connection, row.household_id, principal, "payments.revoke_link", now)
    connection.execute(
        update(pay_link)
        .where(pay_link.c.link_id == link_id, pay_link.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def open_link(connection: Connection, word: str, now: datetime) -> Asked:
    """What the holder of a link is asked for.

    Raises:
        LinkUnknownError, LinkExpiredError, LinkRevokedError
    """
    row = connection.execute(select(pay_link).where(pay_link.c.token_hash == _hash(word))).one_or_none()
    if row is None:
        raise LinkUnknownError
    if row.revoked_at is not None:
        raise LinkRevokedError
    if now >= row.expires_at:
        raise LinkExpiredError
    home = latest_home(connection, row.household_id)
    owed_fen = household_statement(connection, row.household_id).total_owed_fen
    return Asked(
        link_id=row.link_id,
        household_id=row.household_id,
        principal_id=row.principal_id,
        estate_id=row.estate_id,
        estate_zh=_estate_zh(connection, row.estate_id),
        masked_zh=masked(home.building_zh, home.number) if home is not None else "＊",
        unit_zh=f"{home.building_zh} {home.number}" if home is not None else "",
        amount_fen=owed_fen if row.amount_fen is None else row.amount_fen,
        owed_fen=owed_fen,
        expires_at=row.expires_at,
    )


def masked(building_zh: str, number: str) -> str:
    """Enough for somebody who knows the home, and too little for anybody else: `＊栋 ＊＊01`."""
    kind = building_zh[-1:] if building_zh[-1:] in {"栋", "座", "幢", "楼"} else ""
    tail = re.sub(r"\d", "＊", number[:-2]) + number[-2:] if len(number) > 2 else "＊" + number[-1:]
    return f"＊{kind} {tail}"


def _hash(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()


def _estate_zh(connection: Connection, estate_id: str) -> str:
    return str(
        connection.execute(select(estate.c.name_zh).where(estate.c.estate_id == estate_id)).scalar_one()
    )
