"""Paying every month: a kept card after a notice in advance, or a reminder with one tap for wallets.

A card is only charged for a tenant who agreed to this wording, up to the limit they gave, after they were
told the amount and the day; what cannot be charged is left to them, and they are told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4, uuid5

import structlog
from sqlalchemy import Connection, Engine, Row, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from backend.identity.principal import Principal
from backend.identity.tables import principal as principals
from backend.messaging.service import NewMessage, write
from backend.payments.checkouts import FIRST_CHECK_AFTER, Wanted, check_payer, order_of, write_down
from backend.payments.errors import AutopayRunsError
from backend.payments.links import make_link_for
from backend.payments.port import (
    CardKeeper,
    CheckoutState,
    Method,
    ProviderRefusedError,
    ProviderUnavailableError,
)
from backend.payments.providers import Providers
from backend.payments.settings import PaymentRules
from backend.payments.settlement import Settled, settle
from backend.payments.tables import autopay, autopay_run, checkout
from backend.payments.windows import closure_at
from backend.registry.rules import local_day
from backend.rent.service import household_statement

CONSENT_VERSION = 1
CONSENT_ZH = (
    "我同意每月由这张银行卡自动交房租和费用。扣款前几天会先告诉我金额和日期；每月不超过我填写的限额；"
    "我可以随时关闭，关闭后不再扣款。"
)
# Any number of ours: what the charges of a month are named after.
RUNS = UUID("7a1c0f52-3f3e-4a0c-9a75-2d4c1b1f9e33")
# A provider keeps an idempotency key for a day; after that, asking again could be a second charge.
ASK_AGAIN_FOR = timedelta(hours=23)
Kind = Literal["card", "reminder"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class AutopayView:
    """What runs for a household; `ready` once the card is known."""

    autopay_id: UUID
    kind: Kind
    limit_fen: int
    consented_at: datetime
    ready: bool


def agree(
    connection: Connection,
    household_id: UUID,
    kind: Kind,
    provider: str,
    limit_fen: int,
    principal: Principal,
    now: datetime,
) -> UUID:
    """A tenant agrees to a monthly charge of their card, or asks for a monthly reminder.

    Raises:
        HouseholdUnknownError, ForeignHouseholdError
        AutopayRunsError: one of the two runs already.
    """
    estate_id = check_payer(connection, household_id, principal, "payments.agree_autopay", now)
    autopay_id = uuid4()
    made = connection.execute(
        upsert(autopay)
        .values(
            autopay_id=autopay_id,
            estate_id=estate_id,
            household_id=household_id,
            principal_id=principal.principal_id,
            kind=kind,
            provider=provider,
            consent_version=CONSENT_VERSION,
            limit_fen=limit_fen,
            consented_at=now,
        )
        .on_conflict_do_nothing()
        .returning(autopay.c.autopay_id)
    ).scalar_one_or_none()
    if made is None:
        raise AutopayRunsError
    return autopay_id


def end(connection: Connection, household_id: UUID, principal: Principal, now: datetime) -> None:
    """Nothing is charged and nobody reminded any more; again, it is nothing new.

    Raises:
        HouseholdUnknownError, ForeignHouseholdError
    """
    check_payer(connection, household_id, principal, "payments.end_autopay", now)
    connection.execute(
        update(autopay)
        .where(autopay.c.household_id == household_id, autopay.c.ended_at.is_(None))
        .values(ended_at=now, ended_why="withdrawn")
    )


def autopay_of(connection: Connection, household_id: UUID) -> AutopayView | None:
    """What runs for a household."""
    row = connection.execute(
        select(autopay).where(autopay.c.household_id == household_id, autopay.c.ended_at.is_(None))
    ).one_or_none()
    if row is None:
        return None
    ready = row.kind == "reminder" or row.card_ref is not None
    return AutopayView(row.autopay_id, row.kind, row.limit_fen, row.consented_at, ready)


def run_autopay(
    engine: Engine, providers: Providers, now: datetime, rules: PaymentRules, public_url: str
) -> int:
    """Everything that is due today; returns how much was done. Safe to repeat."""
    done = _each(_new_cards(engine), lambda row: _learn_card(engine, providers, row))
    done += _each(_to_tell(engine, now, rules), lambda row: _tell(engine, row, now, rules, public_url))
    return done + _each(_to_take(engine, now), lambda row: _take(engine, providers, row, now, rules))


def _each(rows: list[Row[Any]], do: Callable[[Row[Any]], bool]) -> int:
    done = 0
    for row in rows:
        try:
            done += do(row)
        except (ProviderUnavailableError, ProviderRefusedError) as error:
            log.warning("autopay_postponed", autopay_id=str(row.autopay_id), reason=error.reason)
        except Exception:
            log.exception("autopay_failed", autopay_id=str(row.autopay_id))
    return done


def _new_cards(engine: Engine) -> list[Row[Any]]:
    """Cards whose first payment is through, and whose reference nobody has asked for yet."""
    with engine.connect() as connection:
        return list(
            connection.execute(
                select(autopay.c.autopay_id, autopay.c.provider, checkout.c.provider_ref)
                .join(checkout, checkout.c.autopay_id == autopay.c.autopay_id)
                .where(
                    autopay.c.card_ref.is_(None),
                    autopay.c.ended_at.is_(None),
                    checkout.c.keep_card,
                    checkout.c.state == CheckoutState.PAID.value,
                )
            )
        )


def _learn_card(engine: Engine, providers: Providers, row: Row[Any]) -> bool:
    card_ref = providers.get(row.provider).status(row.provider_ref).card_ref
    if card_ref is None:
        return False
    with engine.begin() as connection:
        connection.execute(
            update(autopay).where(autopay.c.autopay_id == row.autopay_id).values(card_ref=card_ref)
        )
    return True


def _to_tell(engine: Engine, now: datetime, rules: PaymentRules) -> list[Row[Any]]:
    today = local_day(now)
    if today < _take_on(today, rules) - timedelta(days=rules.autopay_notice_days):
        return []
    told = select(autopay_run.c.autopay_id).where(autopay_run.c.month == today.replace(day=1))
    with engine.connect() as connection:
        return list(
            connection.execute(
                select(autopay, principals.c.person_id)
                .join(principals, principals.c.principal_id == autopay.c.principal_id)
                .where(
                    autopay.c.ended_at.is_(None),
                    (autopay.c.kind == "reminder") | autopay.c.card_ref.is_not(None),
                    autopay.c.autopay_id.not_in(told),
                )
            )
        )


def _tell(engine: Engine, row: Row[Any], now: datetime, rules: PaymentRules, public_url: str) -> bool:
    """Say what will be taken and when, or remind with one tap; whoever owes nothing is left alone."""
    today = local_day(now)
    month = today.replace(day=1)
    with engine.begin() as connection:
        owed_fen = household_statement(connection, row.household_id).total_owed_fen
        if owed_fen == 0:
            return False
        reminder = row.kind == "reminder"
        # Told late, it is taken late: the days in advance are kept.
        take_on = max(_take_on(today, rules), today + timedelta(days=rules.autopay_notice_days))
        made = connection.execute(
            upsert(autopay_run)
            .values(
                autopay_id=row.autopay_id,
                month=month,
                told_at=now,
                take_on=take_on,
                skipped_why="reminded" if reminder else None,
            )
            .on_conflict_do_nothing()
            .returning(autopay_run.c.month)
        ).scalar_one_or_none()
        if made is None:
            return False
        if reminder:
            word = make_link_for(connection, row, now, rules)
            text = (
                f"本月房租和费用共 {_yuan(owed_fen)} 元。点开即可付款：{public_url.rstrip('/')}/pay/{word}"
                f"（{rules.pay_link_hours} 小时内有效）。"
            )
        else:
            text = (
                f"{take_on.month}月{take_on.day}日将从您绑定的银行卡扣房租和费用"
                f" {_yuan(min(owed_fen, row.limit_fen))} 元。"
                "不想扣，请在此之前到“我的房租”关闭自动缴费。"
            )
        _say(connection, row, f"autopay:{row.autopay_id}:{month}:told", text, now)
    return True


def _to_take(engine: Engine, now: datetime) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(
            connection.execute(
                select(autopay, autopay_run.c.month, autopay_run.c.checkout_id, principals.c.person_id)
                .join(autopay_run, autopay_run.c.autopay_id == autopay.c.autopay_id)
                .join(principals, principals.c.principal_id == autopay.c.principal_id)
                .outerjoin(checkout, checkout.c.checkout_id == autopay_run.c.checkout_id)
                .where(
                    autopay.c.kind == "card",
                    autopay_run.c.take_on <= local_day(now),
                    autopay_run.c.skipped_why.is_(None),
                    # Not begun, or begun and without an answer.
                    autopay_run.c.checkout_id.is_(None) | (checkout.c.state == CheckoutState.ASKED.value),
                )
            )
        )


def _take(engine: Engine, providers: Providers, row: Row[Any], now: datetime, rules: PaymentRules) -> bool:
    if closure_at(rules, row.estate_id, now) is not None:
        return False
    if row.ended_at is not None and row.checkout_id is None:
        return _skip(engine, row, "withdrawn")
    keeper = providers.get(row.provider)
    if not isinstance(keeper, CardKeeper):
        return _skip(engine, row, "provider_keeps_no_cards")
    asked = _written_down(engine, row, keeper.name, now, rules)
    if asked is None:
        return _skip(engine, row, "nothing_owed")
    if now - asked.created_at > ASK_AGAIN_FOR:
        # Whether it was charged stands in the provider's account, where reconciliation finds it.
        return _skip(engine, row, "no_answer")
    told = keeper.charge_card(order_of(asked), row.card_ref)
    with engine.begin() as connection:
        outcome = settle(connection, row.provider, told, now, rules)
        if told.state is CheckoutState.PROCESSING:
            connection.execute(
                update(checkout)
                .where(checkout.c.checkout_id == asked.checkout_id)
                .values(provider_ref=told.provider_ref, next_check_at=now + FIRST_CHECK_AFTER)
            )
        if told.state is CheckoutState.FAILED:
            text = "自动缴费没有扣成（银行没有同意），没有扣款。请到“我的房租”自己缴，或到服务窗口缴。"
            _say(connection, row, f"autopay:{row.autopay_id}:{row.month}:failed", text, now)
    return isinstance(outcome, Settled)


def _written_down(
    engine: Engine, row: Row[Any], provider: str, now: datetime, rules: PaymentRules
) -> Row[Any] | None:
    """The month's one charge, committed before the provider hears of it; None where nothing is owed."""
    checkout_id = uuid5(RUNS, f"{row.autopay_id}/{row.month}")
    with engine.begin() as connection:
        if row.checkout_id is None:
            owed_fen = household_statement(connection, row.household_id).total_owed_fen
            amount_fen = min(owed_fen, row.limit_fen)
            if amount_fen == 0:
                return None
            wanted = Wanted(row.household_id, amount_fen, Method.CARD, autopay_id=row.autopay_id)
            # No page to open again and no notice to wait for: this job asks, not the sweeper.
            write_down(connection, provider, wanted, row.principal_id, "", now, checkout_id, rules, None)
            connection.execute(
                update(autopay_run)
                .where(autopay_run.c.autopay_id == row.autopay_id, autopay_run.c.month == row.month)
                .values(checkout_id=checkout_id)
            )
        return connection.execute(select(checkout).where(checkout.c.checkout_id == checkout_id)).one()


def _skip(engine: Engine, row: Row[Any], why: str) -> bool:
    with engine.begin() as connection:
        connection.execute(
            update(autopay_run)
            .where(autopay_run.c.autopay_id == row.autopay_id, autopay_run.c.month == row.month)
            .values(skipped_why=why)
        )
    return True


def _take_on(today: date, rules: PaymentRules) -> date:
    return today.replace(day=rules.autopay_day)


def _say(connection: Connection, row: Row[Any], key: str, text_zh: str, now: datetime) -> None:
    if row.person_id is not None:
        write(connection, NewMessage(key, row.estate_id, row.household_id, row.person_id, text_zh), now)


def _yuan(amount_fen: int) -> str:
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"
