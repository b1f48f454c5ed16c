"""Logging in: sessions, their end, and the limits on guessing."""

from __future__ import annotations

import re
import threading
import time
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf  # type: ignore[import-untyped]

from backend.identity import passwords
from backend.identity.accounts import add_principal, end_role, grant_role, principal_by_login, set_password
from backend.identity.errors import (
    BadNameError,
    LoginRefusedError,
    LoginTakenError,
    NotAllowedError,
    TooManyAttemptsError,
    UnknownEstateError,
    WeakPasswordError,
)
from backend.identity.principal import ALL, Principal
from backend.identity.service import check_role, log_in, log_out, principal_of
from backend.identity.web import current_principal, requires
from backend.settings import LoginSettings
from tests.integration.backend.conftest import NOW, PASSWORD, Town

RULES = LoginSettings(
    idle_minutes=30, session_hours=8, attempts_by_login=3, attempts_by_address=6, attempts_minutes=10
)
ADDRESS = "192.0.2.1"


@pytest.fixture
def guard(town: Town) -> Principal:
    return town.add_login("guard", "operator", "east")


def enter(
    town: Town, login: str = "guard", password: str = PASSWORD, at: timedelta = timedelta(), **more: str
) -> str:
    address = more.get("address", ADDRESS)
    return log_in(town.engine, login, password, address=address, now=NOW + at, rules=RULES)


def who(town: Town, token: str, at: timedelta = timedelta()) -> Principal | None:
    return town.change(lambda c: principal_of(c, token, NOW + at, RULES))  # type: ignore[no-any-return]


def test_a_session_belongs_to_whoever_logged_in(town: Town, guard: Principal) -> None:
    token = enter(town, " Guard ")
    assert who(town, token) == guard
    assert who(town, token + "x") is None
    assert token not in town.text_of("login_session")


def test_a_session_ends_when_it_is_not_used(town: Town, guard: Principal) -> None:
    token = enter(town)
    assert who(town, token, timedelta(minutes=29)) is not None
    assert who(town, token, timedelta(minutes=58)) is not None  # the look at 29 slid it on
    assert who(town, token, timedelta(minutes=89)) is None


def test_a_session_ends_after_its_longest_time_however_much_it_is_used(town: Town, guard: Principal) -> None:
    token = enter(town)
    for step in range(1, 24):
        assert who(town, token, timedelta(minutes=20 * step)) is not None
    assert who(town, token, timedelta(hours=8)) is None


def test_a_session_ends_by_logging_out_and_by_a_new_password(town: Town, guard: Principal) -> None:
    first, second = enter(town), enter(town)
    town.change(lambda c: log_out(c, first, NOW))
    assert (who(town, first), who(town, second)) == (None, guard)
    town.change(lambda c: set_password(c, guard.principal_id, "another one", actor="system:test", now=NOW))
    assert who(town, second) is None
    with pytest.raises(LoginRefusedError):
        enter(town)
    assert who(town, enter(town, password="another one")) == guard


@pytest.mark.parametrize(
    ("login", "password"),
    [("guard", "wrong"), ("nobody", PASSWORD), ("clerk", ""), ("", ""), ("a\x00b", "x"), ("a b", "x")],
)
def test_a_refused_login_does_not_tell_why_and_is_audited(
    town: Town, guard: Principal, login: str, password: str
) -> None:
    with pytest.raises(LoginRefusedError):
        enter(town, login, password)
    rows = town.rows("SELECT actor, action, object_id FROM audit_record WHERE outcome = 'refused'")
    assert len(rows) == 1
    assert rows[0][:2] == ("unknown", "log_in")
    assert rows[0][2] in {str(guard.principal_id), str(town.clerk_of_east.principal_id), "unknown"}


