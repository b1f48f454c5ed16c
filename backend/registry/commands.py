"""`estate backend load-estates` and `import`: the registry from files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from backend.cli import SYSTEM, Tool, pass_tool
from backend.identity.accounts import principal_by_login
from backend.registry.consents import publish_notice
from backend.registry.estates import estate_key, load_estates
from backend.registry.estates_file import read_estates
from backend.registry.facts import OPEN_DOORS
from backend.registry.importing import import_households
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
@pass_tool
def import_command(tool: Tool, file: Path, login: str) -> None:
    """导入家庭和人员，输出编号对照  |  import households; prints ref → id as JSON."""
    master_key, now = MasterKey.from_file(tool.settings.secrets.master_key_file), datetime.now(UTC)
    with tool.transaction() as connection:
        result = import_households(
            connection,
            file.read_bytes(),
            lambda estate_id: estate_key(connection, master_key, estate_id),
            actor=principal_by_login(connection, login, now),
            now=now,
        )
    click.echo(json.dumps({ref: str(one) for ref, one in result.ids.items()}, indent=2, ensure_ascii=False))
    if result.logins:
        names = " ".join(result.logins)
        click.echo(f"新账号还没有密码  |  new logins without a password: {names}", err=True)
