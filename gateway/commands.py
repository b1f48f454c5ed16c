"""`estate gateway …`: run it, ask how it is, look into its journal, enrol a face."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TextIO, cast

import click
import msgspec
import requests
import structlog

from estate.config import SettingsError
from estate.logs import UndeterredStream, configure_logs
from estate.processes import StartFailedError, die_with_current_parent
from gateway.assembly import JOURNAL_FILE, assemble
from gateway.drivers.command_line import drivers
from gateway.faces import open_vault, read_vault_key, start_photographer
from gateway.health import HEALTH, Health
from gateway.journal_store import AskedRelease, AskedReplay, JournalStore
from gateway.kiosk.commands import enrol, enrol_many, kiosk
from gateway.panels.command_line import panels
from gateway.settings import read_settings
from gateway.snapshots import SHELF_FILE, SnapshotKeeper, SnapshotShelf
from gateway.telling import CONFIG, told_plainly
from gateway.vault_commands import vault

REPLAY_COUNTED_MAX = 1_000_000
SWITCH_INTERVAL_S = 0.0005  # how long a thread may keep Python's lock while the loop waits for it
# Looking for cyclic garbage walks over the whole roster and stops every thread for milliseconds; the way
# of an event makes none, so it is looked for seldom, and never among what was there at the start.
GARBAGE_THRESHOLDS = (50_000, 20, 50)


@click.group()
def gateway() -> None:
    """小区网关  |  The estate's gateway."""
    # Standard output is for what a command prints; logs never go there.
    if not structlog.is_configured():
        configure_logs("gateway")


for command in (vault, drivers, enrol, enrol_many, kiosk, panels):
    gateway.add_command(command)


@gateway.command()
@CONFIG
@click.option(
    "--estates", default=None, help="只服务这些小区，逗号分隔  |  serve only these, comma-separated"
)
def run(config: Path, estates: str | None) -> None:
    """运行网关，直到收到停止信号  |  Run the gateway until it is told to stop."""
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    sys.stderr = cast(TextIO, UndeterredStream(sys.stderr))
    configure_logs("gateway")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    read = partial(read_settings, config, estates.split(",") if estates is not None else None)
    settings = read()
    with told_plainly(settings.state_folder):
        key = read_vault_key(settings)
        opened = open_vault(settings, key) if key is not None else None
        snapshots = None
        if key is not None and settings.kiosk.port:
            snapshots = SnapshotKeeper(SnapshotShelf(settings.state_folder / SHELF_FILE, key), time.time)
        photographer = start_photographer(settings)
        try:
            service = assemble(
                settings,
                vault=opened,
                photographer=photographer,
                snapshots=snapshots,
                configuration=(config, read),
            )
        except BaseException:
            photographer.close()
            raise
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    signal.signal(signal.SIGHUP, lambda *_: service.reload())
    ended_well = service.run()
    if opened is not None:
        opened.close()
    if not ended_well:
        sys.exit(1)


@gateway.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="全部内容，JSON  |  everything, as JSON")
def status(config: Path, as_json: bool) -> None:
    """正在运行的网关怎么样  |  How the running gateway is; exit status 1 when it has alarms."""
    content, health = _ask_health(config)
    if as_json:
        click.echo(content.decode())
    else:
        click.echo(f"{health.gateway}: {health.state}  ({_when(health.started_at)} →)")
        click.echo(f"  broker: {'ok' if health.broker.connected else health.broker.reason}")
        rows = health.buffer.rows
        click.echo(
            f"  journal: {'ok' if health.journal.ok else health.journal.reason}, "
            f"{rows.unforwarded} waiting, {rows.parked} refused, "
            f"{health.buffer.fill:.0%} of {health.buffer.hours} h, "
            f"{health.buffer.free_bytes >> 20} MiB free"
        )
        for name, link in sorted(health.backend.items()):
            click.echo(f"  {name}: {'ok' if link.ok else link.reason} ({_when(link.since)} →)")
        for estate in health.estates:
            click.echo(
                f"  {estate.estate}: roster {estate.roster_version}, {estate.doors} doors, "
                f"{estate.people} people, {estate.enrolled if estate.enrolled is not None else '-'} faces"
            )
        for alarm in health.alarms:
            click.echo(f"  ! {alarm}")
    if health.alarms:
        sys.exit(1)


@gateway.command("reset-clock")
@CONFIG
def reset_clock(config: Path) -> None:
    """本机时钟是对的：忘掉已记录的时间  |  This machine's clock is right: forget the time that was noted."""
    path = read_settings(config).state_folder / JOURNAL_FILE
    with told_plainly(path):
        store = JournalStore(path)
        store.ask_time_reset()
        store.close()
    click.echo("网关将在几秒内改用本机时钟  |  the gateway goes by this machine's clock within seconds")