def test_an_unknown_login_costs_as_much_time_as_a_wrong_password(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At the real cost, which is what a guesser would measure.
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher())
    passwords._nobody.cache_clear()
    town.add_login("guard", "operator", "east")
    passwords.prepare()
    open_rules = LoginSettings(attempts_by_login=100, attempts_by_address=100)

    def cost_s(login: str) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            with pytest.raises(LoginRefusedError):
                log_in(town.engine, login, "wrong", address=ADDRESS, now=NOW, rules=open_rules)
            times.append(time.perf_counter() - began)
        return min(times)

    known, unknown = cost_s("guard"), cost_s("nobody")
    assert 0.5 < unknown / known < 2


def test_a_disabled_principal_neither_logs_in_nor_goes_on(town: Town, guard: Principal) -> None:
    token = enter(town)
    town.change(lambda c: c.exec_driver_sql("UPDATE principal SET disabled_at = now() WHERE login = 'guard'"))
    assert who(town, token) is None
    with pytest.raises(LoginRefusedError):
        enter(town)


def test_too_many_failures_of_one_login_are_refused_even_with_the_right_password(
    town: Town, guard: Principal
) -> None:
    for number in range(3):
        with pytest.raises(LoginRefusedError):
            enter(town, password="wrong", address=f"192.0.2.{number}")
    with pytest.raises(TooManyAttemptsError) as refused:
        enter(town, address="192.0.2.99")
    assert 0 < refused.value.retry_after_s <= 601
    assert who(town, enter(town, at=timedelta(minutes=10))) is not None


def test_too_many_failures_from_one_address_are_refused_for_every_login(town: Town, guard: Principal) -> None:
    for number in range(6):
        with pytest.raises(LoginRefusedError):
            enter(town, f"guess{number}")
    with pytest.raises(TooManyAttemptsError):
        enter(town)
    assert enter(town, address="192.0.2.2")
    limited = "SELECT count(*) FROM audit_record WHERE reason = 'rate'"
    with pytest.raises(TooManyAttemptsError):
        enter(town)
    assert town.value(limited) == 1


def test_logging_in_rightly_is_not_counted(town: Town, guard: Principal) -> None:
    for _ in range(10):
        enter(town)
    assert town.value("SELECT max(hits) FROM rate_limit") == 0


def test_parallel_guesses_share_one_counter(town: Town, guard: Principal) -> None:
    outcomes: list[str] = []

    def guess() -> None:
        try:
            enter(town, password="wrong")
        except (LoginRefusedError, TooManyAttemptsError) as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=guess) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["login_refused"] * 3 + ["too_many_attempts"] * 5


def test_no_login_and_no_address_stands_in_the_counters(town: Town, guard: Principal) -> None:
    with pytest.raises(LoginRefusedError):
        enter(town, password="wrong")
    rows = "".join(row[0] for row in town.rows("SELECT encode(subject_sha256, 'escape') FROM rate_limit"))
    assert rows
    assert ADDRESS not in rows
    assert "guard" not in rows


def test_roles_have_a_scope_and_a_period(town: Town, guard: Principal) -> None:
    assert guard.may("operator", "east")
    assert not guard.may("operator", "west")
    assert not guard.may("finance", "east")
    assert guard.estates("operator") == frozenset({"east"})
    assert guard.estates("finance") == frozenset()
    assert town.admin.estates("admin") is ALL
    with pytest.raises(NotAllowedError):
        check_role(guard, "something", "west", "operator", "admin")
    end = NOW + timedelta(days=1)
    town.change(
        lambda c: grant_role(
            c,
            guard.principal_id,
            "finance",
            None,
            actor="system:test",
            now=NOW,
            valid_from=end,
            valid_to=end + timedelta(days=1),
        )
    )

    def held(days: float) -> bool:
        moment = NOW + timedelta(days=days)
        return town.change(lambda c: principal_by_login(c, "guard", moment)).holds("finance")  # type: ignore[no-any-return]

    assert [held(days) for days in (0, 1, 1.9, 2)] == [False, True, True, False]


def test_an_ended_role_counts_no_longer(town: Town, guard: Principal) -> None:
    token = enter(town)
    end = lambda c: end_role(c, guard.principal_id, "operator", "east", actor="system:test", now=NOW)  # noqa: E731
    assert [town.change(end), town.change(end)] == [1, 0]
    principal = who(town, token)
    assert principal is not None
    assert principal.grants == ()


