"""A person with a phone, reduced to what HTTP sees: opens pages, fills in forms, follows redirects."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

TIMEOUT_S = 15


class PageError(Exception):
    """A page was not what the visitor needed to go on."""


@dataclass(slots=True)
class Form:
    """One form of a page with the values it would send untouched."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get").lower()))
            self._inside = True
        elif self._inside and tag in {"input", "button"} and values.get("name"):
            self._take(tag, dict(attrs), values)

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"

    def _take(self, tag: str, attributes: dict[str, str | None], values: dict[str, str]) -> None:
        form, name = self.forms[-1], values["name"]
        if tag == "button" or values.get("type") == "submit":
            form.buttons.append((name, values.get("value", "")))
        elif values.get("type") not in {"radio", "checkbox"} or "checked" in attributes:
            form.fields.setdefault(name, values.get("value", ""))


class Visitor:
    """Keeps cookies over pages; `page` is the text of the last one, `url` its address."""

    def __init__(self) -> None:
        self._session = requests.Session()
        # The machine's own proxy settings must not carry loopback traffic away.
        self._session.trust_env = False
        self.page, self.url = "", ""

    def open(self, url: str) -> str:
        """Go to a page (relative to the present one).

        Raises:
            PageError: it could not be had.
        """
        return self._keep(self._session.get(urljoin(self.url, url), timeout=TIMEOUT_S))

    def json(self, url: str) -> object:
        """What a page's own script would fetch."""
        reply = self._session.get(
            urljoin(self.url, url), timeout=TIMEOUT_S, headers={"Accept": "application/json"}
        )
        if not reply.ok:
            raise PageError(f"{reply.url}: HTTP {reply.status_code}")
        return reply.json()

    def submit(
        self,
        values: dict[str, str],
        *,
        action: str = "",
        having: tuple[str, str] | None = None,
        press: tuple[str, str] | None = None,
    ) -> str:
        """Fill in the page's form whose address contains `action`, and press its button.

        Args:
            values: what to write into it, by field.
            action: part of the form's address.
            having: a field and its value that mark the form among several.
            press: name and value of the button.

        Raises:
            PageError: no such form, or what came after it was an error.
        """
        reader = _FormReader()
        reader.feed(self.page)
        matching = [
            form
            for form in reader.forms
            if action in form.action and (having is None or form.fields.get(having[0]) == having[1])
        ]
        if not matching:
            raise PageError(f"{self.url}: no form for {action or 'anything'}")
        form = matching[0]
        pressed = dict([press]) if press else {}
        content = form.fields | values | pressed
        target = urljoin(self.url, form.action)
        if form.method == "post":
            reply = self._session.post(target, data=content, timeout=TIMEOUT_S, headers={"Referer": self.url})
        else:
            reply = self._session.get(target, params=content, timeout=TIMEOUT_S)
        return self._keep(reply)

    def _keep(self, reply: requests.Response) -> str:
        self.page, self.url = reply.text, reply.url
        if not reply.ok:
            raise PageError(f"{reply.url}: HTTP {reply.status_code}")
        return self.page
