"""`estate ledger close | verify | fava`, beside the ledger's own commands."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import click

from backend.cli import Explained, Tool, pass_tool
from backend.closing import fava_server, pack, verify_pack
from backend.closing.programs import bean_check
from backend.closing.records import Month
from backend.closing.reopening import propose_reopening
from backend.closing.service import close_month, estate_of, open_points
from backend.closing.signing import CLOSER, sign
from backend.closing.take_over_commands import takeover
from backend.identity.accounts import principal_by_login
from backend.ledger.commands import ledger
from backend.rent.rules import read_month

ledger.add_command(takeover)


@ledger.command()
@click.option("--book", "book_id", required=True, help="小区代码，或 city  |  an estate's id, or city")
@click.option("--month", "month_text", required=True, help="例如 2026-11  |  for example 2026-11")
@click.option("--as", "login", help="以谁的名义结账  |  the login in whose name it is closed")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="结账包存放处，默认按配置  |  where packs are filed; by default as configured",
)
@click.option("--check", is_flag=True, help="只看还差什么，不结账  |  only show what is missing")
@click.option("--despite", multiple=True, help="带着这一项结账，须给 --reason  |  close despite this point")
@click.option("--reason", default="", help="为什么带着未了事项结账  |  why it is closed all the same")
@pass_tool
def close(
    tool: Tool,
    book_id: str,
    month_text: str,
    login: str | None,
    out: Path | None,
    check: bool,
    despite: tuple[str, ...],
    reason: str,
) -> None:
    """结账一个月，出结账包  |  close a month and write its pack."""
    month, now = Month(read_month(month_text)), datetime.now(UTC)
    with tool.engine() as engine:
        if check:
            with engine.connect() as connection:
                estate_of(connection, book_id)
                points = open_points(connection, book_id, month, now)
            for point in points:
                click.echo(f"{'✓' if point.done else '✗'} {point.name}: {point.zh} {point.detail}".rstrip())
            return
        if login is None:
            raise click.UsageError("--as LOGIN 必填：结账要留下是谁  |  --as LOGIN: who closes is on record")
        with engine.connect() as connection:
            principal = principal_by_login(connection, login, now)
        folder = out or Path(tool.settings.closing.packs_folder)
        done = close_month(engine, book_id, month, principal, now, folder, despite, reason)
    click.echo(f"结账包 pack: {done.path}")
    click.echo(f"链头 head: {done.head_hash}")


@ledger.command()
@click.option("--book", "book_id", required=True, help="小区代码，或 city  |  an estate's id, or city")
@click.option("--month", "month_text", required=True, help="例如 2026-11  |  for example 2026-11")
@click.option("--as", "login", required=True, help="申请人  |  the login of whoever asks")
@click.option("--reason", required=True, help="为什么要反结账  |  why it is opened again")
@pass_tool
def reopen(tool: Tool, book_id: str, month_text: str, login: str, reason: str) -> None:
    """申请反结账，由另一人在审批页同意  |  ask to reopen a month; another person agrees on the page."""
    month, now = Month(read_month(month_text)), datetime.now(UTC)
    with tool.engine() as engine, engine.begin() as connection:
        principal = principal_by_login(connection, login, now)
        asked = propose_reopening(connection, book_id, month, reason, principal, now)
    click.echo(f"已申请，待另一人审批  |  asked; another person decides on /approvals/{asked.proposal_id}")


@ledger.command("sign")
@click.option("--book", "book_id", required=True, help="小区代码，或 city  |  an estate's id, or city")
@click.option("--month", "month_text", required=True, help="例如 2026-11  |  for example 2026-11")
@click.option("--as", "login", required=True, help="签字人  |  the login of whoever signs")
@click.option(
    "--head", required=True, help="纸面结账单上的链头，照抄  |  the head on the paper, as it stands"
)
@pass_tool
def sign_sheet(tool: Tool, book_id: str, month_text: str, login: str, head: str) -> None:
    """在结账单上签字：先结账人，后另一人  |  sign a close sheet: whoever closed, then another person."""
    month, now = Month(read_month(month_text)), datetime.now(UTC)
    with tool.transaction() as connection:
        principal = principal_by_login(connection, login, now)
        signed = sign(connection, book_id, month, head, principal, now)
    next_zh, next_en = (
        ("待另一人复核签字", "a second person signs next")
        if signed.signs_as == CLOSER
        else ("两人已签", "signed by both")
    )
    click.echo(f"{signed.name} 已签字，{next_zh}  |  signed by {signed.name}; {next_en}")


@ledger.command()
@click.argument(
    "paths", metavar="PACK…", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)
@click.option("--head", help="签字结账单上的链头  |  the head on the signed close sheet")
@click.option(
    "--previous",
    type=click.Path(path_type=Path, exists=True),
    help="上月的结账包  |  the month before's pack",
)
def verify(paths: tuple[Path, ...], head: str | None, previous: Path | None) -> None:
    """核对结账包  |  check a pack: our verifier, then bean-check where it is installed.

    几个小区同一个月的包一起给，就核对它们共用账户的份额。Give the packs of several books of a month
    together, and their shares of accounts that they share are checked as well.
    """
    if len(paths) > 1 and (head or previous):
        raise click.UsageError("--head 和 --previous 一次只对一个包  |  are for one pack at a time")
    wrong = []
    for path in paths:
        found = verify_pack.verify(path, head, previous)
        found = found or [f"bean-check: {line}" for line in _bean_check(path)]
        wrong += [f"{path.name} {line}" for line in found] if len(paths) > 1 else found
    if not wrong and len(paths) > 1:
        wrong, _ = verify_pack.verify_together(paths)
    if wrong:
        raise Explained("\n".join(f"不符 WRONG  {line}" for line in wrong))
    arguments = [*map(str, paths), *(["--head", head] if head else [])]
    verify_pack.main([*arguments, *(["--previous", str(previous)] if previous else [])])


@ledger.command()
@click.option("--book", "book_id", required=True, help="小区代码，或 city  |  an estate's id, or city")
@click.option(
    "--month", "month_text", help="默认最近的凭证所在月  |  by default the month of the latest entry"
)
@click.option(
    "--port", default=5000, type=click.IntRange(1, 65535), help="本机端口  |  a port of this machine"
)
@pass_tool
def fava(tool: Tool, book_id: str, month_text: str | None, port: int) -> None:
    """用 Fava 看账，Ctrl-C 结束  |  show the books in Fava on this machine; Ctrl-C ends it."""
    month = Month(read_month(month_text)) if month_text else None
    with tempfile.TemporaryDirectory(prefix="estate-fava-") as folder:
        with tool.engine() as engine:
            path = fava_server.export(engine, book_id, month, Path(folder))
        fava_server.serve(path, port)


def _bean_check(pack_path: Path) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="estate-verify-") as folder:
        target = Path(folder) / pack.BEANCOUNT
        if pack_path.is_dir():
            shutil.copyfile(pack_path / pack.BEANCOUNT, target)
        else:
            with zipfile.ZipFile(pack_path) as package:
                target.write_bytes(package.read(pack.BEANCOUNT))
        return bean_check(target)
