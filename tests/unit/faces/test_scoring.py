import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.matching import scoring
from gateway.matching.scoring import NEIGHBOUR_DISTANCE_MAX, NEIGHBOUR_WEIGHT, chord, rank, scores_of_named
from gateway.matching.templates import TemplateShapeError, fuse, fuse_tracks, stored_template, unit_rows
from tests.unit.faces.people import DIMENSION, make_centres


@given(seed=st.integers(0, 10_000), people=st.integers(1, 40), probes=st.integers(1, 8))
def test_ranking_is_what_sorting_every_distance_gives(seed: int, people: int, probes: int) -> None:
    random = np.random.default_rng(seed)
    gallery = unit_rows(make_centres(people, random))
    asked = unit_rows(make_centres(probes, random))
    ranking = rank(asked, gallery)
    for row, probe in enumerate(asked):
        distances = sorted(chord(probe, person) for person in gallery)
        expected = [*distances[:4], *[2.0] * max(0, 4 - people)]
        assert ranking.distances[row] == pytest.approx(expected, abs=1e-3)
        beside = np.minimum(expected[1:], NEIGHBOUR_DISTANCE_MAX).mean()
        assert ranking.scores()[row] == pytest.approx(NEIGHBOUR_WEIGHT * beside - expected[0], abs=1e-3)
        assert chord(probe, gallery[ranking.best[row]]) == pytest.approx(expected[0], abs=1e-3)


def test_an_excluded_person_is_not_found() -> None:
    gallery = unit_rows(make_centres(10, np.random.default_rng(1)))
    ranking = rank(gallery, gallery, exclude=np.arange(10))
    assert (ranking.best != np.arange(10)).all()
    assert (ranking.distances[:, 0] > 0.3).all()


def test_a_named_person_is_scored_beside_the_nearest_of_the_others() -> None:
    gallery = unit_rows(make_centres(10, np.random.default_rng(2)))
    own = np.arange(10)
    claims = scores_of_named(gallery, gallery, np.stack([own, np.roll(own, 1), np.roll(own, 2)], axis=1))
    assert claims[:, 0] == pytest.approx(rank(gallery, gallery).scores(), abs=1e-6)
    assert (claims[:, 1:] < claims[:, :1] - 0.2).all()
    for row in range(10):
        for column, name in ((1, (row - 1) % 10), (2, (row - 2) % 10)):
            others = sorted(chord(gallery[row], gallery[other]) for other in range(10) if other != name)
            beside = np.minimum(others[:3], NEIGHBOUR_DISTANCE_MAX).mean()
            expected = NEIGHBOUR_WEIGHT * beside - chord(gallery[row], gallery[name])
            assert claims[row, column] == pytest.approx(expected, abs=1e-3)


def test_a_product_made_in_parts_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    gallery, asked = unit_rows(make_centres(40, random)), unit_rows(make_centres(23, random))
    masked = random.integers(0, 40, 23)
    whole = rank(asked, gallery, exclude=masked)
    monkeypatch.setattr(scoring, "_CELLS_MAX", 200)
    parts = rank(asked, gallery, exclude=masked)
    assert (whole.best == parts.best).all()
    assert whole.distances == pytest.approx(parts.distances, abs=1e-6)


def test_more_pictures_bring_a_fused_template_nearer_to_the_person() -> None:
    random = np.random.default_rng(3)
    centre = make_centres(1, random)[0]
    pictures = centre + 0.02 * random.standard_normal((9, DIMENSION))
    assert chord(fuse(pictures), unit_rows(centre)[0]) < chord(fuse(pictures[:1]), unit_rows(centre)[0])


@pytest.mark.parametrize(
    "broken",
    [
        np.zeros((1, DIMENSION)),
        np.full((1, DIMENSION), np.nan),
        np.full((1, DIMENSION), np.inf),
        np.full((1, DIMENSION), 1e30),
        np.empty((0, DIMENSION)),
        np.ones((2, 2, DIMENSION)),
    ],
    ids=["zero", "nan", "inf", "huge", "empty", "three axes"],
)
def test_numbers_that_are_no_template_are_refused(broken: np.ndarray) -> None:
    with pytest.raises(TemplateShapeError):
        unit_rows(broken)


def test_opposite_pictures_that_cancel_out_are_refused() -> None:
    with pytest.raises(TemplateShapeError):
        fuse(np.array([[1.0] * DIMENSION, [-1.0] * DIMENSION]))


def test_only_the_direction_of_a_template_counts() -> None:
    vectors = make_centres(4, np.random.default_rng(6))
    assert unit_rows(vectors * 1e5) == pytest.approx(unit_rows(vectors), abs=1e-6)


def test_one_broken_track_is_left_out_and_hurts_no_other() -> None:
    good = make_centres(2, np.random.default_rng(4))
    vectors, kept = fuse_tracks([good, np.full((1, DIMENSION), np.nan), good[:1], good[:, :5]], DIMENSION)
    assert kept == [0, 2]
    assert vectors == pytest.approx(np.stack([fuse(good), fuse(good[:1])]), abs=1e-6)


def test_a_stored_template_remembers_its_views_and_encoder() -> None:
    views = make_centres(3, np.random.default_rng(5))
    stored = stored_template("p1", views, "some-encoder/128")
    assert (stored.photos, stored.encoder, stored.views.shape) == (3, "some-encoder/128", (3, DIMENSION))
    assert np.linalg.norm(stored.template) == pytest.approx(1.0, abs=1e-5)
    assert "0." not in repr(stored)  # no number of a face in a log
