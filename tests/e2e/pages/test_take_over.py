"""The clerk's first day on the page: the old system's file tried, put right, proposed, approved."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from backend.documents.table_file import ZIP
from backend.registry.tables import household
from tests.e2e.pages.town import Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, picture, press
from tests.unit.closing.old_books import Evening


def ref_of(town: Town, home: str) -> str:
    with town.engine.connect() as connection:
        wanted = household.c.household_id == town.homes[home].household_id
        found: str = connection.execute(select(household.c.ref).where(wanted)).scalar_one()
        return found


def send(page: Page, name: str, body: bytes, button: str) -> None:
    page.locator("#month").fill("2026-11")
    page.locator("#file").set_input_files(
        files=[{"name": name, "mimeType": "application/octet-stream", "buffer": body}]
    )
    press(page.get_by_role("button", name=re.compile(button)))


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_a_file_is_checked_put_right_proposed_and_posted_by_another(
    town: Town, windows: Windows, width: int, tmp_path: Path
) -> None:
    evening = Evening(
        arrears=[(ref_of(town, "chen"), "", "2026-09", "", "租金", 78_050), ("X", "", "坏", "", "租", 1)],
        deposits=[(ref_of(town, "chen"), "A栋 0101", 100_000)],
        money={"待缴租金": 250_000},
    )
    page = windows.as_("zhang", width)
    page.goto("/finance/today")
    press(page.get_by_role("link", name=re.compile("期初接管")))
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("下载样板")).click()
    assert download.value.path().read_bytes().startswith(ZIP)
    send(page, "old.csv", evening.csv("gb18030"), "先检查")
    expect(page.locator("[data-fault]")).to_have_count(2)
    expect(page.locator("[data-fault]").first).to_contain_text("「费用月份」")
    assert overflow_px(page) == 0
    picture(page, tmp_path / "faults.png")
    evening.arrears.pop()
    send(page, "old.xlsx", evening.workbook(), "先检查")
    expect(page.locator("[data-totals]")).to_contain_text("3,500.00")
    assert overflow_px(page) == 0
    picture(page, tmp_path / "checked.png")
    send(page, "old.xlsx", evening.workbook(), "提交审批")
    expect(page.locator("[data-state=open]")).to_be_visible()
    address = page.url

    other = windows.as_("both", width)
    other.goto(address)
    expect(other.get_by_text("欠费合计")).to_be_visible()
    expect(other.get_by_text("¥780.50").first).to_be_visible()
    assert overflow_px(other) == 0
    picture(other, tmp_path / "approval.png")
    press(other.get_by_role("button", name="同意", exact=False).first)
    expect(other.locator("[data-state=used]")).to_be_visible()
    page.goto("/finance/take-over")
    expect(page.locator("[data-done]")).to_contain_text("2026-11 起由本系统计租")
    tenant = windows.as_("chen")
    tenant.goto("/my/rent")
    expect(tenant.locator("[data-total]")).to_have_text("¥780.50")
