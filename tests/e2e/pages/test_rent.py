"""A tenant's way from the bill to the receipt."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from backend.rent.rules import TermKind
from tests.e2e.pages.town import Town
from tests.e2e.pages.windows import DESK, Windows, press, tap

PAY = re.compile("去付款")


def press_pay(page: Page) -> None:
    press(page.get_by_role("button", name=PAY))


def pay_at_channel(page: Page, town: Town) -> None:
    """What the payer does at the channel, until the browser is back with us."""
    page.wait_for_url(town.channel.url + "/**")
    press(page.locator("details[open] button[value=pay]"))
    page.wait_for_url(town.url + "/my/payments/*")


def state(page: Page) -> str | None:
    return page.locator("#outcome").get_attribute("data-state")


def test_the_bill_says_what_is_owed_and_why_oldest_first(town: Town, windows: Windows) -> None:
    town.agree("chen", TermKind.RELIEF, "低收入减免", share_permille=400)
    town.agree("chen", TermKind.SUBSIDY, "租赁补贴", monthly_fen=10_000)
    town.agree("chen", TermKind.PROPERTY_FEE, "物业费", monthly_fen=8_050)
    town.charge("2026-10")
    town.charge("2026-11")
    page = windows.as_("chen")
    # 780.50 rent - 312.20 relief - 100.00 subsidy + 80.50 fee, twice
    expect(page.locator("[data-total]")).to_have_text("¥897.60")
    months = page.locator("details.charge .month")
    expect(months).to_have_text([re.compile("2026年10月房租"), re.compile("2026年11月房租")])
    first = page.locator("details.charge").first
    expect(first.get_by_role("row")).to_have_text(
        [
            re.compile(r"合同租金.*¥780\.50", re.DOTALL),
            re.compile(r"低收入减免.*−¥312\.20", re.DOTALL),
            re.compile(r"租赁补贴.*−¥100\.00", re.DOTALL),
            re.compile(r"物业费.*¥80\.50", re.DOTALL),
            re.compile(r"还要交.*¥448\.80", re.DOTALL),
        ]
    )
    second = page.locator("details.charge").nth(1)
    expect(second.get_by_role("table")).to_be_hidden()
    second.locator("summary").tap()
    expect(second.get_by_role("table")).to_be_visible()
    expect(page.get_by_text("欠房租不会锁门")).to_be_visible()
    assert windows.complaints == []


def test_three_taps_lead_to_the_channel_and_the_receipt_comes_by_itself(town: Town, windows: Windows) -> None:
    town.charge("2026-10")
    town.charge("2026-11")
    page = windows.as_("chen")
    expect(page.locator("[data-total]")).to_have_text("¥1,561.00")
    page.get_by_text("只交10月").tap()
    page.get_by_text("支付宝").tap()
    expect(page.get_by_role("button", name=PAY)).to_contain_text("¥780.50")
    tap(page.get_by_role("button", name=PAY))
    pay_at_channel(page, town)
    assert state(page) == "waiting"
    expect(page.get_by_role("main")).to_contain_text("请不要再付一次")
    town.settle()
    expect(page.locator("#outcome")).to_have_attribute("data-state", "paid")
    expect(page.locator("[data-receipt]")).to_have_text(re.compile(r"SJ\d{8}-\d{6}"))
    expect(page.get_by_role("main")).to_contain_text("抵2026年10月房租")
    expect(page).to_have_title(re.compile("钱收到了"))
    tap(page.get_by_role("link", name="回到我的房租"))
    expect(page.locator("[data-total]")).to_have_text("¥780.50")
    expect(page.locator(".payments")).to_contain_text("支付宝")
    expect(page.locator(".payments")).to_contain_text("SJ")
    assert windows.complaints == []


def test_without_javascript_the_whole_way_works(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen", javascript=False)
    page.get_by_label("其他金额").check()
    page.get_by_label("交多少元").fill("３００．５元")
    page.get_by_label("银行卡").check()
    press_pay(page)
    pay_at_channel(page, town)
    assert state(page) == "waiting"
    town.settle()
    press(page.get_by_role("link", name="再查一次"))
    assert state(page) == "paid"
    expect(page.get_by_role("main")).to_contain_text("¥300.50")


def test_without_javascript_the_waiting_page_looks_again_by_itself(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen", javascript=False)
    press_pay(page)
    pay_at_channel(page, town)
    town.settle()
    expect(page.locator("#outcome")).to_have_attribute("data-state", "paid")


def test_the_keyboard_alone_is_enough(town: Town, windows: Windows) -> None:
    town.charge("2026-10")
    town.charge("2026-11")
    page = windows.as_("chen", DESK)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="跳到正文")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "amount":
            break
    assert page.evaluate("document.activeElement.value").startswith("all-")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("只交10月")).to_be_checked()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.name") == "method"
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("支付宝")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name=PAY)).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    page.keyboard.press("Enter")
    pay_at_channel(page, town)
    town.settle()
    expect(page.locator("#outcome")).to_have_attribute("data-state", "paid")


def test_a_double_click_is_one_payment(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    page.get_by_role("button", name=PAY).dblclick()
    page.wait_for_url(town.channel.url + "/**")
    assert town.count("checkout") == 1


def test_a_double_click_without_javascript_is_one_payment(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen", javascript=False)
    page.get_by_role("button", name=PAY).dblclick()
    page.wait_for_url(town.channel.url + "/**")
    assert town.count("checkout") == 1


def test_the_back_button_and_a_second_tab_lead_to_the_same_payment(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    other = page.context.new_page()
    other.goto("/my/rent")
    press_pay(page)
    page.wait_for_url(town.channel.url + "/**")
    address = page.url
    page.go_back()
    page.wait_for_url(town.url + "/my/rent")
    press_pay(page)
    page.wait_for_url(address)
    press_pay(other)
    other.wait_for_url(address)
    assert town.count("checkout") == 1


def test_paying_again_from_an_old_page_shows_the_receipt_instead(town: Town, windows: Windows) -> None:
    town.charge("2026-10")
    town.charge("2026-11")
    page = windows.as_("chen")
    old = page.context.new_page()
    old.goto("/my/rent")
    old.get_by_text("只交10月").click()
    page.get_by_text("只交10月").click()
    press_pay(page)
    pay_at_channel(page, town)
    town.settle()
    press_pay(old)
    old.wait_for_url(town.url + "/my/payments/*")
    assert state(old) == "paid"
    assert (town.count("checkout"), town.count("payment")) == (1, 1)


def test_a_bill_that_changed_meanwhile_is_shown_before_it_is_paid(town: Town, windows: Windows) -> None:
    town.charge("2026-10")
    page = windows.as_("chen")
    expect(page.locator("[data-total]")).to_have_text("¥780.50")
    town.charge("2026-11")
    press_pay(page)
    expect(page.get_by_role("alert")).to_contain_text("账单刚刚有变化")
    expect(page.locator("[data-total]")).to_have_text("¥1,561.00")
    assert town.count("checkout") == 0
    press_pay(page)
    page.wait_for_url(town.channel.url + "/**")


def test_the_same_amount_can_be_paid_again_on_purpose(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    for _ in range(2):
        page.goto("/my/rent")
        page.get_by_text("其他金额").click()
        page.fill("#yuan", "100")
        press_pay(page)
        pay_at_channel(page, town)
        town.settle()
        expect(page.locator("#outcome")).to_have_attribute("data-state", "paid")
    assert (town.count("checkout"), town.count("payment")) == (2, 2)
    page.goto("/my/rent")
    expect(page.locator("[data-total]")).to_have_text("¥580.50")


def test_more_than_is_owed_is_kept_for_next_month(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    page.get_by_text("其他金额").tap()
    page.fill("#yuan", "1000")
    press_pay(page)
    pay_at_channel(page, town)
    town.settle()
    expect(page.locator("#outcome")).to_have_attribute("data-state", "paid")
    expect(page.get_by_role("main")).to_contain_text("留到下个月抵")
    page.goto("/my/rent")
    expect(page.get_by_role("heading", level=1)).to_contain_text("现在不用交房租")
    expect(page.get_by_role("main")).to_contain_text("您已经预存 ¥219.50")
    expect(page.get_by_role("heading", name="预存房租")).to_be_visible()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("", "请填写要交多少元"),
        ("0", "金额是零"),
        ("-5", "不能是负数"),
        ("1.234", "最多写到分"),
        ("99999999", "一次可以交 ¥0.01 到 ¥20,780.50"),
        ("<b>1</b>", "“<b>1</b>”不是一个金额"),
    ],
)
def test_an_amount_that_cannot_be_paid_is_explained_beside_its_field(
    town: Town, windows: Windows, typed: str, told: str
) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    page.get_by_text("其他金额").tap()
    page.get_by_text("银行卡").tap()
    page.fill("#yuan", typed)
    press_pay(page)
    expect(page.locator("#yuan-hint")).to_contain_text(told)
    expect(page.locator("#yuan")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#yuan")).to_be_focused()
    assert page.input_value("#yuan") == typed
    expect(page.get_by_label("银行卡")).to_be_checked()
    assert town.count("checkout") == 0


def test_a_form_that_was_tampered_with_pays_only_what_is_owed(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    page.evaluate("document.querySelector('[name=amount]:checked').value = 'everything'")
    press_pay(page)
    expect(page.locator("#yuan-hint")).to_contain_text("请填写要交多少元")
    expect(page.locator("#yuan-hint")).to_be_visible()
    page.get_by_text("全部交清").tap()
    page.evaluate("document.querySelector('[name=method]:checked').value = 'gold'")
    press_pay(page)
    expect(page.get_by_role("alert")).to_contain_text("请选一种付款方式")
    assert town.count("checkout") == 0


def test_an_unfinished_payment_is_shown_and_can_be_gone_on_with(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    press_pay(page)
    page.wait_for_url(town.channel.url + "/**")
    address = page.url
    page.goto(town.url + "/my/rent")
    expect(page.locator("[data-waiting]")).to_contain_text("还没付完")
    tap(page.get_by_role("link", name="看这一笔"))
    tap(page.get_by_role("link", name=re.compile("继续付款")))
    page.wait_for_url(address)


def test_a_channel_that_forms_may_not_lead_to_is_reached_by_a_link(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    town.forget_checkout_origins()
    page = windows.as_("chen")
    press_pay(page)
    page.wait_for_url("**/my/payments/*")
    tap(page.get_by_role("link", name=re.compile("继续付款")))
    page.wait_for_url(town.channel.url + "/**")
    assert windows.complaints == []


def test_a_payment_that_failed_says_so_and_offers_another_try(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    press_pay(page)
    page.wait_for_url(town.channel.url + "/**")
    session_id = page.url.rpartition("/")[2]
    page.goto(town.url + "/my/rent")
    tap(page.get_by_role("link", name="看这一笔"))
    town.expire(session_id)
    town.settle()
    expect(page.locator("#outcome")).to_have_attribute("data-state", "ended")
    expect(page.get_by_role("main")).to_contain_text("没有收到钱")
    tap(page.get_by_role("link", name=re.compile("重新付款")))
    press_pay(page)
    page.wait_for_url(town.channel.url + "/**")
    assert town.count("checkout") == 2


def test_a_channel_that_does_not_answer_is_told_and_nothing_is_lost(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    town.channel_fails(times=50)
    press_pay(page)
    expect(page.get_by_role("alert")).to_contain_text("未扣款")
    assert town.count("checkout WHERE state = 'asked'") == 1


def test_somebody_elses_payment_is_refused_and_written_down(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    press_pay(page)
    page.wait_for_url(town.channel.url + "/**")
    page.goto(town.url + "/my/rent")
    tap(page.get_by_role("link", name="看这一笔"))
    page.wait_for_url("**/my/payments/*")
    address = page.url
    stranger = windows.as_("li")
    answer = stranger.goto(address)
    assert answer is not None
    assert answer.status == 403
    expect(stranger.get_by_role("main")).to_contain_text("这不是您家的账单")
    assert "780" not in stranger.content()
    (row,) = town.audit_rows("payments.checkout_state")
    assert (row.outcome, row.object_id) == ("refused", str(town.homes["chen"].household_id))
    assert row.actor == f"principal:{town.homes['li'].principal_id}"
    missing = stranger.goto("/my/payments/00000000-0000-0000-0000-000000000000")
    assert missing is not None
    assert missing.status == 404


def test_staff_have_no_rent_page(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang")
    answer = page.goto("/my/rent")
    assert answer is not None
    assert answer.status == 403
    (row,) = town.audit_rows("tenant.rent")
    assert row.outcome == "refused"


def test_a_tenant_without_a_home_is_told_where_to_go(town: Town, windows: Windows) -> None:
    town.hire("newcomer", "刚来的", [("tenant", "north")])
    page = windows.as_("newcomer")
    expect(page.get_by_role("main")).to_contain_text("还没有连到住户")
    expect(page.get_by_role("main")).to_contain_text("服务窗口")
