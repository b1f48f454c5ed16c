"""`estate backend bootstrap` and `migrate`: a server becomes an estate's database."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import click
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from backend.cli import Tool, ensure_secret, pass_tool
from backend.db import guards
from backend.db import migrate as steps
from backend.settings import BackendSettings
from estate.config import SettingsError, read_secret


@click.command()
@click.option("--superuser-url", required=True, help="libpq 连接串  |  connection string of a superuser")
@pass_tool
def bootstrap(tool: Tool, superuser_url: str) -> None:
    """建立角色、数据库和缺少的密钥文件，可重复运行  |  make roles, database and missing secrets."""
    made = _make_secrets(tool.settings)
    passwords = {
        role: read_secret(Path(file), "password_file")
        for role, file in _password_files(tool.settings).items()
        if file is not None
    }
    database = str(conninfo_to_dict(tool.settings.database.url).get("dbname") or "estate")
    steps.bootstrap(superuser_url, database, passwords)
    for path in made:
        click.echo(f"新密钥文件  |  new secret: {path}", err=True)
    click.echo(f"数据库 {database} 已就绪  |  database {database} is ready", err=True)


@click.command()
@pass_tool
def migrate(tool: Tool) -> None:
    """把数据库表升级到当前版本  |  bring the tables to this version."""
    owner = tool.settings.owner
    if owner.url is None:
        raise SettingsError(str(tool.path), "owner.url", "迁移需要此项 (migrations need it)")
    password = read_secret(Path(owner.password_file), "owner.password_file") if owner.password_file else None
    steps.migrate(make_conninfo(owner.url, password=password) if password else owner.url)
    click.echo("数据库表已是最新  |  the tables are up to date", err=True)


def _password_files(settings: BackendSettings) -> dict[str, str | None]:
    return {
        guards.OWNER: settings.owner.password_file,
        guards.APP: settings.database.password_file,
        guards.READER: settings.reader.password_file,
    }


def _make_secrets(settings: BackendSettings) -> list[Path]:
    wanted: dict[str, str | None] = {
        file: None for file in _password_files(settings).values() if file is not None
    }
    wanted[settings.secrets.session_key_file] = None
    wanted[settings.secrets.master_key_file] = base64.b64encode(os.urandom(32)).decode()
    return [Path(file) for file, secret in wanted.items() if ensure_secret(Path(file), secret)]
