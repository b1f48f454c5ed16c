"""What PostgreSQL itself refuses in the books: raw SQL, as the application's role and as the owner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import Engine

from backend.db.engine import connect

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Home, Office

ENTRY = """
    INSERT INTO journal_entry (book_id, event_kind, event_key, effective_on, posted_at, line_count, total_fen,
                               summary_zh, actor{more_columns})
    VALUES ('{book}', 'test', '{key}', '2026-11-01', now(), {lines}, {total}, '测试', 'test'{more_values})
    RETURNING entry_id
"""
POSTED = (
    "journal_entry",
    "posting",
    "book",
    "rent_charge",
    "rent_charge_line",
    "payment",
    "payment_allocation",
)


def entry_sql(key: str, *postings: str, lines: int = 2, total: int = 100, book: str = "city") -> str:
    """One statement: an entry and its postings, each written `line_no, account, debit, credit`."""
    head = ENTRY.format(key=key, lines=lines, total=total, book=book, more_columns="", more_values="")
    rows = ", ".join(f"({posting})" for posting in postings)
    return (
        f"WITH e AS ({head}) INSERT INTO posting (entry_id, line_no, account_code, debit_fen, credit_fen)"
        f" SELECT e.entry_id, v.* FROM e, (VALUES {rows}) AS v"
    )


BALANCED = ("1, '1001', 100, 0", "2, '1002', 0, 100")


@pytest.fixture(params=["app", "owner"])
def raw(request: pytest.FixtureRequest, database: Database, estates: object) -> Callable[[str], None]:
    """Run SQL in a transaction of its own, as that role."""
    url = getattr(database, f"{request.param}_url")

    def run(sql: str) -> None:
        with connect(url) as connection:
            connection.execute(sql)

    return run


@pytest.fixture
def count(engine: Engine) -> Callable[[str], int]:
    def rows(table: str) -> int:
        with engine.connect() as connection:
            return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())

    return rows


def refused(raw: Callable[[str], None], sql: str, kind: type[psycopg.Error], constraint: str) -> None:
    with pytest.raises(kind) as caught:
        raw(sql)
    assert caught.value.diag.constraint_name == constraint


def test_a_balanced_entry_in_one_statement_is_kept(
    raw: Callable[[str], None], count: Callable[[str], int]
) -> None:
    raw(entry_sql("1", *BALANCED))
    assert (count("journal_entry"), count("posting")) == (1, 2)


def test_an_unbalanced_entry_is_refused(raw: Callable[[str], None], count: Callable[[str], int]) -> None:
    sql = entry_sql("1", "1, '1001', 100, 0", "2, '1002', 0, 99")
    refused(raw, sql, errors.CheckViolation, "posting_is_balanced")
    assert count("journal_entry") == 0


@pytest.mark.parametrize(
    ("postings", "constraint"),
    [
        (("1, '1001', 100, 0", "3, '1002', 0, 100"), "posting_is_complete"),
        (("1, '1001', 90, 0", "2, '1002', 0, 90"), "posting_is_complete"),
        (("1, '1001', 60, 0", "2, '1001', 40, 0", "3, '1002', 0, 100"), "posting_is_complete"),
        (("1, '1001', 100, 0", "2, '1002', 0, 0"), "posting_has_one_side"),
        (("1, '1001', 100, 0", "2, '1002', -5, 100"), "posting_has_one_side"),
        (("1, '1001', 100, 0", "2, '1002', 100, 100"), "posting_has_one_side"),
    ],
)
def test_an_entry_that_is_not_as_declared_is_refused(
    raw: Callable[[str], None], postings: tuple[str, ...], constraint: str
) -> None:
    refused(raw, entry_sql("1", *postings), errors.CheckViolation, constraint)


def test_an_entry_of_one_posting_is_refused(raw: Callable[[str], None]) -> None:
    sql = entry_sql("1", "1, '1001', 100, 0", lines=1)
    refused(raw, sql, errors.CheckViolation, "posting_is_balanced")


def test_an_account_outside_the_chart_is_refused(raw: Callable[[str], None]) -> None:
    sql = entry_sql("1", "1, '1001', 100, 0", "2, '9999', 0, 100")
    refused(raw, sql, errors.ForeignKeyViolation, "posting_account_is_known")


def test_a_book_that_does_not_exist_is_refused(raw: Callable[[str], None]) -> None:
    sql = entry_sql("1", *BALANCED, book="nowhere")
    refused(raw, sql, errors.ForeignKeyViolation, "journal_entry_book_is_known")


def test_an_empty_entry_is_refused_at_once(raw: Callable[[str], None]) -> None:
    sql = ENTRY.format(key="1", lines=2, total=100, book="city", more_columns="", more_values="")
    refused(raw, sql, errors.CheckViolation, "journal_entry_is_not_empty")


def test_postings_without_an_entry_are_refused(raw: Callable[[str], None]) -> None:
    sql = "INSERT INTO posting VALUES (77, 1, '1001', 5, 0), (77, 2, '1002', 0, 5)"
    refused(raw, sql, errors.ForeignKeyViolation, "posting_has_its_entry")


@pytest.mark.parametrize("same_transaction", [True, False])
@pytest.mark.parametrize(
    ("number", "kind"), [(3, errors.CheckViolation), (1, errors.UniqueViolation), (-1, errors.CheckViolation)]
)
def test_postings_added_to_an_entry_later_are_refused(
    raw: Callable[[str], None],
    count: Callable[[str], int],
    same_transaction: bool,
    number: int,
    kind: type[psycopg.Error],
) -> None:
    late = (
        "INSERT INTO posting (entry_id, line_no, account_code, debit_fen, credit_fen)"
        f" SELECT entry_id, v.* FROM journal_entry, (VALUES ({number}, '1001', 100, 0),"
        f" ({number + 1}, '1002', 0, 100)) AS v"
    )
    if same_transaction:
        late = entry_sql("1", *BALANCED) + ";" + late
    else:
        raw(entry_sql("1", *BALANCED))
    with pytest.raises(kind):
        raw(late)
    assert count("posting") == (0 if same_transaction else 2)


def test_the_same_event_twice_in_a_book_is_refused(raw: Callable[[str], None]) -> None:
    raw(entry_sql("1", *BALANCED))
    with pytest.raises(errors.UniqueViolation):
        raw(entry_sql("1", *BALANCED))
    raw(entry_sql("1", *BALANCED, book="pengjiang-1"))


@pytest.mark.parametrize("table", POSTED)
def test_nothing_posted_is_truncated(database: Database, estates: object, table: str) -> None:
    with connect(database.app_url) as app, pytest.raises(errors.InsufficientPrivilege):
        app.execute(f"TRUNCATE {table} CASCADE")
    with connect(database.owner_url) as owner, pytest.raises(errors.RestrictViolation):
        owner.execute(f"TRUNCATE {table} CASCADE")


COLUMNS = "book_id, event_kind, event_key, effective_on, posted_at, line_count, total_fen, summary_zh, actor"
UPSERT = "ON CONFLICT (book_id, event_kind, event_key) DO UPDATE SET summary_zh = 'x'"
CHANGES = (
    "UPDATE posting SET debit_fen = debit_fen + 1 WHERE debit_fen > 0",
    "UPDATE posting SET debit_fen = 2 * debit_fen, credit_fen = 2 * credit_fen",
    "UPDATE posting SET account_code = '1002'",
    "UPDATE journal_entry SET effective_on = '2001-01-01'",
    "UPDATE journal_entry SET entry_id = DEFAULT",
    "DELETE FROM posting",
    "DELETE FROM posting WHERE line_no = 1",
    "DELETE FROM journal_entry",
    "DELETE FROM book WHERE book_id = 'city'",
    f"INSERT INTO journal_entry ({COLUMNS}) SELECT {COLUMNS} FROM journal_entry {UPSERT}",
    "MERGE INTO posting USING book ON true WHEN MATCHED THEN DELETE",
)


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_posted_is_neither_edited_nor_deleted(
    database: Database, estates: object, count: Callable[[str], int], change: str
) -> None:
    with connect(database.app_url) as app:
        app.execute(entry_sql("1", *BALANCED))
    with connect(database.app_url) as app, pytest.raises(errors.InsufficientPrivilege):
        app.execute(change)
    with connect(database.owner_url) as owner, pytest.raises(errors.RestrictViolation) as caught:
        owner.execute(change)
    assert caught.value.diag.constraint_name == "refuse_change"
    assert (count("journal_entry"), count("posting")) == (1, 2)


def test_a_superuser_in_replica_mode_meets_the_same_guards(database: Database, estates: object) -> None:
    with connect(database.superuser_url) as superuser:
        superuser.execute(entry_sql("1", *BALANCED))
    for sql in (
        "DELETE FROM posting",
        "TRUNCATE posting",
        entry_sql("2", "1, '1001', 100, 0", "2, '1002', 0, 9"),
    ):
        with connect(database.superuser_url) as superuser, pytest.raises(psycopg.IntegrityError):
            superuser.execute("SET session_replication_role = replica; " + sql)


def test_the_reader_reads_and_writes_nothing(database: Database, estates: object) -> None:
    with connect(database.reader_url) as reader:
        reader.execute("SELECT * FROM posting")
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute(entry_sql("1", *BALANCED))


def test_an_account_keeps_its_code_kind_and_role(database: Database, estates: object) -> None:
    changes = (
        "UPDATE account SET account_code = '1009' WHERE account_code = '1001'",
        "UPDATE account SET kind = 'expense' WHERE account_code = '1001'",
        "UPDATE account SET role = NULL WHERE role = 'prepaid_rent'",
        "DELETE FROM account",
        "TRUNCATE account CASCADE",
    )
    for sql in changes:
        with connect(database.owner_url) as owner, pytest.raises(errors.RestrictViolation):
            owner.execute(sql)
    with connect(database.app_url) as app:
        app.execute("UPDATE account SET name_zh = '现金' WHERE account_code = '1001'")


@pytest.mark.parametrize(
    "postings",
    [
        ("1, '1001', 100, 0", "2, '1002', 0, 100"),
        ("1, '1002', 100, 0", "2, '1001', 0, 100"),
        ("1, '1001', 0, 40", "2, '1001', 0, 60", "3, '1002', 100, 0"),
    ],
)
def test_a_reversal_that_is_no_mirror_is_refused(
    raw: Callable[[str], None], postings: tuple[str, ...]
) -> None:
    raw(entry_sql("1", *BALANCED))
    sql = entry_sql("2", *postings, lines=len(postings))
    sql = sql.replace("summary_zh, actor)", "summary_zh, actor, reverses_entry_id, reason)")
    sql = sql.replace("'测试', 'test')", "'测试', 'test', (SELECT min(entry_id) FROM journal_entry), '错')")
    refused(raw, sql, errors.CheckViolation, "journal_entry_mirrors_original")


def test_an_entry_is_reversed_once(raw: Callable[[str], None]) -> None:
    raw(entry_sql("1", *BALANCED))
    for key in ("2", "3"):
        sql = entry_sql(key, "1, '1001', 0, 100", "2, '1002', 100, 0")
        sql = sql.replace("summary_zh, actor)", "summary_zh, actor, reverses_entry_id, reason)")
        sql = sql.replace(
            "'测试', 'test')", "'测试', 'test', (SELECT min(entry_id) FROM journal_entry), '错')"
        )
        if key == "2":
            raw(sql)
        else:
            refused(raw, sql, errors.UniqueViolation, "journal_entry_reversed_once_idx")


@pytest.fixture
def paid_home(office: Office) -> Home:
    """A household with a charge, a payment of it and some prepaid rent."""
    home = office.move_in(60_000)
    office.charge()
    office.take(home, 70_000)
    return home


@pytest.mark.parametrize("table", [table for table in POSTED if table != "book"])
def test_charges_and_payments_are_neither_edited_nor_deleted(
    database: Database, office: Office, paid_home: Home, table: str
) -> None:
    before = office.count(table)
    assert before > 0
    column = "principal_id" if table == "journal_entry" else "estate_id"
    column = {"rent_charge_line": "label_zh", "payment_allocation": "allocated_at"}.get(table, column)
    for sql in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with connect(database.app_url) as app, pytest.raises(errors.InsufficientPrivilege):
            app.execute(sql)
        with connect(database.owner_url) as owner, pytest.raises(errors.RestrictViolation):
            owner.execute(sql)
    assert office.count(table) == before


@pytest.mark.parametrize(
    ("number", "amount_fen", "kind"),
    [
        (2, 1, errors.CheckViolation),  # the charge is paid
        (1, 1, errors.UniqueViolation),  # that number is taken
        (3, 1, errors.CheckViolation),  # a number is left out
        (2, 0, errors.CheckViolation),
    ],
)
def test_more_is_never_allocated_than_was_charged(
    raw: Callable[[str], None], office: Office, paid_home: Home, number: int, amount_fen: int, kind: type
) -> None:
    office.take(paid_home, 500, "pi_2")
    with pytest.raises(kind):
        raw(
            "INSERT INTO payment_allocation SELECT payment_id, charge_id,"
            f" {number}, {amount_fen}, false, now(), 'rent'"
            " FROM payment, rent_charge WHERE provider_ref = 'pi_2'"
        )


def test_more_is_never_allocated_than_was_paid(
    raw: Callable[[str], None], office: Office, paid_home: Home
) -> None:
    raw(
        "INSERT INTO rent_charge SELECT gen_random_uuid(), estate_id, household_id, tenancy_id, unit_id,"
        " '2027-01-01', 0, '2027-01-15', 60000, NULL, now() FROM rent_charge"
    )
    allocate = (
        "INSERT INTO payment_allocation SELECT payment_id, charge_id, 1, {}, false, now(), 'rent'"
        " FROM payment, rent_charge WHERE month = '2027-01-01'"
    )
    with pytest.raises(errors.CheckViolation):
        raw(allocate.format(10_001))
    raw(allocate.format(10_000))


def test_the_same_money_is_never_taken_twice(
    raw: Callable[[str], None], office: Office, paid_home: Home
) -> None:
    with pytest.raises(errors.UniqueViolation):
        raw(
            "INSERT INTO payment SELECT gen_random_uuid(), 'SJ-other', entry_id - 1, estate_id, household_id,"
            " provider, provider_ref, channel, amount_fen, paid_at, now() FROM payment"
        )
