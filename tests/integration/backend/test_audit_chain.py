"""The audit chain: every committed row is in it, and whatever is done to one shows."""

from __future__ import annotations

import threading

import psycopg
import pytest
from sqlalchemy import Engine

from backend.db.engine import connect
from backend.identity.audit import audit
from backend.identity.audit_chain import ChainBrokenError, Verified, verify_chain
from tests.integration.backend.conftest import NOW
from tests.integration.conftest import Database

ODD = 'ein "Zitat", \\ ein Strich, \x01\x1f\t\n\r\x7f, 中文 \u2028 é 😀'


def write(engine: Engine, reason: str = "", times: int = 1) -> None:
    with engine.begin() as connection:
        for _ in range(times):
            audit(connection, "system:test", "try", "done", "thing", "1", None, reason, NOW)


def verified(engine: Engine, head: str | None = None) -> Verified:
    with engine.connect() as connection:
        return verify_chain(connection, head)


def attack(database: Database, statement: str) -> None:
    """What nobody but a superuser can do, and he can."""
    with connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE audit_record DISABLE TRIGGER ALL")
        connection.execute("ALTER TABLE audit_link DISABLE TRIGGER ALL")
        connection.execute(statement)


def test_every_committed_row_is_in_the_chain_whatever_it_says(engine: Engine) -> None:
    assert verified(engine) == Verified(0, "")
    write(engine, ODD, times=3)
    write(engine)
    assert verified(engine).links == 4


def test_rows_that_were_rolled_back_leave_no_gap(engine: Engine) -> None:
    write(engine)
    with engine.connect() as connection:
        audit(connection, "system:test", "try", "done", "thing", "1", None, "", NOW)
        connection.rollback()
    write(engine)
    assert verified(engine).links == 2


def test_writers_at_the_same_time_make_one_chain(engine: Engine) -> None:
    threads = [threading.Thread(target=write, args=(engine, f"w{number}", 5)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verified(engine).links == 40


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_record SET reason = overlay(reason placing 'X' from 3 for 1) WHERE audit_id = 3",
        "UPDATE audit_record SET at = at + interval '1 microsecond' WHERE audit_id = 3",
        "UPDATE audit_record SET estate_id = '' WHERE audit_id = 3",
        "UPDATE audit_link SET sha256 = set_byte(sha256, 0, get_byte(sha256, 0) # 1) WHERE position = 3",
        "DELETE FROM audit_record WHERE audit_id = 3",
        "DELETE FROM audit_link WHERE position = 3",
        "UPDATE audit_link SET audit_id = 7 - audit_id WHERE position IN (3, 4)",
    ],
)
def test_one_byte_changed_by_a_superuser_breaks_the_chain(
    engine: Engine, database: Database, statement: str
) -> None:
    write(engine, "abcdef", times=5)
    if "7 - audit_id" in statement:
        attack(database, "ALTER TABLE audit_link DROP CONSTRAINT audit_link_audit_id_key")
    attack(database, statement)
    with pytest.raises(ChainBrokenError) as broken:
        verified(engine)
    assert broken.value.position == 3


def test_a_row_that_was_slipped_in_is_found(engine: Engine, database: Database) -> None:
    write(engine, times=2)
    attack(
        database,
        "INSERT INTO audit_record (at, actor, action, outcome, object_kind, object_id, reason)"
        " VALUES (now(), 'x', 'x', 'done', 'x', 'x', '')",
    )
    with pytest.raises(ChainBrokenError):
        verified(engine)


def test_a_chain_that_was_cut_no_longer_holds_the_head_that_was_noted(
    engine: Engine, database: Database
) -> None:
    write(engine, times=3)
    head = verified(engine).head
    write(engine)
    assert verified(engine, head).links == 4
    for table, column in (("audit_link", "position"), ("audit_record", "audit_id")):
        attack(database, f"DELETE FROM {table} WHERE {column} >= 3")
    assert verified(engine).links == 2
    with pytest.raises(ChainBrokenError):
        verified(engine, head)


def test_the_application_cannot_write_the_chain_itself(database: Database) -> None:
    with (
        connect(database.app_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("INSERT INTO audit_link VALUES (1, 1, sha256(''))")
