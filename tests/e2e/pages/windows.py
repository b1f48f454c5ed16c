"""Browser windows as our people have them, and what is looked for in every one of them."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from backend.identity.web import COOKIE
from tests.e2e.pages.town import PASSWORD, Town

PHONE, SMALL_PHONE, DESK = 390, 360, 1280
HEIGHT = {PHONE: 844, SMALL_PHONE: 740, DESK: 900}


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
        context.set_default_timeout(10_000)
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
        page.press("#password", "Enter")
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


def painted_fonts(page: Page, selector: str) -> set[str]:
    """The font families that Chromium really painted the element's own text with."""
    session: Any = page.context.new_cdp_session(page)
    session.send("DOM.enable")
    session.send("CSS.enable")
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    node = session.send("DOM.querySelector", {"nodeId": root, "selector": selector})["nodeId"]
    fonts = session.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
    session.detach()
    return {font["familyName"] for font in fonts}


def overflow_px(page: Page) -> int:
    """By how much the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
