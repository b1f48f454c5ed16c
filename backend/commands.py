"""`estate backend …`: the commands of the city side."""

from __future__ import annotations

from pathlib import Path

import click
import structlog

from backend import settings as configuration
from backend.approvals.commands import approval_rights
from backend.cli import OneSentenceGroup, Tool, pass_tool
from backend.db.commands import bootstrap, migrate
from backend.identity.commands import gateway, principal
from backend.jobs.commands import work
from backend.payments.commands import notices
from backend.registry.commands import export_command, import_command, load_estates_command
from backend.retention.commands import COMMANDS as RETENTION
from estate.logs import configure_logs


@click.group(cls=OneSentenceGroup)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="默认 config/backend.toml 或环境变量 ESTATE_CONFIG_BACKEND  |  default, or by that variable",
)
@click.pass_context
def backend(context: click.Context, config: Path | None) -> None:
    """城市端：数据库、网页、后台任务  |  city side: database, web, worker."""
    # Standard output is for what a command prints; logs never go there.
    if not structlog.is_configured():
        configure_logs("backend")
    context.obj = Tool(config or configuration.settings_path())


@backend.command()
@pass_tool
def serve(tool: Tool) -> None:
    """启动网页和网关接口  |  serve pages and the gateways' interface."""
    from backend.serving import serve_forever  # noqa: PLC0415 (the web server is loaded where it is needed)

    serve_forever(tool.settings, tool.path)


for command in (
    bootstrap,
    migrate,
    approval_rights,
    load_estates_command,
    import_command,
    export_command,
    principal,
    gateway,
    work,
    notices,
    *RETENTION,
):
    backend.add_command(command)
