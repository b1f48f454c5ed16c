"""What has to hold on every page: on small and large windows, for eyes, fingers, keyboards and readers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from backend.identity.errors import TooManyAttemptsError
from backend.rent.rules import TermKind
from tests.e2e.pages.town import HOSTILE, NORTH, SOUTH, Town, online, passage
from tests.e2e.pages.windows import (
    DESK,
    PHONE,
    SMALL_PHONE,
    Windows,
    enter,
    measured,
    overflow_px,
    painted_fonts,
    press,
)

CHINESE = "Noto Sans CJK SC"
LONG = "非常非常长的名字" * 6 + "Averyveryverylongwordwithoutanybreak" * 2
CONTRAST_MIN = 4.5
TOUCH_PX_MIN = 44

# Every visible text whose colour is too near to what lies behind it.
LOW_CONTRAST = """(least) => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const [one, two] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < least) found.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""

# Everything a finger has to hit that is lower than a fingertip; a box to tick is hit anywhere on its words.
SMALL_TARGETS = """(least) => [...document.querySelectorAll(
    "button, .button, .choice, .tap, summary, nav a, select, input:not([type=hidden]):not([type=radio])"
  )].filter((node) => node.checkVisibility()
    && (node.closest("label") ?? node).getBoundingClientRect().height < least)
    .map((node) => `${node.tagName} ${node.textContent.trim().slice(0, 20)}`)"""

UNLABELLED = """() => [...document.querySelectorAll("input:not([type=hidden]), select, textarea")]
  .filter((node) => !node.labels.length && !node.ariaLabel).map((node) => node.name)"""

INLINE = """() => [...document.querySelectorAll("style, script:not([src]), [style], [onclick], [onload]")]
  .map((node) => node.outerHTML.slice(0, 60))"""

ENGLISH_UNMARKED = """() => [...document.querySelectorAll(".en")]
  .filter((node) => node.lang !== "en").map((node) => node.textContent)"""


def bring_to_life(town: Town) -> None:
    """Something of everything: long names, relief, arrears, passages and doors of every kind."""
    town.rename_estate(SOUTH, LONG[:80])
    town.rename_door("north-gate", LONG[:60])
    town.agree("chen", TermKind.RELIEF, "低收入减免" + LONG[:30], share_permille=400)
    town.agree("chen", TermKind.PROPERTY_FEE, "物业费", monthly_fen=8_050)
    for month in ("2026-08", "2026-09", "2026-10"):
        town.charge(month)
    town.pay_online("chen", 30_000)
    town.doors_report(
        [
            online("north-gate", clock_offset_ms=4_000_000),
            online("north-a", state="offline", since=datetime.now(UTC) - timedelta(days=40)),
            online("south-gate", SOUTH),
        ]
    )
    person = town.homes["chen"].person_id
    town.passages(
        [
            passage("north-gate", person=person, resent=True),
            passage("north-gate", "ask", "liveness_missing"),
            passage("north-a", "deny", "door_face_only"),
            passage("north-a", "none", "answer_unknown", credential="card", person=person),
        ]
    )


def visit_all(town: Town, windows: Windows, width: int, look: Callable[[str, Page], None]) -> None:
    """Call `look` on every page there is, with its name."""
    stranger = windows.open(width)
    for name, path in (("home", "/"), ("login", "/login"), ("missing", "/no/such/page")):
        stranger.goto(path)
        look(name, stranger)
    stranger.goto("/login")
    stranger.fill("#login", "nobody")
    stranger.fill("#password", "wrong password")
    enter(stranger.locator("#password"))
    stranger.get_by_role("alert").wait_for()
    look("login refused", stranger)
    tenant = windows.as_("chen", width)
    look("rent", tenant)
    tenant.get_by_text("其他金额").click()
    tenant.fill("#yuan", "many")
    press(tenant.get_by_role("button", name="去付款"))
    tenant.locator("#yuan-hint.wrong").wait_for()
    look("rent refused", tenant)
    tenant.goto("/my/rent")
    press(tenant.get_by_role("button", name="去付款"))
    tenant.wait_for_url(town.channel.url + "/**")
    tenant.goto(town.url + "/my/rent")
    press(tenant.locator("[data-waiting] a"))
    tenant.wait_for_url("**/my/payments/*")
    look("payment waiting", tenant)
    town.pay_all_at_channel()
    town.settle()
    tenant.locator("#outcome[data-state=paid]").wait_for()
    look("payment received", tenant)
    tenant.goto("/my/rent")
    look("rent paid", tenant)
    staff = windows.as_("both", width)
    for name, path in (("choice", "/"), ("ledger", "/finance/today"), ("doors", "/operator/doors")):
        staff.goto(path)
        look(name, staff)
    home = town.homes["chen"].household_id
    for path in (
        "/finance/measures",
        "/finance/tariffs",
        f"/finance/homes/{home}",
        "/finance/reports",
        f"/finance/reports/trial_balance?book={NORTH}",
        "/finance/closing",
        f"/finance/closing?book={NORTH}&month=2026-07",  # nobody was charged: it may be closed despite that
        "/finance/take-over",
        "/finance/write-offs",
        "/finance/handing-on",
        "/oversight",
    ):
        staff.goto(path)
        look(path, staff)
    staff.goto("/operator/doors")
    press(staff.get_by_role("link", name="是谁").first)
    staff.get_by_role("heading", name="查看是谁").wait_for()
    look("who", staff)
    staff.get_by_text("安全事件").click()
    press(staff.get_by_role("button", name="查看并记录"))
    staff.locator("[data-name]").wait_for()
    look("name", staff)
    staff.goto("/finance/today")
    press(staff.get_by_role("link", name="看来源").first)
    staff.get_by_role("region", name="来源").wait_for()
    look("entry", staff)
    clerk = windows.as_("zhang", width)
    clerk.goto(f"/finance/today?estate={SOUTH}")
    look("forbidden", clerk)


