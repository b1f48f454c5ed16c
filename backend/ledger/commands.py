"""`estate ledger head`, `check`, `seal-status` and `household`: the books, from the database."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import click
import structlog
from sqlalchemy import Connection, select

from backend import settings as configuration
from backend.cli import Explained, OneSentenceGroup, Tool, pass_tool
from backend.identity.accounts import principal_by_login
from backend.ledger import chain
from backend.ledger.days import FROM_DAY, TO_DAY, days_between, read_day
from backend.ledger.errors import BookUnknownError, LineTextError, yuan
from backend.ledger.household import household_account
from backend.ledger.manual import propose_entry
from backend.ledger.rules import Line, credit, debit
from backend.ledger.tables import book
from estate.logs import configure_logs

FAULTS_ZH = {
    "gap": "编号有断",
    "chain": "哈希链不连续",
    "entry": "凭证缺失或被改动",
    "sums": "每日发生额与分录不符",
    "unsealed": "有凭证漏封",
    "lent": "另有数据表继承账簿的表",
}

# Before and after every entry, where no day is named.
EARLIEST, LATEST = date.min, date.max - timedelta(days=1)

book_option = click.option("--book", "book_id", help="小区代码，或 city；缺省为全部  |  by default all books")


@click.command("head")
@book_option
@pass_tool
def head_command(tool: Tool, book_id: str | None) -> None:
    """各账簿的链头：编号和哈希  |  each book's chain head: number and hash."""
    with tool.transaction() as connection:
        for one in _books(connection, book_id):
            found = chain.head(connection, one)
            click.echo(
                f"{one}  {found.seq}  {found.hash.hex() if found.hash else '-'}  {_at(found.sealed_at)}"
            )


@click.command("seal-status")
@pass_tool
def seal_status_command(tool: Tool) -> None:
    """各账簿已封和未封的凭证数  |  how many entries of each book are sealed and how many are not."""
    with tool.transaction() as connection:
        for one in chain.seal_status(connection):
            oldest = f"  最早 (oldest) {_at(one.oldest_posted_at)}" if one.unsealed else ""
            click.echo(f"{one.book_id}  已封 (sealed) {one.sealed}  未封 (unsealed) {one.unsealed}{oldest}")


@click.command("check")
@book_option
@pass_tool
def check_command(tool: Tool, book_id: str | None) -> None:
    """重算整条链和每日发生额  |  compute the whole chain and the days' sums anew."""
    wrong = []
    with tool.transaction() as connection:
        for one in _books(connection, book_id):
            faults = chain.check_chain(connection, one)
            wrong += faults
            for fault in faults:
                where = f"，自第 {fault.seq} 号起 (from number {fault.seq})" if fault.seq else ""
                click.echo(f"{one}  {FAULTS_ZH[fault.what]} ({fault.what}){where}")
            if not faults:
                click.echo(f"{one}  完好 (sound)  {chain.head(connection, one).seq}")
    if wrong:
        raise Explained(
            "账簿与封存的链不符，请勿再入账并报告  |  the books do not fit their chain: report it"
        )


@click.command("household")
@click.argument("household_id", type=click.UUID)
@click.option("--from", "from_text", help="第一天，例如 2026-11-01  |  the first day")
@click.option("--to", "to_text", help="最后一天，例如 2026-11-30  |  the last day, which counts")
@pass_tool
def household_command(tool: Tool, household_id: UUID, from_text: str | None, to_text: str | None) -> None:
    """分户账：一户的全部分录和余额  |  all postings about one household, with balances."""
    first = EARLIEST if from_text is None else read_day(from_text, FROM_DAY)
    days = days_between(first, LATEST if to_text is None else read_day(to_text, TO_DAY))
    with tool.transaction() as connection:
        lines = household_account(connection, household_id, days.from_on, days.to_on)
    for line in lines:
        side, fen = ("借", line.debit_fen) if line.debit_fen else ("贷", line.credit_fen)
        click.echo(
            f"{line.effective_on}  {line.entry_id}  {line.account_code} {line.name_zh}  {side} {yuan(fen)}"
            f"  余额 {yuan(line.balance_fen)}  {line.summary_zh}"
        )
    if not lines:
        click.echo("没有分录，请核对住户编号  |  no postings; check the household's id", err=True)


@click.command("propose-entry")
@click.option("--book", "book_id", required=True, help="小区代码，或 city  |  an estate's id, or city")
@click.option("--on", "on", type=click.DateTime(["%Y-%m-%d"]), required=True, help="入账日期  |  its day")
@click.option("--summary", required=True, help="摘要  |  what it says")
@click.option("--line", "lines", multiple=True, required=True, help="“1002 借 12.34”  |  code, side, yuan")
@click.option("--reason", required=True, help="理由  |  why")
@click.option("--as", "login", required=True, help="申请人的登录名  |  the login of whoever asks")
@pass_tool
def propose_entry_command(
    tool: Tool, book_id: str, on: datetime, summary: str, lines: tuple[str, ...], reason: str, login: str
) -> None:
    """提出手工凭证，由另一人在“审批”页同意后入账  |  propose an entry; posted when another approves it."""
    now = datetime.now(UTC)
    with tool.transaction() as connection:
        who = principal_by_login(connection, login, now)
        postings = [read_line(line) for line in lines]
        asked = propose_entry(connection, book_id, on.date(), summary, postings, reason, who, now)
    click.echo(f"{asked.proposal_id}  {asked.summary_zh}")


def read_line(words: str) -> Line:
    """A posting as it is typed: `1002 借 12.34`.

    Raises:
        LineTextError
    """
    found = re.fullmatch(r"(\S+)\s+([借贷])\s*([0-9]{1,12})(?:\.([0-9]{1,2}))?", words.strip())
    if found is None:
        raise LineTextError(words)
    fen = int(found[3]) * 100 + int((found[4] or "").ljust(2, "0"))
    return debit(found[1], fen) if found[2] == "借" else credit(found[1], fen)


COMMANDS = (head_command, seal_status_command, check_command, household_command, propose_entry_command)


@click.group(cls=OneSentenceGroup)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="默认 config/backend.toml 或环境变量 ESTATE_CONFIG_BACKEND  |  default, or by that variable",
)
@click.pass_context
def ledger(context: click.Context, config: Path | None) -> None:
    """账簿：链头、核对、分户账  |  the books: chain heads, checks, one household's account."""
    if not structlog.is_configured():
        configure_logs("ledger")
    context.obj = Tool(config or configuration.settings_path())


for command in COMMANDS:
    ledger.add_command(command)


def _books(connection: Connection, wanted: str | None) -> list[str]:
    known = [str(one) for one in connection.scalars(select(book.c.book_id).order_by(book.c.book_id))]
    if wanted is None:
        return known
    if wanted not in known:
        raise BookUnknownError(wanted)
    return [wanted]


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if moment is not None else "-"
