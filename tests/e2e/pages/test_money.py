"""The pages of paying for others, of the counter, and of money that goes back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from backend.payments.counter_adapter import CounterProvider
from backend.payments.providers import current_providers
from backend.rent.corrections import charge_once
from backend.rent.rules import LineKind
from backend.rent.settings import RentSettings
from simulators.stripe import disputes as bank
from simulators.stripe import people
from tests.e2e.pages.town import Town
from tests.e2e.pages.windows import DESK, Windows, overflow_px, picture, press


def test_a_child_pays_by_the_link_that_the_mother_made(town: Town, windows: Windows, tmp_path: Path) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    press(page.get_by_role("link", name=re.compile("请家人代缴")))
    assert overflow_px(page) == 0
    press(page.get_by_role("button", name=re.compile("生成链接")))
    address = page.locator("[data-address]").inner_text()
    assert overflow_px(page) == 0
    picture(page, tmp_path / "payers.png")
    child = windows.open()
    child.goto(address)
    expect(child.locator("[data-total]")).to_have_text("¥780.50")
    expect(child.locator("[data-home]")).to_have_text("北苑（示例） ＊栋 ＊＊01")
    assert "陈" not in child.content()
    assert overflow_px(child) == 0
    picture(child, tmp_path / "pay_link.png")
    press(child.get_by_role("button", name=re.compile("是，我要代缴")))
    expect(child.locator("[data-home]")).to_have_text("北苑（示例） A栋 0101")
    press(child.get_by_role("button", name=re.compile("去付款")))
    child.wait_for_url(town.channel.url + "/**")
    press(child.locator("details[open] button[value=pay]"))
    child.wait_for_url(re.compile("/pay/.+/payments/"))
    town.settle()
    expect(child.locator(".outcome")).to_have_attribute("data-state", "paid")
    picture(child, tmp_path / "pay_link_paid.png")
    child.goto(address)
    expect(child.get_by_text("现在没有要交的")).to_be_visible()
    page.goto("/my/payers")
    press(page.get_by_role("button", name=re.compile("撤回")))
    child.goto(address)
    expect(child.get_by_text("已被家人撤回")).to_be_visible()
    assert child.goto(address[:-1] + "x").status == 404  # type: ignore[union-attr]


def test_a_wallet_is_reminded_and_the_reminder_is_ended(town: Town, windows: Windows) -> None:
    page = windows.as_("chen")
    page.goto("/my/payers")
    press(page.get_by_role("button", name=re.compile("开通每月提醒")))
    expect(page.locator("[data-monthly=reminder]")).to_be_visible()
    press(page.get_by_role("button", name=re.compile("关闭")))
    expect(page.locator("[data-monthly]")).to_have_count(0)


def test_months_that_are_ticked_are_paid(town: Town, windows: Windows) -> None:
    for month in ("2026-09", "2026-10", "2026-11"):
        town.charge(month)
    page = windows.as_("chen")
    page.locator("input[name=amount][value=some]").check()
    page.locator("input[name=charge]").nth(1).check()
    page.locator("input[name=charge]").nth(2).check()
    assert overflow_px(page) == 0
    press(page.get_by_role("button", name=re.compile("去付款")))
    page.wait_for_url(town.channel.url + "/**")
    press(page.locator("details[open] button[value=pay]"))
    page.wait_for_url(town.url + "/my/payments/*")
    town.settle()
    page.goto("/my/rent")
    expect(page.locator("[data-total]")).to_have_text("¥780.50")
    expect(page.locator("details.charge .month")).to_have_text([re.compile("2026年9月房租")])


def test_a_cashier_takes_cash_and_shows_a_code(town: Town, windows: Windows, tmp_path: Path) -> None:
    town.charge("2026-11")
    page = windows.as_("zhang", DESK)
    page.goto("/counter?find=0101")
    press(page.locator("[data-found]"))
    expect(page.locator("[data-owed]")).to_have_text("¥780.50")
    page.locator("#yuan").fill("80.50")
    page.locator("#slip").fill("No. 7")
    press(page.get_by_role("button", name=re.compile("入账")))
    expect(page.get_by_text("已入账")).to_be_visible()
    expect(page.locator("[data-owed]")).to_have_text("¥700.00")
    picture(page, tmp_path / "counter.png")
    for yuan, said in (
        ("0", "金额是零"),
        ("1.234", "最多写到分"),
        ("-5", "不能是负数"),
        ("80", "已经登记过"),
    ):
        page.locator("#yuan").fill(yuan)
        page.locator("#slip").fill("No. 7")
        press(page.get_by_role("button", name=re.compile("入账")))
        expect(page.get_by_role("alert")).to_contain_text(said)
    page.locator("#code-yuan").fill("700")
    press(page.get_by_role("button", name=re.compile("出示二维码")))
    expect(page.locator("img[alt^=付款码]")).to_be_visible()
    town.pay_all_at_channel()
    town.settle()
    expect(page.locator("[data-receipt]")).to_be_visible()


def test_a_foreign_estate_is_no_business_of_this_cashier(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    page.goto("/counter?find=0102")
    expect(page.get_by_text("没有找到")).to_be_visible()
    foreign = page.goto(f"/counter/{town.homes['li'].household_id}")
    assert foreign is not None
    assert foreign.status == 403


def test_two_people_give_money_back(town: Town, windows: Windows, tmp_path: Path) -> None:
    town.charge("2026-11")
    with town.app.app_context():
        cash = current_providers().get("cash")
    assert isinstance(cash, CounterProvider)
    page = windows.as_("zhang", DESK)
    home = town.homes["chen"]
    page.goto(f"/counter/{home.household_id}")
    page.locator("#yuan").fill("800")
    page.locator("#slip").fill("No. 8")
    press(page.get_by_role("button", name=re.compile("入账")))
    press(page.get_by_role("link", name=re.compile("退款 Refund")))
    page.locator("#yuan").fill("800.01")
    page.locator("#reason").fill("多缴")
    page.locator("#payee").fill("示例收款人")
    page.locator("#account").fill("示例银行 000000")
    press(page.get_by_role("button", name=re.compile("提交")))
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator("#yuan").fill("19.50")
    page.locator("#payee").fill("示例收款人")
    page.locator("#account").fill("示例银行 000000")
    press(page.get_by_role("button", name=re.compile("提交")))
    expect(page.locator("[data-refund=proposed]")).to_be_visible()
    # Whoever asked is not offered to decide.
    expect(page.get_by_role("button", name=re.compile("同意"))).to_have_count(0)
    other = windows.as_("both", DESK)
    other.goto("/finance/money")
    press(other.get_by_role("button", name=re.compile("^同意")))
    press(other.get_by_role("button", name=re.compile("办理退款")))
    other.locator("input[name=slip]").first.fill("B-1")
    press(other.get_by_role("button", name=re.compile("已转账")))
    expect(other.locator("[data-refund=done]")).to_be_visible()
    picture(other, tmp_path / "money.png")


def test_a_deposit_goes_its_way_with_evidence(town: Town, windows: Windows, tmp_path: Path) -> None:
    now, home = datetime.now(UTC), town.homes["chen"]
    with town.engine.begin() as connection:
        charge_once(connection, home.tenancy_id, LineKind.DEPOSIT, 100_000, "押金", None, now, RentSettings())
    town.pay_online("chen", 100_000)
    page, other = windows.as_("zhang", DESK), windows.as_("both", DESK)
    page.goto("/finance/money")
    page.locator("#tenancy").fill(str(home.tenancy_id))
    page.locator("#day").fill("2026-11-03")
    press(page.get_by_role("button", name=re.compile("扣留待结算")))
    deposit = page.locator("[data-deposit]")
    deposit.locator("input[name=yuan]").fill("200")
    deposit.locator("input[name=reason]").fill("门板破损")
    photo = tmp_path / "door.png"
    photo.write_bytes(b"not a picture")
    deposit.locator("input[name=evidence]").set_input_files(str(photo))
    press(deposit.get_by_role("button", name=re.compile("申请抵扣")))
    expect(page.get_by_role("alert")).to_contain_text("JPEG")
    page.screenshot(path=str(photo))
    for name, value in (("yuan", "200"), ("reason", "门板破损")):
        page.locator(f"[data-deposit] input[name={name}]").first.fill(value)
    page.locator("[data-deposit] input[name=evidence]").set_input_files(str(photo))
    press(page.get_by_role("button", name=re.compile("申请抵扣")))
    other.goto("/finance/money")
    press(other.get_by_role("button", name=re.compile("^同意")))
    press(other.get_by_role("button", name=re.compile("^办理")))
    press(other.get_by_role("button", name=re.compile("结算完毕")))
    expect(other.locator("[data-deposit]")).to_contain_text("¥800.00")
    expect(other.locator("[data-deposit]")).to_contain_text("最晚")
    picture(other, tmp_path / "deposit.png")


def test_a_parked_notice_is_put_aside_with_a_reason(town: Town, windows: Windows) -> None:
    with town.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO provider_notice (provider, event_id, body, received_at, state, reason, attempts,"
            " next_try_at) VALUES ('stripe', 'evt_x', 'x', now(), 'parked', 'unknown_kind: x', 1, now())"
        )
    page = windows.as_("both", DESK)
    page.goto("/finance/money")
    expect(page.locator("[data-parked]")).to_contain_text("evt_x")
    page.locator("[data-parked] input[name=reason]").fill("测试事件")
    press(page.get_by_role("button", name=re.compile("搁置不处理")))
    expect(page.locator("[data-parked]")).to_have_count(0)
    local = windows.as_("zhang", DESK)
    local.goto("/finance/money")
    expect(local.get_by_text("待处理的渠道通知")).to_have_count(0)


@pytest.mark.parametrize("path", ["/counter", "/finance/money"])
def test_tenants_and_guards_do_not_see_the_desks(town: Town, windows: Windows, path: str) -> None:
    for login in ("chen", "guard"):
        answer = windows.as_(login).goto(path)
        assert answer is not None
        assert answer.status == 403


@pytest.mark.parametrize(("words", "won"), [("winning_evidence", True), ("losing_evidence", False)])
def test_a_dispute_is_answered_on_the_page_and_its_outcome_is_seen_there(
    town: Town, windows: Windows, words: str, won: bool
) -> None:
    town.charge("2026-11")
    page = windows.as_("chen")
    page.get_by_text("银行卡").tap()
    press(page.get_by_role("button", name=re.compile("去付款")))
    page.wait_for_url(town.channel.url + "/**")
    core = town.channel.core
    (session,) = core.act(lambda world: list(world.store.oldest_first("checkout.session")))
    core.act(people.pay_session, session["id"], "card")
    page.wait_for_url(town.url + "/my/payments/*")  # the channel's page notices, and leads back by itself
    town.settle()
    (intent,) = core.act(lambda world: list(world.store.oldest_first("payment_intent")))
    core.act(bank.open_on, intent["latest_charge"], "fraudulent")
    town.settle()
    desk = windows.as_("zhang", DESK)
    desk.goto("/finance/money")
    case = desk.locator("[data-dispute]")
    expect(case).to_have_attribute("data-dispute", "open")
    expect(case).to_contain_text("780.50")
    case.locator("[name=evidence]").fill(words)
    press(case.get_by_role("button", name=re.compile("提交")))
    expect(desk.locator("[data-dispute]")).to_have_attribute("data-dispute", "answered")
    expect(desk.locator("[data-dispute] [name=evidence]")).to_have_count(0)
    (dispute,) = core.act(lambda world: list(world.store.oldest_first("dispute")))
    core.act(bank.decided, dispute["id"])
    town.settle()
    desk.goto("/finance/money")
    expect(desk.locator("[data-dispute]")).to_have_attribute("data-dispute", "won" if won else "lost")
    page.goto("/my/rent")
    expect(page.locator("[data-total]")).to_have_text("¥0.00" if won else "¥780.50")
