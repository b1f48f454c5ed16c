"""The second person's page: on a phone and at a desk, what waits and the decision."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from backend.approvals.service import propose
from backend.identity.accounts import principal_by_login
from tests.e2e.pages.town import NORTH, Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, press


def ask(town: Town) -> None:
    now = datetime.now(UTC)
    with town.engine.begin() as connection:
        clerk = principal_by_login(connection, "zhang", now)
        payload = {"amount_fen": 123_456}
        propose(
            connection,
            "refund",
            NORTH,
            "charge:1",
            "退还 302 室 2024 年多收",
            payload,
            "查找无着",
            clerk,
            now,
        )


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_another_person_reads_and_approves(town: Town, windows: Windows, width: int) -> None:
    ask(town)
    page = windows.as_("both", width)
    page.goto("/approvals")
    expect(page.get_by_role("heading", name="等您审批")).to_contain_text("（1）")
    assert overflow_px(page) == 0
    press(page.get_by_role("link", name="退还 302 室"))
    page.locator("summary").click()
    expect(page.get_by_text("¥1,234.56")).to_be_visible()
    assert overflow_px(page) == 0
    press(page.get_by_role("button", name="同意", exact=False).first)
    expect(page.locator("[data-state=approved]")).to_be_visible()
    assert windows.complaints == []


def test_whoever_asked_can_only_take_it_back(town: Town, windows: Windows) -> None:
    ask(town)
    page = windows.as_("zhang", PHONE)
    page.goto("/approvals")
    press(page.get_by_role("link", name="退还 302 室"))
    expect(page.get_by_text("申请人自己不能同意")).to_be_visible()
    press(page.get_by_role("button", name="撤回申请"))
    expect(page.locator("[data-state=withdrawn]")).to_be_visible()
