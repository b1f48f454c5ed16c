import numpy as np
import pytest

from gateway.matching.calibration import MARGIN_MIN, Calibration, Threshold
from gateway.matching.gallery import NOBODY, Gallery
from gateway.matching.templates import DLIB_ENCODER, TemplateShapeError, stored_template, unit_rows
from gateway.matching.yardstick import NoCalibrationError, Yardstick
from tests.unit.faces.people import DIMENSION, enrolled, make_centres, picture

STEPS = (Threshold(-0.10, -0.15, -0.13),) * 3
CALIBRATION = Calibration(0.003, STEPS, "table", 0)


def test_an_enrolled_person_is_found_and_a_stranger_is_not() -> None:
    random = np.random.default_rng(1)
    centres = make_centres(60, random)
    gallery = Gallery.build(enrolled(centres[:50], random))
    assert gallery.calibration is not None
    assert gallery.calibration.source == "table"
    for number in range(50):
        match = gallery.match(picture(centres[number], random, 2))
        assert (match.verdict, match.person_id) == ("match", f"p{number}")
        assert match.score > match.runner_up_score
    for centre in centres[50:]:
        match = gallery.match(picture(centre, random))
        assert (match.verdict, match.person_id) == ("unknown", None)


def test_a_batch_answers_as_one_by_one_and_survives_a_broken_track() -> None:
    random = np.random.default_rng(2)
    centres = make_centres(30, random)
    gallery = Gallery.build(enrolled(centres[:20], random))
    tracks = [picture(centre, random, 1 + number % 3) for number, centre in enumerate(centres)]
    tracks.insert(7, np.full((1, DIMENSION), np.nan, np.float32))
    answers = gallery.match_batch(tracks)
    assert answers[7] == NOBODY
    for track, answer in zip(tracks[:7] + tracks[8:], answers[:7] + answers[8:], strict=True):
        alone = gallery.match(track)
        assert (alone.person_id, alone.verdict) == (answer.person_id, answer.verdict)
        assert alone.score == pytest.approx(answer.score, abs=1e-5)


def test_an_empty_gallery_knows_nobody() -> None:
    gallery = Gallery.build([])
    probe = make_centres(1, np.random.default_rng(3))
    assert gallery.match(probe) == NOBODY
    assert gallery.match_batch([probe, probe]) == [NOBODY, NOBODY]
    assert gallery.known_as(unit_rows(probe), "p1") is None
    assert not gallery.confirms("p1", probe)


def test_twins_are_unsure_and_never_guessed() -> None:
    random = np.random.default_rng(4)
    centres = make_centres(30, random)
    twin = centres[0] + 0.001 * random.standard_normal(DIMENSION).astype(np.float32)
    people = enrolled(centres, random)
    people.append(stored_template("twin", picture(twin, random, 3), DLIB_ENCODER))
    match = Gallery.build(people).match(centres[:1])
    assert match.verdict == "unsure"
    assert match.person_id in {"p0", "twin"}


def test_the_margin_to_the_second_person_decides_between_match_and_unsure() -> None:
    away = np.eye(DIMENSION, dtype=np.float32)
    base = away[0]

    def at(distance: float, direction: int) -> np.ndarray:
        angle = 2 * np.arcsin(distance / 2)
        return np.cos(angle) * base + np.sin(angle) * away[direction]

    def verdict(second: float) -> str:
        people = [
            stored_template("first", at(0.20, 1), DLIB_ENCODER),
            stored_template("second", at(second, 2), DLIB_ENCODER),
        ]
        return Gallery.build(people, calibration=CALIBRATION).match(base[None]).verdict

    assert verdict(0.20 + MARGIN_MIN + 0.005) == "match"
    assert verdict(0.20 + MARGIN_MIN - 0.005) == "unsure"


