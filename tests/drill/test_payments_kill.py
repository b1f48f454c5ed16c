"""Kill -9 of web and worker while households pay: to the fen, what the channel took is what has a receipt."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import IO

import psycopg
import pytest
import requests

from backend.db.engine import connect, make_single_engine
from backend.ledger.books import open_books
from estate.processes import free_port, port_answers, start_child, stop_child, wait_until
from simulators.stripe.core import StripeCore
from simulators.stripe.http import StripeServer, listen
from simulators.stripe.settings import AccountSettings
from tests.benchmarks.payments_town import RENT_FEN, TOWN
from tests.drill.conftest import Drill
from tests.integration.conftest import Database, database, migrated_template

__all__ = ["database", "migrated_template"]

KEY, SECRET = "sk_test_drill", "whsec_drill"
# payments and kills, by form
FORMS = {"short": (40, 4), "long": (2_000, 60)}
PAYERS = 4
TRY_AGAIN_FOR_S, SETTLED_WITHIN_S = 120, 600
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
LINKS = """
INSERT INTO pay_link (link_id, token_hash, estate_id, household_id, principal_id, created_at, expires_at)
    SELECT md5('link' || n)::uuid, sha256(('word' || n)::bytea), 'bench', md5('household' || n)::uuid,
           md5('principal')::uuid, now(), now() + interval '1 day'
    FROM generate_series(0, {many} - 1) AS n
