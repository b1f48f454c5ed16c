"""What may go wrong while somebody pays, over HTTP: each its own clear answer, and the money in its place."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
import requests
from sqlalchemy import select

from backend.identity.accounts import principal_by_login
from backend.identity.web import COOKIE
from backend.payments.links import make_link
from backend.payments.notices import settle_pending
from backend.payments.providers import current_providers
from backend.payments.settings import PaymentRules
from backend.payments.tables import checkout
from backend.rent.service import household_statement
from backend.web import words
from estate.processes import wait_until
from tests.e2e.pages.town import Town

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
SEEN = re.compile(r'name="seen" value="([^"]*)"')
OWED_FEN = 78_050


class Phone:
    """A browser without a screen; `post` sends the last page's form."""

    def __init__(self, town: Town, login: str | None = None) -> None:
        self.town, self.browser, self.page = town, requests.Session(), ""
        if login is not None:
            self.browser.cookies.set(COOKIE, town.session_of(login))

    def get(self, path: str) -> requests.Response:
        answer = self.browser.get(self.town.url + path, timeout=20)
        self.page = answer.text
        return answer

    def post(self, path: str, page: str | None = None, **fields: str) -> requests.Response:
        form, token, seen = page or self.page, TOKEN.search(page or self.page), SEEN.search(page or self.page)
        assert token is not None, form[:300]
        data = {"csrf_token": token[1], "seen": seen[1] if seen else ""} | fields
        headers = {"Referer": self.town.url + path}
        return self.browser.post(
            self.town.url + path, data, headers=headers, timeout=20, allow_redirects=False
        )

    def pay(self, page: str | None = None, **fields: str) -> requests.Response:
        return self.post("/my/payments", page, **({"amount": "other", "method": "wechat_pay"} | fields))


@pytest.fixture
def phone(town: Town) -> Phone:
    """The tenant's, with the bill of November open."""
    town.charge("2026-11")
    found = Phone(town, "chen")
    assert found.get("/my/rent").status_code == 200
    return found


def owed(town: Town) -> tuple[int, int]:
    """What the household owes, and what it has paid in advance."""
    with town.engine.connect() as connection:
        found = household_statement(connection, town.homes["chen"].household_id)
    return found.total_owed_fen, found.prepaid_fen


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("1.234", "最多写到分"),
        ("-5", "不能是负数"),
        ("0", "金额是零"),
        ("20780.51", "一次可以交 ¥0.01 到 ¥20,780.50"),
        ("$5", "只收人民币"),
        ("100 HKD", "只收人民币"),
        ("5e3", "不是一个金额"),
        ("", "请填写要交多少元"),
    ],
)
def test_an_amount_that_cannot_be_paid_has_its_own_answer(
    town: Town, phone: Phone, typed: str, said: str
) -> None:
    answer = phone.pay(yuan=typed)
    assert answer.status_code == 422
    assert said in answer.text
    assert (town.count("checkout"), owed(town)) == (0, (OWED_FEN, 0))


def test_the_limit_itself_may_be_paid(town: Town, phone: Phone) -> None:
    assert phone.pay(yuan="20780.50").status_code == 303
    pay_at_channel(town)
    assert owed(town) == (0, 2_000_000)


def test_a_double_click_a_second_tab_and_the_back_button_are_one_payment(town: Town, phone: Phone) -> None:
    page, second_tab = phone.page, phone.get("/my/rent").text
    places = {phone.pay(one, yuan="780.50").headers["Location"] for one in (page, page, second_tab)}
    (at_the_channel,) = places
    assert at_the_channel.startswith(town.channel.url)
    pay_at_channel(town)
    # Back after paying: the old page is sent once more, and leads to the receipt.
    back = phone.pay(page, yuan="780.50")
    assert back.status_code == 303
    assert "data-receipt" in phone.get(back.headers["Location"].removeprefix(town.url)).text
    assert (town.count("checkout"), town.count("payment"), owed(town)) == (1, 1, (0, 0))
    # Another amount from the old page is no payment: the new bill is shown first.
    assert phone.pay(page, yuan="1").status_code == 409
    assert town.count("checkout") == 1


