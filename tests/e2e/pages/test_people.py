"""What clerks do for a household, and what tenants do about their own data, through the pages."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from playwright.sync_api import expect
from sqlalchemy import text

from tests.e2e.pages.test_looks import CONTRAST_MIN, LOW_CONTRAST, SMALL_TARGETS, TOUCH_PX_MIN, UNLABELLED
from tests.e2e.pages.town import Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, enter, measured, overflow_px, picture, press

NOTICE = (
    "INSERT INTO consent_notice VALUES ('open_doors', 1, 'h', 'c', 'p', 'm', 'r', 'e', 'x', now())"
    " ON CONFLICT DO NOTHING"
)


def run(town: Town, query: str) -> list[tuple[object, ...]]:
    with town.engine.begin() as connection:
        result = connection.execute(text(query))
        return [tuple(row) for row in result] if result.returns_rows else []


def test_a_clerk_finds_a_household_records_a_consent_and_the_tenant_takes_it_back(
    town: Town, windows: Windows
) -> None:
    run(town, NOTICE)
    page = windows.as_("guard", DESK)
    page.goto("/people/")
    page.fill("#q", "陈桂")
    enter(page.locator("#q"))
    press(page.get_by_role("link", name="打开"))
    expect(page.locator("h1")).to_contain_text("A栋 0101")
    page.get_by_text("登记同意、更正、存文件").click()
    press(page.get_by_role("button", name="登记同意"))
    expect(page.get_by_role("status")).to_contain_text("同意已登记")

    phone = windows.as_("chen", PHONE)
    phone.goto("/my/data/")
    press(phone.get_by_role("button", name="撤回同意"))
    expect(phone.get_by_role("status")).to_contain_text("门卡照常能用")
    assert run(town, "SELECT count(*) FROM consent WHERE withdrawn_at IS NULL") == [(0,)]
    assert windows.complaints == []


def test_a_tenant_downloads_everything_that_is_held(town: Town, windows: Windows) -> None:
    phone = windows.as_("chen", PHONE)
    phone.goto("/my/data/")
    with phone.expect_download() as waiting:
        phone.get_by_role("button", name="下载").click()
    body = Path(waiting.value.path()).read_bytes()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert "陈桂芳" in archive.read("person.html").decode()


def test_a_signed_paper_is_handed_in_listed_and_read_for_a_purpose(
    town: Town, windows: Windows, tmp_path: Path
) -> None:
    paper = tmp_path / "signed.pdf"
    paper.write_bytes(b"%PDF-1.7 an invented signature")
    page = windows.as_("guard", DESK)
    page.goto(f"/people/households/{town.homes['chen'].household_id}")
    page.get_by_text("登记同意、更正、存文件").first.click()
    page.locator("input[name=file]").first.set_input_files(str(paper))
    press(page.get_by_role("button", name="加密保存").first)
    expect(page.get_by_role("status")).to_contain_text("已加密保存")
    page.goto("/evidence/")
    found = page.locator("[data-evidence=consent]")
    found.locator("select").select_option("person_request")
    with page.expect_download() as waiting:
        found.get_by_role("button", name="下载查看").click()
    assert Path(waiting.value.path()).read_bytes() == paper.read_bytes()
    assert waiting.value.suggested_filename.endswith(".pdf")
    looks = "SELECT count(*) FROM audit_record WHERE action = 'read_evidence' AND reason = 'person_request'"
    assert run(town, looks) == [(1,)]
    for width in (PHONE, DESK):
        sized = windows.as_("guard", width)
        sized.goto("/evidence/")
        picture(sized, tmp_path / f"evidence-{width}.png")
        assert overflow_px(sized) <= 0
        assert measured(sized, LOW_CONTRAST, CONTRAST_MIN) == []
        assert measured(sized, UNLABELLED) == []
        assert measured(sized, SMALL_TARGETS, TOUCH_PX_MIN) == []
    assert windows.complaints == []


def test_a_hand_over_at_the_counter_ends_everything(town: Town, windows: Windows) -> None:
    page = windows.as_("guard", DESK)
    page.goto(f"/people/households/{town.homes['chen'].household_id}")
    page.get_by_label("交房单已签字").check()
    press(page.get_by_role("button", name="办理交房"))
    expect(page.get_by_role("status")).to_contain_text("已交房")
    assert run(town, "SELECT count(*) FROM hand_over") == [(1,)]
    page.goto(f"/people/households/{town.homes['li'].household_id}")
    expect(page.locator("h1")).to_contain_text("不归您的账号")


def test_a_table_is_checked_and_each_faulty_row_shown(town: Town, windows: Windows) -> None:
    page = windows.as_("guard", DESK)
    page.goto("/people/import")
    titles = "家庭编号,小区,楼栋,房号,月租金,起租日,人员编号,姓名,关系,出生日期\n"
    row = "h9,north,a,0203,386.40,2026-01-01,p9,王小红,承租人,1990-01-01\n"

    def send(lines: str, button: str) -> None:
        page.set_input_files(
            "#file", {"name": "t.csv", "mimeType": "text/csv", "buffer": (titles + lines).encode("gbk")}
        )
        press(page.get_by_role("button", name=button))

    send(row.replace("386.40", "三百"), "先检查")
    expect(page.locator("table")).to_contain_text("第 2 行「月租金」")
    send(row, "先检查")
    expect(page.get_by_role("status")).to_contain_text("尚未写入")
    send(row, "导入 Import")
    expect(page.get_by_role("status")).to_contain_text("已导入")
    assert run(town, "SELECT count(*) FROM person WHERE ref = 'p9'") == [(1,)]


def test_a_move_in_is_one_form_and_a_unit_that_is_let_is_refused(town: Town, windows: Windows) -> None:
    page = windows.as_("guard", DESK)
    for unit, said in (("0101", "已有租约"), ("0304", "已办理入住")):
        page.goto("/people/move-in")
        for name, value in {
            "building": "a", "unit": unit, "ref": "h7", "rent": "386.40", "person": "p7", "name": "赵一",
            "born_on": "1990-01-01",
        }.items():  # fmt: skip
            page.fill(f"#{name}", value)
        press(page.get_by_role("button", name="办理入住"))
        expect(page.locator(".notice").first).to_contain_text(said)


def test_the_pages_fit_phones_and_desks_and_can_be_read(town: Town, windows: Windows) -> None:
    run(town, NOTICE)
    household = f"/people/households/{town.homes['chen'].household_id}"
    for login, paths in {
        "guard": ["/people/?q=a", household, "/people/move-in", "/people/import", "/people/erasures"],
        "chen": ["/my/data/"],
    }.items():
        for width in (PHONE, DESK):
            page = windows.as_(login, width)
            for path in paths:
                page.goto(path)
                for details in page.locator("summary").all():
                    details.click()
                assert overflow_px(page) <= 0, (path, width)
                assert measured(page, LOW_CONTRAST, CONTRAST_MIN) == []
                assert measured(page, UNLABELLED) == []
                small = measured(page, SMALL_TARGETS, TOUCH_PX_MIN)
                assert [one for one in small if not one.startswith("INPUT")] == []
    assert windows.complaints == []
