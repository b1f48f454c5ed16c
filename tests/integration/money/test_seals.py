"""The sealed chain: numbers without a gap, hashes that anybody can compute, nothing that can be forged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors
from sqlalchemy import Engine, text

from backend.db.engine import connect
from backend.ledger import canonical
from backend.ledger.chain import check_chain, head, seal_status
from backend.ledger.rules import Dimensions, NewEntry, credit, debit
from backend.ledger.sealing import Sealer, seal_book
from backend.ledger.service import entries_of_day, post, reverse, trial_balance
from estate.processes import wait_until
from tests.integration.money.conftest import NOW
from tests.sealing import seal_all

if TYPE_CHECKING:
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Office

BOOK, OTHER, DAY = "pengjiang-1", "jianghai-1", date(2026, 11, 3)


def entry(key: str, fen: int = 100, book: str = BOOK, day: date = DAY, summary: str = "测试") -> NewEntry:
    about = Dimensions(BOOK, None, UUID(int=5), "wechat_pay")
    lines = (debit("1001", fen, about), credit("1002", fen, about))
    return NewEntry(book, "test", key, day, NOW, summary, lines, "test", principal_id=UUID(int=7))


def post_some(engine: Engine, *entries: NewEntry) -> None:
    with engine.begin() as connection:
        post(connection, list(entries))


def sealed(engine: Engine) -> int:
    with engine.begin() as connection:
        return seal_all(connection)


def numbers(engine: Engine, book: str = BOOK) -> list[tuple[int, str]]:
    """Number and key of each sealed entry, by number."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT seq, event_key FROM seal JOIN journal_entry USING (entry_id)"
                 " WHERE seal.book_id = :book ORDER BY seq"),
            {"book": book},
        )  # fmt: skip
        return [(row.seq, row.event_key) for row in rows]


def test_each_book_is_numbered_from_one(engine: Engine, office: Office) -> None:
    post_some(engine, entry("a"), entry("b", book=OTHER), entry("c"))
    assert sealed(engine) == 3
    post_some(engine, entry("d"))
    assert sealed(engine) == 1
    assert sealed(engine) == 0
    assert numbers(engine) == [(1, "a"), (2, "c"), (3, "d")]
    assert numbers(engine, OTHER) == [(1, "b")]


def test_the_chain_can_be_computed_without_the_database(engine: Engine, office: Office) -> None:
    odd = "缴款书 “JK”: 12,3\n\t\\N\U0001f3e0é-,"
    post_some(engine, entry("1", summary=odd), entry("2:,", 5), entry("3"))
    with engine.begin() as connection:
        first = entries_of_day(connection, [BOOK], DAY)[0]
        reverse(
            connection,
            first.entry_id,
            reason="错, 12:",
            effective_on=DAY,
            now=NOW,
            actor="test",
            principal_id=None,
        )
    sealed(engine)
    with engine.connect() as connection:
        views = entries_of_day(connection, [BOOK], DAY)
        texts = connection.execute(
            text("SELECT text FROM ledger_texts(ARRAY(SELECT entry_id FROM journal_entry)) ORDER BY entry_id")
        )
        assert [canonical.entry_text(view) for view in views] == list(texts.scalars())
        before: bytes | None = None
        for view in views:
            before = canonical.next_hash(before, canonical.digest(view))
        assert head(connection, BOOK).hash == before
        assert head(connection, BOOK).seq == 4
        assert check_chain(connection, BOOK) == []


def test_a_rolled_back_entry_leaves_no_gap(engine: Engine, office: Office) -> None:
    post_some(engine, entry("a"))
    with engine.connect() as connection:
        post(connection, [entry("never")])
        connection.rollback()
    post_some(engine, entry("b"))
    sealed(engine)
    assert numbers(engine) == [(1, "a"), (2, "b")]
    with engine.connect() as connection:
        assert check_chain(connection, BOOK) == []


def test_an_entry_that_commits_late_gets_a_later_number(engine: Engine, office: Office) -> None:
    with engine.connect() as slow:
        post(slow, [entry("slow")])
        for number in range(3):
            post_some(engine, entry(str(number)))
            assert sealed(engine) == 1
        slow.commit()
    assert sealed(engine) == 1
    assert numbers(engine) == [(1, "0"), (2, "1"), (3, "2"), (4, "slow")]
    assert sealed(engine) == 0


