"""Moving in and out in one transaction, and how a clerk finds and corrects people."""

from __future__ import annotations

import json
from datetime import date, timedelta
from uuid import UUID

import msgspec
import pytest

from backend.identity.errors import NotAllowedError
from backend.identity.principal import ALL
from backend.registry.consents import NewConsent, give_consent, publish_notice
from backend.registry.errors import (
    AlreadyHandedOverError,
    NothingToCorrectError,
    NoticeIncompleteError,
    RelationNeededError,
    UnitLetError,
)
from backend.registry.facts import OPEN_DOORS
from backend.registry.homes import end_tenancy
from backend.registry.moves import HandedOver, MovedIn, NewPerson, hand_over_unit, move_in
from backend.registry.people import correct_person, household_of_clerk, members_of, search
from backend.registry.roster import feed
from tests.integration.backend.conftest import NOW, Town, household, member
from tests.integration.conftest import NOTICE

TENANT = NewPerson("w1", "王小红", "tenant", date(1990, 1, 1), ("gate", "a"))
CHILD = NewPerson("w2", "王小宝", "child", date(2018, 1, 1), ("gate", "a"))


def free_unit(town: Town) -> UUID:
    return UUID(str(town.value("SELECT unit_id FROM unit WHERE estate_id = 'east' AND number = '0202'")))


def moved(town: Town) -> MovedIn:
    unit_id = free_unit(town)
    return town.change(  # type: ignore[no-any-return]
        lambda c: move_in(
            c, unit_id, "h-w", (TENANT, CHILD), 38_640, date(2026, 6, 1), actor=town.admin, now=NOW
        )
    )


def test_a_lease_is_made_with_faces_refused_and_the_door_opens_by_other_means(town: Town) -> None:
    ids = moved(town)
    with town.engine.connect() as connection:
        page = feed(connection, "east", 0, 5000)
    told = {one.item_id: json.loads(one.document or "null") for one in page.items}
    for person_id in ids.people:
        assert told[str(person_id)]["face_consent"] is False
        assert len(told[str(person_id)]["rights"]) == 2
    assert town.value("SELECT count(*) FROM consent") == 0


def test_a_unit_that_is_let_takes_nobody_else_and_nothing_of_the_move_stays(town: Town) -> None:
    moved(town)
    before = town.value("SELECT count(*) FROM household")
    other = NewPerson("x1", "某", "tenant", date(1990, 1, 1))
    unit_id = free_unit(town)
    with pytest.raises(UnitLetError):
        town.change(
            lambda c: move_in(c, unit_id, "h-x", (other,), 1, date(2026, 7, 1), actor=town.admin, now=NOW)
        )
    assert town.value("SELECT count(*) FROM household") == before


def test_rights_end_with_the_signed_hand_over_and_not_with_the_lease(town: Town) -> None:
    person_id = town.resident()
    tenancy_id = town.value("SELECT tenancy_id FROM tenancy")
    live = "SELECT count(*) FROM door_right WHERE ends_at IS NULL"
    town.change(
        lambda c: end_tenancy(c, tenancy_id, date(2026, 5, 1), actor=town.admin, reason="notice", now=NOW)
    )
    assert town.value(live) == 2
    done = town.change(lambda c: hand_over_unit(c, tenancy_id, actor=town.admin, now=NOW))
    assert done == HandedOver(people=1, rights=2, cards=1)
    assert town.value(live) == 0
    assert town.value("SELECT count(*) FROM card WHERE ended_at IS NULL") == 0
    assert town.value("SELECT count(*) FROM consent WHERE withdrawn_at IS NULL") == 0
    orders = town.rows("SELECT person_id, scope FROM erasure_order")
    assert orders == [(person_id, "all")]
    with pytest.raises(AlreadyHandedOverError):
        town.change(lambda c: hand_over_unit(c, tenancy_id, actor=town.admin, now=NOW))


