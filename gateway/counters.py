"""What the loop has counted; read by other threads for the metrics page, written by the loop alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Counters:
    """Plain numbers since the start."""

    messages: int = 0
    events: int = 0
    answers: Counter[str] = field(default_factory=Counter)  # by cause
    answered_alone: int = 0  # before the record was on the disk
    confirmed: int = 0
    repeats: int = 0  # events known already, confirmed again
    joined: int = 0  # further frames of a passage that was answered already
    given_up: int = 0  # not recorded because the disk took nothing; the devices send them again
    no_roster: int = 0  # events that came before the first roster: not confirmed, sent again later
    unsent: int = 0  # answers that no connection would take
    set_aside: Counter[str] = field(default_factory=Counter)  # by reason
    hints: int = 0  # said of a device on a topic that others may write, too
    replies: int = 0  # devices' acknowledgements of commands
    batches: int = 0

    def values(self) -> dict[str, Any]:
        """A copy, by name."""
        # dataclasses.asdict would rebuild each Counter from pairs, and so count the pairs.
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in found.items()}