def test_what_is_not_sealed_yet_is_counted(engine: Engine, office: Office) -> None:
    post_some(engine, entry("a"))
    sealed(engine)
    post_some(engine, entry("b"), entry("c"))
    with engine.connect() as connection:
        status = {one.book_id: one for one in seal_status(connection)}
        assert (status[BOOK].sealed, status[BOOK].unsealed, status[BOOK].oldest_posted_at) == (1, 2, NOW)
        assert (status["city"].sealed, status["city"].unsealed) == (0, 0)
        assert check_chain(connection, BOOK) == [], "an entry that waits for its seal is no fault"


def test_entries_of_a_restored_dump_are_all_looked_at(
    engine: Engine, database: Database, office: Office
) -> None:
    post_some(engine, entry("a"))
    sealed(engine)
    post_some(engine, entry("b"))
    with connect(database.owner_url) as owner:  # another server's snapshot, from far ahead
        owner.execute("UPDATE seal_lane SET sealed_below = '900000000000'")
    assert sealed(engine) == 1
    assert numbers(engine) == [(1, "a"), (2, "b")]


def renumber(database: Database) -> None:
    """As if another server had posted the entries, one whose transactions have far higher numbers."""
    with connect(database.superuser_url) as superuser:
        superuser.execute("ALTER TABLE journal_entry DISABLE TRIGGER journal_entry_refuse_change")
        superuser.execute("UPDATE journal_entry SET posted_xid = (900000000000 + entry_id)::text::xid8")
        superuser.execute("ALTER TABLE journal_entry ENABLE ALWAYS TRIGGER journal_entry_refuse_change")


def test_more_entries_of_a_restored_dump_than_a_set_are_all_sealed(
    engine: Engine, database: Database, office: Office
) -> None:
    """Their transactions' numbers are far ahead of this server's, and more than one look has to find them."""
    for number in range(7):
        post_some(engine, entry(str(number)))
    renumber(database)
    with connect(database.superuser_url) as superuser:
        superuser.execute("UPDATE seal_lane SET sealed_below = '900000000000'")
    done = []
    for _ in range(4):
        with engine.begin() as connection:
            done.append(connection.scalar(text("SELECT seal_pending(3)")))
    assert done == [3, 3, 1, 0]
    post_some(engine, entry("new"))
    assert sealed(engine) == 1


def test_entries_of_a_dump_above_this_servers_numbers_count_and_are_sealed(
    engine: Engine, database: Database, office: Office
) -> None:
    """The dump's own mark lies below this server's numbers, the entries above them."""
    post_some(engine, entry("a"))
    renumber(database)
    with engine.begin() as connection:
        assert sum(line.debit_fen for line in trial_balance(connection, BOOK, DAY)) == 100
    assert sealed(engine) == 1


@contextmanager
def sealers(database: Database, count: int = 1, at_once: int = 2000) -> Iterator[None]:
    """Running sealers, stopped at the end."""
    running = [
        Sealer(lambda: connect(database.app_url, autocommit=True), look_every_s=0.01, at_once=at_once)
        for _ in range(count)
    ]
    for one in running:
        one.start()
    try:
        yield
    finally:
        for one in running:
            one.stop()


def test_two_sealers_and_four_writers_make_one_chain(
    engine: Engine, database: Database, office: Office
) -> None:
    def write(writer: int) -> None:
        for number in range(25):
            post_some(engine, entry(f"{writer}:{number}"), entry(f"{writer}:{number}", book=OTHER))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    with sealers(database, 2, at_once=7):
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        wait_until(lambda: len(numbers(engine)) == 100, 20, "not sealed")
        wait_until(lambda: len(numbers(engine, OTHER)) == 100, 20, "not sealed")
    assert [seq for seq, _ in numbers(engine)] == list(range(1, 101))
    with engine.connect() as connection:
        assert check_chain(connection, BOOK) == check_chain(connection, OTHER) == []


