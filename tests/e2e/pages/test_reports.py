"""The reports at the finance desk: choosing, opening a figure, downloading."""

from __future__ import annotations

import io
from decimal import Decimal

import openpyxl
import pytest
from playwright.sync_api import Page, expect

from backend.closing import reports as closing_reports
from backend.closing.report_specs import REPORTS
from tests.e2e.pages.town import NORTH, SOUTH, Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px


def at(windows: Windows, login: str, path: str, width: int = DESK) -> Page:
    page = windows.as_(login, width)
    page.goto(path)
    return page


def test_a_figure_leads_from_the_trial_balance_to_its_charge(town: Town, windows: Windows) -> None:
    town.charge("2026-10")
    town.charge("2026-11")
    town.pay_online("chen", 30_000)
    page = windows.as_("both", DESK)
    page.get_by_role("link", name="报表").first.click()
    page.get_by_role("link", name="查看试算平衡表 Show").click()
    page.select_option("#book", NORTH)
    page.get_by_role("button", name="查看 Show").click()
    receivable = page.locator("tbody tr", has_text="1212.01")
    debit = receivable.locator("td").nth(4)
    fen = debit.inner_text()
    totals = page.locator("tfoot td").all_inner_texts()
    assert totals[4] == totals[5]
    debit.get_by_role("link").click()
    expect(page.locator("[data-about]")).to_contain_text("1212.01")
    assert page.locator("tfoot td").nth(4).inner_text() == fen
    page.locator("tbody tr", has_text="租金").first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=2)).to_contain_text("来源")
    expect(page.get_by_role("main")).to_contain_text("780.50")
    assert windows.complaints == []


def test_a_household_opens_to_its_account_and_the_look_is_recorded(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = at(windows, "zhang", "/finance/reports/ageing")
    expect(page.locator("[data-count]")).to_have_text("1")
    page.locator("tbody a").first.click()
    expect(page.locator("[data-about]")).to_contain_text("户号")
    expect(page.locator("tfoot")).to_contain_text("780.50")
    (row,) = town.audit_rows("look_at_account")
    assert (row.outcome, row.estate_id) == ("done", NORTH)
    page.goto("/finance/reports/collection?book=" + NORTH)
    page.locator("tbody a").last.click()
    expect(page.locator("[data-about]")).to_contain_text("费用月份 2026-11")
    assert page.locator("tfoot td").nth(2).inner_text() == "780.50"


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_every_report_fits_its_window(town: Town, windows: Windows, width: int) -> None:
    town.charge("2026-11")
    town.pay_online("chen", 30_000)
    page = windows.as_("both", width)
    for name in REPORTS:
        answer = page.goto(f"/finance/reports/{name}?month=2026-11")
        assert answer is not None
        assert answer.status == 200, name
        assert overflow_px(page) == 0, name
    assert windows.complaints == []


def test_downloads_say_what_the_page_says(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = at(windows, "both", "/finance/reports/trial_balance?month=2026-11")
    shown = [row.split("\t") for row in page.locator("tbody tr").all_inner_texts()]
    csv = page.request.get("/finance/reports/trial_balance.csv?month=2026-11")
    assert csv.headers["content-type"].startswith("text/csv")
    lines = csv.body().decode("utf-8-sig").splitlines()
    assert len(lines) == len(shown) + 2
    excel = page.request.get("/finance/reports/trial_balance.xlsx?month=2026-11")
    sheet = openpyxl.load_workbook(io.BytesIO(excel.body())).active
    assert sheet is not None
    rows = list(sheet.iter_rows(min_row=4, values_only=True))
    assert [row[0] for row in rows[:-1]] == [cells[0].strip() for cells in shown]
    assert Decimal(str(rows[-1][4])) == Decimal("1300.50")
    assert lines[-1].split(",")[4] == "1300.50"


def test_a_long_report_is_shown_in_parts(
    town: Town, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.charge("2026-11")
    monkeypatch.setattr(closing_reports, "PAGE_ROWS", 1)
    page = at(windows, "both", "/finance/reports/general_ledger?month=2026-11")
    count = int(page.locator("[data-count]").inner_text())
    total, seen = page.locator("tfoot td").nth(4).inner_text(), 0
    while True:
        seen += page.locator("tbody tr").count()
        assert page.locator("tfoot td").nth(4).inner_text() == total
        following = page.get_by_role("link", name="下一页")
        if not following.count():
            break
        following.click()
    assert seen == count == 4


def test_what_is_not_ones_own_or_not_there_is_refused(town: Town, windows: Windows) -> None:
    asked = {
        "zhang": [
            (f"trial_balance?book={SOUTH}", 403),
            ("trial_balance?book=city", 403),
            (f"trial_balance.csv?book={SOUTH}", 403),
            (f"trial_balance.xlsx?book={SOUTH}", 403),
        ],
        "both": [
            ("trial_balance?book=no-such-book", 404),
            ("no-such-report", 404),
            ("no-such-report.xlsx", 404),
            ("household_ledger?household=nobody", 404),
            ("trial_balance?month=9999-99&account=%27%00", 200),
        ],
        "guard": [("trial_balance", 403), ("trial_balance.csv", 403)],
        "auditor": [("general_ledger?sheet=-5", 200)],
    }
    for login, paths in asked.items():
        page = windows.as_(login, DESK)
        for path, status in paths:
            assert page.request.get(f"/finance/reports/{path}").status == status, (login, path)


def test_a_foreign_household_is_not_opened(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    answer = page.goto(f"/finance/reports/household_ledger?household={town.homes['li'].household_id}")
    assert answer is not None
    assert answer.status == 404
    assert town.audit_rows("look_at_account") == []
