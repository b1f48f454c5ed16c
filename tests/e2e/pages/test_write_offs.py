"""A write-off on the pages: asked for at the counter, agreed to by another, and paid all the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.pages.town import Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, picture, press


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_arrears_are_written_off_by_two_and_come_back_with_a_payment(
    town: Town, windows: Windows, width: int, tmp_path: Path
) -> None:
    town.charge("2026-10")
    page = windows.as_("zhang", width)
    household = town.homes["chen"].household_id
    page.goto(f"/counter/{household}")
    press(page.get_by_role("link", name=re.compile("申请核销")))
    page.locator("#reason").fill("下落不明")
    for yuan, said in (("900", "780.50"), ("0", "大于零"), ("一百", "应为金额"), ("1.234", "最多两位小数")):
        page.locator("#yuan").fill(yuan)
        press(page.get_by_role("button", name=re.compile("申请核销")))
        expect(page.get_by_role("alert")).to_contain_text(said)
    page.locator("#yuan").fill("")
    assert overflow_px(page) == 0
    picture(page, tmp_path / "ask.png")
    press(page.get_by_role("button", name=re.compile("申请核销")))
    expect(page.locator("[data-state=open]")).to_be_visible()
    address = page.url
    other = windows.as_("both", width)
    other.goto(address)
    press(other.get_by_role("button", name=re.compile("^同意")))
    expect(other.locator("[data-state=used]")).to_be_visible()
    page.goto(f"/counter/{household}")
    expect(page.locator("[data-owed]")).to_have_text("¥0.00")
    expect(page.locator("[data-written-off]")).to_contain_text("¥780.50")
    page.locator("#yuan").fill("80.50")
    page.locator("#slip").fill("No. 9")
    press(page.get_by_role("button", name=re.compile("入账")))
    expect(page.locator("[data-written-off]")).to_contain_text("¥700.00")
    page.goto("/finance/write-offs")
    expect(page.locator("[data-amount]")).to_have_text("¥780.50")
    expect(page.locator("[data-back]")).to_have_text("¥80.50")
    assert overflow_px(page) == 0
    picture(page, tmp_path / "list.png")
