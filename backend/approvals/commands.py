"""`estate backend approval-rights`: who may propose and approve what."""

from __future__ import annotations

from pathlib import Path

import click

from backend.approvals.rights import read_rights, store_rights
from backend.cli import Tool, pass_tool
from backend.db.engine import connect
from estate.config import SettingsError


@click.command("approval-rights")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@pass_tool
def approval_rights(tool: Tool, file: Path | None) -> None:
    """按文件设置审批权限，缺省为随附文件  |  set who approves what from FILE, or the one shipped."""
    owner = tool.settings.owner
    if owner.url is None:
        raise SettingsError(str(tool.path), "owner.url", "设置审批权限需要此项 (setting rights needs it)")
    kinds = read_rights(file)
    with connect(owner.url, owner.password_file) as connection:
        store_rights(connection, kinds)
    click.echo(f"已设置 {len(kinds)} 类事项  |  {len(kinds)} kinds set", err=True)
