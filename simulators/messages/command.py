"""`estate simulate messages`."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from estate.config import read_secret
from estate.processes import die_with_current_parent, holding_stop_signals
from simulators.messages.core import MessagesCore
from simulators.messages.http import MessagesServer


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=12113, show_default=True, help="0 = 任意 (any)"
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    required=True,
    help="一行口令，与 messages.token_file 相同  |  one line, the same as messages.token_file.",
)
def messages(port: int, token_file: Path) -> None:
    """模拟的短信和微信通道，不发真消息  |  a simulated messenger: nothing is sent, until Ctrl-C."""
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    token = read_secret(token_file, "--token-file")
    with (
        holding_stop_signals() as wait_for_stop,
        MessagesServer(MessagesCore(time.time, token), port) as server,
    ):
        click.echo(
            f"模拟消息通道已启动：{server.url}，Ctrl-C 结束  |  Messenger on {server.url}; Ctrl-C ends"
        )
        wait_for_stop()
