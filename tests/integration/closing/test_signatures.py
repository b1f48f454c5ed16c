"""Two people sign a close sheet: what the service refuses in words, PostgreSQL refuses to raw SQL as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors as refusals
from sqlalchemy import text

from backend.approvals import service as approvals
from backend.approvals.errors import NoRightError
from backend.closing.errors import (
    CloserSignsFirstError,
    HeadDiffersError,
    MonthNotClosedError,
    OtherPersonSignsError,
    SignedAlreadyError,
)
from backend.closing.reopening import propose_reopening, reopen_agreed
from backend.closing.report_specs import TRIAL_BALANCE
from backend.closing.reports import Query, read_page
from backend.closing.service import Closed
from backend.closing.signing import CLOSER, REVIEWER, sheet_of, sign
from backend.db.engine import connect
from backend.identity.principal import Grant, Principal
from tests.integration.closing.test_closing_commands import ledger
from tests.integration.closing.test_closing_refusals import JANUARY, LATER, charge, close
from tests.integration.closing.year import ESTATE, Year
from tests.integration.conftest import Database

SIGNED = LATER + timedelta(hours=1)
SIGN = """
    INSERT INTO close_signature (close_id, signs_as, head_seq, head_hash, manifest_sha256, debit_fen,
                                 credit_fen, signed_by, signed_at, recorded_at)
    VALUES (%(close_id)s, %(signs_as)s, %(head_seq)s, %(head_hash)s, %(manifest_sha256)s, %(debit_fen)s,
            %(credit_fen)s, %(signed_by)s, %(signed_at)s, %(signed_at)s)
