"""Who is inside, by what the doors have answered: for telling that somebody comes in twice."""

from __future__ import annotations

FORGOTTEN_S = 12 * 3600.0  # nobody is asked to account for yesterday


class Inside:
    """The last way in or out of each person, by estate and door group."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str], tuple[str, float]] = {}

    def is_in(self, estate: str, group: str, person: str, now_s: float) -> bool:
        """Whether the person came in lately and has not gone out."""
        way, at_s = self._last.get((estate, group, person), ("out", 0.0))
        return way == "in" and now_s - at_s < FORGOTTEN_S

    def passed(self, estate: str, group: str, person: str, way: str, now_s: float) -> None:
        """A door has opened for the person."""
        self._last[estate, group, person] = (way, now_s)
