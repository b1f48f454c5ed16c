"""The gateway's clock never runs back; a device's wrong clock neither opens nor locks out for long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import DeviceClock, GatewayClock

NOON = 1_788_249_600.0
HOUR = 3600.0
LIMIT = 10.0


class Wall:
    def __init__(self, wall_s: float, monotonic_s: float = 50.0) -> None:
        self.wall_s, self.monotonic_s = wall_s, monotonic_s

    def pass_by(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds

    def clock(self, floor_s: float) -> GatewayClock:
        return GatewayClock(lambda: self.wall_s, lambda: self.monotonic_s, floor_s)


def test_a_box_that_boots_without_a_clock_goes_on_from_its_journal() -> None:
    wall = Wall(12.0)
    clock = wall.clock(NOON)
    wall.pass_by(5)
    assert clock.now_s() == NOON + 5
    assert clock.behind_s() == NOON - 12


def test_a_right_clock_is_left_alone() -> None:
    wall = Wall(NOON)
    clock = wall.clock(NOON - HOUR)
    wall.pass_by(5)
    assert clock.now_s() == NOON + 5
    assert clock.behind_s() == 0


def test_a_clock_that_is_set_back_does_not_run_behind_what_was_journalled() -> None:
    wall = Wall(NOON)
    clock = wall.clock(NOON - 1)
    wall.wall_s -= HOUR
    assert clock.now_s() >= NOON - 1


def test_a_step_of_our_clock_is_told_once() -> None:
    wall = Wall(12.0)
    clock = wall.clock(0)
    wall.pass_by(3)
    assert clock.step_s() == 0
    wall.wall_s = NOON
    assert clock.step_s() == NOON - 15
    wall.pass_by(3)
    assert clock.step_s() == 0


@given(st.lists(st.tuples(st.floats(-HOUR, HOUR), st.floats(0, 60)), max_size=20))
def test_our_time_never_runs_behind_the_journal(steps: list[tuple[float, float]]) -> None:
    wall = Wall(NOON)
    clock = wall.clock(NOON)
    for step, passed in steps:
        wall.wall_s += step
        wall.pass_by(passed)
        assert clock.now_s() >= NOON


def test_an_event_made_now_by_a_right_clock_is_fresh_and_an_old_one_is_late() -> None:
    clock = DeviceClock()
    assert clock.judge(NOON, NOON + 0.05, LIMIT) == "fresh"
    assert clock.judge(NOON - 30, NOON, LIMIT) == "late"


def test_a_clock_that_is_ahead_is_known_by_its_first_event() -> None:
    clock = DeviceClock()
    assert clock.judge(NOON + HOUR, NOON, LIMIT) == "fresh"
    assert clock.judge(NOON + HOUR - 60, NOON, LIMIT) == "late"


def test_a_clock_that_falls_back_an_hour_lets_people_in_again_after_two_heartbeats() -> None:
    clock = DeviceClock()
    assert not clock.learn(NOON - HOUR, NOON)
    assert clock.judge(NOON - HOUR + 5, NOON + 5, LIMIT) == "skewed"
    assert clock.learn(NOON - HOUR + 30, NOON + 30)
    assert clock.judge(NOON - HOUR + 31, NOON + 31, LIMIT) == "fresh"
    assert clock.judge(NOON - HOUR, NOON + 31, LIMIT) == "late"


def test_heartbeats_held_up_by_the_network_and_delivered_together_teach_nothing() -> None:
    clock = DeviceClock()
    for late_s in (600, 570, 540, 510):
        assert not clock.learn(NOON - late_s, NOON + 0.01 * (600 - late_s) / 30)
    assert clock.offset_s == 0
    assert clock.judge(NOON - 600, NOON + 1, LIMIT) in ("late", "skewed")


def test_one_doubtful_heartbeat_between_right_ones_changes_nothing() -> None:
    clock = DeviceClock()
    clock.learn(NOON, NOON)
    assert not clock.learn(NOON - 40, NOON + 30)
    assert not clock.learn(NOON + 60, NOON + 60)
    assert clock.judge(NOON - 40, NOON + 60, LIMIT) == "late"


def test_when_our_own_clock_is_set_the_devices_stay_known() -> None:
    clock = DeviceClock()
    clock.judge(NOON, 12.0, LIMIT)
    clock.shift(NOON - 12.0)
    assert clock.judge(NOON + 1, NOON + 1, LIMIT) == "fresh"


@given(
    st.floats(-2 * HOUR, 2 * HOUR),
    st.lists(st.floats(0, 1.5), min_size=3, max_size=3),
    st.floats(LIMIT + 5, 10 * HOUR),
)
def test_once_two_heartbeats_are_in_only_events_made_now_are_fresh(
    ahead_s: float, delays_s: list[float], age_s: float
) -> None:
    clock = DeviceClock()
    for number in range(3):
        sent_s = NOON + 30 * number
        clock.learn(sent_s + ahead_s, sent_s + delays_s[number])
    now_s = NOON + 100
    assert clock.judge(now_s + ahead_s, now_s + 0.2, LIMIT) == "fresh"
    assert clock.judge(now_s + ahead_s - age_s, now_s, LIMIT) != "fresh"


def test_a_future_that_was_noted_by_mistake_ends_with_the_citys_word() -> None:
    wall = Wall(NOON)
    clock = wall.clock(NOON + 4 * 365 * 24 * HOUR)
    assert clock.now_s() > NOON + HOUR
    assert clock.heed_city(-0.4, 0.7)
    assert clock.now_s() == NOON
    assert clock.behind_s() == 0
    assert not clock.heed_city(-0.4, 0.7)


def test_a_machine_that_is_ahead_of_the_city_goes_by_the_citys_clock() -> None:
    wall = Wall(NOON + HOUR)
    clock = wall.clock(0.0)
    clock.heed_city(-HOUR - 0.5, -HOUR + 0.5)
    assert clock.now_s() == NOON
    before_s = clock.city_ahead_s
    clock.heed_city(-HOUR - 0.1, -HOUR + 0.9)  # the same, told a little differently
    assert clock.city_ahead_s == before_s
    wall.wall_s = NOON  # and then somebody sets it
    clock.heed_city(-0.5, 0.5)
    assert clock.now_s() == NOON


def test_a_box_without_a_clock_is_told_the_time_by_the_city_and_keeps_nothing_of_the_past() -> None:
    wall = Wall(12.0)
    clock = wall.clock(NOON - HOUR)
    assert clock.behind_s() > 0
    clock.heed_city(NOON - 12.5, NOON - 11.5)
    assert clock.now_s() == NOON
    assert clock.behind_s() == 0


def test_the_noted_time_can_be_forgotten_by_hand() -> None:
    wall = Wall(NOON)
    clock = wall.clock(NOON + 1000 * HOUR)
    clock.forget_noted()
    assert clock.now_s() == NOON
