"""Paying by card every month, on the page: the consent, the notice in advance, the charge, and the end."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from playwright.sync_api import Page, expect
from sqlalchemy import select

from backend.messaging.port import Channel
from backend.messaging.service import set_address
from backend.messaging.tables import message
from backend.payments.autopay import run_autopay
from backend.payments.providers import current_providers
from backend.payments.settings import PaymentRules
from backend.payments.tables import checkout
from backend.rent.service import household_statement
from simulators.stripe import people
from tests.e2e.pages.town import Town
from tests.e2e.pages.windows import DESK, Windows, overflow_px, press

DAYS_BEFORE = datetime(2027, 1, 7, 2, tzinfo=UTC)
THE_DAY = datetime(2027, 1, 10, 2, tzinfo=UTC)


def run(town: Town, now: datetime) -> None:
    """The worker's part at a moment."""
    with town.app.app_context():
        providers = current_providers()
    for _ in range(3):
        run_autopay(town.engine, providers, now, PaymentRules(), town.url)


def told(town: Town) -> list[str]:
    with town.engine.connect() as connection:
        return list(connection.execute(select(message.c.text_zh).order_by(message.c.created_at)).scalars())


def owed(town: Town) -> int:
    with town.engine.connect() as connection:
        return household_statement(connection, town.homes["chen"].household_id).total_owed_fen


def agree(town: Town, page: Page, limit: str) -> None:
    """From the menu to the consent, and a first payment with the card that is to be kept."""
    press(page.get_by_role("link", name=re.compile("家人代付")).first)
    page.fill("#limit", limit)
    page.locator("[name=agreed]").check()
    press(page.get_by_role("button", name=re.compile("同意，去绑卡")))
    page.wait_for_url(town.url + "/my/payments/*")
    with town.engine.connect() as connection:
        (ref,) = connection.execute(select(checkout.c.provider_ref).where(checkout.c.keep_card)).scalars()
    town.channel.core.act(people.pay_session, ref, "card")
    town.settle()


def test_a_card_is_kept_with_consent_told_of_first_and_charged_on_its_day(
    town: Town, windows: Windows
) -> None:
    with town.engine.begin() as connection:
        set_address(connection, town.homes["chen"].person_id, Channel.SMS, "13800000000", datetime.now(UTC))
    town.charge("2026-11")
    page = windows.as_("chen")
    page.goto("/my/payers")
    assert overflow_px(page) == 0
    # Without the tick nothing begins, also when the browser's own check is out of the way.
    page.evaluate("document.querySelectorAll('form').forEach(form => form.noValidate = true)")
    page.fill("#limit", "1000")
    press(page.get_by_role("button", name=re.compile("同意，去绑卡")))
    expect(page.get_by_role("alert")).to_contain_text("请先勾选同意")
    assert (town.count("autopay"), town.count("checkout")) == (0, 0)

    agree(town, page, "1000")
    page.goto("/my/payers")
    expect(page.locator("[data-monthly=card]")).to_contain_text("每月最多 ¥1,000.00")
    assert (owed(town), told(town)) == (0, [])
    town.charge("2026-12")
    run(town, DAYS_BEFORE)
    (notice,) = told(town)
    assert "1月10日将从您绑定的银行卡扣" in notice
    assert "780.50 元" in notice
    assert owed(town) == 78_050
    run(town, THE_DAY)
    assert (owed(town), town.count("payment")) == (0, 2)
    run(town, THE_DAY)
    assert town.count("payment") == 2


def test_who_withdraws_after_the_notice_is_not_charged(town: Town, windows: Windows) -> None:
    town.charge("2026-11")
    page = windows.as_("chen", DESK)
    agree(town, page, "1000")
    town.charge("2026-12")
    run(town, DAYS_BEFORE)
    page.goto("/my/payers")
    press(page.get_by_role("button", name=re.compile("关闭")))
    expect(page.get_by_role("status")).to_contain_text("不会自动扣款")
    expect(page.locator("[data-monthly]")).to_have_count(0)
    run(town, THE_DAY)
    assert (owed(town), town.count("payment")) == (78_050, 1)
