"""Papers and reminders on the pages: a tenant's account, a receipt to be checked, the list of the desk."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from playwright.sync_api import expect

from backend.rent.dunning import dun
from backend.rent.dunning_settings import DunningRules
from tests.e2e.pages.town import Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, press


def dun_on(town: Town, day: date) -> None:
    while dun(town.engine, datetime(day.year, day.month, day.day, 2, tzinfo=UTC), DunningRules()):
        pass


def overdue(town: Town) -> None:
    """Two months that are long past, and a ladder that was climbed since."""
    for month in ("2026-01", "2026-02"):
        town.charge(month)
    day = date(2026, 1, 18)
    while day < date(2026, 5, 1):
        dun_on(town, day)
        day += timedelta(days=7)


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_tenant_reads_the_whole_account_and_takes_it_along(
    town: Town, windows: Windows, width: int
) -> None:
    town.charge("2026-10")
    town.pay_online("chen", 50_000)
    page = windows.as_("chen", width)
    press(page.get_by_role("link", name="看全部账目"))
    expect(page.locator("[data-movement]")).to_have_count(2)
    expect(page.locator("[data-balance]")).to_have_text("¥280.50")
    assert overflow_px(page) == 0
    for kind, begins in (("pdf", b"%PDF-"), ("xlsx", b"PK")):
        answer = page.request.get(f"/my/statement.{kind}")
        assert answer.status == 200
        assert answer.body().startswith(begins)
    page.goto("/my/rent")
    link = page.locator(".payments a.figure")
    answer = page.request.get(link.get_attribute("href") or "")
    assert answer.body().startswith(b"%PDF-")
    assert windows.complaints == []


def test_nobody_takes_a_receipt_of_another_household(town: Town, windows: Windows) -> None:
    town.charge("2026-10")
    town.pay_online("chen", 50_000)
    page = windows.as_("chen")
    address = page.locator(".payments a.figure").get_attribute("href") or ""
    other = windows.as_("li")
    assert other.request.get(address).status == 404
    assert other.request.get("/my/receipts/nothing.pdf").status == 404
    assert other.request.get(address.replace("/my/", "/finance/")).status == 403
    stranger = windows.open()
    assert "/login" in stranger.request.get(address).url


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_desk_sees_who_is_behind_by_rung_and_takes_the_demand(
    town: Town, windows: Windows, width: int
) -> None:
    overdue(town)
    page = windows.as_("zhang", width)
    page.goto("/finance/arrears")
    expect(page.locator("[data-case]")).to_have_count(1)
    expect(page.locator("[data-case]")).to_contain_text("人工研究")
    expect(page.locator("[data-row]")).to_have_text("2")
    expect(page.get_by_text("没有登记联系方式")).to_be_visible()
    assert overflow_px(page) == 0
    demand = page.get_by_role("link", name=re.compile("催缴通知")).get_attribute("href") or ""
    assert page.request.get(demand).body().startswith(b"%PDF-")
    page.goto("/finance/arrears?rung=reminder")
    expect(page.get_by_text("没有人在这个阶段")).to_be_visible()
    both = windows.as_("both", width)
    both.goto("/finance/arrears?rung=review")
    expect(both.locator("[data-case]")).to_have_count(2)
    assert windows.complaints == []


def test_a_foreign_estates_list_and_statement_are_refused(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    li = town.homes["li"].household_id
    for path in ("/finance/arrears?estate=south", f"/finance/households/{li}/statement"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 403
    answer = page.goto("/finance/households/00000000-0000-0000-0000-000000000001/statement")
    assert answer is not None
    assert answer.status == 404
