"""Notices and consents: asked anew, withdrawn in one step, and a guardian's for children."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest

from backend.identity.errors import NotAllowedError
from backend.identity.principal import Grant, Principal
from backend.registry.consents import (
    NewConsent,
    give_consent,
    newest_notice,
    publish_due,
    publish_notice,
    withdraw_consent,
)
from backend.registry.errors import GuardianNeededError, NoNoticeError, OlderNoticeError, UnknownThingError
from backend.registry.facts import OPEN_DOORS
from backend.registry.roster import feed
from tests.integration.backend.conftest import NOW, Town, household, member
from tests.integration.conftest import NOTICE


def consents(town: Town, person_id: UUID) -> bool:
    """What the gateway is told."""
    with town.engine.connect() as connection:
        page = feed(connection, "east", 0, 5000)
    told = [json.loads(one.document or "null") for one in page.items if one.item_id == str(person_id)]
    return bool(told[0]["face_consent"])


def give(town: Town, person_id: UUID, guardian: UUID | None = None, actor: Principal | None = None) -> Any:
    given = NewConsent(person_id, OPEN_DOORS, "counter", guardian, "母亲")
    return town.change(lambda c: give_consent(c, given, actor=actor or town.admin, now=NOW))


def withdraw(town: Town, person_id: UUID, actor: Principal | None = None) -> Any:
    return town.change(
        lambda c: withdraw_consent(c, person_id, OPEN_DOORS, actor=actor or town.admin, now=NOW)
    )


def test_withdrawing_is_told_to_the_gateway_and_may_be_repeated(town: Town) -> None:
    person_id = town.resident()
    assert consents(town, person_id)
    assert [withdraw(town, person_id), withdraw(town, person_id)] == [True, False]
    assert not consents(town, person_id)
    give(town, person_id)
    assert consents(town, person_id)
    assert town.value("SELECT count(*) FROM consent") == 2


def test_a_tenant_withdraws_alone_and_only_for_himself(town: Town) -> None:
    person_id, other = town.resident(), town.resident("li", unit="0102")
    grants = (Grant("tenant", "east", NOW, None),)
    tenant = Principal(town.admin.principal_id, "chen", "Chen", person_id, grants)
    assert withdraw(town, person_id, tenant)
    with pytest.raises(NotAllowedError):
        withdraw(town, other, tenant)
    with pytest.raises(NotAllowedError):
        give(town, person_id, actor=tenant)


def test_a_child_needs_a_guardian_and_is_asked_again_at_fourteen(town: Town) -> None:
    ids = town.run_import(
        household(
            "h",
            "east",
            "0101",
            member("mother"),
            member("girl", kind="child", born_on="2013-01-10", cards=[], face_consent={"given": False}),
        )
    ).ids
    girl, mother = ids["girl"], ids["mother"]
    for guardian in (None, girl):
        with pytest.raises(GuardianNeededError):
            give(town, girl, guardian)
    give(town, girl, mother)
    assert consents(town, girl)
    # Fourteen on 10 January 2027, which begins in Jiangmen at 16:00 UTC the day before.
    for days, expected in ((222, 0), (223, 1)):
        now = NOW.replace(hour=16) + timedelta(days=days - 1)
        assert [town.change(partial(publish_due, now=now)) for _ in range(2)] == [expected, 0]
    assert not consents(town, girl)


def test_a_new_notice_asks_everybody_again(town: Town) -> None:
    person_id = town.resident()
    new = msgspec.structs.replace(NOTICE, version=2, retention="一个月")
    assert publish(town, new)
    assert not consents(town, person_id)
    give(town, person_id)
    assert consents(town, person_id)
    assert town.value("SELECT notice_version FROM consent WHERE withdrawn_at IS NULL") == 2


def publish(town: Town, notice: Any) -> Any:
    return town.change(lambda c: publish_notice(c, OPEN_DOORS, notice, actor="system:test", now=NOW))


def test_a_published_notice_is_left_alone_or_refused(town: Town) -> None:
    assert not publish(town, NOTICE)
    with pytest.raises(OlderNoticeError):
        publish(town, msgspec.structs.replace(NOTICE, retention="别的"))
    publish(town, msgspec.structs.replace(NOTICE, version=3, retention="别的"))
    with pytest.raises(OlderNoticeError):
        publish(town, msgspec.structs.replace(NOTICE, version=2))


def test_nobody_consents_without_a_notice_or_for_nobody(town: Town) -> None:
    person_id = town.resident()
    with pytest.raises(NoNoticeError):
        town.change(lambda c: newest_notice(c, "occupancy_care"))
    given = NewConsent(person_id, "occupancy_care", "counter", None)
    with pytest.raises(NoNoticeError):
        town.change(lambda c: give_consent(c, given, actor=town.admin, now=NOW))
    with pytest.raises(UnknownThingError):
        give(town, UUID(int=1))
