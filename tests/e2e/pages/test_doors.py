"""The guard's live doors."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, Route, expect

from tests.e2e.pages.town import HOSTILE, NORTH, SOUTH, Town, online, passage
from tests.e2e.pages.windows import DESK, Windows, press, tap


def card(page: Page, device: str) -> object:
    return page.locator(f'[data-door="{device}"]')


def test_each_door_says_if_it_is_connected_since_when_and_what_to_do(town: Town, windows: Windows) -> None:
    since = datetime.now(UTC) - timedelta(days=1)
    town.doors_report([online("north-gate"), online("north-a", state="offline", since=since)])
    page = windows.as_("guard")
    expect(card(page, "north-gate")).to_contain_text("在线")
    expect(card(page, "north-gate")).to_contain_text(re.compile(r"\d\d:\d\d 起在线"))
    expect(card(page, "north-a")).to_contain_text("离线")
    expect(card(page, "north-a")).to_contain_text(re.compile(r"\d+月\d+日 \d\d:\d\d 起离线"))
    expect(card(page, "north-a")).to_contain_text("请检查电源和网线")
    expect(page.locator("#summary")).to_contain_text("1 个门在线")
    expect(page.locator("[data-door]")).to_have_count(2)
    assert windows.complaints == []


def test_a_passage_appears_by_itself_with_its_cause_in_plain_words(town: Town, windows: Windows) -> None:
    town.doors_report([online("north-gate")])
    page = windows.as_("guard")
    expect(card(page, "north-gate")).to_contain_text("最近没有人通行")
    town.passages([passage("north-gate", "ask", "liveness_missing")])
    expect(card(page, "north-gate")).to_contain_text("请刷卡")
    expect(card(page, "north-gate")).to_contain_text("设备没有给出活体结果")
    expect(card(page, "north-gate")).to_contain_text("The device gave no liveness verdict.")
    expect(page.locator("#latest")).to_contain_text("小区大门")
    expect(page.locator("#latest")).to_have_attribute("aria-live", "polite")
    town.doors_report([online("north-gate", state="offline")])
    expect(card(page, "north-gate")).to_contain_text("离线")
    expect(page.locator("#summary")).to_contain_text("1 个离线")
    assert windows.complaints == []


def test_a_door_that_did_not_change_is_not_drawn_again(town: Town, windows: Windows) -> None:
    town.doors_report([online("north-gate"), online("north-a")])
    page = windows.as_("guard")
    page.evaluate("document.querySelector('[data-door=north-a] article').dataset.mark = 'mine'")
    town.passages([passage("north-gate")])
    expect(card(page, "north-gate")).to_contain_text("放行")
    expect(page.locator("[data-door=north-a] article")).to_have_attribute("data-mark", "mine")


def test_keyboard_focus_survives_a_refresh(town: Town, windows: Windows) -> None:
    person = town.homes["chen"].person_id
    town.passages([passage("north-gate", person=person)])
    page = windows.as_("guard", DESK)
    page.get_by_role("link", name=re.compile("是谁")).focus()
    town.passages([passage("north-gate", "deny", "unknown_card", credential="card")])
    expect(card(page, "north-gate")).to_contain_text("名单中没有此卡")
    expect(page.get_by_role("link", name=re.compile("是谁"))).to_be_focused()


def test_a_lost_link_is_said_and_mends_itself(town: Town, windows: Windows) -> None:
    town.doors_report([online("north-gate")])
    page = windows.as_("guard")
    lost = True

    def answer(route: Route) -> None:
        if lost:
            route.abort()
        else:
            route.continue_()

    page.route("**/operator/doors/live*", answer)
    expect(page.locator("#live")).to_have_attribute("data-link", "lost")
    expect(page.locator("#live")).to_contain_text("连接断了")
    lost = False
    expect(page.locator("#live")).to_have_attribute("data-link", "up")


def test_a_hidden_page_rests_and_wakes(town: Town, windows: Windows) -> None:
    town.doors_report([online("north-gate")])
    page = windows.as_("guard")
    page.evaluate(
        """() => {
            const hidden = { get: () => window.away === true, configurable: true };
            Object.defineProperty(document, "hidden", hidden);
            window.away = true;
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    expect(page.locator("#live")).to_have_attribute("data-link", "paused")
    town.passages([passage("north-gate")])
    page.evaluate("() => { window.away = false; document.dispatchEvent(new Event('visibilitychange')); }")
    expect(card(page, "north-gate")).to_contain_text("放行")
    expect(page.locator("#live")).to_have_attribute("data-link", "up")


def test_without_javascript_the_page_loads_itself_again(town: Town, windows: Windows) -> None:
    town.doors_report([online("north-gate")])
    page = windows.as_("guard", javascript=False)
    town.passages([passage("north-gate", "deny", "card_blocked", credential="card")])
    expect(card(page, "north-gate")).to_contain_text("卡已挂失或停用")


def test_a_login_that_ended_leads_to_the_login(town: Town, windows: Windows) -> None:
    page = windows.as_("guard")
    page.context.clear_cookies()
    page.wait_for_url("**/login?next=*")


def test_names_are_shown_only_for_a_purpose_and_every_look_is_written_down(
    town: Town, windows: Windows
) -> None:
    person = town.homes["chen"].person_id
    seen = passage("north-gate", person=person)
    town.passages([seen, passage("north-gate", "deny", "unknown_person")])
    page = windows.as_("guard")
    expect(page.get_by_role("link", name=re.compile("是谁"))).to_have_count(1)
    assert "陈桂芳" not in page.content()
    tap(page.get_by_role("link", name=re.compile("是谁")))
    expect(page.get_by_role("heading", level=1)).to_contain_text("查看是谁")
    assert "陈桂芳" not in page.content()
    assert town.audit_rows("look_at_passage") == []
    page.get_by_text("住户求助").tap()
    tap(page.get_by_role("button", name=re.compile("查看并记录")))
    expect(page.locator("[data-name]")).to_have_text("陈桂芳")
    (row,) = town.audit_rows("look_at_passage")
    assert (row.outcome, row.object_kind, row.object_id) == ("done", "person", str(person))
    assert row.estate_id == NORTH
    assert row.reason == f"help record={seen.record_id}"


def test_without_a_purpose_there_is_no_name(town: Town, windows: Windows) -> None:
    seen = passage("north-gate", person=town.homes["chen"].person_id)
    town.passages([seen])
    page = windows.as_("guard")
    page.goto(f"/operator/passages/{NORTH}/{seen.record_id}/who")
    page.evaluate("document.querySelector('[name=purpose]').value = 'curiosity'")
    page.get_by_text("住户求助").tap()
    tap(page.get_by_role("button", name=re.compile("查看并记录")))
    expect(page.get_by_role("alert")).to_contain_text("请先选一个用途")
    assert "陈桂芳" not in page.content()
    assert town.audit_rows("look_at_passage") == []


def test_an_administrator_sees_the_doors_and_asks_for_no_names(town: Town, windows: Windows) -> None:
    seen = passage("north-gate", person=town.homes["chen"].person_id)
    town.passages([seen])
    page = windows.as_("admin", DESK)
    expect(card(page, "north-gate")).to_contain_text("放行")
    expect(page.get_by_role("link", name=re.compile("是谁"))).to_have_count(0)
    answer = page.goto(f"/operator/passages/{NORTH}/{seen.record_id}/who")
    assert answer is not None
    assert answer.status == 403
    (row,) = town.audit_rows("operator.who")
    assert row.outcome == "refused"


def test_a_foreign_estate_is_refused_and_written_down(town: Town, windows: Windows) -> None:
    seen = passage("south-gate", person=town.homes["li"].person_id)
    town.passages([seen])
    page = windows.as_("guard")
    assert "南苑" not in page.content()
    for address, action in (
        (f"/operator/doors?estate={SOUTH}", "operator.doors"),
        (f"/operator/passages/{SOUTH}/{seen.record_id}/who", "operator.who"),
    ):
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 403
        (row,) = town.audit_rows(action)
        assert (row.outcome, row.estate_id) == ("refused", SOUTH)
    live = page.request.get(f"/operator/doors/live?estate={SOUTH}")
    assert live.status == 403


def test_several_estates_can_be_narrowed_to_one(town: Town, windows: Windows) -> None:
    town.doors_report([online("north-gate"), online("south-gate", SOUTH)])
    page = windows.as_("both", DESK)
    page.goto("/operator/doors")
    expect(page.locator("[data-door]")).to_have_count(4)
    page.select_option("#estate", SOUTH)
    press(page.get_by_role("button", name="查看 Show"))
    expect(page.locator("[data-door]")).to_have_count(2)
    town.passages([passage("south-gate", "deny", "wrong_door")])
    expect(card(page, "south-gate")).to_contain_text("没有此门的通行权限")
    expect(page.locator("[data-door]")).to_have_count(2)


def test_hostile_names_are_text_and_nothing_else(town: Town, windows: Windows) -> None:
    town.rename_door("north-gate", HOSTILE)
    town.rename_person("chen", HOSTILE)
    town.passages([passage("north-gate", "deny", "unknown_person")])
    page = windows.as_("guard")
    expect(card(page, "north-gate")).to_contain_text("<script>")
    seen = passage("north-gate", person=town.homes["chen"].person_id, cause="granted")
    town.passages([seen])
    expect(page.get_by_role("link", name=re.compile("是谁"))).to_have_count(1)
    tap(page.get_by_role("link", name=re.compile("是谁")))
    page.get_by_text("安全事件").tap()
    tap(page.get_by_role("button", name=re.compile("查看并记录")))
    expect(page.locator("[data-name]")).to_have_text(HOSTILE)
    assert "owned" not in page.title()
    assert page.locator("img").count() == 0
    assert windows.complaints == []