@pytest.mark.parametrize("width", [SMALL_PHONE, PHONE, DESK])
def test_every_page_fits_its_window_and_can_be_read_touched_and_listened_to(
    town: Town, windows: Windows, width: int
) -> None:
    bring_to_life(town)
    wrong: dict[str, object] = {}
    seen: list[str] = []

    def look(name: str, page: Page) -> None:
        page.wait_for_load_state("load")  # the style sheets as well
        seen.append(name)
        findings = {
            "wider than the window": overflow_px(page),
            "low contrast": measured(page, LOW_CONTRAST, CONTRAST_MIN),
            "small targets": measured(page, SMALL_TARGETS, TOUCH_PX_MIN),
            "unlabelled": measured(page, UNLABELLED),
            "inline": measured(page, INLINE),
            "english without its mark": measured(page, ENGLISH_UNMARKED),
            "headings": [] if page.locator("h1").count() == 1 else page.locator("h1").all_inner_texts(),
            "language": [] if page.locator("html").get_attribute("lang") == "zh-CN" else "not zh-CN",
        }
        wrong.update({f"{name}: {what}": found for what, found in findings.items() if found})

    visit_all(town, windows, width, look)
    assert wrong == {}
    assert len(seen) == 27


def test_chinese_is_painted_with_a_chinese_font(town: Town, windows: Windows) -> None:
    bring_to_life(town)
    wrong: dict[str, object] = {}

    def look(name: str, page: Page) -> None:
        for selector in ("h1", "main p", "main", "button", "label", "td", "dd", ".tag"):
            if page.locator(selector).count():
                fonts = painted_fonts(page, selector)
                if fonts - {CHINESE}:
                    wrong[f"{name} {selector}"] = fonts
        assert painted_fonts(page, "h1") == {CHINESE}, name

    visit_all(town, windows, PHONE, look)
    assert wrong == {}


def test_a_page_that_came_without_its_style_sheet_is_not_measured(windows: Windows) -> None:
    page = windows.open()
    page.route("**/estate.css", lambda route: route.abort())
    page.goto("/login")
    with pytest.raises(AssertionError, match=r"came without .*estate\.css"):
        overflow_px(page)


def test_nothing_comes_from_elsewhere_and_the_policy_says_so(town: Town, windows: Windows) -> None:
    page = windows.as_("both", DESK)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/", "/login", "/finance/today", "/operator/doors", "/no/such/page"):
        answer = page.goto(path)
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["cache-control"] == "no-store"
    assert asked
    assert all(url.startswith(town.url) for url in asked)


def test_hostile_names_and_labels_are_shown_as_they_are(town: Town, windows: Windows) -> None:
    town.agree("chen", TermKind.PROPERTY_FEE, HOSTILE, monthly_fen=8_050)
    town.rename_login("chen", HOSTILE[:80])
    town.rename_estate(NORTH, HOSTILE)
    town.charge("2026-11")
    page = windows.as_("chen")
    expect(page.locator(".who-name")).to_have_text(HOSTILE[:80])
    expect(page.get_by_role("table").first).to_contain_text(HOSTILE)
    expect(page.get_by_role("main")).to_contain_text(HOSTILE)
    staff = windows.as_("zhang", DESK)
    expect(staff.locator("#estate option")).to_have_text([HOSTILE])
    for window in (page, staff):
        assert window.title() != "owned"
        assert window.locator("main img").count() == 0
    assert windows.complaints == []


def test_an_unexpected_error_says_what_to_do_and_carries_its_number(town: Town, windows: Windows) -> None:
    def broken() -> str:
        raise RuntimeError("secret detail")

    town.app.view_functions["home.index"] = broken
    page = windows.as_("chen")
    answer = page.goto("/")
    assert answer is not None
    assert answer.status == 500
    expect(page.get_by_role("heading", level=1)).to_contain_text("系统出了点问题")
    expect(page.get_by_role("main")).to_contain_text("不要马上再付一次")
    expect(page.locator("[data-request]")).to_have_text(answer.headers["x-request-id"])
    assert "secret detail" not in page.content()


def test_too_often_says_how_long_to_wait(town: Town, windows: Windows) -> None:
    def often() -> str:
        raise TooManyAttemptsError(600)

    town.app.view_functions["home.index"] = often
    page = windows.open()
    answer = page.goto("/")
    assert answer is not None
    assert (answer.status, answer.headers["retry-after"]) == (429, "600")
    expect(page.get_by_role("heading", level=1)).to_contain_text("操作太频繁了")
    expect(page.get_by_role("main")).to_contain_text("10 分钟后再试")
