"""Passages whose frames come as several messages, while they are undecided."""

from __future__ import annotations

from gateway import causes
from gateway.cases import Case
from gateway.cause import Cause
from gateway.drivers import Address

# What the next frame of the same passage may yet decide.
UNDECIDED: frozenset[Cause] = frozenset(
    {causes.FACE_UNSURE, causes.UNKNOWN_PERSON, causes.FACE_NOT_USABLE, causes.LIVENESS_MISSING}
)


class Tracks:
    """The undecided passages by their key; frames join one until it is decided or its time is over."""

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}  # in the order they began, which is the order they end

    def __len__(self) -> int:
        return len(self._cases)

    @property
    def next_due_s(self) -> float | None:
        """When the oldest one's time is over (monotonic)."""
        first = next(iter(self._cases.values()), None)
        return first.until_s if first is not None else None

    def begin(self, case: Case) -> None:
        """Wait for further frames."""
        self._cases[case.keys[-1]] = case

    def get(self, whole: str) -> Case | None:
        """The passage that waits under this key."""
        return self._cases.get(whole)

    def at(self, address: Address) -> list[Case]:
        """Those at one door."""
        return [case for case in self._cases.values() if case.event.address == address]

    def end(self, case: Case) -> None:
        """It is decided."""
        case.until_s = None
        self._cases.pop(case.keys[-1], None)

    def over(self, now_s: float) -> list[Case]:
        """Take out those whose time is over."""
        found = [case for case in self._cases.values() if case.until_s is None or case.until_s <= now_s]
        for case in found:
            self.end(case)
        return found
