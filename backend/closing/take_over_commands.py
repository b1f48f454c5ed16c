"""`estate ledger takeover`: the clerk's first day, from the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from backend.cli import Tool, pass_tool
from backend.closing.take_over import estate_of_book, propose_take_over, try_out
from backend.closing.take_over_errors import TakeOverFaultsError
from backend.closing.take_over_file import pattern
from backend.closing.take_over_rules import FIGURES, Plan
from backend.documents.workbook import write_workbook
from backend.identity.accounts import principal_by_login
from backend.ledger.errors import yuan
from backend.rent.rules import read_month


@click.command("takeover")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--book", "book_id", help="小区代码  |  an estate's id")
@click.option(
    "--month", "month_text", help="本系统开始计租的月份，如 2026-12  |  the first month that is charged here"
)
@click.option("--dry-run", is_flag=True, help="只检查，不提交  |  only check")
@click.option("--as", "login", help="申请人的登录名  |  the login of whoever asks")
@click.option("--reason", default="期初接管", show_default=True, help="理由  |  why")
@click.option(
    "--template",
    type=click.Path(path_type=Path, dir_okay=False),
    help="写出空白样板表  |  write the workbook to fill in, and nothing else",
)
@pass_tool
def takeover(
    tool: Tool,
    file: Path | None,
    book_id: str | None,
    month_text: str | None,
    dry_run: bool,
    login: str | None,
    reason: str,
    template: Path | None,
) -> None:
    """期初接管：检查原系统的表，提交审批  |  check the old system's figures and ask for their take-over."""
    if template is not None:
        write_workbook(template, pattern())
        click.echo(f"样板 template: {template}")
        return
    if file is None or book_id is None or month_text is None or not (dry_run or login):
        raise click.UsageError(
            "需要 FILE --book B --month YYYY-MM，以及 --dry-run 或 --as LOGIN；空白样板用 --template FILE"
        )
    month, now, body = read_month(month_text), datetime.now(UTC), file.read_bytes()
    with tool.transaction() as connection:
        if dry_run:
            estate_id = estate_of_book(connection, book_id)
            trial = try_out(connection, estate_id, month, body, now, tool.settings.rent)
            if trial.faults:
                for one in trial.faults:
                    click.echo(f"{one.place}  {one.zh}  |  {one.en}")
                raise TakeOverFaultsError(trial.faults)
            _tell(trial.plan)
            click.echo("检查通过，尚未提交  |  no faults; nothing was written")
            return
        who = principal_by_login(connection, str(login), now)
        asked = propose_take_over(
            connection, book_id, month, file.name, body, reason, who, now, tool.settings.rent
        )
    words = "已提交，请另一人在“审批”页同意后入账" if asked.is_new else "同一文件已经提交过，没有变化"
    words_en = "asked for; posted when another approves it" if asked.is_new else "known already, no change"
    click.echo(f"{asked.proposal.proposal_id}  {asked.proposal.summary_zh}")
    click.echo(f"{words}  |  {words_en}")


def _tell(plan: Plan) -> None:
    for word, figure in plan.figures.items():
        click.echo(f"{' '.join(FIGURES[word])}  {yuan(figure) if word.endswith('_fen') else figure}")
