"""`estate simulate wechat`."""

from __future__ import annotations

import os
import random
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from estate.processes import die_with_current_parent
from simulators.stripe.http import ChannelServer, listen
from simulators.wechat.app import create_app
from simulators.wechat.core import WechatCore
from simulators.wechat.material import load
from simulators.wechat.settings import MerchantSettings

HOST = "127.0.0.1"


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=12112, show_default=True, help="0 = 任意 (any)"
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="双方密钥的文件夹，没有就生成  |  the keys of both sides; made there if there are none.",
)
@click.option("--seed", type=int, help="固定种子  |  repeats the same numbers; random if absent.")
def wechat(port: int, folder: Path, seed: int | None) -> None:
    """模拟的微信支付 v3，不收真钱  |  a simulated WeChat Pay v3: no real money, until Ctrl-C."""
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    merchant, platform = load(folder)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    listener = listen(HOST, port)
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    core = WechatCore(
        lambda: datetime.now(UTC),
        random.SystemRandom() if seed is None else random.Random(seed),
        merchant,
        platform,
        replace(MerchantSettings(), public_url=url),
        base_url=url,
    )
    with ChannelServer(core, lambda wake: create_app(core, wake), listener) as server:
        click.echo(f"模拟微信支付已启动：{server.url}  |  Simulated WeChat Pay on {server.url}; Ctrl-C ends")
        stop.wait()
