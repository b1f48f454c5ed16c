"""Browser windows as our people have them, and what is looked for in every one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from backend.identity.web import COOKIE
from tests.e2e.pages.town import PASSWORD, Town

PHONE, SMALL_PHONE, DESK = 390, 360, 1280
HEIGHT = {PHONE: 844, SMALL_PHONE: 740, DESK: 900}
# How long a page may take on a busy machine; nothing waits longer than it has to.
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)

# The style sheets that did not come; answers when the fonts are there. Chromium has an empty sheet for an
# address that was answered with an error, and one that nobody may read where there was no answer.
UNSTYLED = """async () => {
  await document.fonts.ready;
  const came = (link) => { try { return link.sheet.cssRules.length > 0; } catch { return false; } };
  return [...document.querySelectorAll("link[rel=stylesheet]")].filter((link) => !came(link))
    .map((link) => link.href);
}"""


class Windows:
    """Opens windows and remembers what went wrong in them."""

    def __init__(self, browser: Browser, town: Town) -> None:
        self._browser, self._town, self.url = browser, town, town.url
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []

    def open(self, width: int = PHONE, *, javascript: bool = True) -> Page:
        """A fresh browser with no cookies; what its console complains about is remembered."""
        context = self._browser.new_context(
            base_url=self.url,
            viewport={"width": width, "height": HEIGHT[width]},
            has_touch=width < DESK,
            java_script_enabled=javascript,
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        return page

    def as_(self, login: str, width: int = PHONE, *, javascript: bool = True) -> Page:
        """A window of somebody who logged in a while ago, on the first page of their role."""
        page = self.open(width, javascript=javascript)
        cookie = {"name": COOKIE, "value": self._town.session_of(login), "url": self.url}
        page.context.add_cookies([cookie])
        page.goto("/login")
        return page

    def log_in(self, login: str, width: int = PHONE, *, javascript: bool = True) -> Page:
        """A window in which somebody has just logged in, through the form."""
        page = self.open(width, javascript=javascript)
        page.goto("/login")
        page.fill("#login", login)
        page.fill("#password", PASSWORD)
        enter(page.locator("#password"))
        page.wait_for_url(lambda url: "/login" not in url)
        return page

    def close(self) -> None:
        """Close every window."""
        for context in self._contexts:
            context.close()

    def _heard(self, said: ConsoleMessage) -> None:
        # The channel's own pages are not ours to answer for.
        if said.type in {"error", "warning"} and said.location["url"].startswith(self.url):
            self.complaints.append(f"{said.type}: {said.text}")


def press(where: Locator) -> None:
    """Click what leads to another page, a link or the button of a form, until that page is there.

    Without the wait the next line may look at the page before, may measure the new one without its style
    sheet, or may lead on while the form is still being sent, and the form is lost.
    """
    with where.page.expect_navigation():
        where.click()


def tap(where: Locator) -> None:
    """`press` with a finger."""
    with where.page.expect_navigation():
        where.tap()


def enter(field: Locator) -> None:
    """Press Enter in a form's field, which sends the form, until the answer is there."""
    with field.page.expect_navigation():
        field.press("Enter")


def measured(page: Page, script: str, argument: object = None) -> Any:
    """What a script finds on the page once it looks as people see it, with its style sheets and fonts.

    All that is measured goes through here. The page may be on its way when this is called, but no further
    one may be: `press` what leads to it.
    """
    page.wait_for_load_state("load")
    unstyled = page.evaluate(UNSTYLED)
    assert unstyled == [], f"{page.url} came without {unstyled}"
    return page.evaluate(script, argument)


def overflow_px(page: Page) -> int:
    """By how much the page is wider than its window."""
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(measured(page, script))


def picture(page: Page, path: Path) -> None:
    """Keep a picture of the whole page, for whoever wants to look."""
    measured(page, "null")
    page.screenshot(path=str(path), full_page=True)


def painted_fonts(page: Page, selector: str) -> set[str]:
    """The font families that Chromium really painted the element's own text with."""
    measured(page, "null")
    session: Any = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    node = session.send("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
    fonts = session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
    session.detach()
    return {font["familyName"] for font in fonts}
