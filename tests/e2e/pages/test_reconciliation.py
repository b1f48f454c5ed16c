"""The finance desk's reconciliation: a statement in, the cases it leaves, and what is done with one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import expect
from sqlalchemy import text

from backend.ledger import service as ledger
from backend.ledger.rules import Dimensions, NewEntry, credit, debit
from backend.reconciliation.accounts import AccountEntry, AccountSettings, Rate, account_of, load_accounts
from backend.reconciliation.dayend import check_all
from backend.reconciliation.files import add_file
from backend.reconciliation.importers import stripe_api
from backend.reconciliation.run import around, run_account
from backend.reconciliation.settings import ReconciliationSettings
from simulators.bank.channel_files import alipay_zip
from simulators.bank.month import channel_month
from simulators.bank.sample import sample_payments
from tests.e2e.pages.town import NORTH, SOUTH, Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, press

ACCOUNT_NO = "20881234567890120156"


@pytest.fixture
def bill(town: Town, tmp_path: Path) -> Path:
    """A week of Alipay with one stray payment and one wrong amount; our receipts are in the books."""
    now, random = datetime.now(UTC), Random(3)
    today = (now + timedelta(hours=8)).date()
    from_on = today - timedelta(days=8)
    payments = sample_payments("alipay", 28, from_on, 7, [NORTH], random)
    month = channel_month("alipay", payments, random, [("bill", "extra", 1), ("bill", "amount", 1)])
    entries = []
    for one in payments:
        fen, about = abs(one.amount_fen), Dimensions(NORTH, None, None, "alipay")
        lines = (debit("1021.03", fen, about), credit("2305.01", fen, about))
        if one.amount_fen < 0:
            lines = (lines[1].mirrored(), lines[0].mirrored())
        kind = "payment" if one.amount_fen > 0 else "refund"
        day: date = (one.at + timedelta(hours=8)).date()
        entries.append(NewEntry(NORTH, kind, f"alipay:{one.ref}", day, now, "收款", lines, "test"))
    account = AccountEntry(
        id="alipay-north",
        source="alipay",
        ref=ACCOUNT_NO,
        name_zh="支付宝（北苑）",
        account_code="1021.03",
        since_on=from_on,
        book=NORTH,
        settings=AccountSettings(rates={"alipay": Rate(basis_points=60)}),
    )
    with town.engine.begin() as connection:
        ledger.post(connection, entries)
        load_accounts(connection, [account], now)
    path = tmp_path / "alipay.zip"
    path.write_bytes(alipay_zip(month, ACCOUNT_NO, from_on, today))
    return path


def test_a_statement_is_tried_imported_and_its_cases_are_dealt_with(
    town: Town, windows: Windows, bill: Path
) -> None:
    page = windows.as_("zhang", DESK)
    page.goto("/finance/reconciliation")
    expect(page.locator("[data-cases]")).to_have_text("0")
    page.select_option("#format", "alipay")
    page.set_input_files("#file", bill)
    press(page.get_by_role("button", name="先试算"))
    expect(page.locator("[data-done]")).to_contain_text("还没有保存")
    assert town.count("statement_file") == 0
    page.select_option("#format", "alipay")
    page.set_input_files("#file", bill)
    press(page.get_by_role("button", name="导入 Import"))
    expect(page.locator("[data-done]")).to_contain_text("已导入并核对")
    expect(page.locator("[data-cases]")).to_have_text("2")
    press(page.get_by_role("link", name="对方多出"))
    expect(page.locator("[data-suggestion]")).to_contain_text("怎么办")
    page.fill("#reason", "查无此人，先挂账")
    press(page.get_by_role("button", name="匹配 Match"))
    expect(page.locator("[data-refused]")).to_contain_text("相差")
    page.fill("#reason", "查无此人，先挂账")
    press(page.get_by_role("button", name="差额转入待查"))
    expect(page.locator("[data-closed]")).to_contain_text("查无此人，先挂账")
    page.goto("/finance/reconciliation")
    expect(page.locator("[data-cases]")).to_have_text("1")
    assert town.audit_rows("match_case")
    # The refusal above is the one answer that a browser complains about.
    assert all("409" in said for said in windows.complaints)


def test_a_line_tells_by_which_rule_it_matched_and_can_be_taken_apart(
    town: Town, windows: Windows, bill: Path
) -> None:
    page = windows.as_("zhang")
    page.goto("/finance/reconciliation")
    page.select_option("#format", "alipay")
    page.set_input_files("#file", bill)
    press(page.get_by_role("button", name="导入 Import"))
    with town.engine.connect() as connection:
        number = connection.scalar(
            text(
                "SELECT external_id FROM statement_line JOIN line_standing USING (line_id)"
                " WHERE match_id IS NOT NULL AND side = 'bill' LIMIT 1"
            )
        )
    page.goto(f"/finance/reconciliation/lines?number={number}")
    expect(page.locator("[data-rule]")).to_contain_text("渠道支付单号一致")
    page.get_by_text("解除匹配 Take the match apart").click()
    page.get_by_label("原因（必填）").fill("认错了")
    press(page.get_by_role("button", name="解除匹配"))
    expect(page.locator("h1")).to_contain_text("待人工核对")
    expect(page.locator("[data-owner]")).to_have_text("张会计")
    assert overflow_px(page) <= 0


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_days_and_cases_fit_a_window(town: Town, windows: Windows, bill: Path, width: int) -> None:
    page = windows.as_("zhang", width)
    page.goto("/finance/reconciliation")
    page.select_option("#format", "alipay")
    page.set_input_files("#file", bill)
    press(page.get_by_role("button", name="导入 Import"))
    with town.engine.begin() as connection:
        check_all(connection, datetime.now(UTC), ReconciliationSettings())
    for address in ("/finance/reconciliation", "/finance/reconciliation/cases/1"):
        page.goto(address)
        assert overflow_px(page) <= 0
    assert windows.complaints == []


def test_a_wrong_file_is_refused_with_its_line_and_nothing_is_kept(
    town: Town, windows: Windows, bill: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(bill.read_bytes()[:300])
    page = windows.as_("zhang")
    page.goto("/finance/reconciliation")
    page.select_option("#format", "alipay")
    page.set_input_files("#file", broken)
    press(page.get_by_role("button", name="导入 Import"))
    expect(page.locator("[data-refused]")).to_contain_text("文件未导入")
    assert town.count("statement_line") == 0


def test_a_supervisor_looks_and_a_clerk_of_another_estate_does_not(
    town: Town, windows: Windows, bill: Path
) -> None:
    clerk = windows.as_("zhang")
    clerk.goto("/finance/reconciliation")
    clerk.select_option("#format", "alipay")
    clerk.set_input_files("#file", bill)
    press(clerk.get_by_role("button", name="导入 Import"))
    page = windows.as_("auditor", DESK)
    page.goto("/finance/reconciliation/cases/1")
    expect(page.locator("[data-difference]")).to_have_count(1)
    expect(page.locator("#reason")).to_have_count(0)
    page.goto("/finance/reconciliation")
    expect(page.locator("#file")).to_have_count(0)
    town.hire("sun", "孙会计", [("finance", SOUTH)])
    other = windows.as_("sun")
    answer = other.goto("/finance/reconciliation/cases/1")
    assert answer is not None
    assert answer.status == 403
    other.goto("/finance/reconciliation")
    expect(other.locator("[data-cases]")).to_have_text("0")


def test_only_staff_may_send_more_than_a_form(town: Town) -> None:
    client = town.app.test_client()
    answer = client.post("/finance/reconciliation/files", data={"x": "y" * 400_000})
    assert answer.status_code == 413


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_balance_that_is_not_the_sum_of_the_books_is_one_case_of_the_city(
    town: Town, windows: Windows, width: int
) -> None:
    now = datetime.now(UTC)
    today = (now + timedelta(hours=8)).date()
    yesterday = today - timedelta(days=1)
    entry = AccountEntry(
        id="stripe-all",
        source="stripe",
        ref="acct_all",
        name_zh="Stripe（各小区共用）",
        account_code="1021.01",
        since_on=yesterday,
    )
    with town.engine.begin() as connection:
        load_accounts(connection, [entry], now)
        account = account_of(connection, "stripe-all")
        found, sha256 = stripe_api.read([], yesterday, today, 1)
        add_file(connection, account, found, "stripe", sha256, principal_id=None, now=now)
        run_account(connection, account, around(yesterday, today), now)
    # It is nobody's estate: whoever has one of them alone does not see it.
    page = windows.as_("zhang", width)
    page.goto("/finance/reconciliation")
    expect(page.get_by_role("main")).not_to_contain_text("余额不符")
    page = windows.as_("both", width)
    page.goto("/finance/reconciliation")
    press(page.get_by_role("link", name="余额不符"))
    expect(page.locator("[data-difference]")).to_have_text("¥0.01")
    expect(page.locator("[data-books]")).to_have_text("0.00")
    expect(page.locator("[data-stated]")).to_have_text("0.01")
    expect(page.get_by_role("button", name="匹配")).to_have_count(0)
    assert overflow_px(page) == 0
    page.fill("#reason", "渠道已来函更正")
    press(page.get_by_role("button", name="关闭"))
    expect(page.locator("[data-closed]")).to_contain_text("渠道已来函更正")
    assert windows.complaints == []
