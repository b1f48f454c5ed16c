"""The section `[rent]` of the backend's configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How rent is charged. A sample: no due day of Jiangmen is public."""

    # The day of the charged month up to which it is to be paid.
    due_day: Annotated[int, Meta(ge=1, le=28)] = 15
    # Tenancies of one transaction of the monthly run; each holds a lock until it commits.
    batch_size: Annotated[int, Meta(ge=1, le=1000)] = 500
