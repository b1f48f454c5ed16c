"""The gateways' interface over HTTP: who gets in, what they get, and how fast."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend.app import create_app
from backend.db.engine import connect
from backend.identity.gateways import revoke_gateway, rotate_credential
from backend.registry.rights import end_rights, grant_right
from backend.services import Services
from backend.settings import BackendSettings
from estate.processes import wait_until
from tests.integration.backend.conftest import NOW, Town
from tests.integration.conftest import Database

BASE = "/api/gateway/v1"
WITHIN_S = 20


class Caller:
    """A gateway's HTTP client."""

    def __init__(self, client: FlaskClient, credential: str) -> None:
        self.client, self.headers = client, {"Authorization": f"Bearer {credential}"}

    def get(self, path: str, **query: Any) -> TestResponse:
        return self.client.get(f"{BASE}/{path}", query_string=query, headers=self.headers)

    def post(self, path: str, body: Any, **headers: str) -> TestResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(
            f"{BASE}/{path}", data=data, headers=self.headers | headers, content_type="application/json"
        )


@pytest.fixture
def caller(town: Town, client: FlaskClient) -> Caller:
    return Caller(client, town.add_gateway("gw-east", "east"))


def refusals(town: Town) -> list[tuple[str, str, str, str]]:
    rows = town.rows(
        "SELECT actor, action, object_id, reason FROM audit_record"
        " WHERE outcome = 'refused' ORDER BY audit_id"
    )
    return [tuple(row) for row in rows]


def test_the_roster_is_compressed_where_that_is_taken(town: Town, caller: Caller) -> None:
    town.resident()
    plain = caller.get("roster", estate="east")
    caller.headers["Accept-Encoding"] = "gzip"
    packed = caller.get("roster", estate="east")
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    body = json.loads(plain.data)
    assert (body["estate"], body["version"], body["more"]) == ("east", 4, False)
    assert [item["version"] for item in body["items"]] == [1, 2, 3, 4]


def test_the_roster_comes_in_pages(town: Town, caller: Caller) -> None:
    first = caller.get("roster", estate="east", limit=2).get_json()
    second = caller.get("roster", estate="east", limit=2, since=first["version"]).get_json()
    assert (first["more"], second["more"]) == (True, False)
    assert [item["version"] for item in first["items"] + second["items"]] == [1, 2, 3]


@pytest.mark.parametrize(
    "query",
    [
        {"since": "-1"},
        {"since": "x"},
        {"limit": 0},
        {"limit": 5001},
        {"wait": 26},
        {"wait": "nan"},
        {"since": "²"},
    ],
)
def test_a_parameter_out_of_range_is_named(caller: Caller, query: dict[str, Any]) -> None:
    answer = caller.get("roster", estate="east", **query)
    assert answer.status_code == 400
    assert next(iter(query)) in answer.get_json()["error"]["en"]


