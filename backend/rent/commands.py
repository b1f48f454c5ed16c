"""`estate rent …`: tariffs and the monthly run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import click
import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Engine

from backend import settings as configuration
from backend.approvals.service import STATES_ZH, Proposal, about
from backend.cli import OneSentenceGroup, Tool, pass_tool
from backend.identity.accounts import principal_by_login
from backend.rent.errors import RunNotAgreedError
from backend.rent.measure_files import MeasuresRefusedError, What, import_measures
from backend.rent.preview import Preview, preview, units_zh
from backend.rent.runs import post_run, subject_of
from backend.rent.service import read_month
from backend.rent.tariffs import load_tariffs, read_tariff_file
from backend.rent.tenancies import estate_ids, open_count
from estate.logs import configure_logs

LINES_SHOWN = 40
KINDS_ZH = {
    "rent": "租金",
    "relief": "减免",
    "subsidy": "补贴",
    "subsidy_carried": "结转补贴",
    "late_fee": "滞纳金",
    "property_fee": "物业费",
    "water": "水费",
    "electricity": "电费",
    "gas": "燃气费",
}


@click.group(cls=OneSentenceGroup)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="默认 config/backend.toml 或环境变量 ESTATE_CONFIG_BACKEND  |  default, or by that variable",
)
@click.pass_context
def rent(context: click.Context, config: Path | None) -> None:
    """计租：收费标准、月度计租  |  rent: tariffs, the monthly run."""
    if not structlog.is_configured():
        configure_logs("rent")
    context.obj = Tool(config or configuration.settings_path())


@rent.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@pass_tool
def tariffs(tool: Tool, file: Path) -> None:
    """载入收费标准和减免档次（按日期分版本）  |  load dated tariffs and relief tiers from a file."""
    given = read_tariff_file(file)
    with tool.transaction() as connection:
        changed = load_tariffs(connection, given, datetime.now(UTC))
    click.echo(f"新增或截止 {changed} 个版本  |  {changed} versions added or ended", err=True)


@rent.command()
@click.argument("what", type=click.Choice(["readings", "areas"]))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--as", "login", required=True, help="以谁的名义  |  in whose name")
@click.option("--dry-run", is_flag=True, help="只检查，列出每处问题  |  only check, and list each fault")
@pass_tool
def measures(tool: Tool, what: What, file: Path, login: str, dry_run: bool) -> None:
    """导入抄表读数或面积（Excel、CSV）  |  readings or areas from a table, all of it or nothing."""
    now = datetime.now(UTC)
    try:
        with tool.engine() as engine, engine.connect() as connection, connection.begin() as everything:
            actor = principal_by_login(connection, login, now)
            rows = import_measures(connection, what, file.read_bytes(), actor, now)
            if dry_run:
                everything.rollback()
    except MeasuresRefusedError as refused:
        for fault in refused.faults:
            click.echo(f"{fault.place}：{fault.zh}  |  {fault.en}", err=True)
        raise
    said = "检查通过，未写入  |  no faults, nothing kept" if dry_run else "已写入  |  kept"
    click.echo(f"{rows} 行：{said}", err=True)


@rent.group(name="run", cls=OneSentenceGroup)
def run_group() -> None:
    """月度计租：先预览，两人同意后入账  |  the monthly run: preview, approve on the page, post."""


_month = click.option("--month", required=True, help="例如 2026-11  |  for example 2026-11")
_estate = click.option("--estate", help="不给即全部  |  none means all")


@run_group.command(name="preview")
@_month
@_estate
@click.option("--lines", is_flag=True, help="列出每一行  |  every line of every charge")
@pass_tool
def preview_command(tool: Tool, month: str, estate: str | None, lines: bool) -> None:
    """预览，不入账  |  show what would be charged, and charge nothing."""
    with tool.engine() as engine, engine.connect() as connection:
        seen = preview(connection, estate, read_month(month), tool.settings.rent)
        ids = {one.unit_id for one in seen.charges} | {one.tenancy.unit_id for one in seen.unpriced}
        names = units_zh(connection, ids)
    _show(seen, names, every_line=lines)


@run_group.command(name="post")
@_month
@_estate
@pass_tool
def post_command(tool: Tool, month: str, estate: str | None) -> None:
    """把已同意的计租入账；中断后再运行即继续  |  charge what was approved; again to go on."""
    first_day = read_month(month)
    with tool.engine() as engine:
        with engine.connect() as connection:
            estate_ids(connection, estate)
            agreed = _agreed(about(connection, subject_of(estate, first_day)), first_day)
        with _bar(engine, estate, first_day) as progress:
            done = post_run(engine, agreed.proposal_id, datetime.now(UTC), tool.settings.rent, progress)
    click.echo(
        json.dumps(
            {
                "month": month,
                "charged": done.charged,
                "nothing_due": done.nothing_due,
                "unpriced": done.unpriced,
                "amount_fen": done.amount_fen,
                "prepaid_used_fen": done.prepaid_used_fen,
            }
        )
    )


def _agreed(proposals: list[Proposal], month: date) -> Proposal:
    for one in proposals:
        if one.state in {"approved", "used"}:
            return one
    raise RunNotAgreedError(month, STATES_ZH[proposals[0].state] if proposals else None)


@contextmanager
def _bar(engine: Engine, estate: str | None, month: date) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error, where somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    with engine.connect() as connection:
        total = open_count(connection, estate_ids(connection, estate), month)
    columns = (TextColumn("计租"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        yield lambda done: progress.advance(task, done)


def _show(seen: Preview, names: Mapping[UUID, str], *, every_line: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"{seen.month:%Y年%m月} 计租预览  |  preview")
    for heading, justify in (("项目", "left"), ("金额（元）", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for kind, fen in seen.by_kind.items():
        table.add_row(KINDS_ZH[kind], _yuan(fen))
    table.add_row("合计", _yuan(seen.amount_fen), style="bold")
    table.add_row("上月同一批租户", _yuan(seen.before_fen))
    console.print(table)
    console.print(
        f"将计收 {len(seen.charges)} 户；已计收 {seen.already} 户；无应收 {seen.nothing_due} 户；"
        f"不能计价 {len(seen.unpriced)} 户"
    )
    for left_out in seen.unpriced:
        console.print(f"  {names.get(left_out.tenancy.unit_id, '')}：{left_out.why_zh}", markup=False)
    changed = sorted((one for one in seen.charges if one.change_fen), key=lambda one: -abs(one.change_fen))
    shown = seen.charges if every_line else changed[:LINES_SHOWN]
    if changed and not every_line:
        console.print(f"与上月不同的 {len(changed)} 户（最多列 {LINES_SHOWN} 户）：")
    for one in shown:
        before = "无" if one.before_fen is None else _yuan(one.before_fen)
        console.print(
            f"  {names.get(one.unit_id, '')}  上月 {before}  本月 {_yuan(one.amount_fen)}", markup=False
        )
        for line in one.lines if every_line else ():
            console.print(
                f"      {line.label_zh}  {line.from_on} 至 {line.to_on}  {_yuan(line.amount_fen)}",
                markup=False,
            )


def _yuan(fen: int) -> str:
    yuan, rest = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{yuan:,}.{rest:02d}"
