"""The function that posts one entry: it refuses what the tables' guards refuse, and nobody passes for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import Engine

from backend.db.engine import connect
from backend.ledger.errors import EntryConflictError
from backend.ledger.rules import ENTRY_FEN_MAX, NewEntry, credit, debit
from backend.ledger.service import post
from tests.integration.money.conftest import NOW

if TYPE_CHECKING:
    from tests.integration.conftest import Database

GOOD: dict[str, Any] = {
    "in_book": "city",
    "kind_of_event": "test",
    "key_of_event": "1",
    "counts_for": "2026-11-01",
    "written_at": "2026-11-01 08:00:00+00",
    "summary": "测试",
    "principal": None,
    "acts": "test",
    "reverses": None,
    "why": None,
    "codes": "{1001,1002}",
    "amounts_fen": "{100,-100}",
    "estates": None,
    "units": None,
    "households": None,
    "channels": None,
}
ARGUMENTS = ", ".join(f"{name} => %({name})s" for name in GOOD)
UNBALANCED = (
    "WITH e AS (INSERT INTO public.journal_entry (book_id, event_kind, event_key, effective_on, posted_at,"
    " line_count, total_fen, summary_zh, actor)"
    " VALUES ('city', 'test', '1', '2026-11-01', now(), 2, 100, '测试', 'test')"
    " RETURNING entry_id) INSERT INTO public.posting (entry_id, line_no, account_code, debit_fen, credit_fen)"
    " SELECT e.entry_id, v.* FROM e, (VALUES (1, '1001', 100, 0), (2, '1002', 0, 99)) AS v"
)
TYPES = (
    "public.entry_text,public.entry_text,public.entry_text,public.entry_day,timestamp with time zone,"
    "public.entry_text,public.entry_person,public.entry_text,bigint,public.entry_text,public.line_texts,bigint[],"
    "public.line_texts,public.line_ids,public.line_ids,public.line_texts"
)
FRAME = f'"\nPL/pgSQL function public.post_entry({TYPES}) line 50 at SQL statement'


@pytest.fixture(params=["app", "owner"])
def url(request: pytest.FixtureRequest, database: Database, estates: object) -> str:
    return str(getattr(database, f"{request.param}_url"))


@pytest.fixture
def rows(engine: Engine) -> Callable[[], tuple[int, int]]:
    """How many entries and postings there are."""

    def count() -> tuple[int, int]:
        with engine.connect() as connection:
            return tuple(  # type: ignore[return-value]
                connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
                for table in ("journal_entry", "posting")
            )

    return count


def call(connection: psycopg.Connection[Any], **changes: object) -> int | None:
    row = connection.execute(f"SELECT post_entry({ARGUMENTS})", {**GOOD, **changes}).fetchone()
    assert row is not None
    number: int | None = row[0]
    return number


def test_the_largest_entry_is_the_same_here_and_there(url: str) -> None:
    with connect(url) as connection:
        assert connection.execute("SELECT entry_fen_max()").fetchone() == (ENTRY_FEN_MAX,)
        assert call(connection, amounts_fen=f"{{{ENTRY_FEN_MAX},-{ENTRY_FEN_MAX}}}") is not None
        with pytest.raises(errors.CheckViolation):
            call(connection, key_of_event="2", amounts_fen=f"{{{ENTRY_FEN_MAX + 1},-{ENTRY_FEN_MAX + 1}}}")


def test_an_entry_is_posted_once(url: str, rows: Callable[[], tuple[int, int]]) -> None:
    with connect(url) as connection:
        assert call(connection) is not None
        assert call(connection) is None
    assert rows() == (1, 2)


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"amounts_fen": "{100,-99}"}, "posting_is_balanced"),
    ({"amounts_fen": "{100,-100}", "codes": "{1001}"}, "posting_is_balanced"),
    ({"amounts_fen": "{}", "codes": "{}"}, "posting_is_balanced"),
    ({"amounts_fen": "{0,0}"}, "posting_has_one_side"),
    ({"amounts_fen": "{100,NULL}"}, "posting_has_one_side"),
    ({"amounts_fen": "{100}"}, "posting_has_one_side"),
    ({"amounts_fen": "{{100,-100}}"}, "posting_has_one_side"),
    ({"amounts_fen": "[0:1]={100,-100}"}, "posting_has_one_side"),
    ({"amounts_fen": None}, "posting_has_one_side"),
    ({"codes": "{1001,9999}"}, "posting_account_is_known"),
    ({"codes": "{1001,NULL}"}, "posting_account_is_known"),
    ({"codes": "[5:6]={1001,1002}"}, "posting_account_is_known"),
    ({"codes": "{{1001,1002}}"}, "posting_account_is_known"),
    ({"in_book": "nowhere"}, "journal_entry_book_is_known"),
    ({"in_book": None}, "journal_entry_book_is_known"),
    ({"counts_for": "1899-12-31"}, "journal_entry_is_of_this_world"),
    ({"counts_for": "infinity"}, "journal_entry_is_of_this_world"),
    ({"written_at": "-infinity"}, "journal_entry_is_of_this_world"),
    ({"written_at": "20000-01-01 00:00:00+00"}, "journal_entry_is_of_this_world"),
    ({"written_at": "0044-03-15 00:00:00+00 BC"}, "journal_entry_is_of_this_world"),
    ({"amounts_fen": "{10000000000001,-10000000000001}"}, "journal_entry_is_of_this_world"),
    ({"why": "because"}, "journal_entry_reversal_has_reason"),
    ({"reverses": 1}, "journal_entry_reversal_has_reason"),
    ({"reverses": 1, "why": "because"}, "journal_entry_mirrors_original"),
    ({"kind_of_event": "manual"}, "journal_entry_is_approved"),
    ({"kind_of_event": "opening_balance"}, "journal_entry_is_approved"),
    ({"kind_of_event": "cash_banked", "amounts_fen": "{-100,100}"}, "journal_entry_within_what_stands"),
]


@pytest.mark.parametrize(("changes", "constraint"), REFUSED)
def test_what_the_guards_refuse_is_refused(
    url: str, rows: Callable[[], tuple[int, int]], changes: dict[str, object], constraint: str
) -> None:
    with connect(url) as connection, pytest.raises(psycopg.Error) as caught:
        call(connection, **changes)
    assert caught.value.diag.constraint_name == constraint
    assert rows() == (0, 0)


@pytest.mark.parametrize("name", ["kind_of_event", "key_of_event", "counts_for", "summary", "acts"])
def test_what_an_entry_must_say_is_not_left_out(
    url: str, rows: Callable[[], tuple[int, int]], name: str
) -> None:
    with connect(url) as connection, pytest.raises(psycopg.Error):
        call(connection, **{name: None})
    assert rows() == (0, 0)


GUARDED = [
    "account",
    "approval_decision",
    "approval_proposal",
    "approval_use",
    "close_signature",
    "journal_entry",
    "period_change",
    "posting",
    "seal",
]
# Where the guards do not know its stack, and look at what it adds themselves.
ELSEWHERE = {
    "values are kept for errors": "SET log_parameter_max_length_on_error = -1",
    "names are quoted": "SET quote_all_identifiers = on",
}


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_it_posts_where_the_guards_do_not_know_it(
    engine: Engine, url: str, rows: Callable[[], tuple[int, int]], elsewhere: str
) -> None:
    entry = NewEntry(
        "city", "test", "1", NOW.date(), NOW, "测试", (debit("1001", 1), credit("1002", 1)), "test"
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(ELSEWHERE[elsewhere])
        assert post(connection, [entry])[0].is_new
        assert not post(connection, [entry])[0].is_new
        with pytest.raises(EntryConflictError):
            post(connection, [replace(entry, effective_on=entry.effective_on + timedelta(1))])
    with connect(url) as caller:
        caller.execute(ELSEWHERE[elsewhere])
        assert call(caller, key_of_event="2") is not None
        assert call(caller, key_of_event="2") is None
    assert rows() == (2, 4)


@pytest.mark.parametrize(("changes", "constraint"), REFUSED)
def test_what_the_guards_refuse_is_refused_where_they_do_not_know_it(
    url: str, rows: Callable[[], tuple[int, int]], changes: dict[str, object], constraint: str
) -> None:
    with connect(url) as connection:
        connection.execute(ELSEWHERE["values are kept for errors"])
        with pytest.raises(psycopg.Error) as caught:
            call(connection, **changes)
    if not isinstance(caught.value, errors.NotNullViolation):
        assert caught.value.diag.constraint_name == constraint
    assert rows() == (0, 0)


def test_a_function_may_call_it(url: str, rows: Callable[[], tuple[int, int]]) -> None:
    one = "post_entry('city', 'test', '{0}', '2026-11-01', now(), '测试', NULL, 'test', NULL, NULL,"
    one += " '{{1001,1002}}', '{{100,-100}}', NULL, NULL, NULL, NULL)"
    with connect(url) as connection:
        connection.execute(f"DO $do$ BEGIN PERFORM {one.format(1)}, {one.format(2)}; END $do$")
        with pytest.raises(errors.ForeignKeyViolation):
            connection.execute(f"DO $do$ BEGIN PERFORM {one.format(3).replace('1002', '9999')}; END $do$")
    assert rows() == (0, 0)
    with connect(url) as connection:
        connection.execute(f"DO $do$ BEGIN PERFORM {one.format(1)}, {one.format(2)}; END $do$")
    assert rows() == (2, 4)


@pytest.mark.parametrize(("operator", "kind"), [("~~", "text"), ("=", "numeric")])
def test_the_owner_cannot_compare_for_the_guards(
    database: Database, estates: object, rows: Callable[[], tuple[int, int]], operator: str, kind: str
) -> None:
    with connect(database.owner_url) as owner:
        owner.execute("CREATE SCHEMA elsewhere")
        owner.execute(
            f"CREATE FUNCTION elsewhere.yes({kind}, {kind}) RETURNS boolean IMMUTABLE LANGUAGE sql"
            " AS 'SELECT true'"
        )
        owner.execute(
            f"CREATE OPERATOR elsewhere.{operator}"
            f" (LEFTARG = {kind}, RIGHTARG = {kind}, FUNCTION = elsewhere.yes)"
        )
        owner.execute("SET search_path = elsewhere, pg_catalog, public")
        with pytest.raises(errors.CheckViolation) as caught:
            owner.execute(UNBALANCED)
    assert caught.value.diag.constraint_name == "posting_is_balanced"
    assert rows() == (0, 0)


def test_the_guards_search_no_path_of_the_callers(database: Database) -> None:
    with connect(database.owner_url) as owner:
        found = owner.execute(
            "SELECT DISTINCT proname, proconfig FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid"
            " WHERE tgrelid = ANY (%s::regclass[]) AND proname <> 'refuse_change' AND NOT tgisinternal",
            [GUARDED],
        ).fetchall()
    assert len(found) == len(GUARDED)
    assert [name for name, path in found if path != ["search_path=pg_catalog, pg_temp"]] == []


def test_an_older_snapshot_posts_nothing(url: str) -> None:
    with connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(errors.InvalidTransactionState):
            call(connection)


def test_nobody_passes_for_it(url: str, rows: Callable[[], tuple[int, int]]) -> None:
    quoted = f"{UNBALANCED} /*{FRAME}".replace("'", "''")
    for sql in (
        f"{UNBALANCED} /* {FRAME} */",
        f"DO $do$ BEGIN {UNBALANCED} /* {FRAME}{FRAME} */; END $do$",
        f"DO $do$ BEGIN EXECUTE '{quoted} */'; END $do$",
        f"DO $do$ BEGIN EXECUTE '{quoted}\n*/'; END $do$",
        f"DO $do$ BEGIN {UNBALANCED} /* {FRAME}\n*/; END $do$",
    ):
        with connect(url) as connection, pytest.raises(errors.CheckViolation) as caught:
            connection.execute(sql)
        assert caught.value.diag.constraint_name == "posting_is_balanced", sql
    with connect(url) as connection:
        # Values of parameters belong to the stack as well, for whoever asks for them.
        connection.execute("SET log_parameter_max_length_on_error = -1")
        with pytest.raises(errors.CheckViolation):
            connection.execute(UNBALANCED.replace("'test')", "%s)"), [FRAME])
    assert rows() == (0, 0)


LIKE_NAMES = (
    "postxentry({types})",
    '"public.post_entry({types})"()',
    '"public.post_entry"({types})',
    '"\nPL/pgSQL function public.post_entry"({types})',
)


@pytest.mark.parametrize(
    ("schema", "name"),
    [("elsewhere", "post_entry({types})"), *product(("elsewhere", "public"), LIKE_NAMES)],
)
def test_a_function_of_the_owners_with_a_like_name_does_not_pass(
    database: Database, estates: object, rows: Callable[[], tuple[int, int]], schema: str, name: str
) -> None:
    function = name.format(types=TYPES)
    # More than 63 bytes of a name are cut off, as PostgreSQL does.
    with connect(database.owner_url) as owner:
        owner.execute("CREATE SCHEMA elsewhere")
        # Whatever is not on the path is named in full in the stack.
        owner.execute("SET search_path = pg_catalog")
        blank = "\n" * 40
        owner.execute(
            f"CREATE FUNCTION {schema}.{function} RETURNS void LANGUAGE plpgsql AS"
            f" $do${blank}BEGIN {UNBALANCED}; END $do$"
        )
        (called,) = owner.execute(
            "SELECT format('%s.%I(%s)', pronamespace::regnamespace, proname,"
            " array_to_string(array_fill('NULL'::text, ARRAY[pronargs::integer]), ','))"
            " FROM pg_proc ORDER BY oid DESC LIMIT 1"
        ).fetchone() or ("",)
        with pytest.raises(errors.CheckViolation) as caught:
            owner.execute(f"SELECT {called}")
    assert caught.value.diag.constraint_name == "posting_is_balanced"
    assert rows() == (0, 0)


def test_the_guards_know_the_function_by_how_postgresql_writes_it(engine: Engine, estates: object) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL search_path = pg_catalog")
        known, said = connection.exec_driver_sql(
            "SELECT public.post_entry_signature(), 'public.post_entry'::regproc::regprocedure::text"
        ).one()
    assert known == said == f"public.post_entry({TYPES})"


@pytest.mark.parametrize("named", sorted(set(TYPES.split(","))))
def test_a_function_of_the_owners_with_a_like_type_does_not_pass(
    database: Database, estates: object, rows: Callable[[], tuple[int, int]], named: str
) -> None:
    """A type that is on the path is written without its schema in a stack."""
    plain = named.removesuffix("[]").removeprefix("public.")
    paths = ("elsewhere, pg_catalog, public", "public, elsewhere", "pg_catalog")
    for name, path in product((plain, f"public.{plain}"), paths):
        kind, blank = f'elsewhere."{name}"', "\n" * 40
        like = kind + "[]" * named.endswith("[]")
        given = [like if one == named else one for one in TYPES.split(",")]
        with connect(database.owner_url) as owner:
            owner.execute(f"CREATE SCHEMA elsewhere; CREATE DOMAIN {kind} AS text; SET search_path = {path}")
            owner.execute(
                f"CREATE FUNCTION public.post_entry({','.join(given)}) RETURNS void LANGUAGE plpgsql"
                f" SET search_path = {path} AS $do${blank}BEGIN {UNBALANCED}; END $do$"
            )
            with pytest.raises(errors.CheckViolation) as caught:
                owner.execute(f"SELECT public.post_entry({','.join(f'NULL::{one}' for one in given)})")
            owner.rollback()
        assert caught.value.diag.constraint_name == "posting_is_balanced"
    assert rows() == (0, 0)


def test_its_own_rows_are_not_looked_at_twice(
    engine: Engine, database: Database, estates: object, rows: Callable[[], tuple[int, int]]
) -> None:
    with connect(database.superuser_url) as superuser:
        for guard in ("journal_entry_is_whole", "posting_make_a_whole"):
            (definition,) = superuser.execute(
                "SELECT pg_get_functiondef(%s::regproc)", [guard]
            ).fetchone() or ("",)
            head, gate, rest = definition.partition("END IF;")
            assert "is_post_entry(stack)" in head
            superuser.execute(f"{head}{gate} RAISE EXCEPTION 'looked at twice'; {rest}")
    lines = (debit("1001", 100), debit("1021.01", 5), credit("1002", 105))
    entry = NewEntry("city", "test", "1", NOW.date(), NOW, "测试", lines, "test")
    with engine.begin() as connection:
        assert post(connection, [entry])[0].is_new
        assert not post(connection, [entry])[0].is_new
    assert rows() == (1, 3)
    with connect(database.owner_url) as owner, pytest.raises(errors.RaiseException):
        owner.execute(UNBALANCED.replace("'test', '1'", "'test', '2'"))
