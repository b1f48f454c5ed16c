"""A table that inherits from one of the books' lends it its rows, and drops them before anybody looks."""

from __future__ import annotations

from datetime import UTC, date, datetime

import psycopg
import pytest
from sqlalchemy import Engine

from backend.db.engine import connect
from backend.identity.principal import Principal
from backend.ledger.chain import Fault, check_chain
from backend.ledger.periods import lock_period
from tests.integration.conftest import Database
from tests.integration.money.conftest import Office
from tests.integration.money.test_seals import BOOK, entry, post_some
from tests.sealing import seal_all

HEAD = (
    "INSERT INTO public.journal_entry (book_id, event_kind, event_key, effective_on, posted_at, line_count,"
    " total_fen, summary_zh, actor) VALUES ('city', 'test', 'lent', %(on)s, now(), 2, 100, '测试', 'test')"
)
LINES = (
    "INSERT INTO public.posting (entry_id, line_no, account_code, debit_fen, credit_fen)"
    " SELECT {entry}, given.* FROM (VALUES (1, '{code}', 100, 0), (2, '1002', 0, 100)) AS given"
)
WHOLE = f"WITH e AS ({HEAD} RETURNING entry_id) " + LINES.replace("FROM (VALUES", "FROM e, (VALUES")
CASES = {
    "an entry without postings": (
        "posting",
        "(entry_id, line_no, account_code, debit_fen, credit_fen) SELECT 99, 1, '1001', 100, 0",
        HEAD.replace("(book_id", "(entry_id, book_id").replace(
            "VALUES (", "OVERRIDING SYSTEM VALUE VALUES (99, "
        ),
        "journal_entry_is_not_empty",
    ),
    "postings without an entry": (
        "journal_entry",
        (
            "(entry_id, book_id, event_kind, event_key, effective_on, posted_at, line_count, total_fen,"
            " summary_zh, actor, posted_xid)"
            " SELECT 99, 'city', 'test', 'lent', %(on)s, now(), 2, 100, '', '', pg_current_xact_id()"
        ),
        LINES.format(entry="99", code="1001"),
        "posting_has_its_entry",
    ),
    "an account that the chart does not have": (
        "account",
        "SELECT * FROM public.account WHERE account_code = '1001'",
        WHOLE.format(entry="e.entry_id", code="9999"),
        "posting_account_is_known",
    ),
}


@pytest.mark.parametrize("lent", CASES)
def test_a_guard_does_not_take_a_lent_row_for_the_one_it_asks_for(
    engine: Engine, database: Database, office: Office, lent: str
) -> None:
    table, rows, forged, constraint = CASES[lent]
    with connect(database.owner_url) as owner:
        owner.execute(f"CREATE TEMPORARY TABLE lender () INHERITS (public.{table})")
        for column in ("entry_id", "posted_xid"):
            owner.execute(
                f"DO $do$ BEGIN ALTER TABLE lender ALTER {column} DROP IDENTITY IF EXISTS;"
                " EXCEPTION WHEN undefined_column THEN NULL; END $do$"
            )
        owner.execute(f"INSERT INTO lender {rows}", {"on": "2026-11-03"})
        if table == "account":
            owner.execute("UPDATE lender SET account_code = '9999'")
        with pytest.raises(psycopg.Error) as said:
            owner.execute(forged, {"on": "2026-11-03"})
    assert said.value.diag.constraint_name == constraint


@pytest.mark.parametrize("how", ["raw", "post_entry"])
def test_a_lent_reopening_opens_no_month(
    engine: Engine, database: Database, office: Office, clerk: Principal, how: str
) -> None:
    with engine.begin() as connection:
        lock_period(connection, "city", date(2026, 10, 1), clerk, datetime.now(UTC))
    given = {"on": "2026-10-03"}
    forged = WHOLE.format(entry="e.entry_id", code="1001")
    if how == "post_entry":
        forged = (
            "SELECT public.post_entry('city', 'test', 'lent', %(on)s, now(), '测试', NULL, 'test', NULL,"
            " NULL, '{1001,1002}', '{100,-100}', NULL, NULL, NULL, NULL)"
        )
    with connect(database.owner_url) as owner:
        owner.execute("CREATE TEMPORARY TABLE lender () INHERITS (public.period_change)")
        owner.execute(
            "INSERT INTO lender SELECT book_id, 2, month, 'unlock', principal_id, changed_at, recorded_at,"
            " head_seq, head_hash, gen_random_uuid() FROM public.period_change"
        )
        with pytest.raises(psycopg.Error) as said:
            owner.execute(forged, given)
    assert said.value.diag.constraint_name == "journal_entry_period_is_open"


def test_no_function_reads_a_table_with_what_others_lend_it(engine: Engine, office: Office) -> None:
    """Whoever writes one of these functions anew writes ONLY."""
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            r"""
            SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosrc ~ (
                SELECT '\m(FROM|JOIN|UPDATE) public\.(' || string_agg(relname, '|') || ')\M(?!\()'
                FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relispartition
            )
            """
        )
        assert found.scalars().all() == []


def test_a_table_that_lends_for_good_is_named_by_the_check(
    engine: Engine, database: Database, office: Office
) -> None:
    post_some(engine, entry("a"))
    with engine.begin() as connection:
        seal_all(connection)
        assert check_chain(connection, BOOK) == []
    with connect(database.owner_url) as owner:
        owner.execute("CREATE TABLE lender () INHERITS (journal_entry)")
    with engine.begin() as connection:
        assert check_chain(connection, BOOK) == [Fault(BOOK, 0, "lent")]
