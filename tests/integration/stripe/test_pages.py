"""What people click: the Checkout page by plain forms and in Chromium, the phone, the bank's question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import stripe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from simulators.stripe.http import StripeServer

Params = Callable[..., Any]


def click(server: StripeServer, path: str, **form: str) -> requests.Response:
    return requests.post(server.url + path, data=form, allow_redirects=False, timeout=20)


def test_paying_by_wechat_leads_to_the_success_page(
    server: StripeServer, client: stripe.StripeClient, params: Params
) -> None:
    session = client.v1.checkout.sessions.create(params())
    page = requests.get(str(session.url), timeout=20)
    assert "¥300.00" in page.text
    assert "2026年11月 租金" in page.text
    assert "data:image/png;base64," in page.text
    paid = click(server, f"/c/pay/{session.id}", kind="wechat_pay", action="pay")
    target = f"https://estate.example/done?session={session.id}"
    assert (paid.status_code, paid.headers["Location"]) == (303, target)
    again = click(server, f"/c/pay/{session.id}", kind="wechat_pay", action="pay")
    assert (again.status_code, again.headers["Location"]) == (303, target)
    assert len(client.v1.charges.list().data) == 1
    assert "已付款" in requests.get(f"{server.url}/c/pay/{session.id}", timeout=20).text


def test_a_failure_is_shown_and_can_be_mended(
    server: StripeServer, client: stripe.StripeClient, params: Params
) -> None:
    session = client.v1.checkout.sessions.create(params())
    failed = click(server, f"/c/pay/{session.id}", kind="alipay", action="fail")
    assert failed.status_code == 402
    assert "没有扣款" in failed.text
    for form, said in (
        ({"number": "4000000000000002", "expiry": "12/34"}, "银行拒绝了这张卡"),
        ({"number": "1234", "expiry": "12/34"}, "卡号不对"),
        ({"number": "4242424242424242", "expiry": "soon"}, "有效期不对"),
        ({"number": "4242424242424242", "expiry": "12/20"}, "有效期不对"),
    ):
        refused = click(server, f"/c/pay/{session.id}", kind="card", action="pay", **form)
        assert refused.status_code in (400, 402)
        assert said in refused.text
        assert form["number"] not in refused.text
    assert click(server, f"/c/pay/{session.id}", kind="bitcoin", action="pay").status_code == 400
    assert click(server, f"/c/pay/{session.id}", kind="alipay", action="pay").status_code == 303


def test_an_expired_session_takes_no_money(
    server: StripeServer, client: stripe.StripeClient, params: Params
) -> None:
    session = client.v1.checkout.sessions.create(params())
    client.v1.checkout.sessions.expire(session.id)
    assert "已过期" in requests.get(f"{server.url}/c/pay/{session.id}", timeout=20).text
    assert click(server, f"/c/pay/{session.id}", kind="wechat_pay", action="pay").status_code == 400
    assert client.v1.charges.list().data == []


def test_the_wallets_page_leads_back_to_the_caller(server: StripeServer, client: stripe.StripeClient) -> None:
    def waiting() -> stripe.PaymentIntent:
        return client.v1.payment_intents.create(
            {
                "amount": 5_000,
                "currency": "cny",
                "confirm": True,
                "payment_method_data": {"type": "alipay"},
                "return_url": "https://estate.example/back?x=1",
            }
        )

    for action, status in (("pay", "succeeded"), ("refuse", "failed")):
        made = waiting()
        address: str = made.next_action.alipay_handle_redirect.url  # type: ignore[union-attr,assignment]
        assert "支付宝" in requests.get(address, timeout=20).text
        back = requests.post(address, data={"action": action}, allow_redirects=False, timeout=20)
        location = back.headers["Location"]
        assert location.startswith(f"https://estate.example/back?x=1&payment_intent={made.id}")
        assert location.endswith(f"redirect_status={status}")


def test_the_desks_qr_code_is_an_image_and_its_page_takes_the_money(
    server: StripeServer, client: stripe.StripeClient
) -> None:
    made = client.v1.payment_intents.create(
        {
            "amount": 5_000,
            "currency": "cny",
            "confirm": True,
            "payment_method_data": {"type": "wechat_pay"},
            "payment_method_options": {"wechat_pay": {"client": "web"}},
        }
    )
    shown: Any = made.next_action.wechat_pay_display_qr_code  # type: ignore[union-attr]
    assert requests.get(shown.image_url_png, timeout=20).content.startswith(b"\x89PNG")
    assert b"<svg" in requests.get(shown.image_url_svg, timeout=20).content
    assert "付款成功" in requests.post(shown.data, data={"action": "pay"}, timeout=20).text
    assert client.v1.payment_intents.retrieve(made.id).status == "succeeded"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture(params=[390, 1280])
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    made = chromium.new_page(viewport={"width": request.param, "height": 844})
    made.set_default_timeout(20_000)
    yield made
    made.close()


def test_the_page_fits_the_screen_and_pays_with_one_finger(
    page: Page, server: StripeServer, client: stripe.StripeClient, params: Params
) -> None:
    session = client.v1.checkout.sessions.create(
        params(success_url=f"{server.url}/?done={{CHECKOUT_SESSION_ID}}")
    )
    page.goto(str(session.url))
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    button = page.get_by_role("button", name="我已付款")
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 48
    button.click()
    page.wait_for_url(f"**/?done={session.id}")
    assert client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_paying_on_the_phone_moves_the_other_screen_on(
    page: Page, server: StripeServer, client: stripe.StripeClient, params: Params
) -> None:
    session = client.v1.checkout.sessions.create(
        params(success_url=f"{server.url}/?done={{CHECKOUT_SESSION_ID}}")
    )
    page.goto(str(session.url))
    expect(page.locator("img.qr")).to_be_visible()
    phone = click(server, f"/c/scan/{session.id}", action="pay")
    assert phone.status_code == 303
    page.wait_for_url(f"**/?done={session.id}")


def test_a_card_whose_bank_asks_once_more(
    page: Page, server: StripeServer, client: stripe.StripeClient, params: Params
) -> None:
    session = client.v1.checkout.sessions.create(
        params(success_url=f"{server.url}/?done={{CHECKOUT_SESSION_ID}}")
    )
    page.goto(str(session.url))
    page.locator("details.card-form summary").click()
    page.fill("#number", "4000 0000 0000 3220")
    page.get_by_role("button", name="Pay by card").click()
    page.wait_for_url("**/c/authorise/*")
    page.get_by_role("button", name="确认付款").click()
    page.wait_for_url(f"**/?done={session.id}")
