"""Registers a core with `responses`, so that Stripe's own client reaches it without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests
import responses

from simulators.stripe.core import StripeCore

API = "https://api.stripe.com"
Sender = Callable[[str, bytes, Mapping[str, str]], int | None]


def register(core: StripeCore, mock: responses.RequestsMock, base: str = API) -> None:
    """Let every call to `base` be answered by `core`.

    Args:
        mock: an active `responses.RequestsMock`; make it with `assert_all_requests_are_fired=False`.
    """

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        parts = urlsplit(request.url or "")
        params = request.body if request.method == "POST" else parts.query
        found = core.handle(request.method or "GET", parts.path, params or "", dict(request.headers))
        if found.lost:
            raise requests.exceptions.ConnectionError("the simulated connection broke")
        return found.status, dict(found.headers), json.dumps(found.body)

    everything = re.compile(re.escape(base) + "/.*")
    for method in (responses.GET, responses.POST, responses.DELETE):
        mock.add_callback(method, everything, callback=answer, content_type="application/json")


def deliver(core: StripeCore, send: Sender) -> int:
    """Send every notice that is due now, one after the other; returns how many.

    Args:
        send: takes address, body and headers; returns the HTTP status, or None for no answer.
    """
    notices = core.due_notices()
    for notice in notices:
        core.delivered(notice, send(notice.url, notice.body, notice.headers))
    return len(notices)
