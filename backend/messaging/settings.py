"""The section `[messages]` of the backend's configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Seconds = Annotated[int, Meta(ge=1, le=86_400)]


class MessageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The messenger, and how patient we are with it. Without an address, messages wait in the outbox."""

    api_base: Annotated[str, Meta(min_length=1)] | None = None
    token_file: Annotated[str, Meta(min_length=1)] | None = None
    # How long a worker may take with one message before another takes it up.
    claim_seconds: Seconds = 60
    retry_seconds: Seconds = 10
    retry_seconds_max: Seconds = 3600
    give_up_hours: Annotated[int, Meta(ge=1, le=720)] = 72
