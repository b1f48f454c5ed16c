"""`estate backend load-estates` and `import`: the registry from files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from backend.cli import SYSTEM, Tool, pass_tool
from backend.documents.csv_file import csv_lines
from backend.documents.workbook import write_workbook
from backend.identity.accounts import principal_by_login
from backend.registry.consents import publish_notice
from backend.registry.estates import estate_key, load_estates
from backend.registry.estates_file import read_estates
from backend.registry.export import export_households
from backend.registry.facts import OPEN_DOORS
from backend.registry.importing import import_households, try_import
from backend.registry.keys import MasterKey

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("load-estates")
@click.argument("file", type=FILE)
@pass_tool
def load_estates_command(tool: Tool, file: Path) -> None:
    """按 estates.toml 建立或更新小区，可重复运行  |  create or change the estates of a file."""
    wanted = read_estates(file)
    master_key, now = MasterKey.from_file(tool.settings.secrets.master_key_file), datetime.now(UTC)
    with tool.transaction() as connection:
        loaded = load_estates(connection, wanted, master_key, actor=SYSTEM, now=now)
        if tool.settings.notice is not None:
            publish_notice(connection, OPEN_DOORS, tool.settings.notice, actor=SYSTEM, now=now)
    click.echo(f"已加载 {len(loaded)} 个小区  |  {len(loaded)} estates loaded", err=True)


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--as", "login", required=True, help="以谁的名义  |  in whose name")
@click.option("--dry-run", is_flag=True, help="只检查，列出每处问题  |  only check, and list each fault")
@pass_tool
def import_command(tool: Tool, file: Path, login: str, dry_run: bool) -> None:
    """导入家庭和人员（Excel、CSV 或 JSON）  |  import households; prints ref → id as JSON."""
    master_key, now = MasterKey.from_file(tool.settings.secrets.master_key_file), datetime.now(UTC)
    with tool.transaction() as connection:
        actor = principal_by_login(connection, login, now)

        def keys(estate_id: str) -> bytes:
            return estate_key(connection, master_key, estate_id)

        if dry_run:
            counts = try_import(connection, file.read_bytes(), keys, actor=actor, now=now)
            _tell_counts(counts)
            return
        result = import_households(connection, file.read_bytes(), keys, actor=actor, now=now)
    click.echo(json.dumps({ref: str(one) for ref, one in result.ids.items()}, indent=2, ensure_ascii=False))
    if result.logins:
        names = " ".join(result.logins)
        click.echo(f"新账号还没有密码  |  new logins without a password: {names}", err=True)


@click.command("export")
@click.argument("estate_id")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--as", "login", required=True, help="以谁的名义  |  in whose name")
@pass_tool
def export_command(tool: Tool, estate_id: str, file: Path, login: str) -> None:
    """导出一个小区的住户为 .xlsx 或 .csv，可再导入  |  write an estate's households as a table."""
    if file.suffix.lower() not in {".xlsx", ".csv"}:
        raise click.UsageError("文件名须以 .xlsx 或 .csv 结尾 (the file's name ends in .xlsx or .csv)")
    now = datetime.now(UTC)
    with tool.transaction() as connection:
        actor = principal_by_login(connection, login, now)
        sheet = export_households(connection, estate_id, actor=actor, now=now)
        if file.suffix.lower() == ".xlsx":
            write_workbook(file, [sheet])
        else:
            file.write_text("".join(csv_lines(sheet)), encoding="utf-8", newline="")
    click.echo(f"已导出到 {file}  |  written to {file}", err=True)


def _tell_counts(counts: Mapping[str, int]) -> None:
    said = " ".join(f"{name}={count}" for name, count in counts.items()) or "0"
    click.echo(f"检查通过，未写入；导入将新增：{said}  |  no faults, nothing written; it would add: {said}")
