"""Across estates: what a supervisor sees, and that nothing can be changed with that role."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from sqlalchemy import text

from tests.e2e.pages.town import NORTH, SOUTH, Town, online
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, press

# What everybody may send: for a session, with the secret word of a link, or signed by a channel.
FOR_ANYBODY = {
    "session.log_in_now",
    "session.log_out_now",
    "payers.known",
    "payers.pay",
    "payments.notice",
}
ANY = {"int": "1", "uuid": "00000000-0000-4000-8000-000000000000"}


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_supervisor_sees_money_doors_and_the_close_of_each_estate(
    town: Town, windows: Windows, width: int
) -> None:
    now = datetime.now(UTC)
    town.charge(f"{now + timedelta(hours=8):%Y-%m}")
    town.pay_online("chen", 30_000)
    town.doors_report([online("north-gate", state="offline", since=now), online("south-gate", SOUTH)])
    page = windows.as_("auditor", width)
    page.goto("/oversight")
    north, south = page.locator(f"[data-estate={NORTH}]"), page.locator(f"[data-estate={SOUTH}]")
    expect(page.locator("[data-charged]")).to_contain_text("1,300.50")
    expect(page.locator("[data-collected]")).to_contain_text("300.00")
    expect(page.locator("[data-owed]")).to_contain_text("1,000.50")
    expect(north.locator("[data-rate]")).to_have_text("38.4%")
    expect(south.locator("[data-rate]")).to_have_text("0.0%")
    expect(north.locator("[data-doors]")).to_contain_text("1 离线")
    expect(south.locator("[data-doors]")).not_to_contain_text("离线")
    expect(north.locator("[data-closed]")).to_have_text("未结账")
    expect(north.locator("[data-cases]")).to_have_text("0")
    assert overflow_px(page) == 0
    assert page.locator("main form[method=post]").count() == 0
    press(north.get_by_role("link", name="按户"))
    expect(page.locator("tfoot")).to_contain_text("480.50")
    assert windows.complaints == []


def test_a_clerk_sees_the_own_estate_alone_and_a_guard_nothing(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    page.goto("/oversight?month=soon")
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.locator("[data-estate]").count() == 1
    assert windows.as_("guard").request.get("/oversight").status == 403


def test_a_supervisor_can_change_nothing(town: Town, windows: Windows) -> None:
    page = windows.as_("auditor", DESK)
    page.goto("/finance/today")
    token = page.locator("input[name=csrf_token]").first.get_attribute("value")
    assert token is not None
    rules = [
        rule
        for rule in town.app.url_map.iter_rules()
        if (rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}
        and rule.endpoint not in FOR_ANYBODY
        and not rule.rule.startswith("/api/")
    ]
    assert len(rules) > 30
    before, answers = _rows(town), {}
    for rule in rules:
        path = re.sub(r"<any\((\w+)[^>]*>", r"\1", rule.rule)
        path = re.sub(r"<(?:(\w+):)?\w+>", lambda found: ANY.get(found[1] or "", "x"), path)
        method = next(iter((rule.methods or set()) & {"POST", "PUT", "PATCH", "DELETE"}))
        answer = page.request.fetch(path, method=method, form={"csrf_token": token}, max_redirects=0)
        answers[rule.endpoint] = answer.status
    assert {endpoint: status for endpoint, status in answers.items() if status != 403} == {}
    assert _rows(town) == before


def _rows(town: Town) -> dict[str, int]:
    """Rows of every table, what records the refusals themselves left out."""
    with town.engine.connect() as connection:
        names = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        ).scalars()
        readable = [
            name
            for name in names
            if not name.startswith(("audit", "login", "access_record"))
            and connection.scalar(text("SELECT has_table_privilege(:name, 'SELECT')"), {"name": name})
        ]
        return {name: town.count(name) for name in readable}
