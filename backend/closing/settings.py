"""Where closed months are filed."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ClosingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The section `[closing]`."""

    packs_folder: Annotated[str, Meta(min_length=1)] = "var/packs"
