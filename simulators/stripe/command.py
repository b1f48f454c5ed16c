"""`estate simulate stripe`."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from estate.config import SettingsError, is_loopback, read_secret
from estate.processes import StartFailedError, die_with_current_parent, holding_stop_signals
from simulators.stripe.core import StripeCore
from simulators.stripe.http import SendingSettings, StripeServer, listen
from simulators.stripe.settings import AccountSettings

_FILE = click.Path(path_type=Path)


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=12111, show_default=True, help="0 = 任意 (any)"
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="仅本机地址  |  a loopback address, no other."
)
@click.option("--webhook", help="回调地址  |  where notices are sent.")
@click.option(
    "--webhook-secret-file", type=_FILE, help="回调密钥文件 (whsec_…)  |  what they are signed with."
)
@click.option(
    "--webhook-ca-file", type=_FILE, help="回调地址的根证书  |  authority of the webhook's certificate."
)
@click.option(
    "--api-key-file", type=_FILE, help="只接受这个密钥；否则任何 sk_test_…  |  the only key let in."
)
@click.option("--seed", type=int, help="固定种子，编号可重复  |  repeats the same ids; random if absent.")
def stripe(
    port: int,
    host: str,
    webhook: str | None,
    webhook_secret_file: Path | None,
    webhook_ca_file: Path | None,
    api_key_file: Path | None,
    seed: int | None,
) -> None:
    """模拟的 Stripe 收款渠道，不收真钱  |  a simulated Stripe: no real money, until Ctrl-C."""
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    if not is_loopback(host):
        raise StartFailedError(
            f"支付模拟器只在本机监听，不能用 {host}  |  The stand-in listens on loopback only, not on {host}"
        )
    if (webhook is None) != (webhook_secret_file is None):
        raise SettingsError(
            "estate simulate stripe",
            "--webhook",
            "要与 --webhook-secret-file 一起给 (goes together with --webhook-secret-file)",
        )
    api_key = read_secret(api_key_file, "--api-key-file") if api_key_file else None
    secret = read_secret(webhook_secret_file, "--webhook-secret-file") if webhook_secret_file else None
    listener = listen(host, port)
    source = random.SystemRandom() if seed is None else random.Random(seed)
    settings = replace(AccountSettings(), public_url=f"http://{host}:{listener.getsockname()[1]}")
    core = StripeCore(lambda: datetime.now(UTC), source, settings, api_key=api_key)
    if webhook is not None and secret is not None:
        core.add_endpoint(webhook, secret)
    sending = SendingSettings(ca_file=str(webhook_ca_file) if webhook_ca_file else None)
    with holding_stop_signals() as wait_for_stop, StripeServer(core, listener, sending) as server:
        click.echo(
            f"模拟支付渠道已启动：{server.url}，Ctrl-C 结束  |  Simulated Stripe on {server.url}; Ctrl-C ends"
        )
        wait_for_stop()
