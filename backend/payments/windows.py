"""When an estate takes no payments online. Pure; days are those of Jiangmen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from backend.payments.settings import PaymentRules
from backend.registry.rules import local_day, start_of_day


class ClosedFor(StrEnum):
    """Why nothing is taken."""

    MONTH_END = "month_end"
    BANK_BATCH = "bank_batch"


@dataclass(frozen=True, slots=True)
class Closure:
    """A time without payments online; the first day on which they are taken again."""

    reason: ClosedFor
    opens_on: date


def closure_at(rules: PaymentRules, estate_id: str, at: datetime) -> Closure | None:
    """Why the estate takes nothing online at that moment, and until when; None while it does."""
    day = local_day(at)
    reason = _reason(rules, estate_id, day)
    if reason is None:
        return None
    while _reason(rules, estate_id, day) is not None:
        day += timedelta(days=1)
    return Closure(reason, day)


def closes_at(rules: PaymentRules, estate_id: str, after: datetime) -> datetime | None:
    """The moment at which the next closure begins, within a month; None where there is none."""
    for number in range(1, 32):
        day = local_day(after) + timedelta(days=number)
        if _reason(rules, estate_id, day) is not None:
            return start_of_day(day)
    return None


def _reason(rules: PaymentRules, estate_id: str, day: date) -> ClosedFor | None:
    own = rules.estates.get(estate_id)
    last_days = rules.closed_last_days
    batch_days = rules.bank_batch_days
    if own is not None:
        last_days = last_days if own.closed_last_days is None else own.closed_last_days
        batch_days = batch_days if own.bank_batch_days is None else own.bank_batch_days
    if last_days and (day + timedelta(days=last_days)).month != day.month:
        return ClosedFor.MONTH_END
    return ClosedFor.BANK_BATCH if day.day in batch_days else None