"""


@pytest.fixture
def closed(year: Year, tmp_path: Path) -> Closed:
    """January, closed by the first of the two."""
    charge(year, JANUARY)
    year.pay(year.houses[0], date(2026, 1, 15), "bank", "1")
    year.state(1)
    return close(year, tmp_path)


def signs(year: Year, who: Principal, head: str, at: datetime = SIGNED, **how: Any) -> None:
    with year.engine.begin() as connection:
        sign(connection, ESTATE, JANUARY, head, who, at, **how)


def lines(year: Year) -> set[str]:
    with year.engine.connect() as connection:
        sheet = sheet_of(connection, ESTATE, JANUARY)
        return set(sheet.signatures) if sheet else set()


def hired(year: Year, login: str, role: str, estate: str | None, person_id: UUID | None = None) -> Principal:
    """One more person who logs in."""
    principal_id = uuid4()
    with year.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO principal (principal_id, login, display_name, person_id, created_at)"
                " VALUES (:id, :login, :login, :person, :at)"
            ),
            {"id": principal_id, "login": login, "person": person_id, "at": LATER},
        )
        connection.execute(
            text(
                "INSERT INTO principal_role (grant_id, principal_id, role, estate_id, valid_from, created_at)"
                " VALUES (:grant, :id, :role, :estate, :at, :at)"
            ),
            {"grant": uuid4(), "id": principal_id, "role": role, "estate": estate, "at": LATER},
        )
    return Principal(
        principal_id,
        login,
        login,
        person_id,
        (Grant(role, estate, LATER, None),),  # type: ignore[arg-type]
    )


def raw(year: Year, closed: Closed, signs_as: str = CLOSER, **other: object) -> dict[str, object]:
    """A signature as it should be, but for what is said otherwise."""
    with year.engine.connect() as connection:
        sheet = sheet_of(connection, ESTATE, JANUARY)
    assert sheet is not None
    return {
        "close_id": closed.close_id,
        "signs_as": signs_as,
        "head_seq": closed.head_sequence,
        "head_hash": bytes.fromhex(closed.head_hash),
        "manifest_sha256": bytes.fromhex(closed.manifest_sha256),
        "debit_fen": sheet.debit_fen,
        "credit_fen": sheet.credit_fen,
        "signed_by": year.people[0 if signs_as == CLOSER else 1].principal_id,
        "signed_at": SIGNED,
    } | other


def refused(url: str, row: dict[str, object], constraint: str) -> None:
    with connect(url) as connection, pytest.raises(psycopg.Error) as said:
        connection.execute(SIGN, row)
    assert said.value.diag.constraint_name == constraint


def test_who_closed_signs_and_another_person_signs_after_that(year: Year, closed: Closed) -> None:
    first, second = year.people
    with pytest.raises(CloserSignsFirstError):
        signs(year, second, closed.head_hash)
    # As it stands on the sheet: in groups, perhaps in capitals.
    head = closed.head_hash.upper()
    signs(year, first, " ".join(head[place : place + 8] for place in range(0, 64, 8)))
    with pytest.raises(SignedAlreadyError):
        signs(year, first, closed.head_hash)
    signs(year, second, closed.head_hash, SIGNED + timedelta(days=1), manifest_sha256=closed.manifest_sha256)
    with pytest.raises(SignedAlreadyError):
        signs(year, second, closed.head_hash)
    with year.engine.connect() as connection:
        sheet = sheet_of(connection, ESTATE, JANUARY)
        kept = connection.execute(text("SELECT * FROM close_signature ORDER BY signs_as")).all()
    assert sheet is not None
    assert [sheet.signatures[line].name for line in (CLOSER, REVIEWER)] == ["wang", "li"]
    assert [(one.head_hash.hex(), one.manifest_sha256.hex()) for one in kept] == [
        (closed.head_hash, closed.manifest_sha256)
    ] * 2
    assert {one.debit_fen for one in kept} == {one.credit_fen for one in kept} == {sheet.debit_fen}
    assert all(one.recorded_at > one.signed_at for one in kept)


def test_the_totals_that_are_signed_are_those_of_the_printed_trial_balance(
    year: Year, closed: Closed
) -> None:
    with year.engine.connect() as connection:
        sheet = sheet_of(connection, ESTATE, JANUARY)
        query = Query((ESTATE,), JANUARY.from_on, JANUARY.to_on)
        totals = read_page(connection, TRIAL_BALANCE, query).totals
    assert sheet is not None
    moved = [column.title in ("本期借方", "本期贷方") for column in TRIAL_BALANCE.columns]
    assert [fen for fen, is_moved in zip(totals, moved, strict=True) if is_moved] == [
        sheet.debit_fen,
        sheet.credit_fen,
    ]
    assert sheet.debit_fen > 0


def test_another_head_or_pack_is_not_signed(year: Year, closed: Closed) -> None:
    for head, manifest in (
        ("f" * 64, None),
        ("", None),
        (closed.head_hash, "f" * 64),
        (closed.head_hash[:-1], None),
    ):
        with pytest.raises(HeadDiffersError):
            signs(year, year.people[0], head, manifest_sha256=manifest)
    assert lines(year) == set()


def test_an_open_month_has_no_sheet(year: Year) -> None:
    with pytest.raises(MonthNotClosedError):
        signs(year, year.people[0], "0" * 64)


@pytest.mark.parametrize(
    ("spoil", "constraint"),
    [
        (lambda row: row | {"head_hash": b"f" * 32}, "close_signature_is_of_the_filed_pack"),
        (lambda row: row | {"head_seq": 1}, "close_signature_is_of_the_filed_pack"),
        (lambda row: row | {"manifest_sha256": b"f" * 32}, "close_signature_is_of_the_filed_pack"),
        (lambda row: row | {"debit_fen": 1}, "close_signature_is_of_the_books"),
        (lambda row: row | {"credit_fen": 1}, "close_signature_is_of_the_books"),
        (lambda row: row | {"signed_at": LATER - timedelta(seconds=1)}, "close_signature_in_order"),
        (lambda row: row | {"close_id": UUID(int=1)}, "close_signature_close_id_fkey"),
        (lambda row: row | {"signs_as": "somebody"}, "close_signature_signs_as_check"),
    ],
)
@pytest.mark.parametrize("role", ["app", "owner", "superuser"])
def test_raw_sql_signs_nothing_but_what_was_filed(
    year: Year,
    closed: Closed,
    database: Database,
    spoil: Callable[[dict[str, object]], dict[str, object]],
    constraint: str,
    role: str,
) -> None:
    refused(getattr(database, f"{role}_url"), spoil(raw(year, closed)), constraint)


def test_an_old_snapshot_signs_nothing(year: Year, closed: Closed, database: Database) -> None:
    row = raw(year, closed)
    with connect(database.app_url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(psycopg.Error) as said:
            connection.execute(SIGN, row)
    assert said.value.diag.constraint_name == "close_signature_sees_reopenings"


@pytest.mark.parametrize("role", ["app", "owner", "superuser"])
def test_raw_sql_keeps_to_two_people_in_their_order(
    year: Year, closed: Closed, database: Database, role: str
) -> None:
    url, (first, second) = getattr(database, f"{role}_url"), year.people
    refused(url, raw(year, closed, REVIEWER), "close_signature_in_order")
    by_another = {"signed_by": second.principal_id}
    refused(url, raw(year, closed, CLOSER) | by_another, "close_signature_is_by_the_closer")
    with connect(url) as connection:
        connection.execute(SIGN, raw(year, closed))
    refused(url, raw(year, closed), "close_signature_pkey")
    by_the_same = {"signed_by": first.principal_id}
    refused(url, raw(year, closed, REVIEWER) | by_the_same, "close_signature_is_by_another_person")
    before = {"signed_at": SIGNED - timedelta(seconds=1)}
    refused(url, raw(year, closed, REVIEWER) | before, "close_signature_in_order")


def test_a_second_login_of_the_same_person_is_no_second_person(
    year: Year, closed: Closed, database: Database
) -> None:
    person_id = uuid4()
    with year.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO person (person_id, estate_id, ref, name, born_on, created_at)"
                " VALUES (:id, :estate, 'p', '示例', '1980-01-01', :now)"
            ),
            {"id": person_id, "estate": ESTATE, "now": LATER},
        )
    with connect(database.owner_url) as owner:
        owner.execute("UPDATE principal SET person_id = %s WHERE login = 'wang'", [person_id])
    other = hired(year, "wang2", "finance", ESTATE, person_id)
    signs(year, year.people[0], closed.head_hash)
    with pytest.raises(OtherPersonSignsError):
        signs(year, other, closed.head_hash)
    row = raw(year, closed, REVIEWER) | {"signed_by": other.principal_id}
    refused(database.owner_url, row, "close_signature_is_by_another_person")


@pytest.mark.parametrize(("role", "estate"), [("operator", ESTATE), ("supervisor", None), ("admin", None)])
def test_nobody_signs_without_the_right(
    year: Year, closed: Closed, database: Database, role: str, estate: str | None
) -> None:
    signs(year, year.people[0], closed.head_hash)
    other = hired(year, "other", role, estate)
    with pytest.raises(NoRightError):
        signs(year, other, closed.head_hash)
    row = raw(year, closed, REVIEWER) | {"signed_by": other.principal_id}
    refused(database.owner_url, row, "close_signature_signer_has_right")


def test_a_right_that_has_ended_by_that_day_signs_nothing(
    year: Year, closed: Closed, database: Database
) -> None:
    first, second = year.people
    with connect(database.owner_url) as owner:
        owner.execute(
            "UPDATE principal_role SET valid_to = %s WHERE principal_id = ANY(%s)",
            [LATER, [first.principal_id, second.principal_id]],
        )
    with pytest.raises(NoRightError):
        signs(year, replace(first, grants=()), closed.head_hash)
    refused(database.owner_url, raw(year, closed), "close_signature_signer_has_right")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE close_signature SET signed_at = now()",
        "DELETE FROM close_signature",
        "TRUNCATE close_signature",
    ],
)
@pytest.mark.parametrize("replica", [False, True])
def test_a_signature_stays_also_against_the_owner(
    year: Year, closed: Closed, database: Database, change: str, replica: bool
) -> None:
    signs(year, year.people[0], closed.head_hash)
    with connect(database.superuser_url if replica else database.owner_url) as connection:
        if replica:
            connection.execute("SET session_replication_role = replica")
        with pytest.raises(refusals.RestrictViolation):
            connection.execute(change)
    with connect(database.app_url) as connection, pytest.raises(refusals.InsufficientPrivilege):
        connection.execute(change)
    assert lines(year) == {CLOSER}


def test_a_close_that_was_opened_again_is_not_signed_and_the_new_one_is(
    year: Year, closed: Closed, database: Database, tmp_path: Path
) -> None:
    first, second = year.people
    old = raw(year, closed)
    with year.engine.begin() as connection:
        asked = propose_reopening(connection, ESTATE, JANUARY, "漏记", first, LATER).proposal_id
        approvals.approve(connection, asked, second, LATER)
        reopen_agreed(connection, asked, second, LATER)
    refused(database.owner_url, old, "close_signature_is_of_the_last_close")
    year.pay(year.houses[3], date(2026, 1, 31), "cash", "late")
    again = close(year, tmp_path, who=second)
    refused(database.owner_url, old, "close_signature_is_of_the_last_close")
    with pytest.raises(HeadDiffersError):
        signs(year, second, closed.head_hash)
    # Another person closed it: that one signs first now.
    with pytest.raises(CloserSignsFirstError):
        signs(year, first, again.head_hash)
    signs(year, second, again.head_hash)
    signs(year, first, again.head_hash)
    assert lines(year) == {CLOSER, REVIEWER}


def test_the_command_signs_with_the_head_from_the_paper(year: Year, config: Path) -> None:
    charge(year, JANUARY)
    year.state(1)
    month = ("--book", ESTATE, "--month", "2026-01")
    assert "没有结账" in ledger(config, "sign", *month, "--as", "wang", "--head", "0" * 64, status=1)
    head = ledger(config, "close", *month, "--as", "wang").split("head: ")[1].strip()
    wrong = ledger(config, "sign", *month, "--as", "wang", "--head", "0" * 64, status=1)
    assert "没有签字" in wrong
    assert "nothing was signed" in wrong
    assert "先由结账人wang签字" in ledger(config, "sign", *month, "--as", "li", "--head", head, status=1)
    assert "待另一人" in ledger(config, "sign", *month, "--as", "wang", "--head", head)
    assert "两人已签" in ledger(config, "sign", *month, "--as", "li", "--head", head)
