from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from gateway.enrolment import Consent, Enrolled, Refused, enrol, odd_one_out
from gateway.matching.encoder import EncodeResult
from gateway.matching.templates import DLIB_ENCODER, Floats, StoredTemplate, stored_template, unit_rows
from gateway.matching.yardstick import default_yardstick
from tests.unit.faces.people import enrolled, make_centres, picture

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


class FakeVault:
    def __init__(self, people: Sequence[StoredTemplate] = ()) -> None:
        self.people = {person.person_id: person for person in people}

    def templates(self, estate_id: str) -> list[StoredTemplate]:
        assert estate_id == "e1"
        return list(self.people.values())

    def store(
        self, estate_id: str, person_id: str, views: Floats, encoder: str, now: datetime
    ) -> StoredTemplate:
        assert (estate_id, now) == ("e1", NOW)
        self.people[person_id] = stored_template(person_id, views, encoder)
        return self.people[person_id]


def gives(views: Floats | None, *reasons: str | None) -> Callable[[list[bytes]], EncodeResult]:
    def encode(photos: list[bytes]) -> EncodeResult:
        told = reasons or (None,) * len(photos)
        return EncodeResult(0, views, next((code for code in told if code), None), tuple(told))

    return encode


def never(_photos: list[bytes]) -> EncodeResult:
    raise AssertionError("a photograph was looked at")


def run(
    vault: FakeVault,
    encode: Callable[[list[bytes]], EncodeResult],
    consent: Callable[[str, str], Consent] = lambda *_: "live",
    photos: int = 3,
    person: str = "new",
) -> Enrolled | Refused:
    return enrol(
        vault,
        consent,
        encode,
        estate_id="e1",
        person_id=person,
        photos=[b"jpeg"] * photos,
        now=NOW,
        yardstick=default_yardstick(),
    )


def codes(outcome: Enrolled | Refused) -> list[tuple[str, int | None]]:
    assert isinstance(outcome, Refused)
    return [(reason.code, reason.photo) for reason in outcome.reasons]


@pytest.mark.parametrize(
    ("state", "code"),
    [("none", "no_consent"), ("unknown_person", "unknown_person"), ("faces_off", "faces_off")],
)
def test_without_a_live_consent_no_photograph_is_looked_at(state: Consent, code: str) -> None:
    vault = FakeVault()
    assert codes(run(vault, never, lambda *_: state)) == [(code, None)]
    assert vault.people == {}


def test_consent_is_asked_for_this_estate_and_person() -> None:
    asked = []

    def consent(estate: str, person: str) -> Consent:
        asked.append((estate, person))
        return "none"

    run(FakeVault(), never, consent)
    assert asked == [("e1", "new")]


@pytest.mark.parametrize("photos", [0, 6])
def test_one_to_five_photographs_are_taken(photos: int) -> None:
    assert codes(run(FakeVault(), never, photos=photos)) == [("photo_count", None)]


@pytest.mark.parametrize(("photos", "more"), [(1, True), (2, True), (3, False), (5, False)])
def test_good_photographs_become_one_template_in_the_vault(photos: int, more: bool) -> None:
    random = np.random.default_rng(1)
    views = picture(make_centres(1, random)[0], random, photos)
    vault = FakeVault()
    outcome = run(vault, gives(views), photos=photos)
    assert outcome == Enrolled("new", photos)
    assert outcome.more_recommended is more
    assert vault.people["new"].encoder == DLIB_ENCODER
    assert vault.people["new"].views == pytest.approx(unit_rows(views))


def test_every_photograph_that_is_not_good_enough_is_named() -> None:
    views = make_centres(1, np.random.default_rng(2))
    vault = FakeVault()
    outcome = run(vault, gives(views, None, "too_dark", "two_faces"))
    assert codes(outcome) == [("too_dark", 2), ("two_faces", 3)]
    assert isinstance(outcome, Refused)
    assert str(outcome.reasons[0]).startswith("照片 2：光线太暗")
    assert vault.people == {}


def test_an_encoder_that_failed_is_said_so() -> None:
    assert codes(run(FakeVault(), gives(None, "encoder_failed"), photos=1)) == [("encoder_failed", 1)]


def test_photographs_of_different_people_are_refused_and_the_odd_one_named() -> None:
    random = np.random.default_rng(3)
    one, other = make_centres(2, random)
    three = np.concatenate([picture(one, random), picture(other, random), picture(one, random)])
    assert codes(run(FakeVault(), gives(three))) == [("different_people", 2)]
    assert codes(run(FakeVault(), gives(three[:2]), photos=2)) == [("different_people", None)]


def test_a_face_enrolled_as_somebody_else_is_a_case_for_a_human() -> None:
    random = np.random.default_rng(4)
    centres = make_centres(10, random)
    vault = FakeVault(enrolled(centres, random))
    outcome = run(vault, gives(picture(centres[3], random, 3)))
    assert codes(outcome) == [("enrolled_as_another", None)]
    assert isinstance(outcome, Refused)
    assert outcome.reasons[0].resembles == "p3"
    assert "p3" not in str(outcome.reasons[0])
    assert "new" not in vault.people


def test_the_same_person_may_bring_new_photographs() -> None:
    random = np.random.default_rng(5)
    centres = make_centres(10, random)
    vault = FakeVault(enrolled(centres, random))
    fresh = picture(centres[3], random, 4)
    assert run(vault, gives(fresh), photos=4, person="p3") == Enrolled("p3", 4)
    assert vault.people["p3"].photos == 4


def test_a_consent_withdrawn_while_the_photographs_are_encoded_counts() -> None:
    states: list[Consent] = ["live", "none"]
    random = np.random.default_rng(6)
    vault = FakeVault()
    views = picture(make_centres(1, random)[0], random, 3)
    assert codes(run(vault, gives(views), lambda *_: states.pop(0))) == [("no_consent", None)]
    assert vault.people == {}


def test_one_photograph_has_no_odd_one() -> None:
    assert odd_one_out(unit_rows(make_centres(1, np.random.default_rng(7)))) is None
