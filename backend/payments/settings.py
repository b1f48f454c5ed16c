"""How payments are taken; a sample, since no rule of Jiangmen is public."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class PaymentRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `[payment_rules]`."""

    # How long a payer may take at the provider's page. Stripe allows 30 minutes to 24 hours.
    checkout_minutes: Annotated[int, Meta(ge=31, le=1440)] = 60
    # What may be paid above what is owed; it becomes prepaid rent.
    prepay_limit_fen: Annotated[int, Meta(ge=0, le=100_000_000)] = 2_000_000
