"""`registry.feed_10k`, `.feed_changes`, `.feed_nudge_p95`, `.withdrawal_denied_p95`: to a gateway."""

from __future__ import annotations

import base64
import multiprocessing
import os
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from backend.app import create_app
from backend.db.engine import connect, make_engine
from backend.db.guards import APP, OWNER, READER
from backend.db.migrate import bootstrap, migrate
from backend.identity.accounts import add_principal, grant_role, principal_by_login
from backend.identity.gateways import add_gateway
from backend.identity.principal import Principal
from backend.registry.consents import NewConsent, give_consent, publish_notice, withdraw_consent
from backend.registry.estates import load_estates
from backend.registry.estates_file import check_estates
from backend.registry.facts import OPEN_DOORS
from backend.registry.keys import MasterKey
from backend.registry.rights import set_card_blocked
from backend.registry.roster import publish_persons
from backend.settings import BackendSettings, DatabaseSettings, SecretSettings
from estate.embedded.postgres import EmbeddedPostgres
from gateway.backend_client import BackendClient
from gateway.roster import EstateRoster, Item
from gateway.roster_store import RosterStore
from gateway.uplink import Link, RosterFeed
from tests.benchmarks.figures import Figure, figure, percentile
from tests.integration.conftest import NOTICE
from tests.wsgi import served

PEOPLE = int(os.environ.get("ESTATE_BENCH_PEOPLE", "10000"))
CHANGES = int(os.environ.get("ESTATE_BENCH_CHANGES", "1000"))
WITHDRAWALS = int(os.environ.get("ESTATE_BENCH_WITHDRAWALS", "200"))
PACE_S = 0.01  # a hundred changes a second
DATABASE, ESTATE = "bench", "e1"
ESTATES = f"""
[[estate]]
id = "{ESTATE}"
name_zh = "基准"
name_en = "bench"
district = "蓬江区"
[[estate.door]]
id = "gate"
name_zh = "大门"
name_en = "Gate"
group = "gate"
credentials = ["card"]
"""
SEED = text("""
WITH people AS (
    INSERT INTO person (person_id, estate_id, ref, name, born_on, created_at)
    SELECT gen_random_uuid(), :estate, 'p' || n, '某', '1980-01-01', now()
    FROM generate_series(1, :people) AS n
    RETURNING person_id
), rights AS (
    INSERT INTO door_right (right_id, person_id, estate_id, group_id, starts_at, created_at)
    SELECT gen_random_uuid(), person_id, :estate, 'gate', now(), now() FROM people
)
INSERT INTO card (card_id, estate_id, person_id, hmac, blocked, issued_at)
SELECT gen_random_uuid(), :estate, person_id, encode(sha256(person_id::text::bytea), 'hex'), false, now()
FROM people
""")


class _Gateway:
    """A gateway's copy of the roster, and when each version reached it."""

    def __init__(self, url: str, credential: str, folder: Path) -> None:
        self.roster = EstateRoster(ESTATE)
        self.reached_s: dict[int, float] = {}
        self.denied_s: dict[str, float] = {}  # when a face was known to open nothing any more
        self._store, self._client = RosterStore(folder / "roster.db"), BackendClient(url, credential, None)
        self.feed = RosterFeed(ESTATE, self._client, self._store, self._apply, lambda _: None, Link())

    def close(self) -> None:
        self._client.close()
        self._store.close()

    def _apply(self, items: list[Item], version: int, _: bool) -> None:
        self.roster.apply(items, version)
        now_s = time.perf_counter()
        self.reached_s.update((item.version, now_s) for item in items)
        for item in items:
            person = self.roster.people.get(item.id)
            if person is not None and not person.face_consent:
                self.denied_s.setdefault(item.id, now_s)


def measure(folder: Path) -> Iterator[Figure]:
    """A gateway's first copy, then changes as fast as one clerk's connection makes them, then at a pace."""
    folder.chmod(0o711)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with (
        EmbeddedPostgres(folder / "postgres") as server,
        _served(server, folder) as (app_url, url, actor, key),
    ):
        gateway = _Gateway(url, key, folder)
        with closing(gateway):
            began_s = time.perf_counter()
            while len(gateway.roster.people) < PEOPLE:
                gateway.feed.step(0)
            yield figure(
                "registry.feed_10k",
                time.perf_counter() - began_s,
                "s",
                _bare_read_s(server),
                f"{PEOPLE} people with a right and a card into an empty gateway over HTTP, and on disk; "
                "floor: the same rows read by bare SQL",
            )
            rate, _ = _changes(app_url, actor, gateway, 0.0)
            yield figure(
                "registry.feed_changes",
                rate,
                "changes/s",
                _bare_changes(server),
                f"{CHANGES} cards blocked, a transaction each with its audit row, one clerk in a "
                "process of its own, each seen by the gateway; floor: a bare UPDATE of a row, a commit each",
            )
            _, latencies_ms = _changes(app_url, actor, gateway, PACE_S)
            yield figure(
                "registry.feed_nudge_p95",
                percentile(latencies_ms, 0.95),
                "ms",
                None,
                f"commit to gateway by long poll, {len(latencies_ms)} changes at 100/s",
            )
            denied_ms = _withdrawals(app_url, actor, gateway)
            yield figure(
                "registry.withdrawal_denied_p95",
                percentile(denied_ms, 0.95),
                "ms",
                None,
                f"a consent's withdrawal committed until the gateway denies that face, {len(denied_ms)} "
                "people one after the other",
            )


