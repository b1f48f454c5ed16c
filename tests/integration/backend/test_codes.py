"""PINs, QR seeds, visitors' passes, guards' orders: by whom they may be made, and what is kept of them."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from backend.access.orders import end_order, give_order, standing_orders
from backend.identity.errors import NotAllowedError
from backend.identity.principal import ALL, Principal
from backend.registry.codes import pin_reference, visitor_reference
from backend.registry.credentials import end_pins, issue_pins, open_groups, qr_of, renew_qr
from backend.registry.errors import NoRightError, ReasonMissingError, TooManyPassesError, UnknownThingError
from backend.registry.estates import estate_key
from backend.registry.roster import feed
from backend.registry.visitors import clear_past_passes, end_pass, live_passes, make_pass
from tests.integration.backend.conftest import NOW, Town


class Home:
    """A resident of `east` who can log in."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.person_id = town.resident()
        self.tenant = replace(town.add_login("chen", "tenant", "east"), person_id=self.person_id)
        self.key = town.change(lambda one: estate_key(one, town.master_key, "east"))

    def items(self, kind: str) -> dict[str, Any]:
        page = self.town.change(lambda one: feed(one, "east", 0, 5_000))
        return {
            item.item_id: json.loads(item.document) if item.document else None
            for item in page.items
            if item.kind == kind
        }


@pytest.fixture
def home(town: Town) -> Home:
    return Home(town)


def issue(home: Home, group: str = "gate", actor: Principal | None = None, **more: Any) -> Any:
    who = actor or home.tenant
    return home.town.change(
        lambda one: issue_pins(one, home.person_id, "east", group, home.key, actor=who, now=NOW, **more)
    )


def test_a_pin_is_shown_once_and_kept_as_a_reference(home: Home) -> None:
    pins = issue(home)
    assert len(pins.pin) == 6
    assert pins.pin != pins.duress_pin
    person = home.items("person")[str(home.person_id)]
    assert {(one["hmac"], one["duress"]) for one in person["pins"]} == {
        (pin_reference(home.key, "gate", pins.pin), False),
        (pin_reference(home.key, "gate", pins.duress_pin), True),
    }
    everything = (
        home.town.text_of("pin") + home.town.text_of("roster_item") + home.town.text_of("audit_record")
    )
    assert pins.pin not in everything
    assert pins.duress_pin not in everything


def test_a_new_pin_ends_the_one_before_and_two_people_never_share_one(home: Home) -> None:
    issue(home)
    other = home.town.resident("li", unit="0102")
    drawn = itertools.chain([482_913, 771_204, 482_913, 771_204, 305_518, 620_947])
    issue(home, below=lambda _most: next(drawn))
    pins = home.town.change(
        lambda one: issue_pins(
            one, other, "east", "gate", home.key, actor=home.town.clerk_of_east, now=NOW,
            below=lambda _most: next(drawn),
        )
    )  # fmt: skip
    assert (pins.pin, pins.duress_pin) == ("305518", "620947")
    assert home.town.value("SELECT count(*) FROM pin WHERE ended_at IS NULL") == 4


def test_who_has_no_right_there_gets_no_code(home: Home) -> None:
    with pytest.raises(NoRightError):
        issue(home, group="nowhere")
    stranger = home.town.add_login("stranger", "tenant", "east")
    with pytest.raises(NotAllowedError):
        issue(home, actor=stranger)
    groups = home.town.change(lambda one: open_groups(one, home.person_id, NOW))
    assert [one.group_id for one in groups] == ["a", "gate"]


def test_pins_can_be_taken_back(home: Home) -> None:
    issue(home)
    home.town.change(lambda one: end_pins(one, home.person_id, "east", "gate", actor=home.tenant, now=NOW))
    assert "pins" not in home.items("person")[str(home.person_id)]


def test_a_qr_seed_is_made_once_sealed_and_replaced_after_a_lost_phone(home: Home) -> None:
    def look() -> tuple[str, bytes]:
        found: tuple[str, bytes] = home.town.change(
            lambda one: qr_of(one, home.person_id, "east", home.key, actor=home.tenant, now=NOW)
        )
        return found

    first = look()
    assert look() == first
    assert home.items("person")[str(home.person_id)]["qr"]["id"] == first[0]
    assert first[1].hex() not in home.town.text_of("qr_seed") + home.town.text_of("roster_item")
    home.town.change(lambda one: renew_qr(one, home.person_id, "east", actor=home.tenant, now=NOW))
    assert "qr" not in home.items("person")[str(home.person_id)]
    assert look()[0] != first[0]


