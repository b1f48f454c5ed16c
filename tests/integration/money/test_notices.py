"""The provider's notices: who is believed, what is kept, what is parked, what is tried again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine

from backend.app import create_app
from backend.payments.errors import NoticeUnknownError
from backend.payments.notices import LEASE, TRIES_MAX
from backend.payments.providers import Providers, make_providers
from backend.payments.service import parked_notices, replay_notice, settle_pending
from backend.payments.stripe_events import API_VERSION
from backend.settings import BackendSettings, PaymentSettings
from estate.config import SettingsError
from simulators.stripe.faults import Fault

if TYPE_CHECKING:
    from tests.integration.money.conftest import Desk, Home

SESSIONS = "/v1/checkout/sessions"


def event(
    kind: str = "checkout.session.completed", version: str | None = API_VERSION, **session: Any
) -> dict[str, Any]:
    """A paid session's event, as small as the provider could make it."""
    given = {
        "id": "cs_1",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": 100_000,
        "currency": "cny",
        "payment_intent": "pi_1",
        "metadata": {},
        **session,
    }
    return {
        "id": f"evt_{uuid4()}",
        "object": "event",
        "type": kind,
        "api_version": version,
        "created": 1_793_600_000,
        "data": {"object": given},
    }


def receive(desk: Desk, body: Any, **signing: Any) -> int:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return desk.receive("", raw, desk.signed(raw, **signing))


@pytest.mark.parametrize(
    "signing",
    [
        {"ahead_s": 301},
        {"ahead_s": 86_400},
        {"ahead_s": -301},
        {"secrets": ("whsec_other",)},
        {"secrets": ()},
    ],
)
def test_a_notice_that_is_not_the_channels_leaves_nothing(desk: Desk, signing: dict[str, Any]) -> None:
    assert receive(desk, event(), **signing) == 400
    assert desk.office.count("provider_notice") == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Stripe-Signature": ""},
        {"Stripe-Signature": "t=,v1="},
        {"Stripe-Signature": "v1=ab"},
        {"Stripe-Signature": "t=9999999999999999999999,v1=ab"},
        {"Stripe-Signature": "t=1,v0=ab"},
    ],
)
def test_a_header_of_another_form_leaves_nothing(desk: Desk, headers: dict[str, str]) -> None:
    assert desk.receive("", b"{}", headers) == 400
    assert desk.receive("", b"\xff\xfe", headers) == 400
    assert desk.office.count("provider_notice") == 0


def test_a_changed_body_leaves_nothing(desk: Desk) -> None:
    raw = json.dumps(event()).encode()
    assert desk.receive("", raw.replace(b"100000", b"100001"), desk.signed(raw)) == 400
    assert desk.office.count("provider_notice") == 0


def test_a_second_timestamp_in_the_header_is_not_the_one_believed(desk: Desk) -> None:
    raw = json.dumps(event()).encode()
    old = desk.signed(raw, ahead_s=-4000)["Stripe-Signature"]
    now = int(desk.clock().timestamp())
    for header in (f"{old},t={now}", f"t={now},{old}"):
        assert desk.receive("", raw, {"Stripe-Signature": header}) == 400


@pytest.mark.parametrize("ahead_s", [-299, 0, 299])
def test_a_notice_with_several_signatures_is_believed_if_one_of_them_is_right(
    desk: Desk, ahead_s: int
) -> None:
    assert receive(desk, event(), ahead_s=ahead_s, secrets=("whsec_old", "whsec_money")) == 200


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (event("invoice.created"), f"unknown_kind: invoice.created {API_VERSION}"),
        (event("charge.dispute.created"), f"unreadable: charge.dispute.created {API_VERSION}"),
        (event(version="2031-01-01.later"), "unknown_version: checkout.session.completed 2031-01-01.later"),
        (event(version=None), "unknown_version: checkout.session.completed None"),
        (event(), f"unknown_checkout: checkout.session.completed {API_VERSION}"),
        (
            event(metadata={"checkout": str(UUID(int=7))}),
            f"unknown_checkout: checkout.session.completed {API_VERSION}",
        ),
        (event(amount_total="1.5"), f"unreadable: checkout.session.completed {API_VERSION}"),
        (event(amount_total=1.5), f"unreadable: checkout.session.completed {API_VERSION}"),
        (b"not json", "unreadable: ?"),
        (b"[]", "unreadable: ?"),
    ],
)
def test_what_we_do_not_know_is_kept_and_parked(desk: Desk, body: Any, reason: str) -> None:
    assert receive(desk, body) == 200
    desk.work()
    assert desk.notices() == [("parked", reason)]
    assert desk.office.count("journal_entry") == 0


def test_what_says_nothing_new_is_ignored(desk: Desk) -> None:
    assert receive(desk, event("payment_intent.succeeded")) == 200
    desk.work()
    assert desk.notices() == [("ignored", None)]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("amount_total", 99_999, "other_amount"),
        ("currency", "hkd", "other_currency"),
        ("payment_intent", None, "payment_without_reference"),
    ],
)
def test_money_that_differs_from_what_was_asked_for_waits_for_a_person(
    desk: Desk, home: Home, field: str, value: Any, reason: str
) -> None:
    started = desk.start(home)
    receive(desk, event(**{"metadata": {"checkout": str(started.checkout_id)}, field: value}))
    desk.work()
    ((state, said),) = desk.notices()
    assert (state, said) == ("parked", f"{reason}: checkout.session.completed {API_VERSION}")
    assert desk.office.count("payment") == 0


