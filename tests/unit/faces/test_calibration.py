from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estate.config import SettingsError
from gateway.matching.calibration import (
    STRANGERS_MIN,
    Calibration,
    Threshold,
    TooFewStrangersError,
    from_gallery,
    from_strangers,
    threshold_for,
)
from gateway.matching.scoring import rank
from gateway.matching.table import load_table
from gateway.matching.templates import unit_rows
from tests.unit.faces.people import enrolled, make_centres


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_the_tables_threshold_never_falls_as_the_gallery_grows(one: int, other: int) -> None:
    smaller, larger = sorted((one, other))
    table = load_table()
    for low, high in zip(
        table.calibration(smaller, 0.003).by_frames, table.calibration(larger, 0.003).by_frames, strict=True
    ):
        assert low.accept_min <= high.accept_min + 1e-9
        assert low.unsure_min <= low.accept_min


def test_the_table_is_much_stricter_than_the_librarys_default() -> None:
    # At 0.6 a lone stranger in front of a gallery of one is let in every other time.
    assert load_table().calibration(1, 0.003).threshold(1).accept_min > 0.21 - 0.4
    assert load_table().calibration(1000, 0.003).threshold(1).accept_min > 0.21 - 0.32


@pytest.mark.parametrize("size", [1, 50, 5000])
def test_a_stricter_rate_raises_the_tables_thresholds_and_a_laxer_one_lowers_none(size: int) -> None:
    table = load_table()
    measured = table.calibration(size, table.fpir).threshold(1)
    stricter, laxer = table.calibration(size, 0.0003), table.calibration(size, 0.03)
    assert stricter.threshold(1).accept_min > measured.accept_min + 0.02
    assert (stricter.fpir, laxer.fpir) == (0.0003, table.fpir)
    assert laxer.threshold(1) == measured


@settings(max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([0.3, 0.1, 0.03, 0.01]))
def test_a_threshold_lets_in_no_more_strangers_than_stated(seed: int, rate: float) -> None:
    random = np.random.default_rng(seed)
    scores = random.gumbel(size=4000)
    fresh = np.random.default_rng(seed + 1).gumbel(size=100_000)
    assert (fresh > threshold_for(scores, rate)).mean() < rate * 1.25 + 0.002


def test_few_strangers_make_a_stricter_door_than_many() -> None:
    random = np.random.default_rng(5)
    few = np.mean([threshold_for(random.exponential(size=STRANGERS_MIN), 0.003) for _ in range(50)])
    many = np.mean([threshold_for(random.exponential(size=1500), 0.003) for _ in range(50)])
    assert few > many > -np.log(0.003)


def test_a_threshold_rises_as_the_stated_rate_falls() -> None:
    scores = np.random.default_rng(6).gumbel(size=1000)
    values = [threshold_for(scores, rate) for rate in (0.3, 0.1, 0.03, 0.003, 0.0003)]
    assert values == sorted(values)


def test_look_alikes_that_are_seen_often_enough_raise_the_threshold() -> None:
    scores = np.random.default_rng(7).exponential(size=5000)
    scores[:50] = 100.0
    assert threshold_for(scores, 0.003) >= 100.0


def test_a_persons_many_attempts_weigh_as_one() -> None:
    random = np.random.default_rng(8)
    scores = random.exponential(size=500)
    persons = np.arange(500)
    often = np.concatenate([scores, np.full(5000, scores.max())])
    whose = np.concatenate([persons, np.full(5000, int(scores.argmax()))])
    assert threshold_for(often, 0.01, whose) == pytest.approx(threshold_for(scores, 0.01, persons), rel=0.05)


def test_equal_scores_are_a_threshold_of_themselves() -> None:
    assert threshold_for(np.full(200, 0.5), 0.003) == pytest.approx(0.5)


def test_too_few_strangers_say_so() -> None:
    with pytest.raises(TooFewStrangersError) as caught:
        threshold_for(np.zeros(STRANGERS_MIN - 1), 0.003)
    assert caught.value.strangers == STRANGERS_MIN - 1
    people = enrolled(make_centres(STRANGERS_MIN - 1, np.random.default_rng(9)), np.random.default_rng(10))
    with pytest.raises(TooFewStrangersError):
        from_gallery(people, np.stack([person.template for person in people]), 0.003)


def test_a_gallery_calibrates_itself_as_strangers_would() -> None:
    random = np.random.default_rng(11)
    people = enrolled(make_centres(400, random), random)
    rows = np.stack([person.template for person in people])
    own = from_gallery(people, rows, 0.003)
    strangers = unit_rows(make_centres(2000, random) + 0.0188 * random.standard_normal((2000, 128)))
    measured = from_strangers(strangers, np.arange(2000), rows, 0.003)
    assert own[0].accept_min == pytest.approx(measured.accept_min, abs=0.02)
    assert (rank(strangers, rows).scores() > own[0].accept_min).mean() <= 0.006


def test_more_frames_never_make_the_door_laxer() -> None:
    random = np.random.default_rng(12)
    centres = make_centres(400, random)
    people = enrolled(centres[:200], random, photos=3) + enrolled(centres[200:], random, photos=1)
    made = from_gallery(people, np.stack([person.template for person in people]), 0.003)
    assert made[0].accept_min <= made[1].accept_min <= made[2].accept_min
    # Nobody with two pictures: the thresholds of one frame serve.
    lone = enrolled(centres, random, photos=1)
    single = from_gallery(lone, np.stack([person.template for person in lone]), 0.003)
    assert single[0] == single[1] == single[2]


def test_longer_passages_are_judged_like_three_frames() -> None:
    steps = tuple(Threshold(score, score, score) for score in (1.0, 2.0, 3.0))
    calibration = Calibration(0.003, steps, "table", 0)
    assert [calibration.threshold(frames).accept_min for frames in (1, 2, 3, 8)] == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (("gallery_size = 3", "gallery_size = 1"), "row.gallery_size"),
        (("accept_min = [-0.1", "accept_min = [9.1"), "row.accept_min"),
        (("fpir = 0.003", "fpir = 3"), "fpir"),
        (("source =", "sauce ="), ""),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_its_key(
    tmp_path: Path, change: tuple[str, str], key: str
) -> None:
    text = (Path(load_table.__wrapped__.__code__.co_filename).parent / "thresholds.toml").read_text("utf-8")
    assert change[0] in text
    path = tmp_path / "thresholds.toml"
    path.write_text(text.replace(*change, 1), "utf-8")
    with pytest.raises(SettingsError) as caught:
        load_table(path)
    assert key in caught.value.key