@contextmanager
def _served(server: EmbeddedPostgres, folder: Path) -> Iterator[tuple[str, str, Principal, str]]:
    passwords = dict.fromkeys((OWNER, APP, READER), "bench")
    bootstrap(server.dsn(), DATABASE, passwords)
    migrate(server.dsn(DATABASE, OWNER, "bench"))
    (folder / "session").write_text("s" * 43)
    (folder / "master").write_text(base64.b64encode(bytes(32)).decode())
    database = DatabaseSettings(url=server.dsn(DATABASE, APP, "bench"))
    secrets = SecretSettings(session_key_file=str(folder / "session"), master_key_file=str(folder / "master"))
    engine, now = make_engine(database), datetime.now(UTC)
    with engine.begin() as connection:
        file = check_estates(tomllib.loads(ESTATES), "bench")
        load_estates(connection, file, MasterKey(bytes(32)), actor="bench", now=now)
        principal_id = add_principal(connection, "bench", "bench", None, actor="bench", now=now)
        grant_role(connection, principal_id, "admin", None, actor="bench", now=now)
        credential = add_gateway(connection, "gw", [ESTATE], actor="bench", now=now)
        publish_notice(connection, OPEN_DOORS, NOTICE, actor="bench", now=now)
        connection.execute(SEED, {"estate": ESTATE, "people": PEOPLE})
        people: list[UUID] = list(connection.scalars(text("SELECT person_id FROM person")))
        publish_persons(connection, people, now)
        actor = principal_by_login(connection, "bench", now)
    engine.dispose()
    app = create_app(BackendSettings(database=database, secrets=secrets))
    with closing(app.extensions["estate"]), served(app) as port:
        yield database.url, f"http://127.0.0.1:{port}", actor, credential


def _changes(url: str, actor: Principal, gateway: _Gateway, pace_s: float) -> tuple[float, list[float]]:
    """Changes a second until the last one is at the gateway, and how long each took after its commit."""
    context = multiprocessing.get_context("spawn")
    told = context.SimpleQueue()
    clerk = context.Process(target=_clerk, args=(url, actor, pace_s, told))
    clerk.start()
    version = told.get()  # after its imports and its first connection
    last, began_s = version + CHANGES, time.perf_counter()
    while gateway.roster.version < last:
        gateway.feed.step(5)
    passed_s = time.perf_counter() - began_s
    committed_s: list[float] = told.get()
    clerk.join()
    latencies = [
        (gateway.reached_s[one] - at_s) * 1000
        for one, at_s in enumerate(committed_s, version + 1)
        if one in gateway.reached_s
    ]
    return CHANGES / passed_s, latencies


def _clerk(url: str, actor: Principal, pace_s: float, told: SimpleQueue[Any]) -> None:
    """A process of its own, as in life: tells the version it begins at, and when each commit was done."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    engine = make_engine(DatabaseSettings(url=url))
    with engine.connect() as connection:
        cards = connection.execute(text("SELECT card_id, blocked FROM card ORDER BY card_id LIMIT 100")).all()
        told.put(int(connection.scalar(text("SELECT version FROM roster_version")) or 0))
    states, committed_s, began_s = [row.blocked for row in cards], list[float](), time.perf_counter()
    for number in range(CHANGES):
        if pace_s:
            time.sleep(max(0.0, began_s + number * pace_s - time.perf_counter()))
        place = number % len(cards)
        states[place] = not states[place]
        with engine.begin() as connection:
            set_card_blocked(
                connection, cards[place].card_id, states[place], actor=actor, reason="", now=datetime.now(UTC)
            )
        # One clock for all processes of a machine.
        committed_s.append(time.perf_counter())
    told.put(committed_s)
    engine.dispose()


def _withdrawals(url: str, actor: Principal, gateway: _Gateway) -> list[float]:
    """How long after each commit the gateway's copy says that the face opens nothing, in ms."""
    engine = make_engine(DatabaseSettings(url=url))
    with engine.begin() as connection:
        people: list[UUID] = list(
            connection.scalars(text("SELECT person_id FROM person LIMIT :n"), {"n": WITHDRAWALS})
        )
        for person_id in people:
            given = NewConsent(person_id, OPEN_DOORS, "counter", None)
            give_consent(connection, given, actor=actor, now=datetime.now(UTC))
        version = int(connection.scalar(text("SELECT version FROM roster_version")) or 0)
    while gateway.roster.version < version:
        gateway.feed.step(5)
    gateway.denied_s.clear()
    committed_s: dict[str, float] = {}

    def write() -> None:
        for person_id in people:
            with engine.begin() as connection:
                withdraw_consent(connection, person_id, OPEN_DOORS, actor=actor, now=datetime.now(UTC))
            committed_s[str(person_id)] = time.perf_counter()
            time.sleep(PACE_S)

    writer = threading.Thread(target=write)
    writer.start()
    while len(gateway.denied_s) < len(people):
        gateway.feed.step(5)
    writer.join()
    engine.dispose()
    return [(gateway.denied_s[one] - at_s) * 1000 for one, at_s in committed_s.items()]


def _bare_read_s(server: EmbeddedPostgres) -> float:
    with connect(server.dsn(DATABASE), autocommit=True) as connection:
        began_s = time.perf_counter()
        connection.execute("SELECT kind, item_id, version, doc::text FROM roster_item").fetchall()
        return time.perf_counter() - began_s


def _bare_changes(server: EmbeddedPostgres) -> float:
    with connect(server.dsn(DATABASE), autocommit=True) as connection:
        connection.execute("CREATE TABLE bare AS SELECT * FROM card LIMIT 100")
        cards = [row[0] for row in connection.execute("SELECT card_id FROM bare").fetchall()]
        began_s = time.perf_counter()
        for number in range(CHANGES):
            card_id = cards[number % len(cards)]
            connection.execute("UPDATE bare SET blocked = NOT blocked WHERE card_id = %s", [card_id])
        return CHANGES / (time.perf_counter() - began_s)
