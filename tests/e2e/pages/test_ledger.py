"""Today's ledger at the finance desk."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from backend.web import words
from tests.e2e.pages.town import NORTH, SOUTH, Town
from tests.e2e.pages.windows import DESK, Windows, press


def fen(page: Page, selector: str) -> list[int]:
    """Figures of a column, blanks left out."""
    texts = page.locator(selector).all_inner_texts()
    return [int(re.sub(r"[^0-9]", "", text)) for text in texts if text.strip()]


def test_every_entry_shows_its_postings_and_the_totals_agree(town: Town, windows: Windows) -> None:
    town.charge("2026-10")
    town.charge("2026-11")
    town.pay_online("chen", 100_000)
    page = windows.as_("both", DESK)
    page.goto("/finance/today")
    entries = page.locator("article.entry")
    expect(entries).to_have_count(5)
    for number in range(5):
        entry = f"article.entry >> nth={number} >> "
        debits = fen(page, entry + "tbody td:nth-child(2)")
        credits = fen(page, entry + "tbody td:nth-child(3)")
        totals = fen(page, entry + "tfoot td")
        assert debits
        assert [sum(debits), sum(credits)] == totals
        assert sum(debits) == sum(credits)
    everything = fen(page, "article.entry tbody td:nth-child(2)")
    assert fen(page, "[data-debit]") == fen(page, "[data-credit]") == [sum(everything)]
    by_account = page.locator("section.entry")
    assert fen(page, "section.entry tfoot td") == [sum(everything), sum(everything)]
    expect(by_account).to_contain_text("1212.01")
    expect(by_account).to_contain_text("应收账款—租金")
    expect(page.get_by_role("main")).to_contain_text("平 balanced")
    assert windows.complaints == []


def test_a_clerk_sees_only_the_estates_of_the_grant(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("zhang", DESK)
    expect(page.locator("[data-entries]")).to_have_text("1")
    assert page.locator("#estate option").all_inner_texts() == ["北苑（示例）"]
    expect(page.locator("[data-read-only]")).to_have_count(0)
    assert "520.00" not in page.content()


@pytest.mark.parametrize("estate", [SOUTH, "no-such-estate", "' OR 1=1 --"])
def test_a_foreign_estate_is_refused_and_written_down(town: Town, windows: Windows, estate: str) -> None:
    page = windows.as_("zhang")
    answer = page.goto(f"/finance/today?estate={estate}")
    assert answer is not None
    assert answer.status == 403
    expect(page.get_by_role("heading", level=1)).to_contain_text("这里不归您的账号看")
    request_id = answer.headers["x-request-id"]
    expect(page.locator("[data-request]")).to_have_text(request_id)
    (row,) = town.audit_rows("finance.today")
    assert (row.outcome, row.estate_id, row.request_id) == ("refused", estate, request_id)


def test_a_supervisor_may_only_read(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("auditor", DESK)
    expect(page.locator("[data-read-only]")).to_be_visible()
    expect(page.locator("[data-entries]")).to_have_text("2")
    # the only form that changes anything is the one that logs out
    assert page.locator("form[method=post]").count() == 1


def test_the_date_and_the_estate_can_be_chosen(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("both", DESK)
    page.goto("/finance/today")
    page.select_option("#estate", NORTH)
    press(page.get_by_role("button", name="查看 Show"))
    expect(page.locator("[data-entries]")).to_have_text("1")
    press(page.get_by_role("link", name="前一天"))
    yesterday = words.today(datetime.now(UTC)) - timedelta(days=1)
    expect(page).to_have_url(re.compile(f"day={yesterday}&estate={NORTH}"))
    expect(page.locator("[data-entries]")).to_have_text("0")
    expect(page.get_by_role("main")).to_contain_text("这一天还没有凭证")
    press(page.get_by_role("link", name="后一天"))
    expect(page.locator("[data-entries]")).to_have_text("1")


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "99999-01-01", "2026-1-1", "<script>"])
def test_a_day_that_is_none_is_told_and_shows_today(windows: Windows, day: str) -> None:
    page = windows.as_("zhang", DESK)
    page.goto(f"/finance/today?day={day}")
    expect(page.get_by_role("alert")).to_contain_text("日期看不懂")
    today = words.today(datetime.now(UTC))
    assert page.input_value("#day") == today.isoformat()


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_first_and_the_last_day_there_is_break_nothing(windows: Windows, day: str) -> None:
    page = windows.as_("zhang", DESK)
    answer = page.goto(f"/finance/today?day={day}")
    assert answer is not None
    assert answer.status == 200


def test_an_entry_leads_to_its_source_and_the_look_is_written_down(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    town.pay_online("chen", 100_000)
    page = windows.as_("zhang", DESK)
    press(page.locator("article.entry").first.get_by_role("link", name="看来源"))
    source = page.get_by_role("region", name="来源")
    expect(source).to_contain_text("A栋 0101")
    expect(source).to_contain_text("2026年11月")
    expect(source).to_contain_text("合同租金")
    press(page.get_by_role("link", name="回到当天账簿"))
    press(page.locator("article.entry").last.get_by_role("link", name="看来源"))
    expect(source).to_contain_text("SJ")
    expect(source).to_contain_text("微信支付")
    expect(source).to_contain_text("抵2026年11月房租")
    expect(source).to_contain_text("预收，尚未抵用")
    looks = town.audit_rows("look_at_account")
    assert [look.object_id for look in looks] == [str(town.homes["chen"].household_id)] * 2


def test_the_source_of_a_foreign_entry_is_refused(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    everything = windows.as_("both", DESK)
    everything.goto(f"/finance/today?estate={SOUTH}")
    press(everything.get_by_role("link", name="看来源"))
    page = windows.as_("zhang")
    answer = page.goto(everything.url)
    assert answer is not None
    assert answer.status == 403
    (row,) = town.audit_rows("finance.entry")
    assert (row.outcome, row.estate_id) == ("refused", SOUTH)
    missing = page.goto("/finance/entries/999999")
    assert missing is not None
    assert missing.status == 404


def test_prepaid_rent_that_pays_a_new_charge_shows_where_it_came_from(town: Town, windows: Windows) -> None:
    town.pay_online("chen", 50_000)
    town.charge("2026-11")
    page = windows.as_("zhang", DESK)
    press(page.locator("article.entry", has_text="预收租金抵付").get_by_role("link", name="看来源"))
    source = page.get_by_role("region", name="来源")
    expect(source).to_contain_text("抵2026年11月房租")
    expect(source).to_contain_text("¥500.00")


def test_a_reversal_leads_to_what_it_takes_back(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    town.reverse_first_entry("录错小区")
    page = windows.as_("both", DESK)
    page.goto("/finance/today")
    reversal = page.locator("article.entry").last
    expect(reversal).to_contain_text("录错小区")
    press(reversal.get_by_role("link", name="看来源"))
    press(page.get_by_role("link", name=re.compile("凭证 № 1")))
    expect(page.get_by_role("heading", level=1)).to_contain_text("№ 1")


def test_a_long_day_is_cut_into_sheets_and_its_totals_stay_whole(town: Town, windows: Windows) -> None:
    for number in range(60):
        town.pay_online("chen", 100 + number)
    page = windows.as_("zhang", DESK)
    expect(page.locator("article.entry")).to_have_count(50)
    expect(page.locator("[data-entries]")).to_have_text("60")
    whole = sum(100 + number for number in range(60))
    assert fen(page, "[data-debit]") == fen(page, "[data-credit]") == [whole]
    press(page.get_by_role("link", name="下一页"))
    expect(page.locator("article.entry")).to_have_count(10)
    assert fen(page, "[data-debit]") == [whole]


def test_on_paper_there_are_figures_and_no_buttons(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("zhang", DESK)
    page.emulate_media(media="print")
    expect(page.locator("header")).to_be_hidden()
    expect(page.locator("form.filters")).to_be_hidden()
    expect(page.get_by_text("打印人 张会计")).to_be_visible()
    expect(page.locator("article.entry").first).to_be_visible()
