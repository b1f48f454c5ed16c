"""Logging in and out, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.pages.town import PASSWORD, Town
from tests.e2e.pages.windows import DESK, Windows, enter, press


def try_to_log_in(page: Page, login: str, password: str) -> None:
    page.goto("/login")
    page.fill("#login", login)
    page.fill("#password", password)
    press(page.get_by_role("button", name="登录 Log in"))


@pytest.mark.parametrize(
    ("login", "arrives"),
    [
        ("chen", "/my/rent"),
        ("zhang", "/finance/today"),
        ("auditor", "/finance/today"),
        ("guard", "/operator/doors"),
        ("admin", "/operator/doors"),
        ("both", "/"),
        ("nobody", "/"),
    ],
)
def test_everybody_arrives_at_the_page_of_their_role(windows: Windows, login: str, arrives: str) -> None:
    page = windows.log_in(login)
    assert page.url == windows.url + arrives
    assert windows.complaints == []


def test_two_roles_get_the_choice_and_a_menu_on_every_page(windows: Windows) -> None:
    page = windows.log_in("both", DESK)
    press(page.get_by_role("link", name="门口现况 Live doors"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("门口现况")
    press(page.get_by_role("navigation", name="主菜单").get_by_role("link", name="今日账簿"))
    expect(page).to_have_url(windows.url + "/finance/today")


def test_a_wrong_password_and_an_unknown_login_look_the_same(windows: Windows) -> None:
    page = windows.open()
    seen = []
    for login in ("chen", "nobody-of-that-name"):
        try_to_log_in(page, login, "wrong password")
        expect(page.get_by_role("alert")).to_be_visible()
        assert page.input_value("#login") == login
        assert page.input_value("#password") == ""
        seen.append(page.content().replace(login, "LOGIN").split("csrf_token")[0])
        seen.append(page.get_by_role("alert").inner_text())
    assert seen[:2] == seen[2:]


def test_too_many_tries_are_told_how_long_to_wait_also_with_the_right_password(
    town: Town, windows: Windows
) -> None:
    page = windows.open()
    for _ in range(town.services.settings.login.attempts_by_login):
        try_to_log_in(page, "chen", "wrong password")
    try_to_log_in(page, "chen", PASSWORD)
    expect(page.get_by_role("alert")).to_contain_text("15 分钟后再试")
    expect(page.get_by_role("alert")).to_contain_text("可以再试的时间")
    assert "/login" in page.url


def test_logging_out_ends_the_session_on_the_server(town: Town, windows: Windows) -> None:
    page = windows.log_in("chen")
    cookies = page.context.cookies()
    press(page.get_by_role("button", name="退出 Log out"))
    expect(page.get_by_role("status")).to_contain_text("您已退出")
    assert "estate_session" not in {cookie["name"] for cookie in page.context.cookies()}
    page.context.add_cookies([cookie for cookie in cookies if cookie["name"] == "estate_session"])
    page.goto("/my/rent")
    assert page.url.startswith(town.url + "/login")


def test_the_back_button_after_logging_out_shows_no_figures(windows: Windows) -> None:
    page = windows.log_in("chen")
    press(page.get_by_role("button", name="退出 Log out"))
    expect(page.get_by_role("status")).to_contain_text("您已退出")
    page.go_back()
    expect(page.locator("[data-total]")).to_have_count(0)


def test_a_page_that_was_asked_for_before_the_login_comes_after_it(windows: Windows) -> None:
    page = windows.open()
    page.goto("/finance/today?day=2026-01-02")
    page.fill("#login", "zhang")
    page.fill("#password", PASSWORD)
    enter(page.locator("#password"))
    page.wait_for_url("**/finance/today?day=2026-01-02")


@pytest.mark.parametrize(
    "elsewhere", ["https://example.com/", "//example.com", "/\\example.com", "javascript:alert(1)", "/login"]
)
def test_the_login_never_leads_to_another_site_or_in_a_circle(windows: Windows, elsewhere: str) -> None:
    page = windows.open()
    page.goto("/login?next=" + elsewhere)
    page.fill("#login", "chen")
    page.fill("#password", PASSWORD)
    enter(page.locator("#password"))
    page.wait_for_url(windows.url + "/my/rent")
    page.goto("/login?next=" + elsewhere)
    assert page.url == windows.url + "/my/rent"


def test_a_form_without_its_token_is_refused_and_says_what_to_do(windows: Windows) -> None:
    page = windows.log_in("chen")
    page.evaluate("document.querySelectorAll('[name=csrf_token]').forEach(field => field.remove())")
    press(page.get_by_role("button", name="退出 Log out"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("这一步没有成功")
    expect(page.get_by_role("main")).to_contain_text("页面已过期")
    page.goto("/my/rent")
    expect(page.locator("[data-total]")).to_be_visible()