def test_a_closed_window_says_when_it_opens_and_takes_nothing(town: Town, phone: Phone) -> None:
    close(town)
    answer = phone.pay(yuan="780.50")
    assert answer.status_code == 409
    assert re.search(r"\d+月\d+日恢复", answer.text)
    assert (town.count("checkout"), owed(town)) == (0, (OWED_FEN, 0))


def test_what_was_opened_before_the_window_closed_is_accepted_dated_and_listed(
    town: Town, phone: Phone
) -> None:
    assert phone.pay(yuan="780.50").status_code == 303
    rules = close(town)
    pay_at_channel(town, rules)
    assert owed(town) == (0, 0)
    desk = Phone(town, "zhang")
    listed = re.findall(r"<tr data-closed>.*?</tr>", desk.get("/finance/money").text, re.DOTALL)
    assert len(listed) == 1
    with town.engine.connect() as connection:
        paid = connection.exec_driver_sql(
            "SELECT e.effective_on, p.receipt_number FROM payment p JOIN journal_entry e USING (entry_id)"
        ).one()
    assert paid.effective_on == words.today(datetime.now(UTC))
    assert paid.receipt_number in listed[0]


def test_a_link_opens_one_household_and_nothing_of_another(town: Town, phone: Phone) -> None:
    town.charge("2026-10")
    theirs, mine = link_of(town, "li"), link_of(town, "chen")
    assert phone.pay(yuan="780.50").status_code == 303
    with town.engine.connect() as connection:
        checkout_id = connection.execute(select(checkout.c.checkout_id)).scalar_one()
    stranger = Phone(town)
    assert "陈" not in stranger.get(f"/pay/{theirs[1]}").text
    for path in (
        f"/pay/{theirs[1]}/payments/{checkout_id}",
        f"/pay/{mine[1]}/payments/{checkout_id}",
        f"/pay/{mine[1]}x",
        f"/pay/{'A' * 43}",
    ):
        assert stranger.get(path).status_code in {404, 410}, path
    # A tenant takes back no link of somebody else's.
    phone.get("/my/payers")
    assert phone.post(f"/my/payers/links/{theirs[0]}/revoke").status_code in {403, 404}
    assert stranger.get(f"/pay/{theirs[1]}").status_code == 200


def test_another_households_payment_and_counter_are_refused(town: Town, phone: Phone) -> None:
    assert phone.pay(yuan="780.50").status_code == 303
    with town.engine.connect() as connection:
        checkout_id = connection.execute(select(checkout.c.checkout_id)).scalar_one()
    neighbour = Phone(town, "li")
    assert neighbour.get(f"/my/payments/{checkout_id}").status_code == 403
    assert neighbour.get(f"/my/payments/{checkout_id}/state").status_code == 403
    assert neighbour.get(f"/counter/{town.homes['chen'].household_id}").status_code == 403


def close(town: Town) -> PaymentRules:
    """A bank batch collects today."""
    known = town.services.settings
    rules = msgspec.structs.replace(
        known.payment_rules, bank_batch_days=(words.today(datetime.now(UTC)).day,)
    )
    changed = msgspec.structs.replace(known, payment_rules=rules)
    town.app.extensions["estate"] = replace(town.services, settings=changed)
    return rules


def pay_at_channel(town: Town, rules: PaymentRules | None = None) -> None:
    """The payer pays at the channel's page, and the worker settles it."""
    town.pay_all_at_channel()

    def paid() -> bool:
        with town.app.app_context():
            provider = current_providers().get("stripe")
        settle_pending(town.engine, provider, datetime.now(UTC), rules=rules or PaymentRules())
        return town.count("payment") == 1

    wait_until(paid, 20, "the payment was not settled")


def link_of(town: Town, login: str) -> tuple[UUID, str]:
    now = datetime.now(UTC)
    with town.engine.begin() as connection:
        who = principal_by_login(connection, login, now)
        return make_link(connection, town.homes[login].household_id, who, now, PaymentRules())
