"""What an accountant changes without SQL: readings, areas, prices, terms, corrections, waivers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, text

from backend.documents.columns import Column, Kind, Sheet
from backend.documents.workbook import write_workbook
from backend.rent.pricing_tables import tariff, unit_area
from backend.rent.rules import read_month
from backend.rent.service import household_statement
from backend.rent.tariffs import TariffFile, TariffVersion, load_tariffs
from tests.e2e.pages.town import Town
from tests.e2e.pages.windows import DESK, PHONE, Windows, overflow_px, press

WIDTHS = pytest.mark.parametrize("width", [DESK, PHONE])


@pytest.fixture(autouse=True)
def prices(town: Town) -> None:
    """Water has a price, and so has a square metre."""
    versions = tuple(
        TariffVersion(
            plan_id=plan,
            kind=kind,
            from_on=date(2026, 1, 1),
            price_centifen=28_300,
            name_zh=name,
            source_zh="示例",
        )
        for plan, kind, name in (("tap", "water", "居民生活用水"), ("standard", "rent", "标准租金"))
    )
    with town.engine.begin() as connection:
        load_tariffs(connection, TariffFile(tariff=versions), datetime.now(UTC))


def send(page: Page, region: str, button: str, **fields: str) -> None:
    """Fill in one of the page's forms, which is known by its button, and press it."""
    form = page.locator(region)
    for name, value in fields.items():
        field = form.locator(f"[name={name}]")
        if field.evaluate("e => e.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    press(form.get_by_role("button", name=button))


def install(page: Page, serial: str = "W-1") -> None:
    page.locator("summary", has_text="装新表").click()
    where = {"estate": "north", "building": "A栋", "number": "0101"}
    send(
        page, "form:has([name=act][value=meter])", "登记",
        **where, plan="water:tap", serial=serial, value="10", day="2026-10-01",
    )  # fmt: skip


@WIDTHS
def test_a_clerk_installs_a_meter_reads_it_and_puts_a_reading_right(
    town: Town, windows: Windows, width: int
) -> None:
    page = windows.as_("zhang", width)
    page.goto("/finance/measures")
    assert overflow_px(page) == 0
    install(page)
    expect(page.get_by_role("status")).to_contain_text("已登记水表 W-1")
    reading = "form:has([name=act][value=reading])"
    send(page, reading, "记录", serial="W-1", value="22.5", day="2026-10-31")
    expect(page.locator("[data-reading]").first).to_contain_text("22.5")
    send(page, reading, "记录", serial="W-1", value="23.5", day="2026-10-31")
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator(f"{reading} [name=special]").select_option("corrects")
    press(page.locator(reading).get_by_role("button", name="记录"))
    expect(page.locator("[data-reading]").first).to_contain_text("更正")
    assert town.count("meter_reading") == 3
    for bad in ("-1", "1.234", "5", "abc"):
        send(page, reading, "记录", serial="W-1", value=bad, day="2026-11-20")
        expect(page.get_by_role("alert")).to_be_visible()
    assert town.count("meter_reading") == 3
    assert overflow_px(page) == 0
    assert [
        one for one in windows.complaints if "422" not in one and "409" not in one and "400" not in one
    ] == []


def workbook(path: Path, *rows: tuple[str | date | int, ...]) -> Path:
    columns = tuple(Column(title, Kind.DATE if title == "抄表日期" else Kind.TEXT) for title in (
        "表别", "表号", "抄表日期", "读数",
    ))  # fmt: skip
    write_workbook(path, [Sheet("抄表", columns, rows)])
    return path


def test_a_table_of_readings_is_checked_then_kept_and_one_fault_keeps_all_of_it_out(
    town: Town, windows: Windows, tmp_path: Path
) -> None:
    page = windows.as_("zhang", DESK)
    page.goto("/finance/measures")
    install(page)
    good = ("水表", "W-1", date(2026, 10, 31), "22.5")
    bad = workbook(
        tmp_path / "bad.xlsx",
        good,
        ("水表", "W-9", date(2026, 10, 31), "1"),
        ("热", "W-1", date(2026, 11, 1), "x"),
    )
    page.set_input_files("#file", bad)
    press(page.get_by_role("button", name="导入"))
    expect(page.locator("[data-fault]")).to_have_count(3)
    assert town.count("meter_reading") == 1
    fine = workbook(tmp_path / "fine.xlsx", good)
    for button, said, kept in (
        ("先检查", "尚未写入", 1),
        ("导入", "已写入 1 行", 2),
        ("导入", "已写入 1 行", 2),
    ):
        page.set_input_files("#file", fine)
        press(page.get_by_role("button", name=button))
        expect(page.get_by_role("status")).to_contain_text(said)
        assert town.count("meter_reading") == kept


def test_an_area_is_entered_and_only_for_ones_own_estate(town: Town, windows: Windows) -> None:
    page = windows.as_("zhang", DESK)
    page.goto("/finance/measures")
    page.locator("summary", has_text="登记面积").click()
    form = "form:has([name=act][value=area])"
    send(page, form, "登记", building="A栋", number="0101", value="51.25", day="2026-01-01")
    expect(page.get_by_role("status")).to_contain_text("51.25")
    with town.engine.connect() as connection:
        assert connection.execute(select(unit_area.c.area_hundredths)).scalars().all() == [5_125]
    page.locator("summary", has_text="登记面积").click()
    page.locator(f"{form} [name=estate]").evaluate("e => e.options[0].value = 'south'")
    send(page, form, "登记", building="A栋", number="0102", value="40", day="2026-01-01")
    expect(page.get_by_text("不归您的账号").or_(page.get_by_role("alert")).first).to_be_visible()
    assert town.count("unit_area") == 1


@WIDTHS
def test_a_price_is_proposed_by_one_and_holds_when_another_approved(
    town: Town, windows: Windows, width: int
) -> None:
    town.hire("chief", "郑主任", [("finance", None)])
    page = windows.as_("chief", width)
    page.goto("/finance/tariffs")
    assert overflow_px(page) == 0
    form = "form:has([name=what])"
    new = {
        "id": "grid",
        "name_zh": "居民用电",
        "source_zh": "示例",
        "reason": "新价",
        "from_on": "2026-12-01",
    }
    send(page, form, "申请", what="electricity", price="0.58901", **new)
    expect(page.get_by_role("alert")).to_be_visible()
    send(page, form, "申请", price="0.589")
    expect(page.locator("h1")).to_contain_text("居民用电")
    assert town.count("tariff") == 2
    other = windows.as_("both", width)
    other.goto(page.url)
    press(other.get_by_role("button", name="同意", exact=False).first)
    page.goto("/finance/tariffs")
    expect(page.locator("[data-version='electricity:grid:2026-12-01']")).to_contain_text("0.5890")
    # A version that is there gets no other figure, and nobody is asked to agree to it.
    send(page, form, "申请", what="electricity", price="0.6", **new)
    expect(page.get_by_role("alert")).to_be_visible()
    with town.engine.connect() as connection:
        assert (
            connection.execute(select(tariff.c.price_centifen).where(tariff.c.plan_id == "grid")).scalar_one()
            == 5_890
        )


@WIDTHS
def test_relief_from_an_earlier_day_is_shown_as_a_difference_and_then_charged_by_correcting_lines(
    town: Town, windows: Windows, width: int
) -> None:
    town.charge("2026-09")
    town.charge("2026-10")
    home = town.homes["chen"]
    page = windows.as_("zhang", width)
    page.goto(f"/counter/{home.household_id}")
    press(page.get_by_role("link", name="条款、更正、减免"))
    assert overflow_px(page) == 0
    add = "form:has([name=act][value=add])"
    send(page, add, "登记", kind="relief", way="share", price="50", label_zh="低保减免", from_on="2026-10-01")
    expect(page.locator("[data-term=relief]")).to_contain_text("50.0%")
    send(page, "form:has([name=month])", "先看差额", month="2026-09")
    expect(page.locator("[data-difference]")).to_have_text("−390.25")
    assert overflow_px(page) == 0
    assert owed(town) == 2 * 78_050
    press(page.get_by_role("button", name="更正入账"))
    expect(page.get_by_role("status")).to_contain_text("更正了 1 笔")
    assert owed(town) == 78_050 + 39_025
    # The relief was given by mistake: ending it takes back what it gave, and the books show all three.
    page.locator("summary", has_text="截止").click()
    send(page, "form:has([name=act][value=end])", "截止", to_on="2026-10-01")
    expect(page.get_by_role("status")).to_contain_text("更正了 1 笔")
    assert owed(town) == 2 * 78_050
    with town.engine.connect() as connection:
        months = connection.execute(
            text(
                "SELECT month, amount_fen FROM rent_charge WHERE household_id = :id ORDER BY month, revision"
            ),
            {"id": home.household_id},
        ).all()
    october = read_month("2026-10")
    assert [tuple(one) for one in months] == [
        (read_month("2026-09"), 78_050), (october, 78_050), (october, -39_025), (october, 39_025),
    ]  # fmt: skip


def owed(town: Town) -> int:
    with town.engine.connect() as connection:
        return household_statement(connection, town.homes["chen"].household_id).total_owed_fen


def test_a_waiver_needs_a_second_person_and_then_takes_off_what_was_owed(
    town: Town, windows: Windows
) -> None:
    town.charge("2026-10")
    page = windows.as_("zhang", DESK)
    page.goto(f"/finance/homes/{town.homes['chen'].household_id}")
    page.locator("[data-open] summary").click()
    form = "form:has([name=act][value=waive])"
    send(page, form, "申请减免", yuan="780.51", reason="困难")
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator("[data-open] summary").click()
    send(page, form, "申请减免", yuan="100.00", reason="困难")
    expect(page.get_by_role("status")).to_contain_text("等另一人审批")
    page.goto("/approvals")
    press(page.get_by_role("link", name="减免2026年10月"))
    expect(page.get_by_role("button", name="同意")).to_have_count(0)
    assert owed(town) == 78_050
    other = windows.as_("both", DESK)
    other.goto(page.url)
    press(other.get_by_role("button", name="同意", exact=False).first)
    expect(other.locator("[data-state=used]").or_(other.get_by_text("已执行")).first).to_be_visible()
    assert owed(town) == 68_050


@pytest.mark.parametrize(
    ("login", "path"),
    [
        ("zhang", "/finance/homes/{li}"),
        ("zhang", "/finance/homes/00000000-0000-0000-0000-000000000001"),
        ("chen", "/finance/homes/{chen}"),
        ("auditor", "/finance/homes/{chen}"),
        ("auditor", "/finance/measures"),
        ("guard", "/finance/tariffs"),
    ],
)
def test_others_do_not_see_these_pages(town: Town, windows: Windows, login: str, path: str) -> None:
    ids = {name: home.household_id for name, home in town.homes.items()}
    answer = windows.as_(login, DESK).goto(path.format(**ids))
    assert answer is not None
    assert answer.status in {403, 404}