def test_a_unit_that_was_handed_over_may_be_let_the_same_day(town: Town) -> None:
    ids = moved(town)
    later = NOW + timedelta(days=30)
    town.change(lambda c: hand_over_unit(c, ids.tenancy_id, actor=town.admin, now=later))
    other = NewPerson("x1", "某", "tenant", date(1990, 1, 1))
    unit_id = free_unit(town)
    town.change(
        lambda c: move_in(c, unit_id, "h-x", (other,), 1, date(2026, 7, 1), actor=town.admin, now=later)
    )


def test_nobody_hands_over_in_another_estate(town: Town) -> None:
    town.resident("far", "west")
    tenancy_id = town.value("SELECT tenancy_id FROM tenancy")
    with pytest.raises(NotAllowedError):
        town.change(lambda c: hand_over_unit(c, tenancy_id, actor=town.clerk_of_east, now=NOW))
    assert town.value("SELECT count(*) FROM hand_over") == 0


def test_a_clerk_finds_households_by_name_unit_and_ref_in_her_estates_only(town: Town) -> None:
    ids = moved(town)
    town.resident("far", "west", "0202")
    with town.engine.connect() as connection:
        for words in ("王小", "0202", "h-w", "w1"):
            found = search(connection, words, town.clerk_of_east.estates("operator"))
            assert [one.household_id for one in found] == [ids.household_id], words
            assert found[0].names == "王小红、王小宝"
        assert len(search(connection, "0202", ALL)) == 2
        for words in ("", "  ", "%", "_"):
            assert search(connection, words, ALL) == []
        assert household_of_clerk(connection, ids.household_id, town.clerk_of_east).ref == "h-w"
        members = members_of(connection, ids.household_id, NOW)
    assert [(one.name, len(one.rights), one.consents) for one in members] == [
        ("王小红", 2, ()),
        ("王小宝", 2, ()),
    ]


def test_a_correction_is_audited_and_ends_what_the_right_birthday_does_not_allow(town: Town) -> None:
    person_id = town.resident()
    town.change(lambda c: correct_person(c, person_id, name=" 陈桂香 ", actor=town.admin, now=NOW))
    assert town.value("SELECT name FROM person") == "陈桂香"
    assert town.value("SELECT count(*) FROM consent WHERE withdrawn_at IS NULL") == 1
    town.change(lambda c: correct_person(c, person_id, born_on=date(2015, 1, 1), actor=town.admin, now=NOW))
    assert town.value("SELECT count(*) FROM consent WHERE withdrawn_at IS NULL") == 0
    assert town.rows("SELECT reason FROM audit_record WHERE action = 'correct_person'") == [
        ("name",),
        ("born_on",),
    ]
    for name in (None, "  "):
        with pytest.raises(NothingToCorrectError):
            town.change(
                lambda c, name=name: correct_person(c, person_id, name=name, actor=town.admin, now=NOW)
            )


def test_a_guardians_consent_says_the_relation(town: Town) -> None:
    ids = town.run_import(
        household(
            "h",
            "east",
            "0101",
            member("mother"),
            member("girl", kind="child", born_on="2018-01-10", cards=[], face_consent={"given": False}),
        )
    ).ids
    given = NewConsent(ids["girl"], OPEN_DOORS, "counter", ids["mother"])
    with pytest.raises(RelationNeededError) as refused:
        town.change(lambda c: give_consent(c, given, actor=town.admin, now=NOW))
    assert "关系" in refused.value.zh


def test_a_notice_with_a_field_missing_is_not_published(town: Town) -> None:
    for field in ("handler", "contact", "purpose_text", "method", "retention", "effect", "rights"):
        blank = msgspec.structs.replace(NOTICE, version=2, **{field: "  "})
        with pytest.raises(NoticeIncompleteError) as refused:
            town.change(
                lambda c, blank=blank: publish_notice(c, OPEN_DOORS, blank, actor="system:test", now=NOW)
            )
        assert refused.value.missing == (field,)
    assert town.value("SELECT max(version) FROM consent_notice") == 1
