"""The reports at the finance desk: choosing, opening a figure, downloading."""

from __future__ import annotations

import io
from calendar import monthrange
from datetime import UTC, datetime
from decimal import Decimal

import openpyxl
import pytest
from playwright.sync_api import Page, expect

from backend.closing import reports as closing_reports
from backend.closing.report_specs import REPORTS
from backend.web import words
from tests.e2e.pages.town import NORTH, SOUTH, Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, press


def this_month() -> tuple[str, str, str]:
    """The month that a charge counts for when it is run now, its first and its last day."""
    today = words.today(datetime.now(UTC))
    last = today.replace(day=monthrange(today.year, today.month)[1])
    return f"{today:%Y-%m}", f"{today.replace(day=1)}", f"{last}"


def at(windows: Windows, login: str, path: str, width: int = DESK) -> Page:
    page = windows.as_(login, width)
    page.goto(path)
    return page


def test_a_figure_leads_from_the_trial_balance_to_its_charge(town: Town, windows: Windows) -> None:
    town.charge("2026-10")
    town.charge("2026-11")
    town.pay_online("chen", 30_000)
    page = windows.as_("both", DESK)
    press(page.get_by_role("link", name="报表").first)
    press(page.get_by_role("link", name="查看试算平衡表 Show"))
    page.select_option("#book", NORTH)
    press(page.get_by_role("button", name="查看 Show"))
    receivable = page.locator("tbody tr", has_text="1212.01")
    debit = receivable.locator("td").nth(4)
    fen = debit.inner_text()
    totals = page.locator("tfoot td").all_inner_texts()
    assert totals[4] == totals[5]
    press(debit.get_by_role("link"))
    expect(page.locator("[data-about]")).to_contain_text("1212.01")
    assert page.locator("tfoot td").nth(4).inner_text() == fen
    press(page.locator("tbody tr", has_text="租金").first.get_by_role("link").first)
    expect(page.get_by_role("heading", level=2)).to_contain_text("来源")
    expect(page.get_by_role("main")).to_contain_text("780.50")
    assert windows.complaints == []


