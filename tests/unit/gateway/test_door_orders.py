"""Guards' openings, lockdowns and releases, and the fire alarm that beats them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.roster import Item
from tests.unit.gateway.stage import ESTATE, Stage, card, item

ORDER = "44444444-4444-4444-8444-444444444444"


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.change(item("door", "exit", {"group": "gate", "credentials": ["card"], "way": "out"}))
    return stage


def order(
    stage: Stage, action: str, door: str | None = None, *, until_s: float | None = None, order_id: str = ORDER
) -> Item:
    def moment(seconds: float) -> str:
        return datetime.fromtimestamp(seconds, UTC).isoformat()

    doc: dict[str, Any] = {
        "order": order_id,
        "action": action,
        "author": "guard",
        "reason": "a test",
        "given_at": moment(stage.wall_s),
        "door": door,
        "until": moment(stage.wall_s + until_s) if until_s is not None else None,
    }
    return item("order", f"{action}:{door or '*'}", doc)


def held(stage: Stage) -> dict[str, str]:
    return {door: told["state"] for door, told in stage.commands if told["command"] == "hold"}


def test_a_guards_opening_opens_once_and_is_recorded(stage: Stage) -> None:
    given = order(stage, "open", "gate", until_s=10)
    stage.change(given)
    stage.change(given)
    stage.write()
    opened = [(door, told["command"]) for door, told in stage.commands]
    assert opened == [("gate", "open")]
    [record] = stage.disk.records
    assert (record.credential, record.cause, record.events) == (
        "remote",
        "opened_by_guard",
        (f"order:{ORDER}",),
    )
    assert stage.confirmed == []
    stage.restart()
    stage.change(given)
    stage.write()
    assert stage.commands == []
    assert len(stage.disk.records) == 1


def test_an_opening_that_comes_too_late_opens_nothing(stage: Stage) -> None:
    given = order(stage, "open", "gate", until_s=10)
    stage.pass_by(11)
    stage.change(given)
    stage.write()
    assert stage.commands == []


def test_openings_expire_by_the_citys_clock(stage: Stage) -> None:
    stage.clock.heed_city(20.0, 21.0)  # near enough to leave our own clock alone
    stage.change(order(stage, "open", "gate", until_s=10))
    assert stage.commands == []


def test_an_opening_for_no_door_of_ours_is_nothing(stage: Stage) -> None:
    stage.change(order(stage, "open", "ghost", until_s=10))
    stage.write()
    assert stage.disk.records == []


def test_a_lockdown_shuts_the_way_in_and_never_the_way_out(stage: Stage) -> None:
    stage.change(order(stage, "lockdown"))
    stage.event(card("a"))
    stage.event(card("b"), device="exit")
    assert stage.cause("a") == "door_in_lockdown"
    assert stage.cause("b") == "granted"
    assert held(stage)["gate"] == "locked"
    stage.change(item("order", "lockdown:*", None))
    stage.event(card("c"))
    assert stage.cause("c") == "granted"
    assert held(stage)["gate"] == "normal"


def test_a_lockdown_has_an_end_of_its_own_where_one_is_set(stage: Stage) -> None:
    stage.change(order(stage, "lockdown", "gate", until_s=60))
    stage.event(card("a"))
    stage.pass_by(61)
    stage.orders.tick()
    stage.event(card("b"))
    assert (stage.cause("a"), stage.cause("b")) == ("door_in_lockdown", "granted")
    assert held(stage) == {"gate": "normal"}


def test_a_guard_may_open_a_door_in_lockdown(stage: Stage) -> None:
    stage.change(order(stage, "lockdown"), order(stage, "open", "gate", until_s=10))
    stage.write()
    assert [record.cause for record in stage.disk.records] == ["opened_by_guard"]


def status(stage: Stage, **more: Any) -> tuple[str, bytes]:
    at = datetime.fromtimestamp(stage.wall_s, UTC).isoformat()
    content = {"v": 1, "state": "heartbeat", "at": at, **more}
    return f"estate/{ESTATE}/gate/status", json.dumps(content).encode()


def test_fire_releases_every_door_beats_lockdown_and_survives_a_restart(stage: Stage) -> None:
    stage.change(order(stage, "lockdown"))
    stage.take(status(stage, fire=True))
    assert set(held(stage).values()) == {"released"}
    stage.event(card("stranger", "nobody"))
    assert stage.cause("stranger") == "released"
    stage.restart()
    stage.pass_by(1)
    stage.event(card("a", "nobody"))
    assert stage.cause("a") == "released"
    stage.take(status(stage, fire=False))  # the input going off ends nothing
    stage.event(card("b", "nobody"))
    assert stage.cause("b") == "released"
    stage.event(card("replayed", resent=True))
    assert stage.answers["replayed"] == []
    stage.pass_by(1)
    stage.change(order(stage, "all_clear"))
    stage.event(card("c", "nobody"))
    assert stage.cause("c") == "unknown_card"
    assert stage.fires == {}


def test_an_all_clear_from_before_the_fire_ends_no_fire(stage: Stage) -> None:
    before = order(stage, "all_clear")
    stage.pass_by(5)
    stage.take(status(stage, fire=True))
    stage.change(before)
    stage.event(card("a", "nobody"))
    assert stage.cause("a") == "released"


def test_a_guards_release_lasts_until_it_is_taken_back(stage: Stage) -> None:
    stage.change(order(stage, "release", "gate"))
    stage.event(card("a", "nobody"))
    stage.event(card("b", "nobody"), device="shed")
    assert (stage.cause("a"), stage.cause("b")) == ("released", "unknown_card")
    stage.change(item("order", "release:gate", None))
    stage.event(card("c", "nobody"))
    assert stage.cause("c") == "unknown_card"


def test_a_door_that_comes_back_is_told_what_holds(stage: Stage) -> None:
    stage.connected = False
    stage.change(order(stage, "lockdown"))
    stage.connected = True
    stage.commands.clear()
    stage.take(status(stage))
    assert held(stage) == {"gate": "locked"}
    stage.orders.tick()
    assert set(held(stage)) == {"gate", "shed", "exit"}  # the others are told as soon as it can be sent
