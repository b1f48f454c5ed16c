"""The monthly run on the page: seen by one, agreed to by another, charged by the worker."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from backend.rent.runs import post_agreed
from backend.rent.settings import RentSettings
from tests.e2e.pages.town import Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, press


def work(town: Town) -> None:
    while post_agreed(town.engine, datetime.now(UTC), RentSettings()):
        pass


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_one_person_proposes_another_approves_and_the_worker_charges(
    town: Town, windows: Windows, width: int
) -> None:
    page = windows.as_("zhang", width)
    page.goto("/finance/runs?month=2026-11")
    expect(page.locator("[data-charges]")).to_have_text("1 户")
    expect(page.locator("[data-amount]")).to_have_text("¥780.50")
    assert overflow_px(page) == 0
    press(page.get_by_role("button", name="申请入账"))
    expect(page.locator("[data-state=open]")).to_be_visible()
    expect(page.get_by_text("申请人自己不能同意")).to_be_visible()
    address = page.url

    other = windows.as_("both", width)
    other.goto(address)
    assert overflow_px(other) == 0
    press(other.get_by_role("button", name="同意入账"))
    expect(other.locator("[data-state=approved]")).to_be_visible()
    work(town)
    other.goto(address)
    expect(other.locator("[data-done=yes]")).to_contain_text("1 / 1 户")
    assert windows.complaints == []


def test_what_changed_behind_the_preview_is_shown_again(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    page.goto("/finance/runs?month=2026-11")
    town.charge("2026-11")
    press(page.get_by_role("button", name="申请入账"))
    expect(page.get_by_role("alert")).to_contain_text("预览之后数据有变化")
    expect(page.get_by_text("这个月没有要计收的")).to_be_visible()


def test_a_declined_run_needs_a_reason_and_charges_nobody(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    page.goto("/finance/runs?month=2026-11")
    press(page.get_by_role("button", name="申请入账"))
    expect(page.locator("[data-state=open]")).to_be_visible()
    other = windows.as_("both", DESK)
    other.goto(page.url)
    button = other.get_by_role("button", name="不同意")
    press(button)
    expect(other.get_by_role("alert")).to_be_visible()
    other.fill("#reason", "先核对面积")
    press(button)
    expect(other.locator("[data-state=declined]")).to_be_visible()
    work(town)
    page.goto("/finance/runs?month=2026-11")
    expect(page.locator("[data-charges]")).to_have_text("1 户")


@pytest.mark.parametrize(
    ("login", "path", "said"),
    [
        ("zhang", "/finance/runs?month=2026-13", "不是月份"),
        ("zhang", "/finance/runs?month=2026-11&estate=south", ""),
        ("chen", "/finance/runs", ""),
        ("auditor", "/finance/runs", ""),
        ("both", "/finance/runs/00000000-0000-0000-0000-000000000001", ""),
    ],
)
def test_wrong_months_and_foreign_estates_are_refused(
    town: Town, windows: Windows, login: str, path: str, said: str
) -> None:
    page = windows.as_(login, DESK)
    answer = page.goto(path)
    assert answer is not None
    assert answer.status in {403, 404, 422}
    assert said in page.content()