def test_a_household_opens_to_its_account_and_the_look_is_recorded(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = at(windows, "zhang", "/finance/reports/ageing")
    expect(page.locator("[data-count]")).to_have_text("1")
    press(page.locator("tbody a").first)
    expect(page.locator("[data-about]")).to_contain_text("户号")
    expect(page.locator("tfoot")).to_contain_text("780.50")
    (row,) = town.audit_rows("look_at_account")
    assert (row.outcome, row.estate_id) == ("done", NORTH)
    page.goto("/finance/reports/collection?book=" + NORTH)
    press(page.locator("tbody a").last)
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
    month, first, last = this_month()
    town.charge(month)
    page = at(windows, "both", f"/finance/reports/trial_balance?month={month}")
    shown = [row.split("\t") for row in page.locator("tbody tr").all_inner_texts()]
    csv = page.request.get(f"/finance/reports/trial_balance.csv?month={month}")
    assert csv.headers["content-type"].startswith("text/csv")
    lines = csv.body().decode("utf-8-sig").splitlines()
    assert len(lines) == len(shown) + 3
    assert lines[0] == f"试算平衡表 {first} 至 {last}"
    excel = page.request.get(f"/finance/reports/trial_balance.xlsx?month={month}")
    sheet = openpyxl.load_workbook(io.BytesIO(excel.body())).active
    assert sheet is not None
    rows = list(sheet.iter_rows(min_row=4, values_only=True))
    assert [row[0] for row in rows[:-1]] == [cells[0].strip() for cells in shown]
    assert Decimal(str(rows[-1][4])) == Decimal("1300.50")
    assert lines[-1].split(",")[4] == "1300.50"


def test_any_days_are_asked_for_and_every_figure_stays_within_them(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    town.pay_online("chen", 30_000)
    day = words.today(datetime.now(UTC))
    # The days of the payment alone, typed into the form.
    page = at(windows, "both", "/finance/reports/trial_balance")
    page.fill("#from", f"{day}")
    page.fill("#to", f"{day}")
    press(page.get_by_role("button", name="查看 Show"))
    expect(page.locator("[data-when]")).to_have_text(f"{day} 至 {day}")
    row = page.locator("tbody tr", has_text="1021.01")
    debit = row.locator("td").nth(4)
    fen = debit.inner_text()
    assert fen == "300.00"
    press(debit.get_by_role("link"))
    expect(page.locator("[data-when]")).to_have_text(f"{day} 至 {day}")
    assert page.locator("tfoot td").nth(4).inner_text() == fen
    # A day of the cash book opens to that day, also out of a year.
    page.goto("/finance/reports/cash_book")
    press(page.get_by_role("link", name="本年"))
    expect(page.locator("[data-when]")).to_have_text(f"{day.year}-01-01 至 {day.year}-12-31")
    expect(page.get_by_role("link", name="本年")).to_have_attribute("aria-current", "true")
    press(page.locator("tbody tr", has_text="1021.01").locator("td").nth(3).get_by_role("link"))
    expect(page.locator("[data-when]")).to_have_text(f"{day} 至 {day}")
    assert page.locator("tfoot td").nth(4).inner_text() == fen
    # What is owed as at a day opens to the charges of that day.
    page.goto("/finance/reports/ageing")
    press(page.get_by_role("link", name="今天"))
    expect(page.locator("[data-when]")).to_have_text(f"截至 {day}")
    owed = page.locator("tbody tr").first.locator("td").last
    yuan = owed.inner_text()
    press(owed.get_by_role("link"))
    expect(page.locator("[data-when]")).to_have_text(f"截至 {day}")
    assert page.locator("tfoot td").last.inner_text() == yuan
    csv = page.request.get(f"/finance/reports/ageing.csv?at={day}")
    assert csv.headers["content-disposition"].endswith(f'"ageing-all-{day}.csv"')
    assert csv.body().decode("utf-8-sig").splitlines()[0] == f"账龄表 截至 {day}"
    assert windows.complaints == []


@pytest.mark.parametrize(
    ("name", "asked", "said", "kept"),
    [
        ("trial_balance", "from=2026-11-30&to=2026-11-01", "早于开始", ("2026-11-30", "2026-11-01")),
        ("trial_balance", "from=&to=2026-11-01", "请填写开始日期", ("", "2026-11-01")),
        ("general_ledger", "from=20226-11-01&to=2026-11-30", "20226", ("20226-11-01", "2026-11-30")),
        ("cash_book", "from=2026-13-01&to=2026-11-30", "您填的是 13", ("2026-13-01", "2026-11-30")),
        ("household_ledger", "from=2026-02-01&to=2026-02-30", "1 到 28 日", ("2026-02-01", "2026-02-30")),
        ("ageing", "at=%E6%98%A8%E5%A4%A9", "截至日期“昨天”不对", ("昨天",)),
        ("collection", "from=2026-13&to=2026-11", "开始月份“2026-13”不对", ("2026-13", "2026-11")),
    ],
)
def test_days_that_cannot_be_are_named_and_stay_in_the_form(
    town: Town, windows: Windows, name: str, asked: str, said: str, kept: tuple[str, ...]
) -> None:
    page = windows.as_("both", PHONE)
    answer = page.goto(f"/finance/reports/{name}?book={NORTH}&{asked}")
    assert answer is not None
    assert answer.status == 400
    expect(page.get_by_role("alert")).to_contain_text(said)
    fields = page.locator("form.filters input:not([type=hidden])")
    assert tuple(one.input_value() for one in fields.all()) == kept
    expect(page.locator("#book")).to_have_value(NORTH)
    assert overflow_px(page) == 0


def test_a_long_report_is_shown_in_parts(
    town: Town, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    month, *_ = this_month()
    town.charge(month)
    monkeypatch.setattr(closing_reports, "PAGE_ROWS", 1)
    page = at(windows, "both", f"/finance/reports/general_ledger?month={month}")
    count = int(page.locator("[data-count]").inner_text())
    total, seen = page.locator("tfoot td").nth(4).inner_text(), 0
    while True:
        seen += page.locator("tbody tr").count()
        assert page.locator("tfoot td").nth(4).inner_text() == total
        following = page.get_by_role("link", name="下一页")
        if not following.count():
            break
        press(following)
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
            ("trial_balance?month=9999-99", 400),
            ("trial_balance?account=%27%00", 400),
            ("trial_balance.csv?from=2026-11-30&to=2026-11-01", 400),
            ("trial_balance.xlsx?from=20226-11-30&to=2026-11-01", 400),
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