def test_between_the_two_thresholds_a_face_is_unsure() -> None:
    people = [stored_template("p", np.eye(DIMENSION)[:1], DLIB_ENCODER)]
    probe = np.zeros((1, DIMENSION), np.float32)
    verdicts = []
    for distance in (0.30, 0.33, 0.40):
        angle = 2 * np.arcsin(distance / 2)
        probe[0, :2] = np.cos(angle), np.sin(angle)
        match = Gallery.build(people, calibration=CALIBRATION).match(probe)
        verdicts.append((match.verdict, match.person_id))
    assert verdicts == [("match", "p"), ("unsure", "p"), ("unknown", None)]


def test_templates_of_another_encoder_never_meet() -> None:
    random = np.random.default_rng(5)
    centres = make_centres(2, random)
    people = [
        stored_template("ours", picture(centres[0], random, 3), DLIB_ENCODER),
        stored_template("theirs", picture(centres[1], random, 3), "another/128"),
    ]
    gallery = Gallery.build(people)
    assert gallery.person_ids == ("ours",)
    assert gallery.match(centres[1:]).verdict == "unknown"


def test_an_encoder_without_thresholds_opens_nothing() -> None:
    people = [stored_template("p", np.ones((1, 512)), "another/512")]
    with pytest.raises(NoCalibrationError):
        Gallery.build(people, yardstick=Yardstick("another/512"))


@pytest.mark.parametrize("shape", [(1, 127), (1, 129), (0, DIMENSION), (2, 3, DIMENSION)])
def test_a_probe_of_the_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    gallery = Gallery.build(enrolled(make_centres(3, np.random.default_rng(8)), np.random.default_rng(9)))
    with pytest.raises(TemplateShapeError):
        gallery.match(np.ones(shape, np.float32))


def test_a_large_gallery_is_its_own_yardstick() -> None:
    random = np.random.default_rng(10)
    centres = make_centres(600, random)
    gallery = Gallery.build(enrolled(centres[:300], random))
    assert gallery.calibration is not None
    assert (gallery.calibration.source, gallery.calibration.strangers) == ("gallery", 300)
    verdicts = [match.verdict for match in gallery.match_batch([picture(c, random) for c in centres[300:]])]
    assert verdicts.count("match") <= 5


def test_a_door_knows_only_its_people_with_the_wholes_thresholds() -> None:
    random = np.random.default_rng(11)
    centres = make_centres(40, random)
    whole = Gallery.build(enrolled(centres, random))
    mine, nobody = np.zeros(40, np.bool_), np.zeros(40, np.bool_)
    mine[[3, 7]] = True
    tracks = [centres[3:4], centres[5:6], centres[7:8], centres[5:6], centres[3:4]]
    found = whole.match_batch(tracks, [mine, mine, mine, None, nobody])
    assert [match.person_id for match in found] == ["p3", None, "p7", "p5", None]
    assert found[4].verdict == "unknown"
    # The neighbours of a part are its own: as if nobody else were enrolled, with the same thresholds.
    alone = Gallery.build(
        [one for one in enrolled(centres, np.random.default_rng(11)) if one.person_id in ("p3", "p7")],
        calibration=whole.calibration,
    )
    assert alone.match(centres[3:4]).verdict == found[0].verdict


def test_a_card_is_confirmed_by_its_owners_face_only() -> None:
    random = np.random.default_rng(12)
    centres = make_centres(40, random)
    gallery = Gallery.build(enrolled(centres[:30], random))
    assert gallery.confirms("p4", picture(centres[4], random))
    assert not gallery.confirms("p4", picture(centres[5], random))
    assert not gallery.confirms("p4", picture(centres[35], random))
    assert not gallery.confirms("not enrolled", picture(centres[4], random))


def test_somebody_enrolled_twice_is_found_and_oneself_is_not() -> None:
    random = np.random.default_rng(13)
    centres = make_centres(30, random)
    gallery = Gallery.build(enrolled(centres, random))
    views = unit_rows(picture(centres[6], random, 3))
    assert gallery.known_as(views, "somebody new") == "p6"
    assert gallery.known_as(views, "p6") is None
    assert Gallery.build(enrolled(centres[6:7], random)).known_as(views, "p0") is None
