"""The sections `[rent]` and `[dunning]` of the backend's configuration.

No rule of Jiangmen is public: every figure is a sample, and the place it is taken from stands beside it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Days = Annotated[int, Meta(ge=0, le=3660)]


class LateFeeRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The late fee on overdue rent."""

    # Days behind the due day that cost nothing.
    grace_days: Days = 0
    # Millionths of what is owed, for each day; 0: none is charged. 500 is 0.5 per mille, the usual 万分之五.
    daily_ppm: Annotated[int, Meta(ge=0, le=10_000)] = 0
    # Never more than this share of the overdue rent: 行政强制法 art. 45 sets it at the whole of it.
    cap_permille: Annotated[int, Meta(ge=0, le=1000)] = 1000


class RentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How rent is charged. A sample: no due day of Jiangmen is public."""

    # The day of the charged month up to which it is to be paid.
    due_day: Annotated[int, Meta(ge=1, le=28)] = 15
    # How long somebody has for what a correction or a single charge asks for.
    due_days: Annotated[int, Meta(ge=1, le=365)] = 30
    # Tenancies of one transaction of the monthly run; each holds a lock until it commits.
    batch_size: Annotated[int, Meta(ge=1, le=1000)] = 500
    # How many batches a run of the command has under way at once, each on a connection of its own.
    connections: Annotated[int, Meta(ge=1, le=8)] = 2
    # What the fiscal e-receipts' numbers begin with: the range that the treasury gave.
    fiscal_prefix: Annotated[str, Meta(pattern="^[A-Z0-9]{1,20}$")] = "CS00"
    late_fee: LateFeeRule = LateFeeRule()
