"""`estate backend charge`: the monthly run."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from backend.cli import Tool, pass_tool
from backend.rent.service import read_month, run_month


@click.command()
@click.option("--month", required=True, help="例如 2026-11  |  for example 2026-11")
@click.option("--estate", help="不给即全部  |  none means all")
@pass_tool
def charge(tool: Tool, month: str, estate: str | None) -> None:
    """计收一个月的租金，重复运行不会多收  |  charge a month's rent; twice charges nobody twice."""
    first_day = read_month(month)
    with tool.engine() as engine:
        result = run_month(engine, estate, first_day, None, datetime.now(UTC), tool.settings.rent)
    click.echo(json.dumps({**asdict(result), "month": month}))
