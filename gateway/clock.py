"""What time it is: the gateway's own, which never runs behind its journal, and each device's.

A device's time is judged after the offset learned on that device's own topics (seconds by which our
clock is ahead of its). Two facts make learning safe:

- A message cannot arrive before it was sent. So a difference *smaller* than the offset is always true,
  and is taken at once, from a status message or an event.
- A *larger* one may just as well be a message that was held up somewhere. It is taken only when two
  status messages, received some time apart, agree on it: held-up messages come in bursts, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from gateway.decision import Timing

AGREE_S = 2.0  # two differences within this are the same clock
APART_S = 1.0  # and were received at least this far apart
SKEW_ALARM_S = 5.0
CITY_AGREE_S = 30.0  # our clock and the city's may differ by this much and both be right


class GatewayClock:
    """Seconds since 1970 that never run behind what this machine's disk says, unless somebody knows better.

    A machine that boots without a clock goes on from the newest record. Where the city is reached, its
    word counts more than the machine's clock and than the disk's: a clock that ran ahead once would
    otherwise keep the future, and with it end rights that have an end date.

    Args:
        wall: the system's clock, `time.time`.
        monotonic: `time.monotonic`.
        floor_s: time of the journal's newest record; 0 when there is none.
    """

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float], floor_s: float) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._floor_s, self._started_s = floor_s, monotonic()
        self._city_told_s = 0.0
        self.city_ahead_s = 0.0  # of this machine's clock; 0 where they agree, or nobody has told
        self._ahead_s = self.now_s() - monotonic()

    def now_s(self) -> float:
        """The time now."""
        return max(self._wall() + self.city_ahead_s, self._noted_s())

    def behind_s(self) -> float:
        """How far the system's clock lies behind what was noted; 0 when it does not."""
        return max(0.0, self._noted_s() - self._wall() - self.city_ahead_s)

    def heed_city(self, least_s: float, most_s: float) -> bool:
        """The city's clock is ahead of the system's by between `least_s` and `most_s`.

        Returns:
            Whether our time was set back, so that what was noted has to be noted anew.
        """
        if not least_s <= self._city_told_s <= most_s:
            self._city_told_s = (least_s + most_s) / 2
        if least_s - CITY_AGREE_S <= 0 <= most_s + CITY_AGREE_S:
            self.city_ahead_s = 0.0
        elif not least_s - AGREE_S <= self.city_ahead_s <= most_s + AGREE_S:
            self.city_ahead_s = (least_s + most_s) / 2
        return self.behind_s() > CITY_AGREE_S and self.forget_noted()

    def city_now_s(self) -> float:
        """The time by the city's clock, as it was told last: for what the city says is over at a second."""
        return self._wall() + self._city_told_s

    def forget_noted(self) -> bool:
        """Go by the clock alone, whatever the disk says."""
        self._floor_s = 0.0
        return True

    def step_s(self) -> float:
        """By how much our clock has been set since this was last asked; 0 where it just ran on.

        A box that boots without a clock has its time set later: every device's offset moves with it.
        """
        ahead_s = self.now_s() - self._monotonic()
        step_s, self._ahead_s = ahead_s - self._ahead_s, ahead_s
        return step_s if abs(step_s) > AGREE_S else 0.0

    def _noted_s(self) -> float:
        return self._floor_s + self._monotonic() - self._started_s if self._floor_s else 0.0


class DeviceClock(Struct):
    """What one device's clock is known to be."""

    offset_s: float = 0.0
    doubt_s: float | None = None  # a larger difference that one status message showed
    doubted_at_s: float = 0.0

    def learn(self, device_at_s: float, received_s: float) -> bool:
        """Take in a status message's time; True when the offset has moved noticeably."""
        difference = received_s - device_at_s
        if difference <= self.offset_s + AGREE_S:
            return self._move_to(min(difference, self.offset_s))
        if self.doubt_s is None or abs(difference - self.doubt_s) > AGREE_S:
            self.doubt_s, self.doubted_at_s = difference, received_s
            return False
        if received_s - self.doubted_at_s < APART_S:
            return False
        return self._move_to(min(difference, self.doubt_s))

    def doubt(self, difference_s: float, received_s: float) -> None:
        """An attempt that is old by the device's clock, and was sent at once by its own account.

        It proves nothing; a status message that agrees with it does, as two of those would.
        """
        if self.doubt_s is None or abs(difference_s - self.doubt_s) > AGREE_S:
            self.doubt_s, self.doubted_at_s = difference_s, received_s

    def judge(self, device_at_s: float, received_s: float, age_s_max: float) -> Timing:
        """Whether an event of that device time, received now, is live.

        Args:
            device_at_s: the event's time by the device's clock.
            received_s: now, by ours.
            age_s_max: an event older than this never opens.
        """
        difference = received_s - device_at_s
        self.offset_s = min(self.offset_s, difference)
        if difference - self.offset_s <= age_s_max:
            return "fresh"
        if self.doubt_s is not None and abs(difference - self.doubt_s) <= age_s_max:
            return "skewed"
        return "late"

    def made_at_s(self, device_at_s: float) -> float:
        """An event's time by our clock."""
        return device_at_s + self.offset_s

    def was_set(self) -> bool:
        """The device has acknowledged that it took our time; True when the offset has moved noticeably."""
        return self._move_to(0.0)

    def shift(self, step_s: float) -> None:
        """Our own clock was set by so much."""
        self.offset_s += step_s
        self.doubt_s = None

    def _move_to(self, offset_s: float) -> bool:
        moved = abs(offset_s - self.offset_s) > AGREE_S
        self.offset_s, self.doubt_s = offset_s, None
        return moved
