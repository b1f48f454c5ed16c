"""How payments are taken; samples, since no rule of Jiangmen is public."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

LastDays = Annotated[int, Meta(ge=0, le=10)]
BatchDays = Annotated[tuple[Annotated[int, Meta(ge=1, le=31)], ...], Meta(max_length=10)]


class EstatePaymentRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one estate does otherwise, `[payment_rules.estates.<estate>]`."""

    closed_last_days: LastDays | None = None
    bank_batch_days: BatchDays | None = None


class PaymentRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `[payment_rules]`."""

    # How long a payer may take at the provider's page. Stripe allows 30 minutes to 24 hours.
    checkout_minutes: Annotated[int, Meta(ge=31, le=1440)] = 60
    # What may be paid above what is owed; it becomes prepaid rent.
    prepay_limit_fen: Annotated[int, Meta(ge=0, le=100_000_000)] = 2_000_000
    # Nothing is taken online on the last days of a month, nor while a bank batch collects.
    closed_last_days: LastDays = 0
    bank_batch_days: BatchDays = ()
    estates: dict[str, EstatePaymentRules] = msgspec.field(default_factory=dict)
    # How long a link for another payer lasts.
    pay_link_hours: Annotated[int, Meta(ge=1, le=720)] = 72
    # A kept card is charged on this day of the month, and its holder told so many days before.
    autopay_day: Annotated[int, Meta(ge=1, le=28)] = 10
    autopay_notice_days: Annotated[int, Meta(ge=1, le=14)] = 3
    # A deposit goes back within so many working days of its settlement; staff is reminded before.
    deposit_working_days: Annotated[int, Meta(ge=1, le=60)] = 7
    deposit_remind_days: Annotated[int, Meta(ge=0, le=30)] = 2
