"""`estate backend notices`: the provider's notices that wait for a person."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from backend.cli import Tool, pass_tool
from backend.payments.service import parked_notices, replay_notice


@click.group()
def notices() -> None:
    """支付渠道的搁置通知  |  the payment channel's parked notices."""


@notices.command("parked")
@pass_tool
def notices_parked(tool: Tool) -> None:
    """列出搁置的通知和原因  |  list them with their reasons."""
    with tool.transaction() as connection:
        for one in parked_notices(connection):
            click.echo(f"{one.notice_id}\t{one.received_at:%Y-%m-%d %H:%M:%S}Z\t{one.event_id}\t{one.reason}")


@notices.command("replay")
@click.argument("notice_id", type=int)
@pass_tool
def notices_replay(tool: Tool, notice_id: int) -> None:
    """让后台重新处理一条搁置的通知  |  let the worker try a parked notice once more."""
    with tool.transaction() as connection:
        replay_notice(connection, notice_id, datetime.now(UTC))
