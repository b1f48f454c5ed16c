"""Month close at the finance desk: what is missing, the close, its pack, and two people who open it again."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.closing.requests import close_requested
from backend.db.engine import connect
from backend.web import words
from tests.e2e.pages.town import NORTH, SOUTH, Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, press
from tests.integration.conftest import Database


@pytest.fixture(autouse=True)
def packs_folder(
    town: Town, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Packs of this test stay out of the repository."""
    monkeypatch.chdir(tmp_path_factory.mktemp("city"))


def last_month() -> str:
    first = words.today(datetime.now(UTC)).replace(day=1)
    return f"{first - timedelta(days=1):%Y-%m}"


def test_a_month_is_closed_with_its_pack_and_opened_by_a_second_person(town: Town, windows: Windows) -> None:
    month = last_month()
    page = windows.as_("zhang", DESK)
    press(page.get_by_role("link", name="月末结账").first)
    charges = page.locator("[data-point=charges]")
    expect(charges).to_have_attribute("data-done", "0")
    expect(charges.get_by_role("link", name="去处理")).to_have_attribute("href", "/finance/runs")
    press(page.get_by_role("button", name="结账并出结账包"))
    expect(page.get_by_role("alert")).to_contain_text("还不能结账")
    assert town.count("month_close") == 0
    page.check("input[value=charges]")
    page.fill("#reason", "示例小区，未到收租月")
    press(page.get_by_role("button", name="结账并出结账包"))
    expect(page.locator("[data-request=waiting]")).to_be_visible()
    expect(page.get_by_role("button", name="结账并出结账包")).to_have_count(0)
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(1)
    the_worker_closes(town)
    # The page looks again by itself.
    expect(page.locator("[data-closed]")).to_be_visible()
    expect(page.locator("meta[http-equiv=refresh]")).to_have_count(0)
    head = page.locator("[data-head]").inner_text()
    closed = page.locator(f"[data-close='{month}']")
    expect(closed).to_contain_text(head)
    expect(closed).to_contain_text("未到收租月")
    href = closed.get_by_role("link", name="结账包").get_attribute("href")
    assert href is not None
    body = page.request.get(href).body()
    with zipfile.ZipFile(io.BytesIO(body)) as pack:
        assert "close-sheet.pdf" in pack.namelist()
        assert head in pack.read("manifest.json").decode()
    page.get_by_text("要重新打开这个月").click()
    page.fill("#why", "漏了一笔")
    press(page.get_by_role("button", name="申请反结账"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("反结账")
    expect(page.get_by_role("button", name="同意 Approve")).to_have_count(0)
    second = windows.as_("both", PHONE)
    second.goto(page.url)
    press(second.get_by_role("button", name="同意 Approve"))
    second.goto(f"/finance/closing?book={NORTH}&month={month}")
    expect(second.locator("[data-closed]")).to_have_count(0)
    expect(second.locator("[data-reopened]")).to_contain_text(month)
    expect(second.locator(f"[data-close='{month}']")).to_be_visible()
    assert overflow_px(second) == 0


def test_two_people_sign_what_they_both_see(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    closed_month(page, town)
    row = page.locator(f"[data-close='{last_month()}']")
    expect(row.locator("[data-signed=none]")).to_contain_text("待结账人签字")
    second = windows.as_("both", PHONE)
    second.goto(page.url)
    expect(second.get_by_role("button", name="复核签字")).to_have_count(0)
    expect(second.locator("main")).to_contain_text("等待张会计签字")
    page.get_by_role("button", name="以结账人签字").click()
    assert town.count("close_signature") == 0, "signed without a look at the sheet"
    page.get_by_label("已核对，以上各项一致").check()
    press(page.get_by_role("button", name="以结账人签字"))
    expect(row.locator("[data-signed=one]")).to_contain_text("待复核签字")
    expect(page.locator("[data-line=closer]")).to_contain_text("张会计")
    expect(page.get_by_role("button", name="签字")).to_have_count(0)
    second.reload()
    for what in ("head", "sequence", "manifest", "debit", "credit"):
        shown = second.locator(f"[data-{what}]").inner_text()
        assert shown
        assert shown == page.locator(f"[data-{what}]").inner_text()
    second.get_by_label("已核对，以上各项一致").check()
    assert overflow_px(second) == 0
    press(second.get_by_role("button", name="复核签字"))
    expect(second.locator(f"[data-close='{last_month()}'] [data-signed=both]")).to_contain_text("两人已签")
    assert town.count("close_signature") == 2
    assert overflow_px(second) == 0


def test_the_closer_under_a_second_login_is_refused_and_it_is_on_record(
    town: Town, windows: Windows, database: Database
) -> None:
    page = windows.as_("zhang", DESK)
    closed_month(page, town)
    page.get_by_label("已核对，以上各项一致").check()
    press(page.get_by_role("button", name="以结账人签字"))
    with connect(database.owner_url) as owner:
        owner.execute(
            "UPDATE principal SET person_id = %s WHERE login IN ('zhang', 'both')",
            [town.homes["chen"].person_id],
        )
    second = windows.as_("both", PHONE)
    second.goto(page.url)
    second.get_by_label("已核对，以上各项一致").check()
    press(second.get_by_role("button", name="复核签字"))
    expect(second.locator("main")).to_contain_text("结账人不能自己复核签字")
    assert town.count("close_signature") == 1
    assert [row.outcome for row in town.audit_rows("closing.sign")] == ["refused"]


def test_a_sheet_that_was_replaced_since_it_was_shown_is_not_signed(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    closed_month(page, town)
    page.locator("[name=head]").evaluate("field => { field.value = 'f'.repeat(64) }")
    page.get_by_label("已核对，以上各项一致").check()
    press(page.get_by_role("button", name="以结账人签字"))
    expect(page.get_by_role("alert")).to_contain_text("没有签字")
    assert town.count("close_signature") == 0


def test_a_close_that_fails_says_why_and_is_pressed_again(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    ask_to_close(page)
    (Path.cwd() / "var").write_text("no folder")
    the_worker_closes(town)
    expect(page.locator("[data-request=refused]")).to_contain_text("无法写入")
    assert town.count("month_close") == 0
    (Path.cwd() / "var").unlink()
    page.reload()
    ask_to_close(page)
    the_worker_closes(town)
    expect(page.locator("[data-closed]")).to_be_visible()
    expect(page.locator("[data-request]")).to_have_count(0)


def test_a_pack_that_is_lost_is_written_again_as_it_was(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    closed_month(page, town)
    (path,) = (Path.cwd() / "var/packs").iterdir()
    body = path.read_bytes()
    path.unlink()
    page.reload()
    press(page.get_by_role("button", name="补出结账包"))
    the_worker_closes(town)
    expect(page.locator("[data-missing-pack]")).to_have_count(0)
    assert path.read_bytes() == body


def ask_to_close(page: Page) -> None:
    """Close last month with what is open."""
    page.goto("/finance/closing")
    page.check("input[value=charges]")
    page.fill("#reason", "示例小区，未到收租月")
    press(page.get_by_role("button", name="结账并出结账包"))
    expect(page.locator("[data-request=waiting]")).to_be_visible()


def closed_month(page: Page, town: Town) -> None:
    """Last month, closed."""
    ask_to_close(page)
    the_worker_closes(town)
    expect(page.locator("[data-closed]")).to_be_visible()


def the_worker_closes(town: Town) -> None:
    """What the worker does within seconds."""
    folder = Path(town.services.settings.closing.packs_folder)
    assert close_requested(town.engine, folder, datetime.now(UTC)) == 1


def test_a_supervisor_sees_the_checklist_and_has_no_button(town: Town, windows: Windows) -> None:
    page = windows.as_("auditor", PHONE)
    page.goto("/finance/closing")
    expect(page.locator("[data-read-only]")).to_be_visible()
    assert page.locator("[data-point]").count() == 11
    assert page.locator("main form[method=post]").count() == 0
    assert overflow_px(page) == 0


def test_books_and_packs_that_are_not_ones_own_are_refused(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    for path, status in (
        (f"?book={SOUTH}", 403),
        ("?book=city", 403),
        (f"/packs/{SOUTH}/2026-01/1", 403),
        (f"/packs/{NORTH}/2026-01/1", 404),
        (f"/packs/{NORTH}/..%2F..%2Fetc/1", 404),
        ("?month=9999-99", 200),
    ):
        assert page.request.get(f"/finance/closing{path}").status == status, path
