"""Devices as gateways report them: alarms, what panels hold, who may still open, and the operator's page."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import DBAPIError

from backend.access.devices import alarms, may_still_open, panel_erasures, see_alarm
from backend.identity.errors import NotAllowedError
from backend.identity.principal import ALL
from backend.registry.errors import UnknownThingError
from backend.registry.estates import load_estates
from backend.registry.estates_file import check_estates
from backend.registry.facts import estate_document
from estate.config import SettingsError
from tests.integration.backend.conftest import ESTATES_TOML, NOW, Town
from tests.integration.backend.test_gateway_api import Caller

EAST = frozenset({"east"})
STRANGER = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def caller(town: Town, client: FlaskClient) -> Caller:
    return Caller(client, town.add_gateway("gw-east", "east"))


def alarm(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "alarm_id": str(uuid4()),
        "estate": "east",
        "device": "east-gate",
        "kind": "clock_skew",
        "raised_at": "2026-06-01T04:00:00Z",
        "repeated_at": "2026-06-01T04:00:00Z",
        "times": 1,
        "person": None,
        "cleared_at": None,
    }
    return plain | changes


def panel(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "estate": "east",
        "device": "east-gate",
        "people": 12,
        "refused": 0,
        "reconciled_at": None,
        "missing": 0,
        "extra": 0,
        "nameless": 0,
        "strangers": 0,
        "may_still_open": [],
        "erased": [],
    }
    return plain | changes


def leaving(person: str, until: str | None = "2026-06-05T04:00:00Z") -> dict[str, Any]:
    return {"person": person, "until": until, "since": "2026-06-01T04:00:00Z"}


def erased(person: str, seq: int = 1) -> dict[str, Any]:
    times = {"since": "2026-06-01T04:00:00Z", "erased_at": "2026-06-02T04:00:00Z"}
    return {"seq": seq, "person": person, **times}


def tell(caller: Caller, **parts: Any) -> int:
    return caller.post("status", {"devices": [], **parts}).status_code


def test_an_alarm_is_kept_once_and_ends_when_the_gateway_says_so(town: Town, caller: Caller) -> None:
    one = alarm()
    assert tell(caller, alarms=[one]) == 204
    assert tell(caller, alarms=[one | {"times": 3, "repeated_at": "2026-06-01T04:05:00Z"}]) == 204
    with town.engine.connect() as connection:
        [seen] = alarms(connection, EAST, NOW)
    assert (seen.times, seen.cleared_at) == (3, None)
    assert tell(caller, alarms=[one | {"cleared_at": "2026-06-01T04:09:00Z"}]) == 204
    with town.engine.connect() as connection:
        [over] = alarms(connection, EAST, NOW)
        assert over.cleared_at is not None
        assert alarms(connection, EAST, NOW + timedelta(days=2)) == []
        assert alarms(connection, frozenset({"west"}), NOW) == []


def test_an_alarm_of_another_estates_device_is_refused_and_of_an_unknown_one_passed_over(
    town: Town, caller: Caller
) -> None:
    assert tell(caller, alarms=[alarm(estate="west", device="west-gate")]) == 403
    assert tell(caller, alarms=[alarm(device="ghost"), alarm(device="west-gate")]) == 204
    assert town.value("SELECT count(*) FROM device_alarm") == 0


def test_another_gateways_alarm_is_not_changed_by_its_id(
    town: Town, caller: Caller, client: FlaskClient
) -> None:
    one = alarm()
    assert tell(caller, alarms=[one]) == 204
    other = Caller(client, town.add_gateway("gw-2", "east"))
    assert tell(other, alarms=[one | {"cleared_at": "2026-06-01T04:09:00Z"}]) == 204
    assert town.value("SELECT cleared_at FROM device_alarm") is None


def test_whoever_takes_care_of_an_alarm_is_recorded_once(town: Town, caller: Caller) -> None:
    one = alarm()
    tell(caller, alarms=[one])
    alarm_id = UUID(one["alarm_id"])
    town.change(lambda c: see_alarm(c, alarm_id, actor=town.clerk_of_east, now=NOW))
    town.change(lambda c: see_alarm(c, alarm_id, actor=town.admin, now=NOW))
    assert town.value("SELECT seen_by FROM device_alarm") == town.clerk_of_east.principal_id
    assert town.value("SELECT count(*) FROM audit_record WHERE action = 'see_alarm'") == 1
    stranger = town.add_login("west-clerk", "operator", "west")
    with pytest.raises(NotAllowedError):
        town.change(lambda c: see_alarm(c, alarm_id, actor=stranger, now=NOW))
    with pytest.raises(UnknownThingError):
        town.change(lambda c: see_alarm(c, uuid4(), actor=town.admin, now=NOW))


def test_who_may_still_open_is_listed_until_the_panel_has_confirmed(town: Town, caller: Caller) -> None:
    person = str(town.resident())
    assert tell(caller, panels=[panel(may_still_open=[leaving(person)])]) == 204
    with town.engine.connect() as connection:
        [left] = may_still_open(connection, EAST)
        assert (left.device_id, left.person_ref, left.until) == (
            "east-gate",
            "chen",
            datetime(2026, 6, 5, 4, tzinfo=UTC),
        )
        [part] = panel_erasures(connection, [UUID(person)])[UUID(person)]
        assert part.erased_at is None
    for _ in range(2):  # told again until the gateway has heard that we have it
        assert tell(caller, panels=[panel(erased=[erased(person)])]) == 204
    with town.engine.connect() as connection:
        assert may_still_open(connection, ALL) == []
        [part] = panel_erasures(connection, [UUID(person)])[UUID(person)]
        assert part.erased_at == datetime(2026, 6, 2, 4, tzinfo=UTC)


def test_a_confirmed_erasure_can_be_neither_changed_nor_deleted(town: Town, caller: Caller) -> None:
    tell(caller, panels=[panel(erased=[erased(STRANGER)])])
    for attempt in ("UPDATE panel_erasure SET since = now()", "DELETE FROM panel_erasure"):
        with pytest.raises(DBAPIError):
            town.change(lambda connection, attempt=attempt: connection.exec_driver_sql(attempt))


@pytest.mark.parametrize(
    "parts",
    [
        {"panels": [panel(may_still_open=[leaving("ID-440700198001011234")])]},
        {"panels": [panel(people=-1)]},
        {"panels": [panel(photo="QUJD")]},
        {"alarms": [alarm(kind="Shout!")]},
        {"alarms": [alarm(picture="QUJD")]},
        {"alarms": [alarm(times=0)]},
    ],
)
def test_a_report_of_another_shape_is_refused_whole(town: Town, caller: Caller, parts: Any) -> None:
    assert tell(caller, **parts) == 422
    assert town.value("SELECT count(*) FROM device_alarm") == 0
    assert town.value("SELECT count(*) FROM panel_state") == 0


def test_battery_and_door_leaf_are_kept_with_the_state(town: Town, caller: Caller) -> None:
    state = {"estate": "east", "device": "east-gate", "state": "online", "since": "2026-06-01T04:00:00Z"}
    told = state | {"clock_offset_ms": 0, "contact": "held_open", "battery_percent": 9}
    assert caller.post("status", {"devices": [told]}).status_code == 204
    assert town.rows("SELECT contact, battery_percent FROM device_state") == [("held_open", 9)]


def with_panels(panels_toml: str) -> dict[str, Any]:
    return tomllib.loads(
        ESTATES_TOML.replace('district = "测试区"', f'district = "测试区"\n{panels_toml}', 1)
    )


def test_self_matching_is_off_by_default_and_its_lease_reaches_the_gateway(town: Town) -> None:
    with town.engine.connect() as connection:
        assert estate_document(connection, "east").panels is None
    file = check_estates(with_panels("panels = { match = true, roster_lease_days = 5 }"), "test")
    town.change(lambda c: load_estates(c, file, town.master_key, actor="system:test", now=NOW))
    with town.engine.connect() as connection:
        document = estate_document(connection, "east").panels
        assert document is not None
        assert document.roster_lease_days == 5
        assert estate_document(connection, "west").panels is None
    with pytest.raises(SettingsError):
        check_estates(with_panels("panels = { match = true, roster_lease_days = 0 }"), "test")
