"""`estate backend work`: the worker as a process."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import click
import structlog
from sqlalchemy import Engine

from backend.cli import Tool, pass_tool
from backend.closing.requests import NOTIFY_CHANNEL as CLOSES
from backend.closing.requests import close_requested
from backend.db.engine import connect, make_engine
from backend.jobs.worker import Job, Worker
from backend.ledger.sealing import Sealer
from backend.messaging.http_messenger import make_messenger
from backend.messaging.service import NOTIFY_CHANNEL as MESSAGES
from backend.messaging.service import work_messages
from backend.payments.autopay import run_autopay
from backend.payments.deposits import remind
from backend.payments.missed import MissedNotices
from backend.payments.money_sweeper import sweep_money_back
from backend.payments.notices import CHANNEL
from backend.payments.port import Provider
from backend.payments.providers import make_providers
from backend.payments.service import settle_pending, sweep
from backend.payments.settings import PaymentRules
from backend.reconciliation.dayend import check_when_due
from backend.registry.consents import publish_due
from backend.registry.keys import MasterKey
from backend.registry.visitors import clear_past_passes
from backend.rent.dunning import dun
from backend.rent.fiscal import keep_fiscal_receipts
from backend.rent.runs import post_agreed
from backend.retention.daily import run_daily
from backend.retention.settings import RetentionSettings
from backend.settings import BackendSettings
from estate.logs import configure_logs
from estate.processes import die_with_current_parent

# Looked after between two looks at whether to stop.
AT_ONCE = 20

log = structlog.get_logger()


@click.command()
@pass_tool
def work(tool: Tool) -> None:
    """后台任务：结算支付、补查未到的通知  |  the worker: settles payments, asks for what never came."""
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    configure_logs("worker", tool.settings.log_level)
    run_worker(tool.settings)


def run_worker(settings: BackendSettings) -> None:
    """Work until SIGTERM or SIGINT; the job at hand is finished first.

    Raises:
        SettingsError: the configuration must not be started with.
    """
    engine = make_engine(settings.database)
    master_key = MasterKey.from_file(settings.secrets.master_key_file)
    providers = make_providers(settings, engine)
    url, password_file = settings.database.url, settings.database.password_file
    jobs = [
        Job("consents", lambda now: _tell_ended_consents(engine, now)),
        Job("visitors", lambda now: _clear_past_passes(engine, now)),
        Job("retention", lambda now: _run_daily(engine, settings.retention, master_key, now)),
        Job("rent_runs", lambda now: post_agreed(engine, now, settings.rent)),
        Job("fiscal_receipts", lambda now: keep_fiscal_receipts(engine, now, settings.rent)),
        Job("dunning", lambda now: dun(engine, now, settings.dunning)),
    ]
    for provider in providers.all():
        jobs += _jobs_of(engine, provider, settings.payment_rules)
    rules, url_of_pages = settings.payment_rules, settings.serve.public_url
    jobs.append(Job("autopay", lambda now: run_autopay(engine, providers, now, rules, url_of_pages)))
    jobs.append(Job("deposits", lambda now: _remind_deposits(engine, now, rules)))
    jobs.append(Job("missed_notices", MissedNotices(engine, providers)))
    jobs.append(Job("money_back", lambda now: sweep_money_back(engine, providers, now)))
    jobs.append(
        Job(
            "day_end_check",
            lambda now: check_when_due(engine, providers.all(), now, settings.reconciliation),
        )
    )
    messenger, messages = make_messenger(settings.messages), settings.messages
    if messenger is not None:
        jobs.append(Job("messages", lambda now: work_messages(engine, messenger, now, AT_ONCE, messages)))
    worker = Worker(
        jobs,
        [CHANNEL, MESSAGES],
        lambda: connect(url, password_file, autocommit=True),
        lambda: datetime.now(UTC),
        settings.worker.poll_seconds,
    )
    packs = Path(settings.closing.packs_folder)
    # A loop of its own: payments do not wait for a month to be closed, which may take minutes.
    closer = Worker(
        [Job("closes", lambda now: close_requested(engine, packs, now))],
        [CLOSES],
        lambda: connect(url, password_file, autocommit=True),
        lambda: datetime.now(UTC),
        settings.worker.poll_seconds,
    )

    def stop(*_: object) -> None:
        worker.stop()
        closer.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info(
        "worker_started",
        payments=",".join(providers.by_name),
        messages=messenger.name if messenger else "not set up",
    )
    # Beside the jobs: entries have their seal within a second or two, whatever the jobs are busy with.
    sealer = Sealer(lambda: connect(url, password_file, autocommit=True))
    sealer.start()
    closing = threading.Thread(target=closer.run, name="closer", daemon=True)
    closing.start()
    worker.run()
    closing.join()
    sealer.stop()
    engine.dispose()
    log.info("worker_stopped")


def _remind_deposits(engine: Engine, now: datetime, rules: PaymentRules) -> int:
    with engine.begin() as connection:
        return remind(connection, now, rules)


def _jobs_of(engine: Engine, provider: Provider, rules: PaymentRules) -> list[Job]:
    return [
        Job(f"notices_{provider.name}", lambda now: settle_pending(engine, provider, now, AT_ONCE, rules)),
        Job(f"sweeper_{provider.name}", lambda now: sweep(engine, provider, now, AT_ONCE, rules)),
    ]


def _run_daily(engine: Engine, clocks: RetentionSettings, master_key: MasterKey, now: datetime) -> int:
    with engine.begin() as connection:
        return run_daily(connection, clocks, master_key, now)


def _clear_past_passes(engine: Engine, now: datetime) -> int:
    with engine.begin() as connection:
        return clear_past_passes(connection, now)


def _tell_ended_consents(engine: Engine, now: datetime) -> int:
    """A guardian's consent ends by itself at 14; the gateways learn it from here."""
    with engine.begin() as connection:
        return publish_due(connection, now)