def looked_at(engine: Engine) -> int:
    """How many entries the next look at the book's lane goes through, sealed ones included."""
    with engine.begin() as connection:
        return int(
            connection.execute(
                text("""
                    SELECT count(*) FROM journal_entry JOIN seal_lane ON lane = seal_lane_of(book_id)
                    WHERE book_id = :book AND posted_xid >= sealed_below
                """),
                {"book": BOOK},
            ).scalar_one()
        )


def test_what_a_full_set_sealed_is_not_looked_through_again(engine: Engine, office: Office) -> None:
    for number in range(7):
        post_some(engine, entry(f"full-{number}"))
    seal = text("SELECT seal_pending(3)")
    left = []
    for _ in range(4):
        with engine.begin() as connection:
            left.append((connection.scalar(seal), looked_at(engine)))
        left[-1] = (left[-1][0], looked_at(engine))
    # Of a full set, the last transaction may have more entries.
    assert left == [(3, 5), (3, 2), (1, 0), (0, 0)]


def test_a_transaction_of_more_than_a_set_is_sealed_whole(engine: Engine, office: Office) -> None:
    post_some(engine, *[entry(f"many-{number}") for number in range(7)])
    with engine.begin() as connection:
        assert [connection.scalar(text("SELECT seal_pending(3)")) for _ in range(4)] == [3, 3, 1, 0]
    assert [key for _, key in numbers(engine)] == [f"many-{number}" for number in range(7)]
    assert looked_at(engine) == 0


def test_a_lane_that_is_being_sealed_is_left_to_its_sealer(
    engine: Engine, database: Database, office: Office
) -> None:
    post_some(engine, entry("a"), entry("b", book=OTHER))
    pending = text("SELECT seal_pending(5)")
    with engine.connect() as first, connect(database.app_url, autocommit=True) as second:
        # The lane of one book is taken; the other's is not.
        first.execute(text("SELECT pg_advisory_xact_lock(7205223, seal_lane_of(:book))"), {"book": BOOK})
        assert second.execute("SELECT seal_pending(5)").fetchone() == (1,)
        assert first.scalar(pending) == 1
        assert second.execute("SELECT seal_pending(5)").fetchone() == (0,)
        first.commit()
    assert (numbers(engine), numbers(engine, OTHER)) == ([(1, "a")], [(1, "b")])


def test_a_call_seals_in_one_lane_and_begins_with_the_one_it_is_told(engine: Engine, office: Office) -> None:
    lane = text("SELECT seal_lane_of(:book)")
    pending = text("SELECT seal_pending(5, :lane)")
    for first, second in ((BOOK, OTHER), (OTHER, BOOK)):
        post_some(engine, entry(f"{first}-1", book=first), entry(f"{first}-2", book=second))
        before = (len(numbers(engine, first)), len(numbers(engine, second)))
        with engine.begin() as connection:
            here = connection.scalar(lane, {"book": first})
            assert here != connection.scalar(lane, {"book": second})
            assert connection.scalar(pending, {"lane": here}) == 1
        assert (len(numbers(engine, first)), len(numbers(engine, second))) == (before[0] + 1, before[1])
        with engine.begin() as connection:
            # Nothing is left there: the other lane's turn.
            assert connection.scalar(pending, {"lane": here}) == 1
            assert connection.scalar(pending, {"lane": here}) == 0
        assert (len(numbers(engine, first)), len(numbers(engine, second))) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize("asked", ["0, 0", "-1, 0", "NULL, 0", "5, 2", "5, NULL"])
def test_a_set_of_none_is_refused_and_nothing_is_taken_for_sealed(
    engine: Engine, database: Database, office: Office, asked: str
) -> None:
    post_some(engine, entry("a"))
    with connect(database.app_url) as app, pytest.raises(errors.InvalidParameterValue):
        app.execute(f"SELECT seal_pending({asked})")
    assert sealed(engine) == 1


def test_a_book_that_is_held_alone_holds_up_no_other(
    engine: Engine, database: Database, office: Office
) -> None:
    post_some(engine, entry("a"), entry("b", book=OTHER))
    with engine.connect() as closer:
        assert seal_book(closer, BOOK) == 1
        with sealers(database):
            post_some(engine, entry("c", book=OTHER), entry("d", book="city"))
            for book, count in ((OTHER, 2), ("city", 1)):
                wait_until(lambda: len(numbers(engine, book)) == count, 20, "not sealed")  # noqa: B023 (now)
            assert numbers(engine) == []
            closer.commit()
            post_some(engine, entry("e"))
            wait_until(lambda: len(numbers(engine)) == 2, 20, "not sealed")
    assert numbers(engine) == [(1, "a"), (2, "e")]


