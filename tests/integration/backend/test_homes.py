"""Tenancies and memberships that end; doors stay open until the hand-over says otherwise."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest

from backend.identity.errors import NotAllowedError
from backend.identity.principal import Principal
from backend.registry.errors import UnknownThingError
from backend.registry.homes import end_membership, end_tenancy
from tests.integration.backend.conftest import NOW, Town, household, member

LAST = date(2026, 7, 1)


@pytest.fixture
def ids(town: Town) -> dict[str, UUID]:
    return dict(
        town.run_import(household("h", "west", "0101", member("p"), member("q", kind="co-resident"))).ids
    )


def leave(town: Town, ids: dict[str, UUID], who: Principal) -> Any:
    return town.change(
        lambda c: end_membership(c, ids["h"], ids["q"], LAST, actor=who, reason="moved", now=NOW)
    )


def hand_back(town: Town, tenancy_id: UUID, who: Principal) -> Any:
    return town.change(lambda c: end_tenancy(c, tenancy_id, LAST, actor=who, reason="left", now=NOW))


def test_a_tenancy_ends_and_no_door_closes_by_it(town: Town, ids: dict[str, UUID]) -> None:
    tenancy_id = town.value("SELECT tenancy_id FROM tenancy")
    with pytest.raises(NotAllowedError):
        hand_back(town, tenancy_id, town.clerk_of_east)
    hand_back(town, tenancy_id, town.admin)
    assert town.value("SELECT to_on FROM tenancy") == LAST
    assert town.value("SELECT count(*) FROM door_right WHERE ends_at IS NOT NULL") == 0
    with pytest.raises(UnknownThingError):
        hand_back(town, uuid4(), town.admin)


def test_a_member_leaves_once(town: Town, ids: dict[str, UUID]) -> None:
    with pytest.raises(NotAllowedError):
        leave(town, ids, town.clerk_of_east)
    leave(town, ids, town.admin)
    rows = town.rows("SELECT person_id FROM household_member WHERE to_on = '2026-07-01'")
    assert [tuple(row) for row in rows] == [(ids["q"],)]
    with pytest.raises(UnknownThingError):
        leave(town, ids, town.admin)
    with pytest.raises(UnknownThingError):
        leave(town, ids | {"h": uuid4()}, town.admin)


def test_each_end_is_audited_with_its_reason(town: Town, ids: dict[str, UUID]) -> None:
    leave(town, ids, town.admin)
    hand_back(town, town.value("SELECT tenancy_id FROM tenancy"), town.admin)
    rows = town.rows(
        "SELECT action, actor, estate_id, reason FROM audit_record WHERE action LIKE 'end%' ORDER BY audit_id"
    )
    assert [tuple(row) for row in rows] == [
        ("end_membership", town.admin.actor, "west", "moved"),
        ("end_tenancy", town.admin.actor, "west", "left"),
    ]
