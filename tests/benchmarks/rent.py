"""`rent.monthly_run`: a month of a hundred thousand households, charged and posted, beside the bare rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from backend.db.engine import connect, make_engine
from backend.db.guards import APP, OWNER, READER
from backend.db.migrate import bootstrap, migrate
from backend.rent.charging import array_text
from backend.rent.service import run_month
from backend.rent.settings import RentSettings
from backend.settings import DatabaseSettings
from estate.embedded.postgres import EmbeddedPostgres
from tests.benchmarks.figures import Figure, figure

CHARGES = 100_000
LINES = 3
DATABASE = "bench"
MONTH = date(2026, 11, 1)
NOW = datetime(2026, 11, 3, tzinfo=UTC)
BATCH = RentSettings().batch_size

# Households with a unit and a tenancy each, a relief and a property fee: three lines a charge.
HOUSEHOLDS = """
INSERT INTO estate (estate_id, name_zh, name_en, district, faces_enabled, fpir, hmac_key_sealed, created_at)
    VALUES ('bench', '基准', 'bench', '蓬江区', false, 0.003, '-', now());
INSERT INTO building (estate_id, building_id, name_zh, floors, units_per_floor)
    VALUES ('bench', 'a', 'A栋', 99, 99);
CREATE TEMP TABLE one AS
    SELECT number, gen_random_uuid() AS unit_id, gen_random_uuid() AS household_id,
           gen_random_uuid() AS person_id, gen_random_uuid() AS tenancy_id
    FROM generate_series(1, {count}) AS number;
INSERT INTO unit SELECT unit_id, 'bench', 'a', 1, number::text FROM one;
INSERT INTO household SELECT household_id, 'bench', 'h' || number, now() FROM one;
INSERT INTO person SELECT person_id, 'bench', 'p' || number, '示例', '1960-01-01', now() FROM one;
INSERT INTO household_member SELECT household_id, person_id, 'tenant', '2020-01-01', NULL FROM one;
INSERT INTO tenancy SELECT tenancy_id, household_id, unit_id, 50000 + number % 1000, '2020-01-01', NULL, now()
    FROM one;
INSERT INTO rent_term (term_id, tenancy_id, kind, from_on, monthly_fen, share_permille, label_zh, created_at)
    SELECT gen_random_uuid(), tenancy_id, 'relief', DATE '2020-01-01', NULL::bigint, 300, '低收入减免', now()
    FROM one
    UNION ALL
    SELECT gen_random_uuid(), tenancy_id, 'property_fee', '2020-01-01', 8050, NULL, '物业费', now() FROM one;
"""
TABLES = ("rent_charge", "rent_charge_line", "journal_entry", "posting")
# The same columns, keys and indexes, without checks, triggers and references.
FLOOR = "CREATE SCHEMA floor;" + "".join(
    f"CREATE TABLE floor.{table} (LIKE public.{table} INCLUDING DEFAULTS INCLUDING INDEXES);"
    for table in TABLES
)


def measure(folder: Path, charges: int = CHARGES) -> Iterator[Figure]:
    """The run as it is, and then its rows again by bare batched inserts on the same server."""
    folder.chmod(0o711)
    with EmbeddedPostgres(folder / "postgres") as server:
        url = prepare(server, charges)
        engine = make_engine(DatabaseSettings(url=url))
        started_s = time.perf_counter()
        result = run_month(engine, None, MONTH, None, NOW)
        ours_s = time.perf_counter() - started_s
        engine.dispose()
        assert result.charged == charges
        bare_s = _bare(server.dsn(DATABASE))
        yield figure(
            "rent.monthly_run",
            charges / ours_s,
            "charges/s",
            charges / bare_s,
            f"{charges:,} charges with {LINES} lines each and their entries in {ours_s:.1f} s, "
            f"{RentSettings().connections} connections, {BATCH} a transaction; floor: the same rows by bare "
            f"batched inserts on one connection in {bare_s:.1f} s",
        )


def prepare(server: EmbeddedPostgres, households: int) -> str:
    """A migrated database with so many households; the application's address."""
    passwords = dict.fromkeys((OWNER, APP, READER), "bench")
    bootstrap(server.dsn(), DATABASE, passwords)
    migrate(server.dsn(DATABASE, OWNER, "bench"))
    with connect(server.dsn(DATABASE), autocommit=True) as connection:
        connection.execute(HOUSEHOLDS.format(count=households))
        connection.execute("ANALYZE")
    return server.dsn(DATABASE, APP, "bench")


def _bare(url: str) -> float:
    """Seconds for the run's rows, read before, by one array a column and as many charges a transaction."""
    with connect(url, autocommit=True) as connection:
        connection.execute(FLOOR)
        rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
        statements = {table: _insert(connection, table) for table in TABLES}
        batches = max(1, len(rows["rent_charge"]) // BATCH)
        started_s = time.perf_counter()
        for place in range(batches):
            with connection.transaction():
                for table in TABLES:
                    size = -(-len(rows[table]) // batches)
                    part = rows[table][place * size : (place + 1) * size]
                    if part:
                        connection.execute(statements[table], _columns(part))
        return time.perf_counter() - started_s


def _insert(connection: psycopg.Connection[tuple[Any, ...]], table: str) -> sql.Composed:
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [f"floor.{table}"],
    ).fetchall()
    arrays = sql.SQL(", ").join(sql.SQL(f"%s::{kind}[]") for _, kind in columns)  # type: ignore[arg-type]
    return sql.SQL("INSERT INTO floor.{} SELECT * FROM unnest({})").format(sql.Identifier(table), arrays)


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    return [array_text(column) for column in zip(*rows, strict=True)]
