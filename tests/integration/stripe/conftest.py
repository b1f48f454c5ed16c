"""The stand-in on a real port, and a receiver of its notices on another."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest
import requests
import stripe

from estate.processes import wait_until
from simulators.stripe.core import StripeCore
from simulators.stripe.http import StripeServer, listen
from simulators.stripe.settings import AccountSettings

SECRET = "whsec_integration"


class Receiver:
    """Takes notices over HTTP, checks each with Stripe's own library, and answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.events: list[stripe.Event] = []
        self.together: threading.Barrier | None = None  # receives only so many at one moment
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(body, self.headers["Stripe-Signature"])
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # with the usual 5, connections at once wait a second each

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/stripe"

    def take(self, body: bytes, header: str) -> None:
        if self.together is not None:
            self.together.wait(20)
        event = stripe.Webhook.construct_event(body, header, SECRET)
        with self._lock:
            self.events.append(event)

    def types(self) -> list[str]:
        return [event.type for event in list(self.events)]

    def wait_for(self, event_type: str, times: int = 1) -> None:
        wait_until(
            lambda: self.types().count(event_type) >= times, 20, f"{event_type} did not come {times} times"
        )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def server(receiver: Receiver) -> Iterator[StripeServer]:
    listener = listen("127.0.0.1", 0)
    settings = replace(AccountSettings(), public_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    core = StripeCore(lambda: datetime.now(UTC), Random(5), settings, retry_after_s=(0.05, 0.1))
    core.add_endpoint(receiver.url, SECRET)
    with StripeServer(core, listener) as running:
        yield running


@pytest.fixture
def client(server: StripeServer) -> stripe.StripeClient:
    """Stripe's own client, unmodified, over HTTP."""
    return stripe.StripeClient("sk_test_http", base_addresses={"api": server.url})


@pytest.fixture
def control(server: StripeServer) -> Callable[..., Any]:
    """`control("pay", session=…)` posts, `control("captured")` gets."""

    def ask(name: str, **body: Any) -> Any:
        url = f"{server.url}/_control/{name}"
        answer = (
            requests.post(url, data=json.dumps(body), timeout=20) if body else requests.get(url, timeout=20)
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture
def params() -> Callable[..., Any]:
    def make(amount: int = 30_000, **more: Any) -> Any:
        price = {"currency": "cny", "unit_amount": amount, "product_data": {"name": "2026年11月 租金"}}
        return {
            "mode": "payment",
            "success_url": "https://estate.example/done?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://estate.example/rent",
            "allowed_payment_method_types": ["wechat_pay", "alipay", "card"],
            "line_items": [{"quantity": 1, "price_data": price}],
            **more,
        }

    return make