def test_a_login_is_refused_when_it_is_taken_weak_or_badly_named(town: Town) -> None:
    def add(login: str, password: str | None = None) -> None:
        town.change(lambda c: add_principal(c, login, "x", password, actor="system:test", now=NOW))

    with pytest.raises(LoginTakenError):
        add("CLERK")
    with pytest.raises(WeakPasswordError):
        add("new", "short")
    with pytest.raises(BadNameError):
        add("two words")
    clerk_id = town.clerk_of_east.principal_id
    with pytest.raises(UnknownEstateError):
        town.change(lambda c: grant_role(c, clerk_id, "operator", "nowhere", actor="system:test", now=NOW))


@pytest.fixture
def guarded_app(app: Flask) -> Flask:
    """The application with one more page, for operators only."""

    @requires("operator")
    def page() -> str:
        principal = current_principal()
        return principal.login if principal is not None else "nobody"

    app.add_url_rule("/guarded", view_func=page)
    app.add_url_rule("/guarded-form", "form", lambda: f'name="csrf_token" value="{generate_csrf()}"')
    app.add_url_rule("/api/guarded", "api_guarded", page)
    return app


def csrf_token(client: FlaskClient, path: str = "/login") -> str:
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).get_data(as_text=True))
    assert token is not None
    return token[1]


def log_in_by_form(client: FlaskClient, login: str, password: str = PASSWORD) -> int:
    form = {"login": login, "password": password, "csrf_token": csrf_token(client)}
    return client.post("/login", data=form).status_code


def test_a_guarded_page_leads_to_the_login_and_back(guarded_app: Flask, town: Town, guard: Principal) -> None:
    client = guarded_app.test_client()
    answer = client.get("/guarded?day=1", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login?next=%2Fguarded%3Fday%3D1")
    assert client.get("/api/guarded").status_code == 401
    assert log_in_by_form(client, "guard") == 303
    assert client.get("/guarded").get_data(as_text=True) == "guard"


def test_somebody_without_the_role_is_refused_and_audited(guarded_app: Flask, town: Town) -> None:
    tenant = town.add_login("tenant", "tenant", "east")
    client = guarded_app.test_client()
    log_in_by_form(client, "tenant")
    answer = client.get("/guarded", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (403, "text/html")
    rows = town.rows("SELECT actor, action, reason FROM audit_record WHERE outcome = 'refused'")
    assert [tuple(row) for row in rows] == [(tenant.actor, "page", "not_allowed")]


def test_the_cookie_is_out_of_reach_and_new_at_each_login(
    guarded_app: Flask, town: Town, guard: Principal
) -> None:
    client = guarded_app.test_client()
    log_in_by_form(client, "guard")
    first = client.get_cookie("estate_session")
    assert first is not None
    assert (first.http_only, first.path) == (True, "/")
    assert first.same_site == "Lax"
    # Somebody who knew the old token is out as soon as its owner logs in again.
    stolen = guarded_app.test_client()
    stolen.set_cookie("estate_session", first.value)
    assert stolen.get("/guarded").status_code == 200
    form = {"login": "guard", "password": PASSWORD, "csrf_token": csrf_token(client, "/guarded-form")}
    assert client.post("/login", data=form).status_code == 303
    second = client.get_cookie("estate_session")
    assert second is not None
    assert second.value != first.value
    assert stolen.get("/api/guarded").status_code == 401


def test_a_form_without_its_token_is_refused(guarded_app: Flask, town: Town, guard: Principal) -> None:
    client = guarded_app.test_client()
    answer = client.post("/login", data={"login": "guard", "password": PASSWORD})
    assert answer.status_code == 400
    assert client.get_cookie("estate_session") is None


def test_too_many_logins_get_a_page_that_says_when_to_try_again(
    guarded_app: Flask, town: Town, guard: Principal
) -> None:
    client = guarded_app.test_client()
    codes = [log_in_by_form(client, "guard", "wrong") for _ in range(11)]
    assert codes == [401] * 10 + [429]
