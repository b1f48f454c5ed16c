"""`estate reconcile …`: accounts, files, the look at everything, cases and the day-end report."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click
import structlog

from backend import settings as configuration
from backend.cli import OneSentenceGroup, Tool, pass_tool
from backend.identity.accounts import principal_by_login
from backend.reconciliation import words
from backend.reconciliation.accounts import account_of, accounts_of, load_accounts, read_accounts_file
from backend.reconciliation.cases import open_cases
from backend.reconciliation.dayend import check_all, days_of
from backend.reconciliation.errors import yuan
from backend.reconciliation.files import Imported, import_file
from backend.reconciliation.lines import Format
from backend.reconciliation.reading import Limits
from backend.reconciliation.run import RunResult, around, run_account
from backend.reconciliation.settings import ReconciliationSettings
from backend.registry.rules import local_day
from estate.config import SettingsError
from estate.logs import configure_logs

DAY = click.DateTime(formats=["%Y-%m-%d"])
REPORTED_DAYS = 14


@click.group(cls=OneSentenceGroup)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="默认 config/backend.toml 或环境变量 ESTATE_CONFIG_BACKEND  |  default, or by that variable",
)
@click.pass_context
def reconcile(context: click.Context, config: Path | None) -> None:
    """对账：导入账单、核对、差异、日终  |  reconciliation: import, match, cases, day-end report."""
    if not structlog.is_configured():
        configure_logs("backend")
    context.obj = Tool(config or configuration.settings_path())


@reconcile.command("accounts")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@pass_tool
def accounts_command(tool: Tool, file: Path | None) -> None:
    """登记对账账户（给出文件），并列出全部  |  register the accounts of a file, and list all."""
    with tool.transaction() as connection:
        if file is not None:
            load_accounts(connection, read_accounts_file(file), datetime.now(UTC))
        for one in accounts_of(connection):
            formats = " ".join(one.formats)
            click.echo(
                f"{one.account_id}  {one.book_id or '*'}  {one.account_code}  {one.name_zh}  {formats}"
            )


@reconcile.command("import")
@click.option("--account", "account_id", required=True, help="对账账户  |  the statement account")
@click.option("--format", "format_name", type=click.Choice([str(one) for one in Format]), required=True)
@click.option("--from", "from_on", type=DAY, help="账单起始日，含  |  first day it is complete for")
@click.option("--to", "to_on", type=DAY, help="账单截止日，含  |  last day it is complete for")
@click.option("--dry-run", is_flag=True, help="只看结果，不保存  |  show what would happen, keep nothing")
@click.option("--as", "login", help="经办人登录名  |  in whose name")
@click.argument(
    "files", type=click.Path(path_type=Path, exists=True, dir_okay=False), nargs=-1, required=True
)
@pass_tool
def import_command(
    tool: Tool,
    account_id: str,
    format_name: str,
    from_on: datetime | None,
    to_on: datetime | None,
    dry_run: bool,
    login: str | None,
    files: tuple[Path, ...],
) -> None:
    """导入账单并核对；有问题的文件整份拒绝  |  import and match; a file with a fault is refused whole."""
    now, rules = datetime.now(UTC), tool.settings.reconciliation
    days = _days(from_on, to_on)
    with tool.engine() as engine:
        for file in files:
            with engine.connect() as connection, connection.begin() as transaction:
                who = principal_by_login(connection, login, now) if login else None
                account = account_of(connection, account_id)
                done = import_file(
                    connection,
                    account,
                    Format(format_name),
                    file.name,
                    _read(file, rules),
                    principal_id=who.principal_id if who else None,
                    now=now,
                    limits=limits_of(rules),
                    days=days,
                )
                result = run_account(connection, account, around(done.from_on, done.to_on), now)
                _say_imported(file.name, done, result)
                if dry_run:
                    transaction.rollback()
    if dry_run:
        click.echo("试运行，未保存  |  dry run, nothing kept")


@reconcile.command("run")
@pass_tool
def run_command(tool: Tool) -> None:
    """核对全部账户并作日终检查  |  look at every account, then the day-end check."""
    now = datetime.now(UTC)
    with tool.transaction() as connection:
        results, days = check_all(connection, now, tool.settings.reconciliation)
    for result in results:
        _say_result(result)
    for state, (zh, en) in words.STATES.items():
        count = sum(day.state == state for day in days)
        click.echo(f"{zh} {count}  |  {en} {count}")


@reconcile.command("cases")
@click.option("--account", "account_id", help="只看一个账户  |  of one account only")
@click.option("--book", "book_id", help="只看一个账簿  |  of one book only")
@pass_tool
def cases_command(tool: Tool, account_id: str | None, book_id: str | None) -> None:
    """未结差异，最早的在前  |  open cases, the oldest first."""
    now = datetime.now(UTC)
    with tool.transaction() as connection:
        if account_id is not None:
            account_of(connection, account_id)
        found = open_cases(connection, None if book_id is None else [book_id], account_id)
    for case in found:
        zh, en = words.both(words.CASES, case.kind)
        side_zh, _ = words.both(words.SIDES, case.side)
        owner = case.owner or "财务岗"
        click.echo(
            f"{case.case_id}\t{case.on}\t{case.book_id}\t{case.account_id}\t{side_zh}\t{zh} ({en})"
            f"\t{yuan(case.difference_fen)}\t{owner}\t{case.age_days(now)}d"
        )
    click.echo(f"未结 {len(found)}  |  {len(found)} open")


@reconcile.command("report")
@click.option("--days", "count", type=click.IntRange(1, 400), default=REPORTED_DAYS, show_default=True)
@click.option("--book", "book_id", help="只看一个账簿  |  of one book only")
@pass_tool
def report_command(tool: Tool, count: int, book_id: str | None) -> None:
    """日终检查的结果，每个账户每天一行  |  what the day-end check found, a row an account and day."""
    today = local_day(datetime.now(UTC))
    with tool.transaction() as connection:
        books = None if book_id is None else [book_id]
        found = days_of(connection, books, today - timedelta(days=count), today)
    for day in found:
        zh, _ = words.both(words.STATES, day.state)
        click.echo(
            f"{day.on}\t{day.book_id}\t{day.account_id}\t{zh}"
            f"\t对方 (theirs) {day.line_count} {yuan(day.line_fen)}"
            f"\t本方 (ours) {day.entry_count} {yuan(day.entry_fen)}\t差异 (cases) {day.case_count}"
            f"\t等待 (waiting) {day.waiting_count}"
        )
    if not found:
        click.echo("还没有日终检查的记录  |  no day-end check yet")


def limits_of(rules: ReconciliationSettings) -> Limits:
    """How much of a file is read."""
    return Limits(rules.file_mib_max * 1024 * 1024, rules.lines_max)


def _days(from_on: datetime | None, to_on: datetime | None) -> tuple[date, date] | None:
    if (from_on is None) != (to_on is None):
        raise click.UsageError("--from 和 --to 须成对给出 (go together)")
    if from_on is None or to_on is None:
        return None
    if to_on < from_on:
        raise click.UsageError("--to 早于 --from (ends before it begins)")
    return from_on.date(), to_on.date() + timedelta(days=1)


def _read(file: Path, rules: ReconciliationSettings) -> bytes:
    """At most one byte more than is allowed: the reader then refuses it by its size."""
    try:
        with file.open("rb") as opened:
            return opened.read(rules.file_mib_max * 1024 * 1024 + 1)
    except OSError as error:
        raise SettingsError(str(file), "(file)", f"读不了 (cannot be read): {error.strerror}") from error


def _say_imported(name: str, done: Imported, result: RunResult) -> None:
    last = done.to_on - timedelta(days=1)
    if not done.is_new:
        click.echo(f"{name}：已导入过，没有变化  |  known already, nothing changed")
        return
    click.echo(
        f"{name}：{done.from_on} 至 {last}，{done.line_count} 行，新增 {done.new_line_count} 行，"
        f"净额 {yuan(done.net_fen)}  |  {done.line_count} lines, {done.new_line_count} new"
    )
    _say_result(result)


def _say_result(result: RunResult) -> None:
    click.echo(
        f"{result.account_id}：新匹配 {result.new_matches}，新凭证 {result.posted_entries}，"
        f"未结差异 {result.open_cases}  |  {result.new_matches} new matches,"
        f" {result.posted_entries} entries posted, {result.open_cases} open cases"
    )
