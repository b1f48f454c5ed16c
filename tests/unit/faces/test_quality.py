import numpy as np
import pytest

from gateway.matching.quality import (
    DOOR,
    ENROLMENT,
    REASONS,
    Face,
    Limits,
    Pixels,
    grey_face,
    judge,
    main_face,
    sharpness,
    turn,
)

EYES_AND_NOSE = ((140.0, 90.0), (120.0, 90.0), (60.0, 90.0), (80.0, 90.0), (100.0, 130.0))


def face(
    left: int = 20, top: int = 20, width: int = 160, height: int | None = None, sure: float = 1.0
) -> Face:
    return Face(left, top, left + width, top + (height or width), sure, EYES_AND_NOSE)


def pattern(brightness: float = 120.0, contrast: float = 60.0) -> Pixels:
    random = np.random.default_rng(1)
    grey = brightness + contrast * random.choice([-1.0, 1.0], size=(100, 100))
    grey = np.clip(np.repeat(np.repeat(grey, 2, axis=0), 2, axis=1), 0, 255)
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)


def code(picture: Pixels, one: Face, limits: Limits = ENROLMENT) -> str | None:
    reason = judge(picture, one, limits)
    return reason.code if reason else None


def test_a_good_face_has_nothing_against_it() -> None:
    assert code(pattern(), face()) is None
    assert code(pattern(), face(), DOOR) is None


@pytest.mark.parametrize(
    ("picture", "one", "expected"),
    [
        (pattern(), face(width=60), "too_small"),
        (pattern(20.0, 15.0), face(), "too_dark"),
        (pattern(245.0, 9.0), face(), "too_bright"),
        (pattern(contrast=1.0), face(), "blurred"),
        (pattern(), face(width=100, height=160), "cut_off"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fault_has_its_reason(picture: Pixels, one: Face, expected: str) -> None:
    if expected == "blurred":
        slope = np.linspace(60, 180, 200, dtype=np.uint8)
        picture = np.repeat(np.tile(slope, (200, 1))[:, :, None], 3, axis=2)
    assert code(picture, one) == expected


def test_a_face_turned_away_is_seen_by_where_the_nose_stands() -> None:
    straight = face()
    moved = ((140.0, 90.0), (120.0, 90.0), (60.0, 90.0), (80.0, 90.0), (135.0, 130.0))
    away = Face(20, 20, 180, 180, 1.0, moved)
    assert turn(straight) == pytest.approx(0.0)
    assert turn(away) > ENROLMENT.turn_max
    assert code(pattern(), away) == "turned_away"
    nowhere = Face(20, 20, 180, 180, 1.0, ((5.0, 5.0),) * 5)
    assert turn(nowhere) == 1.0


def test_a_door_takes_what_enrolment_refuses() -> None:
    small = face(width=70)
    assert (code(pattern(), small, ENROLMENT), code(pattern(), small, DOOR)) == ("too_small", None)


def test_the_larger_face_stands_at_the_door_and_two_alike_are_two() -> None:
    near, far = face(width=150), face(left=170, width=60)
    assert main_face([far, near], DOOR) is near
    assert main_face([near, far], ENROLMENT) is REASONS["two_faces"]
    assert main_face([near, face(left=5, width=140)], DOOR) is REASONS["two_faces"]
    assert main_face([], DOOR) is REASONS["no_face"]


def test_a_pattern_taken_for_a_face_makes_no_second_person() -> None:
    clear, doubtful = face(width=88), face(left=5, width=105, sure=0.07)
    assert main_face([doubtful, clear], ENROLMENT) is clear
    assert main_face([doubtful], DOOR) is doubtful


def test_sharpness_falls_with_blur_and_not_with_size() -> None:
    random = np.random.default_rng(2)
    sharp = random.uniform(0, 255, (150, 150)).astype(np.float32)
    soft = (sharp[:-1, :-1] + sharp[1:, :-1] + sharp[:-1, 1:] + sharp[1:, 1:]) / 4
    softer = (soft[:-1, :-1] + soft[1:, :-1] + soft[:-1, 1:] + soft[1:, 1:]) / 4
    assert sharpness(sharp) > sharpness(soft) > sharpness(softer) > 0
    assert sharpness(sharp[:2]) == 0.0


def test_a_box_beyond_the_pictures_edge_is_cut_to_it() -> None:
    assert grey_face(pattern(), face(left=150, top=150)).shape == (50, 50)


def test_every_reason_has_both_sentences_and_says_what_to_do() -> None:
    for name, reason in REASONS.items():
        assert reason.code == name
        assert reason.en.endswith(".")
        assert any("\u4e00" <= character <= "\u9fff" for character in reason.zh)
