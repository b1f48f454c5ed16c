"""The `estate` command: finds the sub-command's module and loads only that one."""

from __future__ import annotations

import importlib
import sys

import click

from estate.config import SettingsError
from estate.processes import StartFailedError

# Loaded on use, so that `estate gateway` never imports the backend's database and the other way round.
GROUPS = {
    "backend": (
        "backend.commands:backend",
        "城市端：数据库、网页、后台任务  |  city side: database, web, worker",
    ),
    "faces": ("gateway.matching.commands:faces", "人脸识别：评估和报告  |  faces: evaluate, report"),
    "gateway": ("gateway.commands:gateway", "小区网关：门禁、人脸库  |  estate gateway: doors, vault"),
    "reconcile": (
        "backend.reconciliation.commands:reconcile",
        "对账：导入账单、核对、差异、日终  |  reconciliation: import, match, cases, day-end",
    ),
    "rent": ("backend.rent.commands:rent", "计租：收费标准、月度计租  |  rent: tariffs, the monthly run"),
    "ledger": (
        "backend.closing.commands:ledger",
        "账簿：链头、结账、核对结账包、Fava  |  the books: heads, month close, packs, Fava",
    ),
    "simulate": (
        "simulators.commands:simulate",
        "模拟器：门口设备、支付渠道  |  simulators: doors, payment channel",
    ),
    "demo": (
        "simulators.demo.command:demo",
        "一条命令演示全部  |  the whole estate on this machine, with a story",
    ),
}


class LazyGroup(click.Group):
    """A group whose members are named by `module:attribute` and imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names, without importing anything."""
        return sorted(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one sub-command."""
        if cmd_name not in GROUPS:
            return None
        module_name, _, attribute = GROUPS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module_name), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{GROUPS[cmd_name][0]} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the sub-commands from the table, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in sorted(GROUPS.items())])


@click.group(cls=LazyGroup)
@click.version_option(package_name="smart-estate")
def estate() -> None:
    """智慧公租房小区  |  Smart public-rental estates."""


def main() -> None:
    """Run the command; an expected failure is one sentence on standard error and exit status 1."""
    try:
        estate()
    except (SettingsError, StartFailedError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
