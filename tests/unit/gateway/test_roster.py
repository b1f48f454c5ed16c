"""The roster in memory: what a change of it means for a door."""

from __future__ import annotations

from datetime import date

from gateway.roster import EstateRoster, RosterBook
from tests.unit.gateway.stage import KEY, item, reference

NOW_S = 1_788_249_600.0
ANN, BEN = "ann", "ben"


def person(*cards: str, **more: object) -> dict[str, object]:
    return {
        "rights": [{"group": "gate", "from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00+08:00"}],
        "cards": [{"hmac": reference(number), "blocked": False} for number in cards],
        "face_consent": True,
        **more,
    }


def found(roster: EstateRoster, number: str) -> tuple[str, str | None]:
    finding = roster.find_card(number, KEY, "gate", NOW_S)
    return finding.recognition, finding.person.person_id if finding.person else None


def test_a_card_is_found_by_its_reference_under_the_estates_key() -> None:
    roster = EstateRoster("e")
    roster.apply([item("person", ANN, person("one", "two"))], 1)
    assert found(roster, "two") == ("match", ANN)
    assert found(roster, "three") == ("unknown", None)
    assert roster.find_card("one", bytes(31) + b"x", "gate", NOW_S).recognition == "unknown"
    assert roster.find_card("one", None, "gate", NOW_S).recognition == "no_key"


def test_a_card_that_was_handed_on_belongs_to_its_new_owner_in_either_order() -> None:
    for order in ((ANN, BEN), (BEN, ANN)):
        roster = EstateRoster("e")
        roster.apply([item("person", ANN, person("one")), item("person", BEN, person())], 1)
        now = {ANN: person(), BEN: person("one")}
        roster.apply([item("person", one, now[one]) for one in order], 2)
        assert found(roster, "one") == ("match", BEN)


def test_who_is_removed_takes_cards_and_rights_along() -> None:
    roster = EstateRoster("e")
    roster.apply([item("person", ANN, person("one"))], 1)
    roster.apply([item("person", ANN, None)], 2)
    assert found(roster, "one") == ("unknown", None)
    assert roster.find_person(ANN, "gate", NOW_S).person is None
    assert roster.version == 2


def test_a_right_ends_by_its_own_end_date_without_any_news() -> None:
    roster = EstateRoster("e")
    roster.apply([item("person", ANN, person("one"))], 1)
    new_year_s = 1_798_732_800.0  # 2027-01-01 in China
    assert roster.find_person(ANN, "gate", new_year_s - 1).right == "live"
    assert roster.find_person(ANN, "gate", new_year_s).right == "ended"
    assert roster.find_person(ANN, "shed", NOW_S).right == "none"


def test_what_cannot_be_read_takes_its_subject_off_the_roster_until_it_is_mended() -> None:
    roster = EstateRoster("e")
    roster.apply([item("person", ANN, person("one")), item("person", BEN, person("two"))], 1)
    roster.apply([item("person", ANN, {"rights": "all of them"}), item("door", "d", {"group": 7})], 2)
    assert found(roster, "one") == ("unknown", None)
    assert found(roster, "two") == ("match", BEN)
    assert roster.unreadable == {("person", ANN), ("door", "d")}
    roster.apply([item("person", ANN, person("one"))], 3)
    assert found(roster, "one") == ("match", ANN)
    assert roster.unreadable == {("door", "d")}


def test_a_waiver_and_a_rate_of_the_estate_are_taken_over_and_given_up() -> None:
    book = RosterBook([EstateRoster("e"), EstateRoster("f")], {})
    doc = {"name_zh": "测", "name_en": "T", "faces": True, "fpir": 0.001}
    waiver = {"until": "2026-10-01", "author": "somebody", "reason": "a camera without a verdict"}
    book.apply("e", [item("estate", "e", {**doc, "liveness_waiver": waiver})], 1, False)
    assert book.estates["e"].policy.liveness_waiver_until == date(2026, 10, 1)
    assert book.rates(0.003) == {"e": 0.001, "f": 0.003}
    book.apply("e", [item("estate", "e", None)], 2, False)
    assert not book.estates["e"].policy.faces
    assert book.estates["e"].policy.liveness_waiver_until is None


def test_a_roster_that_starts_anew_forgets_what_is_not_in_it() -> None:
    book = RosterBook([EstateRoster("e")], {})
    book.apply("e", [item("person", ANN, person("one"))], 5, False)
    book.apply("e", [item("person", BEN, person("two"))], 2, True)
    assert list(book.estates["e"].people) == [BEN]
    assert book.estates["e"].version == 2


def test_doors_that_take_only_faces_are_named() -> None:
    roster = EstateRoster("e")
    roster.apply(
        [
            item("door", "b", {"group": "b", "credentials": ["face"]}),
            item("door", "a", {"group": "a", "credentials": ["face", "card"]}),
        ],
        1,
    )
    assert roster.face_only_doors == ["b"]
