"""The registry's table: whoever exports it can import it, and each faulty cell is named."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.documents.csv_file import csv_lines
from backend.documents.workbook import workbook_bytes
from backend.registry.errors import Problem
from backend.registry.import_file import FaceConsent, Household, Member, ReadHousehold
from backend.registry.import_table import household_sheet
from backend.registry.importing import read_import

TITLES = "家庭编号,小区,楼栋,房号,月租金,起租日,人员编号,姓名,关系,出生日期,同意人脸开门,同意渠道"
GOOD = "h1,east,a,0101,386.40,2026-01-01,p1,陈桂芳,承租人,1980-05-05,是,柜台"

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=12)
REFS = st.from_regex(r"[a-z0-9=+@'-]{1,10}", fullmatch=True)
DAYS = st.dates(date(1910, 1, 1), date(2040, 1, 1))
CONSENTS = st.builds(
    FaceConsent,
    given=st.booleans(),
    channel=st.sampled_from(["柜台", "counter"]),
    guardian=st.none() | REFS,
).map(lambda one: one if one.given else FaceConsent(given=False, guardian=one.guardian))
MEMBERS = st.builds(
    Member,
    ref=REFS,
    name=NAMES.map(str.strip).filter(bool),
    kind=st.sampled_from(["tenant", "co-resident", "child", "carer"]),
    born_on=DAYS,
    face_consent=CONSENTS,
    cards=st.lists(st.from_regex(r"[A-F0-9]{1,8}", fullmatch=True), max_size=2),
    login=st.none() | st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True),
    door_groups=st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), max_size=2),
)
HOUSEHOLDS = st.lists(
    st.tuples(
        st.builds(
            Household,
            ref=REFS,
            estate=st.just("east"),
            building=st.sampled_from(["a", "b"]),
            unit=st.from_regex(r"0[0-9]{3}", fullmatch=True),
            monthly_rent_fen=st.integers(0, 10**9),
            from_on=DAYS,
            members=st.just([None]),
        ),
        st.lists(MEMBERS, min_size=1, max_size=3),
    ),
    max_size=4,
    unique_by=lambda pair: pair[0].ref,
)


@pytest.mark.parametrize("form", ["xlsx", "csv"])
@given(pairs=HOUSEHOLDS)
def test_what_is_exported_is_imported_unchanged(
    form: str, pairs: list[tuple[Household, list[Member]]]
) -> None:
    sheet = household_sheet(ReadHousehold("", one, members, []) for one, members in pairs)
    body = workbook_bytes([sheet]) if form == "xlsx" else "".join(csv_lines(sheet)).encode()
    found, problems = read_import(body)
    assert problems == []
    assert [one.members for one in found] == [members for _, members in pairs]
    for read, (wanted, _) in zip(found, pairs, strict=True):
        facts = (wanted.ref, wanted.building, wanted.unit, wanted.monthly_rent_fen, wanted.from_on)
        one = read.household
        assert (one.ref, one.building, one.unit, one.monthly_rent_fen, one.from_on) == facts
        assert read.whole


def problems_of(*lines: str) -> list[Problem]:
    return read_import("\n".join((TITLES, *lines)).encode("gbk"))[1]


@pytest.mark.parametrize(
    ("faulty", "column"),
    [
        (GOOD.replace("386.40", "三百"), "月租金"),
        (GOOD.replace("386.40", "-1"), "月租金"),
        (GOOD.replace("2026-01-01", "去年"), "起租日"),
        (GOOD.replace("1980-05-05", "1980-02-30"), "出生日期"),
        (GOOD.replace("承租人", "房客"), "关系"),
        (GOOD.replace("陈桂芳", ""), "姓名"),
        (GOOD.replace("p1", ""), "人员编号"),
        (GOOD.replace("h1", ""), "家庭编号"),
        (GOOD.replace("0101", ""), "房号"),
        (GOOD.replace(",是,", ",也许,"), "同意人脸开门"),
    ],
)
def test_a_faulty_cell_is_named_by_row_and_column(faulty: str, column: str) -> None:
    said = problems_of(GOOD.replace("h1", "h0").replace("p1", "p0"), faulty)
    assert [one.row for one in said] == [f"第 3 行「{column}」"]


def test_each_faulty_cell_of_a_file_is_named_at_once() -> None:
    said = problems_of(GOOD.replace("386.40", "x").replace("承租人", "y"), "h2" + GOOD[2:].replace("是", "?"))
    assert {one.row for one in said} == {"第 2 行「月租金」", "第 2 行「关系」", "第 3 行「同意人脸开门」"}


def test_rows_of_one_household_that_disagree_are_named() -> None:
    said = problems_of(GOOD, GOOD.replace("386.40", "400").replace("p1", "p2"))
    assert [one.row for one in said] == ["第 3 行「月租金」"]
    assert "row 2" in said[0].en
