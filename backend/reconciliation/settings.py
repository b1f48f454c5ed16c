"""When statements are expected and how much of one is read; a sample, to be set by the office."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ReconciliationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `[reconciliation]`."""

    # Channels have the bill of a day ready on the next one at about ten.
    ready_at: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "10:00"
    # When the day-end check runs, by the clock of Jiangmen; not before statements are there.
    check_at: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "10:30"
    file_mib_max: Annotated[int, Meta(ge=1, le=1024)] = 64
    lines_max: Annotated[int, Meta(ge=1, le=10_000_000)] = 1_000_000