@gateway.command()
@CONFIG
@click.option("--author", required=True, help="谁下令  |  who says so")
@click.option("--reason", required=True, help="为什么  |  why")
@click.option("--cancel", is_flag=True, help="解除释放  |  end it")
@click.argument("estate")
def release(config: Path, estate: str, author: str, reason: str, cancel: bool) -> None:
    """紧急释放小区的所有门，直到解除  |  Release all doors of an estate until it is cancelled."""
    settings = read_settings(config, [estate])
    path = settings.state_folder / JOURNAL_FILE
    with told_plainly(path):
        store = JournalStore(path)
        store.ask_release(AskedRelease(estate, author, reason, cancel))
        store.close()
    click.echo("网关将在两秒内执行  |  the gateway does so within two seconds")


@gateway.command()
@CONFIG
def devices(config: Path) -> None:
    """各门设备的状态  |  The state of each door device."""
    health = _ask_health(config)[1]
    heard = {(one.estate, one.device): one for one in health.devices}
    for life in health.lives:
        one = heard.get((life.estate, life.device))
        since = _when(one.since) if one is not None else "-"
        offset = f"{one.clock_offset_ms} ms" if one is not None and one.clock_offset_ms is not None else "-"
        click.echo(f"{life.estate}/{life.device}\t{life.life}\t{since}\t{offset}\t{life.protocol}")


@gateway.group()
def journal() -> None:
    """记录缓冲  |  The journal."""


@journal.command("list")
@CONFIG
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100_000))
@click.option("--set-aside", is_flag=True, help="只看未采用的消息  |  messages set aside instead")
def list_records(config: Path, limit: int, set_aside: bool) -> None:
    """最近的通行记录，最新的在前  |  The latest access records, newest first."""

    path = read_settings(config).state_folder / JOURNAL_FILE
    with told_plainly(path):
        store = JournalStore(path, read_only=True)
        try:
            if set_aside:
                for note in store.latest_set_aside(limit):
                    who = f"{note.estate}/{note.device}\t{note.event_id or '-'}"
                    click.echo(f"{_when(note.received_at)}\t{who}\t{note.reason}\t{note.size_bytes} B")
                return
            for seq, record, state in store.latest(limit):
                click.echo(
                    f"{seq}\t{_when(record.received_at)}\t{record.estate}/{record.device}\t"
                    f"{','.join(record.events)}\t{record.credential}\t{record.outcome}\t{record.cause}\t{state}"
                )
        finally:
            store.close()


@journal.command()
@CONFIG
@click.option(
    "--after", type=click.IntRange(0), help="此编号之后的（见 list）  |  those after this number of `list`"
)
@click.option(
    "--since", type=click.DateTime(), help="自此刻（本机时区）起收到的  |  those received since (local time)"
)
@click.option("--refused", is_flag=True, help="只重发被拒收的  |  only those that the backend refused")
def replay(config: Path, after: int | None, since: datetime | None, refused: bool) -> None:
    """把记录再发给后端一遍；已有的不会重复  |  Send records to the backend once more; none is there twice."""
    if (after is None) == (since is None) and not (refused and after is None):
        raise click.UsageError(
            "请给出 --after 或 --since 之一，或 --refused  |  give --after or --since, or --refused"
        )
    path = read_settings(config).state_folder / JOURNAL_FILE
    if not path.exists():
        raise StartFailedError(f"没有记录缓冲 {path}  |  there is no journal at {path}")
    with told_plainly(path), closing(JournalStore(path)) as store:
        first = store.last_before(since) if since is not None else after or 0
        asked = AskedReplay(first, refused)
        count = store.replayed(asked, REPLAY_COUNTED_MAX)
        store.ask_replay(asked)
    more = "+" if count == REPLAY_COUNTED_MAX else ""
    click.echo(
        f"{count}{more} 条记录将由运行中的网关重发，完成后日志有 records_sent_again  |  "
        f"{count}{more} records will be sent again by the running gateway, which then logs records_sent_again"
    )


def _ask_health(config: Path) -> tuple[bytes, Health]:

    metrics = read_settings(config).metrics
    if not metrics.port:
        raise SettingsError(str(config), "metrics.port", "为 0，无法询问 (is 0: nobody can be asked)")
    url = f"http://{metrics.host}:{metrics.port}/health"
    try:
        response = requests.get(url, timeout=5)
        response.raise_for_status()
        return response.content, HEALTH.decode(response.content)
    except (requests.RequestException, msgspec.MsgspecError) as error:
        raise StartFailedError(
            f"网关没有回应 {url}，它在运行吗？  |  no answer from {url}: is the gateway running? ({error})"
        ) from error


def _when(moment: datetime) -> str:
    return moment.astimezone().isoformat(" ", "seconds")