def test_a_parked_notice_is_replayed_once_the_software_knows_it(
    desk: Desk, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.payments.stripe_events.API_VERSION", "2020-01-01.older")
    started = desk.start(home)
    desk.pay(started)
    desk.deliver()
    desk.work()
    with desk.office.engine.begin() as connection:
        (parked,) = parked_notices(connection)
        assert parked.reason.startswith("unknown_version")
        with pytest.raises(NoticeUnknownError):
            replay_notice(connection, parked.notice_id + 1, desk.clock())
        replay_notice(connection, parked.notice_id, desk.clock())
    monkeypatch.undo()
    desk.work()
    assert desk.notices() == [("settled", None)]
    assert desk.checkout(started.checkout_id).state == "paid"


def test_a_poison_notice_is_parked_and_the_others_go_on(
    desk: Desk, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = desk.start(home)
    real = desk.provider.read_notice

    def read(raw: bytes) -> Any:
        if b"poison" in raw:
            raise RuntimeError("poison")
        return real(raw)

    receive(desk, event("poison"))
    monkeypatch.setattr(desk.provider, "read_notice", read)
    desk.pay(started)
    desk.deliver()
    desk.work()
    assert desk.notices() == [("waiting", None), ("settled", None)]
    for _ in range(TRIES_MAX - 1):
        desk.clock.forward(60)
        desk.work()
    assert desk.notices()[0] == ("parked", "failed: RuntimeError")


def test_a_notice_whose_worker_dies_each_time_is_parked(
    desk: Desk, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def die(_raw: bytes) -> Any:
        raise KilledError

    receive(desk, event())
    monkeypatch.setattr(desk.provider, "read_notice", die)
    for _ in range(TRIES_MAX):
        with pytest.raises(KilledError):
            settle_pending(desk.office.engine, desk.provider, desk.clock())
        assert settle_pending(desk.office.engine, desk.provider, desk.clock()) == 0
        desk.clock.forward(LEASE.total_seconds() + 1)
    desk.work()
    assert desk.notices() == [("parked", "worker_died")]


def test_while_the_channel_is_away_a_notice_waits_however_long_that_is(desk: Desk, home: Home) -> None:
    started = desk.start(home, 44_404)  # fails late, so the channel has to be asked
    desk.pay(started)
    desk.deliver()
    desk.core.plan_fault(Fault(kind="request_lost", method="GET", path=SESSIONS, times=500))
    for _ in range(12):
        desk.clock.forward(400)
        desk.work()
    assert desk.notices() == [("waiting", "APIConnectionError")]
    desk.core.faults._waiting.clear()
    desk.clock.forward(400)
    desk.work()
    assert desk.notices() == [("settled", None)]
    assert desk.checkout(started.checkout_id).state == "failed"


def test_two_different_events_of_the_same_second_both_count(desk: Desk, home: Home) -> None:
    started = [desk.start(home), desk.start(home)]
    for number, one in enumerate(started):
        references = {"checkout": str(one.checkout_id)}
        receive(desk, event(id=desk.checkout(one.checkout_id).provider_ref, metadata=references,
                            payment_intent=f"pi_{number}"))  # fmt: skip
    desk.work()
    assert desk.office.count("payment") == 2
    assert desk.office.statement(home).prepaid_fen == 200_000


@pytest.fixture
def secrets(tmp_path: Path) -> PaymentSettings:
    key, secret = tmp_path / "key", tmp_path / "webhook"
    key.write_text("sk_test_money\n")
    secret.write_text("whsec_new\nwhsec_money\n")
    return PaymentSettings(stripe_api_key_file=str(key), stripe_webhook_secret_file=str(secret))


@pytest.fixture
def web(desk: Desk, settings: BackendSettings, secrets: PaymentSettings) -> Iterator[FlaskClient]:
    app = create_app(msgspec.structs.replace(settings, payments=secrets))
    yield app.test_client()
    app.extensions["estate"].close()


def test_the_webhook_answers_200_when_the_notice_is_kept_and_400_when_it_is_not_the_channels(
    desk: Desk, web: FlaskClient
) -> None:
    desk.clock.now = datetime.now(UTC)
    raw = json.dumps(event()).encode()
    headers = desk.signed(raw)
    assert web.post("/webhooks/stripe", data=raw, headers=headers).status_code == 200
    again = web.post("/webhooks/stripe", data=raw, headers=headers)
    assert (again.status_code, again.get_json()["new"]) == (200, False)
    refused = web.post("/webhooks/stripe", data=raw + b" ", headers=headers)
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (400, "notice_refused")
    with desk.office.engine.connect() as connection:
        (kept,) = connection.exec_driver_sql("SELECT body FROM provider_notice").scalars()
    assert bytes(kept) == raw


def test_half_a_configuration_of_the_channel_stops_the_start(
    secrets: PaymentSettings, settings: BackendSettings, engine: Engine
) -> None:
    def made(payments: PaymentSettings) -> Providers:
        return make_providers(msgspec.structs.replace(settings, payments=payments), engine)

    assert set(made(PaymentSettings()).by_name) == {"cash", "bank"}
    with pytest.raises(SettingsError, match="stripe_webhook_secret_file"):
        made(PaymentSettings(stripe_api_key_file=secrets.stripe_api_key_file))
    for base in ("http://127.0.0.1:8125", "http://localhost:8125", "https://stand-in.invalid"):
        assert "stripe" in made(msgspec.structs.replace(secrets, stripe_api_base=base)).by_name
    for base in ("http://stand-in.invalid", "http://10.0.0.7:8125", "stand-in.invalid"):
        with pytest.raises(SettingsError, match="https"):
            made(msgspec.structs.replace(secrets, stripe_api_base=base))


def test_without_a_channel_the_webhook_says_so(app: Flask) -> None:
    answer = app.test_client().post("/webhooks/stripe", data=b"{}")
    assert answer.get_json()["error"]["code"] == "payments_not_set_up"
    assert answer.status_code >= 400
