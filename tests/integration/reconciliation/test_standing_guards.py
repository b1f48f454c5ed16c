"""What a line or an entry stands on is there and stays there, whoever writes by raw SQL."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import Connection
from psycopg import errors as refusals

from backend.db.engine import connect
from tests.integration.conftest import Database
from tests.integration.reconciliation.conftest import Books, make_world

NOBODY = 9_999_999
ROLES = ["app_url", "owner_url"]
KNOWN: LiteralString = """
    SELECT (SELECT min(line_id) FROM line_standing WHERE match_id IS NOT NULL) AS matched,
           (SELECT min(line_id) FROM line_standing WHERE case_id IS NOT NULL) AS in_case,
           (SELECT min(match_id) FROM reconciliation_match WHERE account_id = 'stripe-main') AS match,
           (SELECT min(entry_id) FROM journal_entry) AS entry,
           (SELECT min(case_id) FROM reconciliation_case WHERE account_id = 'stripe-main') AS case,
           (SELECT min(match_id) FROM reconciliation_match WHERE account_id = 'bank-main') AS match_of_bank
"""


@pytest.fixture
def month(books: Books) -> Books:
    """A month at Stripe and the bank with one line too many: matches of both accounts, and a case."""
    world = make_world(channels=("stripe",), count=12, errors=[("stripe", "bill", "extra", 1)])
    books.receive("stripe", world.payments["stripe"])
    for file in world.files():
        books.bring(file)
    books.look()
    return books


def known(connection: Connection[Any]) -> dict[str, int]:
    """Numbers that there are."""
    cursor = connection.execute(KNOWN)
    row = cursor.fetchone()
    assert row is not None
    assert cursor.description is not None
    assert None not in row
    return {column.name: value for column, value in zip(cursor.description, row, strict=True)}


def add_alone(connection: Connection[Any], how: str, table: str, row: dict[str, object]) -> None:
    """One row by INSERT or COPY, where nothing stands yet."""
    connection.execute("DELETE FROM line_standing")
    connection.execute("DELETE FROM entry_standing")
    names = ", ".join(row)
    if how == "COPY":
        with connection.cursor().copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy:
            copy.write_row(tuple(row.values()))
        return
    values = ", ".join(f"%({name})s" for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})".encode(), row)


LINES = [
    ({"line_id": NOBODY, "case_id": "case"}, "line_standing_line_is_known"),
    ({"line_id": NOBODY, "split_at": "2026-12-08"}, "line_standing_line_is_known"),
    ({"line_id": "matched", "match_id": NOBODY, "entry_id": "entry"}, "line_standing_match_is_known"),
    ({"line_id": "matched", "match_id": "match", "entry_id": NOBODY}, "line_standing_entry_is_known"),
    ({"line_id": "matched", "case_id": NOBODY}, "line_standing_case_is_known"),
    (
        {"line_id": "matched", "match_id": "match_of_bank", "entry_id": "entry"},
        "line_standing_is_of_one_account",
    ),
]
ENTRIES = [
    ({"account_id": "stripe-main", "entry_id": NOBODY, "case_id": "case"}, "entry_standing_entry_is_known"),
    ({"account_id": "stripe-main", "entry_id": "entry", "match_id": NOBODY}, "entry_standing_match_is_known"),
    ({"account_id": "stripe-main", "entry_id": "entry", "case_id": NOBODY}, "entry_standing_case_is_known"),
    (
        {"account_id": "bank-main", "entry_id": "entry", "match_id": "match"},
        "entry_standing_is_of_one_account",
    ),
    ({"account_id": "bank-main", "entry_id": "entry", "case_id": "case"}, "entry_standing_is_of_one_account"),
]
ROWS = [("line_standing", *one) for one in LINES] + [("entry_standing", *one) for one in ENTRIES]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("how", ["INSERT", "COPY"])
def test_a_standing_on_nothing_is_refused(month: Books, database: Database, role: str, how: str) -> None:
    with connect(getattr(database, role), autocommit=True) as connection:
        numbers = known(connection)
        for table, row, constraint in ROWS:
            given = {key: numbers.get(str(one), one) for key, one in row.items()}
            with pytest.raises(psycopg.Error) as said, connection.transaction():
                add_alone(connection, how, table, given)
            assert (said.value.diag.constraint_name, said.value.diag.table_name) == (constraint, table)
            assert said.value.sqlstate == ("23514" if constraint.endswith("account") else "23503")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        (
            "line_standing SET match_id = %(nobody)s WHERE line_id = %(matched)s",
            "line_standing_match_is_known",
        ),
        (
            "line_standing SET entry_id = %(nobody)s WHERE line_id = %(matched)s",
            "line_standing_entry_is_known",
        ),
        ("line_standing SET case_id = %(nobody)s WHERE line_id = %(in_case)s", "line_standing_case_is_known"),
        (
            "line_standing SET match_id = %(match_of_bank)s WHERE line_id = %(matched)s",
            "line_standing_is_of_one_account",
        ),
        (
            "entry_standing SET match_id = %(nobody)s WHERE match_id = %(match)s",
            "entry_standing_match_is_known",
        ),
        (
            "entry_standing SET match_id = NULL, case_id = %(nobody)s WHERE match_id = %(match)s",
            "entry_standing_case_is_known",
        ),
        (
            "entry_standing SET match_id = %(match_of_bank)s WHERE match_id = %(match)s",
            "entry_standing_is_of_one_account",
        ),
    ],
)
def test_a_standing_is_not_moved_onto_nothing(
    month: Books, database: Database, role: str, change: LiteralString, constraint: str
) -> None:
    with connect(getattr(database, role)) as connection:
        numbers = known(connection) | {"nobody": NOBODY}
        with pytest.raises(psycopg.Error) as said:
            connection.execute(f"UPDATE {change}", numbers)
    assert said.value.diag.constraint_name == constraint


@pytest.mark.parametrize("change", ["line_id = %(nobody)s WHERE line_id = %(matched)s", "line_id = -1"])
def test_nor_is_its_line_renumbered_by_the_owner(
    month: Books, database: Database, change: LiteralString
) -> None:
    with connect(database.owner_url) as connection:
        numbers = known(connection) | {"nobody": NOBODY}
        with pytest.raises(psycopg.errors.IntegrityError):
            connection.execute(f"UPDATE line_standing SET {change}", numbers)


def test_one_wrong_row_among_many_takes_all_of_them_with_it(month: Books, database: Database) -> None:
    before = month.standing()
    with connect(database.app_url) as connection:
        with pytest.raises(refusals.ForeignKeyViolation) as said:
            connection.execute(
                "WITH gone AS (DELETE FROM line_standing RETURNING line_id, case_id, match_id)"
                " INSERT INTO line_standing (line_id, split_at) SELECT line_id + %s, now() FROM gone"
                " UNION ALL SELECT line_id + 1 + %s, now() FROM gone LIMIT 1",
                [NOBODY, NOBODY],
            )
        assert said.value.diag.constraint_name == "line_standing_line_is_known"
    assert month.standing() == before


def test_a_match_and_what_stands_on_it_may_be_one_statement(month: Books, database: Database) -> None:
    with connect(database.app_url) as connection:
        numbers = known(connection)
        connection.execute("DELETE FROM line_standing WHERE line_id = %(in_case)s", numbers)
        connection.execute(
            "WITH made AS (INSERT INTO reconciliation_match"
            " (account_id, key, rule, fields, made_at, reason)"
            " VALUES ('stripe-main', 'k', 'person', '{}', now(), '-') RETURNING match_id)"
            " INSERT INTO line_standing (line_id, match_id, entry_id)"
            " SELECT %(in_case)s, match_id, %(entry)s FROM made",
            numbers,
        )


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM reconciliation_match",
        # Nothing stands on it any more.
        "DELETE FROM line_standing; DELETE FROM entry_standing; DELETE FROM reconciliation_match",
        "DELETE FROM line_standing; DELETE FROM entry_standing; DELETE FROM reconciliation_case",
        "DELETE FROM reconciliation_case",
        "TRUNCATE reconciliation_match CASCADE",
        "TRUNCATE reconciliation_case CASCADE",
        "UPDATE reconciliation_match SET match_id = DEFAULT",
        "UPDATE reconciliation_case SET case_id = DEFAULT",
        "UPDATE reconciliation_match SET account_id = 'wechat-main'",
        "UPDATE reconciliation_case SET account_id = 'wechat-main'",
        "DELETE FROM statement_line",
        "TRUNCATE statement_line CASCADE",
    ],
)
def test_what_is_stood_on_neither_goes_nor_changes_its_number(
    month: Books, database: Database, role: str, attack: LiteralString
) -> None:
    before = month.standing()
    with connect(getattr(database, role), autocommit=True) as connection:
        with pytest.raises(psycopg.Error) as said:
            connection.execute(attack)
        # insufficient_privilege, restrict_violation
        assert said.value.sqlstate == ("42501" if role == "app_url" else "23001")
    assert month.standing() == before


@pytest.mark.parametrize("role", [*ROLES, "superuser_url"])
def test_a_part_of_a_line_that_is_not_there_is_refused(month: Books, database: Database, role: str) -> None:
    with connect(getattr(database, role), autocommit=True) as connection:
        if role == "superuser_url":
            connection.execute("SET session_replication_role = replica")
        with pytest.raises(refusals.ForeignKeyViolation) as said:
            connection.execute(
                "INSERT INTO statement_line (file_id, account_id, side, kind, external_id, line_no,"
                " amount_fen, fee_fen, value_on, method, pay_ref, our_ref, payout_ref, book_ref, payer, note,"
                " split_of) SELECT file_id, account_id, side, kind, 'part', 1, amount_fen, fee_fen, value_on,"
                " '', '', '', '', '', '', '', %s FROM statement_line LIMIT 1",
                [NOBODY],
            )
        assert said.value.diag.constraint_name == "statement_line_whole_is_known"


@pytest.mark.parametrize("role", ROLES)
def test_no_role_of_ours_may_turn_triggers_off(database: Database, role: str) -> None:
    with connect(getattr(database, role)) as connection, pytest.raises(refusals.InsufficientPrivilege):
        connection.execute("SET session_replication_role = replica")


@pytest.mark.parametrize(
    "attack",
    [
        "INSERT INTO line_standing (line_id, split_at) VALUES (-1, now())",
        "INSERT INTO entry_standing (account_id, entry_id, case_id) VALUES ('stripe-main', -1, 1)",
        "UPDATE line_standing SET match_id = -match_id WHERE match_id IS NOT NULL",
        "UPDATE entry_standing SET match_id = -match_id WHERE match_id IS NOT NULL",
        "DELETE FROM reconciliation_match",
        "DELETE FROM reconciliation_case",
        "TRUNCATE reconciliation_match, line_standing, entry_standing",
        "UPDATE reconciliation_match SET match_id = DEFAULT",
        "UPDATE reconciliation_case SET account_id = 'wechat-main'",
    ],
)
def test_a_superuser_in_replica_mode_still_meets_the_guards(
    month: Books, database: Database, attack: LiteralString
) -> None:
    with connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        with pytest.raises((refusals.ForeignKeyViolation, refusals.RestrictViolation)):
            connection.execute(attack)


def test_the_guards_search_no_path_of_their_caller(month: Books, database: Database) -> None:
    # The application may make no tables, not even passing ones.
    with connect(database.owner_url) as connection:
        connection.execute("CREATE TEMP TABLE statement_line (line_id bigint, account_id text)")
        connection.execute("INSERT INTO statement_line VALUES (-1, 'stripe-main')")
        with pytest.raises(refusals.ForeignKeyViolation):
            connection.execute("INSERT INTO line_standing (line_id, split_at) VALUES (-1, now())")


def test_a_match_is_undone_and_a_case_is_closed_as_before(month: Books, database: Database) -> None:
    with connect(database.app_url) as connection:
        numbers = known(connection)
        connection.execute(
            "UPDATE reconciliation_match SET undone_at = now(), undone_reason = '-'"
            " WHERE match_id = %(match)s",
            numbers,
        )
        connection.execute(
            "UPDATE reconciliation_case SET closed_at = now(), close_reason = '-' WHERE case_id = %(case)s",
            numbers,
        )
        connection.execute(
            "UPDATE line_standing SET match_id = NULL, entry_id = NULL, case_id = %(case)s"
            " WHERE match_id = %(match)s",
            numbers,
        )
        connection.execute("DELETE FROM line_standing")
        connection.execute("DELETE FROM entry_standing")