def test_a_book_is_sealed_with_the_callers_own_entries_whoever_else_writes(
    engine: Engine, office: Office
) -> None:
    with engine.begin() as earlier:
        earlier.execute(text("SELECT pg_current_xact_id()"))
        with engine.begin() as closer:
            post(closer, [entry("own")])
            assert sum(line.debit_fen for line in trial_balance(closer, BOOK, DAY)) == 100
            assert seal_book(closer, BOOK) == 1
    assert numbers(engine) == [(1, "own")]


def test_a_held_book_with_more_than_a_set_holds_up_no_other(engine: Engine, office: Office) -> None:
    lane_of_other = "SELECT seal_lane_of(:one) = seal_lane_of(:other)"
    with engine.connect() as connection:
        assert connection.scalar(text(lane_of_other), {"one": OTHER, "other": "city"})
    for number in range(5):
        post_some(engine, entry(f"held-{number}", book="city"))
    post_some(engine, entry("behind", book=OTHER))
    pending = text("SELECT seal_pending(3)")
    with engine.connect() as closer:
        closer.execute(text("SELECT pg_advisory_xact_lock(7205224, hashtext('city'))"))
        with engine.begin() as sealer:
            assert sealer.scalar(pending) == 1
        closer.rollback()
    assert numbers(engine, OTHER) == [(1, "behind")]
    assert sealed(engine) == 5


def test_what_a_held_book_left_open_is_sealed_afterwards(engine: Engine, office: Office) -> None:
    post_some(engine, entry("a"), entry("b", book="city"), entry("c", book=OTHER))
    with engine.connect() as closer:
        closer.execute(text("SELECT pg_advisory_xact_lock(7205224, hashtext(:book))"), {"book": BOOK})
        assert sealed(engine) == 2
        closer.rollback()
    assert sealed(engine) == 1
    assert numbers(engine) == [(1, "a")]


def test_a_sealer_waits_for_a_database_that_is_away(
    engine: Engine, database: Database, office: Office
) -> None:
    with sealers(database):
        post_some(engine, entry("a"))
        wait_until(lambda: len(numbers(engine)) == 1, 20, "not sealed")
        with connect(database.superuser_url, autocommit=True) as superuser:
            ended = superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query ~ '^SELECT (seal_pending|last_value)' AND datname = current_database()"
            ).fetchall()
            assert ended
        post_some(engine, entry("b"))
        wait_until(lambda: len(numbers(engine)) == 2, 20, "not sealed after the connection was lost")


AMOUNTS = st.lists(
    st.tuples(
        st.integers(1, 10**12), st.integers(0, 40), st.booleans(), st.sampled_from(["1001", "1021.01"])
    ),
    max_size=12,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=AMOUNTS, ahead=st.integers(0, 45))
def test_a_balance_is_the_sum_of_all_postings_whatever_is_sealed(
    engine: Engine, office: Office, moves: list[tuple[int, int, bool, str]], ahead: int
) -> None:
    with engine.begin() as connection:
        begun = connection.scalar(text("SELECT count(*) FROM journal_entry"))
    for number, (fen, days, seal_now, code) in enumerate(moves):
        lines = (debit(code, fen), credit("1002", fen))
        day = DAY + timedelta(days=days)
        new = NewEntry(BOOK, "test", f"{begun}:{number}", day, NOW, "测试", lines, "test")
        post_some(engine, new)
        if seal_now:
            sealed(engine)
    on = DAY + timedelta(days=ahead)
    with engine.connect() as connection:
        truth = connection.execute(
            text("SELECT account_code, sum(debit_fen), sum(credit_fen) FROM posting"
                 " JOIN journal_entry USING (entry_id) WHERE effective_on <= :on AND book_id = :book"
                 " GROUP BY 1 ORDER BY 1"),
            {"on": on, "book": BOOK},
        )  # fmt: skip
        found = trial_balance(connection, BOOK, on)
        assert [(b.account_code, b.debit_fen, b.credit_fen) for b in found] == [tuple(row) for row in truth]
        assert check_chain(connection, BOOK) == []


