"""The operator's page of devices, alarms, and whom panels may still let in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from backend.access.devices import store_alarms, store_panels
from backend.access.wire import AlarmStatus, Leaving, PanelStatus
from tests.e2e.pages.town import NORTH, SOUTH, Town, online
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, press


def alarm(town: Town, kind: str, device: str = "north-gate", **facts: Any) -> None:
    now = datetime.now(UTC)
    values: dict[str, Any] = {"alarm_id": uuid4(), "raised_at": now, "repeated_at": now, "times": 1}
    one = AlarmStatus(estate=device.partition("-")[0], device=device, kind=kind, **(values | facts))
    with town.engine.begin() as connection:
        store_alarms(connection, [one], "gw", now)


def panel(town: Town, **facts: Any) -> None:
    now = datetime.now(UTC)
    counts = dict.fromkeys(("refused", "missing", "extra", "nameless", "strangers"), 0)
    values: dict[str, Any] = {"people": 24, "reconciled_at": now, "may_still_open": [], "erased": []}
    one = PanelStatus(estate=NORTH, device="north-gate", **(counts | values | facts))
    with town.engine.begin() as connection:
        store_panels(connection, [one], "gw", now)


def devices(windows: Windows, width: int = PHONE) -> Page:
    page = windows.as_("guard", width)
    page.goto("/operator/devices")
    return page


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_each_device_says_how_it_is_and_what_its_panel_holds(
    town: Town, windows: Windows, width: int
) -> None:
    town.doors_report([online("north-gate", contact="closed", battery_percent=12)])
    panel(town, extra=2)
    page = devices(windows, width)
    card = page.locator('[data-device="north-gate"]')
    for words in ("在线", "门已关", "电池 12%", "24 人", "2 处不一致"):
        expect(card).to_contain_text(words)
    expect(page.locator('[data-device="north-a"]')).to_contain_text("已登记，未上线")
    expect(page.locator("[data-device]")).to_have_count(2)
    expect(page.locator("main")).to_contain_text("没有告警")
    assert overflow_px(page) == 0
    assert windows.complaints == []


def test_an_alarm_says_what_to_do_and_somebody_takes_care_of_it(town: Town, windows: Windows) -> None:
    alarm(town, "opened_for_nobody", person=town.homes["chen"].person_id)
    page = devices(windows)
    card = page.locator("[data-alarm]")
    for words in ("自行放行了无权进入的人", "紧急", "请查看门口录像", "小区大门"):
        expect(card).to_contain_text(words)
    expect(card).not_to_contain_text("陈桂芳")
    press(card.get_by_role("button"))
    expect(page.locator("[data-alarm]")).to_contain_text("已有人在处理")
    assert len(town.audit_rows("see_alarm")) == 1
    assert windows.complaints == []


def test_who_may_still_be_let_in_is_shown_with_panel_and_end(town: Town, windows: Windows) -> None:
    now = datetime.now(UTC)
    person = town.homes["chen"].person_id
    left = Leaving(person=person, since=now, until=now + timedelta(days=3))
    panel(town, may_still_open=[left])
    page = devices(windows)
    row = page.locator("[data-leaving]")
    expect(row).to_contain_text("仍可能开门")
    expect(row).to_contain_text("north-gate")
    expect(row).to_contain_text("最迟到")
    panel(town)
    page.reload()
    expect(page.locator("[data-leaving]")).to_have_count(0)


def test_a_guard_sees_the_devices_of_the_own_estate_alone(town: Town, windows: Windows) -> None:
    alarm(town, "door_forced", "south-gate")
    page = devices(windows)
    expect(page.locator("[data-alarm]")).to_have_count(0)
    answer = page.request.get(f"/operator/devices?estate={SOUTH}")
    assert answer.status == 403
    tenant = windows.as_("chen")
    assert tenant.request.get("/operator/devices").status == 403
