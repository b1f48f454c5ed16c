"""The finance desk remits what was collected: the amount stands there, too much is refused, twice is once."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.pages.town import NORTH, Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, press


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_collected_rent_is_remitted_once(town: Town, windows: Windows, width: int) -> None:
    town.charge("2026-11")
    town.pay_online("chen", 30_000)
    page = windows.as_("zhang", width)
    press(page.get_by_role("link", name="缴库和转付").first)
    treasury = page.locator("[data-to=treasury]")
    expect(treasury.locator("[data-stands=rent]")).to_have_text("¥300.00")
    expect(page.locator("[data-to=companies] form")).to_have_count(0)
    assert overflow_px(page) == 0
    page.fill("#treasury-order", "JK-2026-11")
    for typed, said in (("300.01", "余额不足"), ("1.234", "两位小数"), ("", "至少填写一项")):
        page.fill("#treasury-rent", typed)
        press(page.get_by_role("button", name="登记缴库"))
        expect(page.get_by_role("alert")).to_contain_text(said)
        assert page.input_value("#treasury-order") == "JK-2026-11"
    page.fill("#treasury-rent", "300")
    press(page.get_by_role("button", name="登记缴库"))
    expect(page.get_by_role("status")).to_contain_text("JK-2026-11")
    expect(page.locator("[data-sent]")).to_contain_text("¥300.00")
    expect(treasury.locator("[data-stands=rent]")).to_have_text("¥0.00")
    press(page.locator("[data-sent] a"))
    expect(page.get_by_role("main")).to_contain_text("缴款书 JK-2026-11")
    looks = windows.as_("auditor", width)
    looks.goto(f"/finance/handing-on?estate={NORTH}")
    expect(looks.locator("[data-sent]")).to_have_count(1)
    expect(looks.locator("form[method=post]:not([action*=logout])")).to_have_count(0)
    assert overflow_px(looks) == 0