def test_a_foreign_estate_is_refused_and_audited(town: Town, caller: Caller) -> None:
    for path in ("roster", "keys"):
        for estate in ("west", "nowhere", "", "a\x00b", "x" * 5000):
            answer = caller.get(path, estate=estate)
            assert answer.status_code == 403
            error = answer.get_json()["error"]
            assert error["code"] == "foreign_estate"
            assert set(error) == {"code", "zh", "en", "request_id"}
            assert error["request_id"] == answer.headers["X-Request-Id"]
    assert {(actor, action, estate) for actor, action, estate, _ in refusals(town)} == {
        ("gateway:gw-east", path, estate)
        for path in ("roster", "keys")
        for estate in ("west", "nowhere", "", "a�b", "x" * 200)
    }
    assert (
        town.value("SELECT count(*) FROM audit_record WHERE request_id IS NULL AND outcome = 'refused'") == 0
    )


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer gw-east",
        "Bearer gw-east.",
        "Bearer gw-east.wrong",
        "Bearer nobody.x",
        "Basic Z3c6eA==",
    ],
)
def test_an_unknown_credential_is_refused_and_audited(town: Town, client: FlaskClient, header: str) -> None:
    town.add_gateway("gw-east", "east")
    answer = client.get(f"{BASE}/roster?estate=east", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert [(actor, reason) for actor, _, _, reason in refusals(town)] == [("unknown", "unknown_credential")]


def test_guessing_credentials_is_limited_and_does_not_fill_the_audit_log(
    town: Town, client: FlaskClient
) -> None:
    wrong = {"Authorization": "Bearer gw-east.guess"}
    codes = [client.get(f"{BASE}/keys?estate=east", headers=wrong).status_code for _ in range(123)]
    assert codes == [401] * 120 + [429] * 3
    assert len(refusals(town)) == 120


def test_a_rotated_credential_works_beside_the_old_one_until_it_expires(
    town: Town, client: FlaskClient
) -> None:
    old = town.add_gateway("gw-east", "east")

    def rotate(hours: int) -> str:
        now = datetime.now(UTC)
        until = now + timedelta(hours=hours)
        return town.change(  # type: ignore[no-any-return]
            lambda c: rotate_credential(c, "gw-east", actor="system:test", now=now, old_expire_at=until)
        )

    new = rotate(1)
    assert [Caller(client, one).get("roster", estate="east").status_code for one in (old, new)] == [200, 200]
    newest = rotate(-1)
    codes = [Caller(client, one).get("roster", estate="east").status_code for one in (old, new, newest)]
    assert codes == [401, 401, 200]


def test_a_revoked_gateway_gets_nothing_more_at_once(town: Town, caller: Caller) -> None:
    assert caller.get("keys", estate="east").status_code == 200
    town.change(lambda c: revoke_gateway(c, "gw-east", actor="system:test", now=NOW))
    assert caller.get("keys", estate="east").status_code == 401
    assert caller.get("roster", estate="east").status_code == 401


def test_no_secret_of_a_gateway_is_stored(town: Town, caller: Caller) -> None:
    secret = caller.headers["Authorization"].partition(".")[2]
    stored = town.rows("SELECT secret_sha256 FROM gateway_credential")
    assert [bytes(row[0]) for row in stored] == [hashlib.sha256(secret.encode()).digest()]


def test_the_key_is_the_one_that_cards_were_referenced_with(town: Town, caller: Caller) -> None:
    town.resident()
    answer = caller.get("keys", estate="east").get_json()
    key = base64.b64decode(answer["hmac_key"])
    assert len(key) == 32
    expected = hmac.new(key, b"card:card-chen", hashlib.sha256).hexdigest()
    assert town.value("SELECT hmac FROM card") == expected
    sealed = bytes(town.value("SELECT hmac_key_sealed FROM estate WHERE estate_id = 'east'"))
    assert key not in sealed
    assert (
        town.value("SELECT count(*) FROM audit_record WHERE action = 'fetch_key' AND outcome = 'done'") == 1
    )


def poll(
    app: Flask, caller: Caller, since: int, wait: float
) -> tuple[threading.Thread, list[tuple[float, Any]]]:
    """A long poll in a thread of its own, and where it puts when it was answered and with what."""
    found: list[tuple[float, Any]] = []
    own = Caller(app.test_client(), caller.headers["Authorization"].removeprefix("Bearer "))

    def run() -> None:
        answer = own.get("roster", estate="east", since=since, wait=wait)
        found.append((time.monotonic(), answer))

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def wait_for_poll(app: Flask) -> None:
    """Return when a request waits and somebody listens for it."""
    services: Services = app.extensions["estate"]
    wait_until(services.roster_signal.is_waited_for, WITHIN_S, "no long poll is waiting")


def test_a_long_poll_wakes_as_soon_as_a_change_is_committed(app: Flask, town: Town, caller: Caller) -> None:
    person_id = town.resident()
    version = caller.get("roster", estate="east").get_json()["version"]
    delays = []
    for round_number in range(5):
        thread, found = poll(app, caller, version, 20)
        wait_for_poll(app)
        now = NOW + timedelta(minutes=round_number)
        town.change(partial(grant, town=town, person_id=person_id, now=now))
        committed_at = time.monotonic()
        thread.join(WITHIN_S)
        answered_at, answer = found[0]
        body = answer.get_json()
        assert [item["id"] for item in body["items"]] == [str(person_id)]
        version = body["version"]
        delays.append(answered_at - committed_at)
    assert sorted(delays)[2] < 0.2


def grant(connection: Any, town: Town, person_id: UUID, now: Any) -> None:
    grant_right(connection, person_id, "east", "gate", starts_at=now, ends_at=None, actor=town.admin, now=now)


def test_a_change_elsewhere_does_not_answer_a_long_poll(app: Flask, town: Town, caller: Caller) -> None:
    version = caller.get("roster", estate="east").get_json()["version"]
    thread, found = poll(app, caller, version, 1.0)
    wait_for_poll(app)
    town.resident("far", "west")
    thread.join(WITHIN_S)
    assert found[0][1].get_json()["items"] == []
    assert found[0][1].get_json()["version"] == version


def test_a_long_poll_survives_the_loss_of_its_listening_connection(
    app: Flask, town: Town, caller: Caller, database: Database
) -> None:
    person_id = town.resident()
    version = caller.get("roster", estate="east").get_json()["version"]
    thread, found = poll(app, caller, version, 15)
    wait_for_poll(app)
    with connect(database.superuser_url, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = 'LISTEN roster'"
            " AND datname = current_database()"
        ).fetchone()
    assert ended == (1,)
    town.change(lambda c: end_rights(c, person_id, "east", actor=town.admin, reason="", now=NOW))
    thread.join(WITHIN_S)
    assert [item["id"] for item in found[0][1].get_json()["items"]] == [str(person_id)]


def test_a_revoked_gateway_that_waits_is_told_nothing(app: Flask, town: Town, caller: Caller) -> None:
    person_id = town.resident()
    version = caller.get("roster", estate="east").get_json()["version"]
    thread, found = poll(app, caller, version, 15)
    wait_for_poll(app)
    town.change(lambda c: revoke_gateway(c, "gw-east", actor="system:test", now=NOW))
    town.change(lambda c: end_rights(c, person_id, "east", actor=town.admin, reason="", now=NOW))
    thread.join(WITHIN_S)
    assert found[0][1].status_code == 401


def test_more_long_polls_than_there_is_room_for_are_asked_to_come_again(
    town: Town, settings: BackendSettings
) -> None:
    serve = msgspec.structs.replace(settings.serve, long_polls_max=1)
    app = create_app(msgspec.structs.replace(settings, serve=serve))
    caller = Caller(app.test_client(), town.add_gateway("gw-east", "east"))
    version = caller.get("roster", estate="east").get_json()["version"]
    thread, _ = poll(app, caller, version, 20)
    wait_for_poll(app)
    refused = caller.get("roster", estate="east", since=version, wait=20)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert caller.get("roster", estate="east", since=version).status_code == 200
    town.resident()
    thread.join(WITHIN_S)
    again = caller.get("roster", estate="east", since=version, wait=20)
    assert len(again.get_json()["items"]) == 1
    app.extensions["estate"].close()


def test_without_a_database_everything_says_busy_and_nothing_breaks(settings: BackendSettings) -> None:
    database = msgspec.structs.replace(settings.database, url="host=127.0.0.1 port=1 user=x dbname=y")
    app = create_app(msgspec.structs.replace(settings, database=database))
    client = app.test_client()
    client.set_cookie("estate_session", "some token")
    assert client.get("/health").status_code == 503
    page = client.get("/login", headers={"Accept": "text/html"})
    assert (page.status_code, page.mimetype) == (503, "text/html")
    assert page.headers["X-Request-Id"] in page.get_data(as_text=True)
    asked = Caller(client, "gw.x").get("roster", estate="east")
    assert (asked.status_code, asked.get_json()["error"]["code"]) == (503, "busy")
    assert asked.headers["Retry-After"] == "1"
    app.extensions["estate"].close()


def test_health_tells_whether_the_database_answers(client: FlaskClient) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.get_json()) == (200, {"ok": True, "database": True})


def test_pages_carry_headers_that_forbid_inline_code_and_frames(client: FlaskClient) -> None:
    headers = client.get("/nothing-here", headers={"Accept": "text/html"}).headers
    policy = headers["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("path", "kind"), [("/nothing", "text/html"), ("/api/nothing", "application/json")])
def test_an_unknown_address_is_told_in_the_form_of_its_audience(
    client: FlaskClient, path: str, kind: str
) -> None:
    answer = client.get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (404, kind)
    assert answer.headers["X-Request-Id"] in answer.get_data(as_text=True)


def test_an_unexpected_error_tells_no_detail(app: Flask, client: FlaskClient) -> None:
    def fail() -> str:
        raise RuntimeError("a secret inside")

    app.add_url_rule("/api/fail", view_func=fail)
    answer = client.get("/api/fail")
    assert answer.status_code == 500
    assert "a secret inside" not in answer.get_data(as_text=True)
    assert answer.get_json()["error"]["request_id"] == answer.headers["X-Request-Id"]