# What follows is raw SQL, as the application's role and as the owner.


@pytest.fixture(params=["app", "owner"])
def raw(request: pytest.FixtureRequest, database: Database) -> Callable[[str], None]:
    url = getattr(database, f"{request.param}_url")

    def run(sql: str) -> None:
        with connect(url) as connection:
            connection.execute(sql)

    return run


DIGEST = "sha256(convert_to((ledger_texts(ARRAY[entry_id])).text, 'UTF8'))"
FORGED = "INSERT INTO seal SELECT {columns} FROM journal_entry AS e WHERE event_key = 'b'"
TRUE = f"book_id, 2, entry_id, {DIGEST}, sha256((SELECT hash FROM seal) || {DIGEST}), now()"


@pytest.mark.parametrize(
    "columns",
    [
        TRUE.replace("2", "3", 1),  # a gap
        TRUE.replace("book_id", "'jianghai-1'", 1),  # another book
        TRUE.replace(DIGEST, "sha256('')", 1),  # not the entry's text
        TRUE.replace("(SELECT hash FROM seal)", "sha256('')"),  # not the chain
    ],
)
def test_a_forged_seal_is_refused(
    raw: Callable[[str], None], engine: Engine, office: Office, columns: str
) -> None:
    post_some(engine, entry("a"))
    sealed(engine)
    post_some(engine, entry("b"))
    with pytest.raises((errors.CheckViolation, errors.InsufficientPrivilege)):
        raw(FORGED.format(columns=columns))
    assert len(numbers(engine)) == 1


def test_the_owner_may_add_only_the_true_seal(engine: Engine, database: Database, office: Office) -> None:
    post_some(engine, entry("a"))
    sealed(engine)
    post_some(engine, entry("b"))
    with connect(database.owner_url) as owner:
        owner.execute(FORGED.format(columns=TRUE))
    assert len(numbers(engine)) == 2


def test_the_owner_cannot_pass_for_the_sealer(engine: Engine, database: Database, office: Office) -> None:
    post_some(engine, entry("a"))
    sealed(engine)
    post_some(engine, entry("b"))
    forged = FORGED.format(columns=TRUE.replace(DIGEST, "sha256('')", 1))
    frames = (
        "\nPL/pgSQL function public.seal_entries(bigint[]) line 5 at SQL statement"
        '\nSQL statement "SELECT public.seal_entries(ids)"'
        "\nPL/pgSQL function public.seal_pending(integer,integer) line 39 at PERFORM"
    )
    quoted = f"{forged} /* {frames}".replace("'", "''")
    with connect(database.owner_url) as owner, pytest.raises(errors.CheckViolation):
        owner.execute(f"DO $do$ BEGIN EXECUTE '{quoted} */'; END $do$")
    with connect(database.owner_url) as owner:
        owner.execute("CREATE SCHEMA elsewhere")
        owner.execute(
            "CREATE FUNCTION elsewhere.yes(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
            "CREATE OPERATOR elsewhere.~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = elsewhere.yes)"
        )
        owner.execute("SET search_path = elsewhere, pg_catalog, public")
        with pytest.raises(errors.CheckViolation):
            owner.execute(forged)
    blank = "\n" * 20
    with connect(database.owner_url) as owner:
        owner.execute(
            "CREATE FUNCTION forge() RETURNS void LANGUAGE plpgsql SET search_path = public"
            f" AS $do$ BEGIN {forged}; END $do$;"
            "CREATE FUNCTION sealxpending(integer, integer) RETURNS void LANGUAGE plpgsql"
            f" AS $do${blank}BEGIN PERFORM public.forge(); END $do$;"
            "CREATE FUNCTION sealxbook(character varying) RETURNS void LANGUAGE plpgsql"
            f" AS $do${blank}BEGIN PERFORM public.forge(); END $do$"
        )
        owner.execute("SET search_path = pg_catalog")
        owner.execute("CREATE SCHEMA evil; CREATE DOMAIN evil.text AS pg_catalog.text")
        owner.execute("SET search_path = evil, pg_catalog")
        owner.execute(
            "CREATE FUNCTION public.seal_book(evil.text) RETURNS void LANGUAGE plpgsql"
            f" AS $do${blank}BEGIN PERFORM public.forge(); END $do$"
        )
        for called in ("sealxpending(1, 1)", "sealxbook('')", "seal_book(''::evil.text)"):
            with pytest.raises(errors.CheckViolation), owner.transaction():
                owner.execute(f"SELECT public.{called}")
    assert len(numbers(engine)) == 1