"""


@dataclass
class City:
    """Web and worker as processes, either of which may be gone at any moment."""

    config: Path
    port: int
    log: IO[bytes]
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, what: str) -> None:
        """Start the web or the worker."""
        run = (sys.executable, "-m", "estate", "backend", "--config", self.config, what)
        self.children[what] = start_child(run, log=self.log)

    def kill(self, what: str) -> None:
        """Kill -9, and start it again."""
        self.children[what].kill()
        self.children[what].wait()
        wait_until(lambda: what != "serve" or not port_answers(self.port), 20, "the port is still answered")
        self.start(what)


@contextmanager
def city(folder: Path, database: Database, channel_url: str, port: int) -> Iterator[City]:
    for name, word in {"key": KEY, "webhook": SECRET, "session": "s" * 40, "master": "A" * 43 + "="}.items():
        (folder / name).write_text(word)
    config = folder / "backend.toml"
    config.write_text(
        f'log_level = "error"\n[database]\nurl = "{database.app_url}"\n'
        f'[secrets]\nsession_key_file = "{folder}/session"\nmaster_key_file = "{folder}/master"\n'
        f'[serve]\nport = {port}\npublic_url = "http://127.0.0.1:{port}"\nworkers = 1\nthreads = 8\n'
        f'[payments]\nstripe_api_base = "{channel_url}"\nstripe_api_key_file = "{folder}/key"\n'
        f'stripe_webhook_secret_file = "{folder}/webhook"\ncheckout_origins = ["{channel_url}"]\n'
        "[worker]\npoll_seconds = 1\n"
    )
    with (folder / "log").open("wb") as log:
        town = City(config, port, log)
        try:
            for what in ("serve", "work"):
                town.start(what)
            wait_until(lambda: port_answers(port), 60, "the web did not start")
            yield town
        finally:
            for child in town.children.values():
                stop_child(child)


def persist(step: str, ask: object) -> requests.Response:
    """Do as somebody does whose page does not open: try again until it does."""
    until = time.monotonic() + TRY_AGAIN_FOR_S
    while True:
        try:
            answer: requests.Response = ask()  # type: ignore[operator]
            if answer.status_code < 500:
                return answer
        except requests.RequestException:
            answer = requests.Response()
        assert time.monotonic() < until, f"{step}: {answer.status_code}"
        time.sleep(0.2)


def pay(url: str, channel_url: str, number: int) -> None:
    """Somebody pays for a household by its link, pressing every button as often as it takes."""
    browser, page = requests.Session(), f"{url}/pay/word{number}"

    def post(path: str) -> requests.Response:
        shown = persist("page", lambda: browser.get(page, timeout=20))
        token = TOKEN.search(shown.text)
        assert token is not None, shown.text[:500]
        data = {"csrf_token": token[1], "method": "wechat_pay"}
        return browser.post(page + path, data, timeout=20, allow_redirects=False)

    persist("known", lambda: post("/known"))
    # A double click: the same form twice, whatever became of the first.
    persist("first press", lambda: post("/payments"))
    began = persist("second press", lambda: post("/payments"))
    where = began.headers.get("Location", "")
    while not where.startswith(channel_url):
        # The channel was asked and its answer lost: our own page says so, and the form is sent again.
        began = persist("again", lambda: post("/payments"))
        where = began.headers.get("Location", "")
    form = {"kind": "wechat_pay", "action": "pay"}
    paid = persist("channel", lambda: requests.post(where, form, timeout=20, allow_redirects=False))
    assert paid.status_code in (303, 400), paid.text


@pytest.mark.timeout(3_600)
def test_what_the_channel_took_is_what_has_a_receipt(
    drill: Drill, request: pytest.FixtureRequest, database: Database, tmp_path: Path
) -> None:
    many, kills = FORMS[request.config.getoption("--drill")]
    with connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute(TOWN.format(many=many, rent=RENT_FEN).split("INSERT INTO checkout")[0])  # type: ignore[call-overload]
        superuser.execute(LINKS.format(many=many))  # type: ignore[call-overload]
    engine = make_single_engine(database.app_url)
    with engine.begin() as connection:
        open_books(connection, datetime.now(UTC))
    port, listener = free_port(), listen("127.0.0.1", 0)
    channel_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    core = StripeCore(
        lambda: datetime.now(UTC),
        Random(drill.seed),
        AccountSettings(public_url=channel_url, payouts="manual"),
        api_key=KEY,
        retry_after_s=(1.0,) * 200,
    )
    core.add_endpoint(f"http://127.0.0.1:{port}/webhooks/stripe", SECRET, ("checkout.session.completed",))
    with StripeServer(core, listener), city(tmp_path, database, channel_url, port) as town:
        with ThreadPoolExecutor(PAYERS) as pool:
            payers = [pool.submit(pay, town.url, channel_url, number) for number in range(many)]
            kill_all_along(town, payers, kills, drill.choice)
            for payer in payers:
                payer.result()
        wait_until(lambda: all_settled(database, many), SETTLED_WITHIN_S, "not everything was settled")
        captured = core.act(lambda world: list(world.store.oldest_first("payment_intent")))
    taken = [intent["amount_received"] for intent in captured if intent["status"] == "succeeded"]
    count, total_fen, households, booked_fen = receipts(database)
    assert (count, households) == (len(taken), many), "a household was charged twice"
    assert total_fen == sum(taken) == many * RENT_FEN == booked_fen


def kill_all_along(town: City, payers: list[object], kills: int, choice: random.Random) -> None:
    """Kill one of the two each time that some more have paid, until all have."""
    done_at_kill = sorted(choice.randrange(len(payers)) for _ in range(kills))
    for threshold in done_at_kill:
        wait_until(
            lambda threshold=threshold: sum(one.done() for one in payers) >= threshold,  # type: ignore[attr-defined,misc]
            TRY_AGAIN_FOR_S * 2,
            "nobody pays any more",
        )
        town.kill(choice.choice(("serve", "work")))


def all_settled(database: Database, many: int) -> bool:
    """Whether every payment has its receipt; lets the minutes pass that a dead worker's leases last."""
    if receipts(database)[0] == many:
        return True
    with connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute("UPDATE provider_notice SET next_try_at = now() WHERE state = 'waiting'")
        superuser.execute("UPDATE checkout SET next_check_at = now() WHERE state <> 'paid'")
    time.sleep(2)
    return False


def receipts(database: Database) -> tuple[int, int, int, int]:
    """How many receipts, their sum, of how many households; and what the books say is with the channel."""
    with psycopg.connect(database.superuser_url) as connection:
        row = connection.execute(
            "SELECT count(*), coalesce(sum(amount_fen), 0)::bigint, count(DISTINCT household_id),"
            " (SELECT coalesce(sum(debit_fen - credit_fen), 0)::bigint FROM posting"
            "  WHERE account_code = '1021.01') FROM payment"
        ).fetchone()
    assert row is not None
    return row
