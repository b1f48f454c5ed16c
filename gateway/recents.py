"""What has just been seen, in memory: repeats are known before the journal is asked.

The journal is the judge of what is new; this is its fresh end, and what holds while the disk is slow:
nothing that was answered a moment ago is answered again.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

KEYS_MAX = 65_536  # far more than arrive within the age limit of a live event


class Seen(enum.Enum):
    """How far the gateway has come with an event or passage."""

    PENDING = 1  # being decided, or on its way to the disk
    RECORDED = 2  # on the disk
    ANSWERED = 3  # the door was answered, but the record was given up: the device must send it again


class Recents:
    """Keys in the order they came; the oldest go first."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._keys: dict[str, Seen] = {}
        self._keys_max = keys_max
        self.get = self._keys.get

    def set(self, keys: Iterable[str], seen: Seen) -> None:
        """Note keys; a key keeps its place in the order."""
        kept = self._keys
        for key in keys:
            kept[key] = seen
        while len(kept) > self._keys_max:
            oldest = next(iter(kept))
            state = kept.pop(oldest)
            if state is Seen.PENDING:
                kept[oldest] = state  # its answer is still to come; there are never many of these

    def forget(self, keys: Iterable[str]) -> None:
        """Know nothing of these any more."""
        for key in keys:
            self._keys.pop(key, None)