def test_the_sealers_own_work_is_not_done_twice(engine: Engine, database: Database, office: Office) -> None:
    post_some(engine, entry("a"))
    with connect(database.superuser_url) as superuser:
        (definition,) = superuser.execute(
            "SELECT pg_get_functiondef('seal_continues_the_chain'::regproc)"
        ).fetchone() or ("",)
        head_of_it, gate, rest = definition.partition("END IF;")
        superuser.execute(f"{head_of_it}{gate} RAISE EXCEPTION 'looked at twice'; {rest}")
    assert sealed(engine) == 1
    post_some(engine, entry("b"))
    with engine.begin() as connection:
        assert seal_book(connection, BOOK) == 1
    with connect(database.owner_url) as owner, pytest.raises(errors.RaiseException):
        owner.execute("INSERT INTO seal VALUES ('city', 9, 9, '', '', now())")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE seal SET sealed_at = now()",
        "DELETE FROM seal",
        "TRUNCATE seal",
        "SET session_replication_role = replica; DELETE FROM seal",
    ],
)
def test_a_seal_stays(raw: Callable[[str], None], engine: Engine, office: Office, sql: str) -> None:
    post_some(engine, entry("a"))
    sealed(engine)
    with pytest.raises((errors.RestrictViolation, errors.InsufficientPrivilege)):
        raw(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE balance_day SET debit_fen = 0",
        "UPDATE seal_lane SET sealed_below = '1'",
        "INSERT INTO seal VALUES ('city', 1, 1, '', '', now())",
    ],
)
def test_the_application_writes_neither_seals_nor_sums(database: Database, sql: str) -> None:
    with connect(database.app_url) as app, pytest.raises(errors.InsufficientPrivilege):
        app.execute(sql)


def test_an_entry_cannot_hide_behind_another_transaction(raw: Callable[[str], None], office: Office) -> None:
    sql = """
        WITH e AS (
            INSERT INTO journal_entry (book_id, event_kind, event_key, effective_on, posted_at, line_count,
                                       total_fen, summary_zh, actor, posted_xid)
            VALUES ('city', 'test', '1', '2026-11-01', now(), 2, 5, '测试', 'test', '3') RETURNING entry_id
        ) INSERT INTO posting (entry_id, line_no, account_code, debit_fen, credit_fen)
        SELECT e.entry_id, v.* FROM e, (VALUES (1, '1001', 5, 0), (2, '1002', 0, 5)) AS v"""
    with pytest.raises(psycopg.Error) as caught:
        raw(sql)
    assert caught.value.diag.constraint_name == "journal_entry_is_of_this_world"


OFF = "ALTER TABLE {} DISABLE TRIGGER ALL"


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        (f"{OFF.format('posting')}; UPDATE posting SET channel = 'card' WHERE line_no = 1", "entry"),
        (f"{OFF.format('journal_entry')}; DELETE FROM journal_entry WHERE event_key = 'b'", "entry"),
        (f"{OFF.format('seal')}; DELETE FROM seal WHERE seq = 2", "gap"),
        (f"{OFF.format('seal')}; UPDATE seal SET hash = sha256('') WHERE seq = 2", "chain"),
        ("UPDATE balance_day SET debit_fen = debit_fen + 1", "sums"),
    ],
)
def test_what_an_owner_without_triggers_changes_is_found_by_the_chain(
    engine: Engine, database: Database, office: Office, sql: str, what: str
) -> None:
    post_some(engine, entry("a"), entry("b"), entry("c"))
    sealed(engine)
    with connect(database.superuser_url) as superuser:
        superuser.execute(sql)
    with engine.connect() as connection:
        assert what in {fault.what for fault in check_chain(connection, BOOK)}
