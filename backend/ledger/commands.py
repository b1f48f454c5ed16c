"""`estate ledger head`, `check`, `seal-status` and `household`: the books, from the database."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import click
import structlog
from sqlalchemy import Connection, select

from backend import settings as configuration
from backend.cli import Explained, OneSentenceGroup, Tool, pass_tool
from backend.ledger import chain
from backend.ledger.errors import BookUnknownError, yuan
from backend.ledger.household import household_account
from backend.ledger.tables import book
from estate.logs import configure_logs

FAULTS_ZH = {
    "gap": "编号有断",
    "chain": "哈希链不连续",
    "entry": "凭证缺失或被改动",
    "sums": "每日发生额与分录不符",
    "unsealed": "有凭证漏封",
}

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
@click.option("--from", "from_on", type=click.DateTime(["%Y-%m-%d"]), help="第一天  |  the first day")
@click.option("--to", "to_on", type=click.DateTime(["%Y-%m-%d"]), help="最后一天  |  the last day")
@pass_tool
def household_command(
    tool: Tool, household_id: UUID, from_on: datetime | None, to_on: datetime | None
) -> None:
    """分户账：一户的全部分录和余额  |  all postings about one household, with balances."""
    first = from_on.date() if from_on else date.min
    # The account takes the first day that does not count any more.
    end = to_on.date() + timedelta(days=1) if to_on else date.max
    with tool.transaction() as connection:
        lines = household_account(connection, household_id, first, end)
    for line in lines:
        side, fen = ("借", line.debit_fen) if line.debit_fen else ("贷", line.credit_fen)
        click.echo(
            f"{line.effective_on}  {line.entry_id}  {line.account_code} {line.name_zh}  {side} {yuan(fen)}"
            f"  余额 {yuan(line.balance_fen)}  {line.summary_zh}"
        )
    if not lines:
        click.echo("没有分录，请核对住户编号  |  no postings; check the household's id", err=True)


COMMANDS = (head_command, seal_status_command, check_command, household_command)


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