def visit(home: Home, **more: Any) -> Any:
    wish: dict[str, Any] = {"hours": 4, "uses_max": 2, "actor": home.tenant, "now": NOW, **more}
    return home.town.change(lambda one: make_pass(one, "east", "gate", home.key, **wish))


def test_a_pass_is_published_by_its_reference_and_ends_with_its_day(home: Home) -> None:
    made = visit(home, hours=99)
    assert made.ends_at == NOW + timedelta(hours=24)
    document = home.items("pass")[str(made.pass_id)]
    assert document["hmac"] == visitor_reference(home.key, made.code)
    assert made.code not in home.town.text_of("visitor_pass") + home.town.text_of("roster_item")
    assert home.town.change(lambda one: clear_past_passes(one, NOW + timedelta(hours=25))) == 1
    assert home.items("pass")[str(made.pass_id)] is None


def test_a_host_has_few_passes_and_may_take_each_back(home: Home) -> None:
    made = [visit(home) for _ in range(5)]
    with pytest.raises(TooManyPassesError):
        visit(home)
    home.town.change(lambda one: end_pass(one, made[0].pass_id, actor=home.tenant, now=NOW))
    visit(home)
    assert len(home.town.change(lambda one: live_passes(one, home.person_id, NOW))) == 5
    with pytest.raises(UnknownThingError):
        home.town.change(lambda one: end_pass(one, made[0].pass_id, actor=home.tenant, now=NOW))


def test_a_guard_makes_passes_too_and_nobody_else_does(home: Home) -> None:
    visit(home, actor=home.town.clerk_of_east)
    with pytest.raises(NotAllowedError):
        visit(home, actor=home.town.add_login("clerk-w", "operator", "west"))


def order(
    home: Home, action: Any, device: str | None = None, reason: str = "测试 drill", **more: Any
) -> UUID:
    who = more.pop("actor", home.town.clerk_of_east)
    given: UUID = home.town.change(
        lambda one: give_order(one, "east", action, device, reason, actor=who, now=NOW, **more)
    )
    return given


def test_an_opening_reaches_the_roster_with_author_reason_and_a_few_seconds(home: Home) -> None:
    order_id = order(home, "open", "east-gate")
    document = home.items("order")["open:east-gate"]
    assert document["order"] == str(order_id)
    assert (document["author"], document["reason"]) == (home.town.clerk_of_east.actor, "测试 drill")
    assert document["until"] == "2026-06-01T04:00:10Z"
    order(home, "open", "east-gate")
    assert len(home.items("order")) == 1  # openings never pile up


def test_lockdown_and_release_stand_until_they_are_ended(home: Home) -> None:
    lockdown, release = order(home, "lockdown"), order(home, "release", "east-gate")
    standing = home.town.change(lambda one: standing_orders(one, ALL, NOW))
    assert [(one.action, one.device_id) for one in standing] == [("lockdown", None), ("release", "east-gate")]
    home.town.change(lambda one: end_order(one, lockdown, actor=home.town.clerk_of_east, now=NOW))
    assert home.items("order")["lockdown:*"] is None
    order(home, "all_clear")
    assert home.items("order")["release:east-gate"] is None
    assert home.town.change(lambda one: standing_orders(one, ALL, NOW)) == []
    with pytest.raises(UnknownThingError):
        home.town.change(lambda one: end_order(one, release, actor=home.town.clerk_of_east, now=NOW))


def test_an_order_needs_its_role_its_door_and_its_reason(home: Home) -> None:
    with pytest.raises(NotAllowedError):
        order(home, "open", "east-gate", actor=home.town.admin)
    with pytest.raises(UnknownThingError):
        order(home, "open", "west-gate")
    with pytest.raises(UnknownThingError):
        order(home, "open")
    with pytest.raises(ReasonMissingError):
        order(home, "lockdown", reason=" ")
    refused = home.town.value("SELECT count(*) FROM door_order")
    assert refused == 0


def test_the_reader_sees_no_reference_and_no_seed(home: Home) -> None:
    granted = home.town.rows(
        "SELECT table_name, column_name FROM information_schema.column_privileges"
        " WHERE grantee = 'estate_reader' AND column_name IN ('hmac', 'sealed')"
    )
    assert [tuple(row) for row in granted] == []
