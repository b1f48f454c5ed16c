"""Importing households: all or nothing, each faulty row named, and the same file twice changes nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from backend.documents.csv_file import csv_lines
from backend.documents.workbook import workbook_bytes
from backend.identity.errors import NotAllowedError
from backend.registry.errors import ImportRefusedError
from backend.registry.estates import estate_key
from backend.registry.export import export_households
from backend.registry.importing import ImportResult, import_households, try_import
from backend.registry.rights import end_rights
from tests.integration.backend.conftest import NOW, Town, household, member

COUNTED = (
    "household",
    "person",
    "household_member",
    "tenancy",
    "door_right",
    "card",
    "consent",
    "roster_item",
)


def counts(town: Town) -> dict[str, int]:
    return {table: town.value(f"SELECT count(*) FROM {table}") for table in COUNTED}


def child(ref: str, **changes: Any) -> dict[str, Any]:
    return member(ref, kind="child", born_on="2015-03-01", cards=[], **changes)


def given_by(guardian: str | None) -> dict[str, Any]:
    return {"given": True, "channel": "counter", "guardian": guardian}


def test_a_family_is_registered_with_all_it_has(town: Town) -> None:
    result = town.run_import(
        household(
            "h1",
            "east",
            "0102",
            member("mother", login="Mother"),
            member(
                "aunt", kind="carer", face_consent={"given": False}, cards=["k1", "k2"], door_groups=["gate"]
            ),
            child("girl", face_consent=given_by("mother")),
        )
    )
    assert set(result.ids) == {"h1", "mother", "aunt", "girl"}
    assert result.logins == ("mother",)
    tenancies = town.rows("SELECT household_id, monthly_rent_fen, from_on, to_on FROM tenancy")
    assert [tuple(row) for row in tenancies] == [(result.ids["h1"], 38_640, date(2026, 1, 1), None)]
    assert counts(town) == {
        "household": 1, "person": 3, "household_member": 3, "tenancy": 1, "door_right": 5, "card": 3,
        "consent": 2, "roster_item": 9,
    }  # fmt: skip
    consent = town.rows(
        "SELECT guardian_id, ends_at::text, recorded_by, notice_version FROM consent WHERE person_id = :id",
        id=result.ids["girl"],
    )
    assert [tuple(row) for row in consent] == [
        (result.ids["mother"], "2029-02-28 16:00:00+00", town.admin.principal_id, 1)
    ]
    principal = town.rows("SELECT person_id, password_hash FROM principal WHERE login = 'mother'")
    assert [tuple(row) for row in principal] == [(result.ids["mother"], None)]


def test_no_card_number_is_stored(town: Town) -> None:
    town.run_import(household("h1", "east", "0101", member("p", cards=["SECRET-NUMBER"])))
    for table in (*COUNTED, "audit_record"):
        assert "SECRET-NUMBER" not in town.text_of(table)


def test_the_same_file_twice_changes_nothing(town: Town) -> None:
    file = household("h1", "east", "0101", member("p", login="p"))
    first = town.run_import(file)
    before = counts(town)
    second = town.run_import(file)
    assert second.ids == first.ids
    assert second.logins == ()
    assert counts(town) == before


def test_importing_again_brings_back_nothing_that_was_ended(town: Town) -> None:
    file = household("h1", "east", "0101", member("p"))
    person_id = town.run_import(file).ids["p"]
    town.change(lambda c: end_rights(c, person_id, "east", actor=town.admin, reason="left", now=NOW))
    town.run_import(file)
    assert town.value("SELECT count(*) FROM door_right WHERE ends_at IS NULL") == 0


def test_a_new_member_of_a_known_household_is_added(town: Town) -> None:
    first = town.run_import(household("h1", "east", "0101", member("p")))
    second = town.run_import(household("h1", "east", "0101", member("p"), member("q", kind="co-resident")))
    assert second.ids["h1"] == first.ids["h1"]
    assert counts(town)["person"] == 2
    assert counts(town)["tenancy"] == 1


GOOD = household("good", "east", "0202", member("fine"))


@pytest.mark.parametrize(
    ("faulty", "row", "words"),
    [
        (household("h", "nowhere", "0101", member("p")), "households[1] (h)", "no estate nowhere"),
        (household("h", "east", "0999", member("p")), "households[1] (h)", "no unit a/0999"),
        (household("h", "east", "0202", member("p")), "(file)", "unit a/0202"),
        (household("h", "east", "0101", member("p"), monthly_rent_fen=-1), "households[1]", "wrong shape"),
        (household("h", "east", "0101", member("p"), monthly_rent_fen=1.5), "households[1]", "wrong shape"),
        (household("h", "east", "0101", member("p"), colour="red"), "households[1]", "wrong shape"),
        (household("h", "east", "0101"), "households[1]", "wrong shape"),
        (household("h\x00", "east", "0101", member("p")), "households[1]", "wrong shape"),
        (household("h", "ea\x00st", "0101", member("p")), "households[1]", "wrong shape"),
        (household("h", "east", "0101", member("p", name="\x00")), "households[1] (h).members[0]", "wrong"),
        (household("h", "east", "0101", member("p", kind="child")), "households[1] (h)", "kind tenant"),
        (
            household("h", "east", "0101", member("p", kind="cat")),
            "households[1] (h).members[0]",
            "wrong shape",
        ),
        (household("h", "east", "0101", member("p", name="")), "households[1] (h).members[0]", "wrong shape"),
        (
            household("h", "east", "0101", member("p", born_on="2026-07-01", face_consent={"given": False})),
            "households[1] (h).members[0] (p)",
            "in the future",
        ),
        (
            household("h", "east", "0101", member("p", door_groups=["moon"])),
            "households[1] (h).members[0] (p)",
            "no door group moon",
        ),
        (
            household("h", "east", "0101", member("p", cards=["card-fine"])),
            "(file)",
            "card stands here 2 times",
        ),
        (
            household("h", "east", "0101", member("p", login="clerk")),
            "households[1] (h).members[0] (p)",
            "is taken",
        ),
        (household("h", "east", "0101", member("fine", cards=[])), "(file)", "ref fine stands here 2 times"),
        (household("h", "east", "0101", member("h")), "(file)", "ref h stands here 2 times"),
        (
            household("h", "east", "0101", member("p"), child("c", face_consent=given_by(None))),
            "households[1] (h).members[1] (c)",
            "guardian has to consent",
        ),
        (
            household("h", "east", "0101", member("p"), child("c", face_consent=given_by("ghost"))),
            "households[1] (h).members[1] (c)",
            "no guardian ghost",
        ),
        (
            household("h", "east", "0101", member("p"), child("c", face_consent=given_by("c"))),
            "households[1] (h).members[1] (c)",
            "no guardian c",
        ),
        (
            household(
                "h", "east", "0101", member("p", born_on="2010-01-01"), child("c", face_consent=given_by("p"))
            ),
            "households[1] (h).members[1] (c)",
            "of age",
        ),
        (
            household("h", "east", "0101", member("p", face_consent={"given": True})),
            "households[1] (h).members[0] (p)",
            "names its channel",
        ),
    ],
)
def test_a_faulty_row_is_named_and_nothing_is_imported(
    town: Town, faulty: dict[str, Any], row: str, words: str
) -> None:
    before = counts(town)
    with pytest.raises(ImportRefusedError) as refused:
        town.run_import(GOOD, faulty)
    assert len(refused.value.problems) == 1
    problem = refused.value.problems[0]
    assert problem.row == row
    assert words in problem.en
    assert problem.zh
    assert counts(town) == before


def test_all_faulty_rows_are_named_at_once(town: Town) -> None:
    with pytest.raises(ImportRefusedError) as refused:
        town.run_import(
            household("h1", "east", "0999", member("p")),
            household("h2", "nowhere", "0101", member("q")),
            household("h3", "east", "0101", member("r", kind="cat"), member("s", door_groups=["moon"])),
        )
    rows = [one.row for one in refused.value.problems]
    assert len(rows) == len(set(rows)) >= 4


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"households": 1}', b'{"households": [], "x": 1}', b"\xff"]
)
def test_a_file_of_another_shape_is_refused_with_a_sentence(town: Town, body: bytes) -> None:
    with pytest.raises(ImportRefusedError) as refused:
        town.change(lambda c: import_households(c, body, lambda _: b"", actor=town.admin, now=NOW))
    assert [one.row for one in refused.value.problems] == ["(file)"]


def test_a_known_person_or_household_with_other_facts_is_refused(town: Town) -> None:
    town.run_import(household("h1", "east", "0101", member("p")))
    for changed in (
        household("h1", "east", "0101", member("p"), monthly_rent_fen=1),
        household("h1", "east", "0102", member("p")),
        household("h1", "east", "0101", member("p", name="另一个")),
        household("h2", "east", "0102", member("p")),
    ):
        with pytest.raises(ImportRefusedError) as refused:
            town.run_import(changed)
        assert "registered with another" in refused.value.problems[0].en


def test_a_unit_that_is_let_is_not_let_again(town: Town) -> None:
    town.resident("chen", unit="0101")
    with pytest.raises(ImportRefusedError) as refused:
        town.run_import(household("h2", "east", "0101", member("li")))
    assert "is let already" in refused.value.problems[0].en


def test_a_card_of_somebody_else_is_refused(town: Town) -> None:
    town.run_import(household("h1", "east", "0101", member("p", cards=["K"])))
    with pytest.raises(ImportRefusedError) as refused:
        town.run_import(household("h2", "east", "0102", member("q", cards=["K"])))
    assert "somebody else holds" in refused.value.problems[0].en
    # Another estate has another key: the same number is another card there.
    town.run_import(household("h3", "west", "0101", member("r", cards=["K"])))


def test_a_clerk_imports_into_no_other_estate(town: Town) -> None:
    town.run_import(household("h1", "east", "0101", member("p")), actor=town.clerk_of_east)
    before = counts(town)
    with pytest.raises(NotAllowedError) as refused:
        town.run_import(
            household("h2", "east", "0102", member("q")),
            household("h3", "west", "0101", member("r")),
            actor=town.clerk_of_east,
        )
    assert refused.value.estate_id == "west"
    assert counts(town) == before


def test_the_database_lets_a_unit_only_once_also_by_raw_sql(town: Town) -> None:
    person = town.run_import(household("h1", "east", "0101", member("p")))
    unit_id = town.value("SELECT unit_id FROM tenancy")
    insert = (
        "INSERT INTO tenancy (tenancy_id, household_id, unit_id, monthly_rent_fen, from_on, created_at)"
        f" VALUES (gen_random_uuid(), '{person.ids['h1']}', '{unit_id}', 1, '2027-01-01', now())"
    )
    with pytest.raises(Exception, match="let already"):
        town.change(lambda c: c.exec_driver_sql(insert))
    town.change(lambda c: c.exec_driver_sql("UPDATE tenancy SET to_on = '2027-01-01'"))
    town.change(lambda c: c.exec_driver_sql(insert))


def test_the_same_file_from_two_clerks_at_once_is_imported_once(town: Town) -> None:
    file = json.dumps({"households": [household("h1", "east", "0101", member("p"))]}).encode()
    found: list[UUID] = []

    def run() -> None:
        with town.engine.begin() as connection:
            result = import_households(
                connection,
                file,
                lambda estate_id: estate_key(connection, town.master_key, estate_id),
                actor=town.admin,
                now=NOW,
            )
        found.append(result.ids["p"])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


TABLE = (
    "家庭编号,小区,楼栋,房号,月租金,起租日,人员编号,姓名,关系,出生日期,门组,卡号,登录名,同意人脸开门,同意渠道,监护人编号\n"
    "h1,east,a,0101,386.40,2026-01-01,p1,陈桂芳,承租人,1980-05-05,gate;a,K1;K2,chen,是,柜台,\n"
    "h1,east,a,0101,386.40,2026-01-01,p2,陈小妹,儿童,2015-03-01,gate;a,,,是,柜台,p1\n"
)


def keys_in(town: Town, connection: Connection) -> Callable[[str], bytes]:
    return lambda estate_id: estate_key(connection, town.master_key, estate_id)


def import_body(town: Town, body: bytes) -> ImportResult:
    with town.engine.begin() as connection:
        return import_households(connection, body, keys_in(town, connection), actor=town.admin, now=NOW)


def test_a_table_is_imported_like_the_json_file(town: Town) -> None:
    result = import_body(town, TABLE.encode("gbk"))
    assert set(result.ids) == {"h1", "p1", "p2"}
    assert counts(town) == {
        "household": 1, "person": 2, "household_member": 2, "tenancy": 1, "door_right": 4, "card": 2,
        "consent": 2, "roster_item": 8,
    }  # fmt: skip


def test_a_dry_run_counts_and_writes_nothing(town: Town) -> None:
    before = counts(town)
    with town.engine.begin() as connection:
        added = try_import(connection, TABLE.encode(), keys_in(town, connection), actor=town.admin, now=NOW)
    assert added["person"] == 2
    assert added["card"] == 2
    assert counts(town) == before


def test_a_dry_run_lists_each_faulty_row(town: Town) -> None:
    body = TABLE.replace("0101", "0909").replace("gate;a,,", "moon,,").encode()
    with pytest.raises(ImportRefusedError) as refused, town.engine.begin() as connection:
        try_import(connection, body, keys_in(town, connection), actor=town.admin, now=NOW)
    assert [one.row for one in refused.value.problems] == ["第 2 行 (h1)", "第 3 行 (p2)"]


@pytest.mark.parametrize("form", ["xlsx", "csv"])
def test_an_export_can_be_imported_again_and_changes_nothing(town: Town, form: str) -> None:
    import_body(town, TABLE.encode())
    before = counts(town)
    rows, body = exported(town, form)
    assert [row[6] for row in rows] == ["p1", "p2"]
    import_body(town, body)
    assert counts(town) == before
    assert exported(town, form)[0] == rows
    assert "陈桂芳" not in town.text_of("audit_record")


def exported(town: Town, form: str) -> tuple[list[tuple[object, ...]], bytes]:
    with town.engine.begin() as connection:
        sheet = export_households(connection, "east", actor=town.admin, now=NOW)
    rows = [tuple(row) for row in sheet.rows]
    sheet = replace(sheet, rows=rows)
    return rows, workbook_bytes([sheet]) if form == "xlsx" else "".join(csv_lines(sheet)).encode()


def test_nobody_exports_the_households_of_another_estate(town: Town) -> None:
    with pytest.raises(NotAllowedError):
        town.change(lambda c: export_households(c, "west", actor=town.clerk_of_east, now=NOW))
