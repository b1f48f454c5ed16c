"""`payments.page_p95`: the tenant's page for 20 readers, with a year of ten thousand households."""

from __future__ import annotations

import http.client
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine, select, text

from backend.db.engine import make_engine
from backend.identity.service import digest
from backend.identity.web import COOKIE
from backend.registry.tables import tenancy
from backend.rent.service import NewPayment, run_month, take_payments
from backend.settings import DatabaseSettings
from estate.embedded.postgres import EmbeddedPostgres
from estate.processes import free_port, start_child, stop_child, wait_until
from tests.benchmarks.figures import Figure, figure, percentile
from tests.benchmarks.rent import prepare

HOUSEHOLDS = 10_000
MONTHS = tuple(date(2025 + (11 + n) // 12, (11 + n) % 12 + 1, 1) for n in range(12))
USERS = 20
PAGES_EACH = 20
# What a reader does between two pages.
PAUSE_S = 1.0


def measure(folder: Path, households: int = HOUSEHOLDS) -> Iterator[Figure]:
    """First byte of `/my/rent`, and of `/health` for the floor, by the same readers in turn."""
    folder.chmod(0o711)
    with EmbeddedPostgres(folder / "postgres") as server:
        url = prepare(server, households)
        engine = make_engine(DatabaseSettings(url=url))
        tokens = _year(engine, households)
        engine.dispose()
        port = free_port()
        config = _config(folder, url, port)
        child = start_child([sys.executable, "-m", "estate", "backend", "--config", str(config), "serve"])
        try:
            wait_until(lambda: _answers(port), 60, "the web server")
            _read("/my/rent", port, tokens, 5)
            floor_ms = percentile(_read("/health", port, tokens, PAGES_EACH), 0.95)
            page_ms = percentile(_read("/my/rent", port, tokens, PAGES_EACH), 0.95)
        finally:
            stop_child(child)
        yield figure(
            "payments.page_p95",
            page_ms,
            "ms",
            floor_ms,
            f"first byte of the tenant's page, {USERS} readers with {PAUSE_S:g} s between two pages, "
            f"{households:,} households with 12 months, 2 of them open; floor: /health by the same readers",
        )


def _year(engine: Engine, households: int) -> list[str]:
    """Twelve months charged, ten of them paid; returns the sessions of twenty tenants."""
    for month in MONTHS:
        run_month(engine, None, month, None, datetime(month.year, month.month, 3, tzinfo=UTC))
    with engine.connect() as connection:
        rows = connection.execute(select(tenancy.c.household_id, tenancy.c.monthly_rent_fen)).all()
    now = datetime(2026, 11, 3, tzinfo=UTC)
    for start in range(0, len(rows), 250):
        given = [
            NewPayment(
                "bench",
                row.household_id,
                "stripe",
                f"pi_{row.household_id}",
                "wechat_pay",
                # Rent less 30 % relief, and the property fee, of ten months.
                10 * (row.monthly_rent_fen - (2 * row.monthly_rent_fen * 300 + 1000) // 2000 + 8_050),
                now,
            )
            for row in rows[start : start + 250]
        ]
        with engine.begin() as connection:
            take_payments(connection, given, actor="bench", now=now)
    return _sessions(engine, households)


def _sessions(engine: Engine, households: int) -> list[str]:
    now = datetime.now(UTC)
    tokens = [uuid4().hex for _ in range(USERS)]
    with engine.begin() as connection:
        people = connection.execute(
            text("SELECT person_id FROM person ORDER BY ref LIMIT :users"), {"users": min(USERS, households)}
        ).scalars()
        for number, (token, person_id) in enumerate(zip(tokens, people, strict=False)):
            values = {"p": uuid4(), "person": person_id, "login": f"t{number}", "now": now}
            connection.execute(
                text(
                    "INSERT INTO principal (principal_id, login, display_name, person_id, created_at)"
                    " VALUES (:p, :login, :login, :person, :now)"
                ),
                values,
            )
            connection.execute(
                text(
                    "INSERT INTO principal_role"
                    " (grant_id, principal_id, role, estate_id, valid_from, created_at)"
                    " VALUES (gen_random_uuid(), :p, 'tenant', 'bench', :now, :now)"
                ),
                values,
            )
            connection.execute(
                text(
                    "INSERT INTO login_session (token_sha256, principal_id, created_at, seen_at)"
                    " VALUES (:hash, :p, :now, :now)"
                ),
                {**values, "hash": digest(token)},
            )
    return tokens


def _config(folder: Path, url: str, port: int) -> Path:
    (folder / "key").write_text("bench-session-key\n")
    (folder / "master").write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    path = folder / "backend.toml"
    path.write_text(
        f'log_level = "error"\n[database]\nurl = "{url}"\n[secrets]\nsession_key_file = "{folder}/key"\n'
        f'master_key_file = "{folder}/master"\n[serve]\nport = {port}\n'
        f'public_url = "http://127.0.0.1:{port}"\n'
    )
    return path


def _answers(port: int) -> bool:
    try:
        return _first_byte_ms(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "/health", "") > 0
    except OSError:
        return False


def _read(path: str, port: int, tokens: Sequence[str], pages: int) -> list[float]:
    """First bytes in milliseconds of every reader, who are a process apart from this one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_readers, (path, port, list(tokens), pages))


def _readers(path: str, port: int, tokens: Sequence[str], pages: int) -> list[float]:
    with ThreadPoolExecutor(len(tokens)) as readers:
        found = readers.map(lambda at: _one_reader(path, port, tokens[at], pages, at), range(len(tokens)))
        return [ms for mine in found for ms in mine]


def _one_reader(path: str, port: int, token: str, pages: int, place: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    time.sleep(PAUSE_S * place / USERS)
    found = []
    for _ in range(pages):
        found.append(_first_byte_ms(connection, path, token))
        time.sleep(PAUSE_S)
    connection.close()
    return found


def _first_byte_ms(connection: http.client.HTTPConnection, path: str, token: str) -> float:
    started_s = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": f"{COOKIE}={token}"})
    answer = connection.getresponse()
    first_s = time.perf_counter()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: status {answer.status}")
    return (first_s - started_s) * 1000
