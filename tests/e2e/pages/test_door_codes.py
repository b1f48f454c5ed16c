"""A resident's QR code, PIN and visitors' codes; a guard's orders."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import expect
from sqlalchemy import insert, select, text, update

from backend.registry import tables as registry
from tests.e2e.pages.town import NORTH, Town
from tests.e2e.pages.windows import DESK, Windows, press, tap


@pytest.fixture
def housed(town: Town) -> Town:
    """The gate takes codes as well, and Mrs Chen may open it."""
    gate = registry.door.c.device_id == "north-gate"
    with town.engine.begin() as connection:
        connection.execute(
            update(registry.door).where(gate).values(credentials=["face", "card", "pin", "qr"])
        )
        group = connection.scalar(select(registry.door.c.group_id).where(gate))
        now = datetime.now(UTC)
        connection.execute(
            insert(registry.door_right).values(
                right_id=uuid4(), person_id=town.homes["chen"].person_id, estate_id=NORTH, group_id=group,
                starts_at=now - timedelta(days=1), created_at=now,
            )
        )  # fmt: skip
    return town


def count(town: Town, query: str) -> int:
    with town.engine.connect() as connection:
        return int(connection.scalar(text(query)) or 0)


def test_a_resident_shows_a_qr_code_that_renews_itself(housed: Town, windows: Windows) -> None:
    page = windows.as_("chen")
    page.goto("/my/doors")
    tap(page.get_by_role("link", name=re.compile("显示二维码")))
    expect(page.locator(".qr svg")).to_be_visible()
    refresh = page.locator("meta[http-equiv=refresh]").get_attribute("content")
    assert 1 <= int(refresh or 0) <= 30
    assert count(housed, "SELECT count(*) FROM qr_seed WHERE ended_at IS NULL") == 1
    page.goto("/my/doors")
    page.get_by_text("手机丢了").tap()
    tap(page.get_by_role("button", name=re.compile("作废以前的二维码")))
    assert count(housed, "SELECT count(*) FROM qr_seed WHERE ended_at IS NULL") == 0


def test_a_pin_is_chosen_by_the_system_and_shown_once(housed: Town, windows: Windows) -> None:
    page = windows.as_("chen")
    page.goto("/my/doors")
    tap(page.get_by_role("button", name=re.compile("新的开门密码")))
    shown, duress = page.locator("[data-pin]"), page.locator("[data-duress]")
    expect(shown).to_have_text(re.compile(r"^\d{6,}$"))
    expect(duress).to_have_text(re.compile(r"^\d{6,}$"))
    assert shown.inner_text() != duress.inner_text()
    tap(page.get_by_role("link", name=re.compile("我记好了")))
    assert page.locator("[data-pin]").count() == 0


def test_a_visitors_code_is_made_and_taken_back(housed: Town, windows: Windows) -> None:
    page = windows.as_("chen")
    page.goto("/my/doors")
    tap(page.get_by_role("button", name=re.compile("生成访客码")))
    expect(page.locator("[data-code]")).to_have_text(re.compile(r"^\d{8}$"))
    expect(page.locator(".qr svg")).to_be_visible()
    tap(page.get_by_role("link", name=re.compile("好了")))
    tap(page.get_by_role("button", name=re.compile("取消")))
    expect(page.get_by_role("heading", name=re.compile("有效的访客码"))).to_have_count(0)


def test_nobody_gets_a_code_for_a_door_that_is_not_open_to_them(housed: Town, windows: Windows) -> None:
    page = windows.as_("li")
    answer = page.goto(f"/my/doors/{NORTH}/gate/qr")
    assert answer is not None
    assert answer.status == 404
    page.goto("/my/doors")
    expect(page.get_by_text("没有可开的门")).to_be_visible()
    assert count(housed, "SELECT count(*) FROM qr_seed") == 0


def test_a_guard_opens_locks_and_releases_with_a_reason(housed: Town, windows: Windows) -> None:
    page = windows.as_("guard", DESK)
    page.goto("/operator/orders")
    page.get_by_label(re.compile("原因")).fill("演习 drill")
    press(page.get_by_role("button", name=re.compile("封闭入口")))
    expect(page.get_by_role("heading", name=re.compile("现在有效"))).to_be_visible()
    page.get_by_label(re.compile("原因")).fill("送水 water")
    press(page.get_by_role("button", name=re.compile("现在开门")))
    expect(page.get_by_role("status")).to_contain_text("几秒内有效")
    press(page.get_by_role("button", name=re.compile("解除 End")))
    expect(page.get_by_role("heading", name=re.compile("现在有效"))).to_have_count(0)
    rows = housed.audit_rows("order_open")
    assert [(row.outcome, row.reason) for row in rows] == [("done", "送水 water")]


def test_orders_are_the_guards_business_alone(housed: Town, windows: Windows) -> None:
    for login in ("chen", "admin", "zhang"):
        answer = windows.as_(login).goto("/operator/orders")
        assert answer is not None
        assert answer.status == 403
    assert housed.audit_rows("order_open") == []
