"""`estate simulate panels`."""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click

from estate.processes import StartFailedError, die_with_current_parent, holding_stop_signals
from simulators.doors.command import serve_control
from simulators.panels.control import create_control
from simulators.panels.fleet import read_panels_file, run_looks, running_panels


@click.command()
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    help="面板与代理的 JSON 文件  |  JSON file of broker and panels, see docs/drivers.md.",
)
@click.option(
    "--events",
    type=click.IntRange(min=1),
    help="看这么多次后给出结论并退出  |  so many people look, then a verdict and exit 0 or 1.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0.001, max=100),
    default=1.0,
    show_default=True,
    help="每秒人次  |  people a second.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="随机种子  |  repeats the same people.")
@click.option(
    "--control",
    type=click.IntRange(1, 65535),
    help="控制端口（仅本机）  |  loopback port to act on a panel by hand.",
)
def panels(path: Path, events: int | None, rate: float, seed: int, control: int | None) -> None:
    """人脸面板（mqtt/face 协议）  |  face panels of the mqtt/face family, until Ctrl-C or a verdict."""
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    file = read_panels_file(path)
    try:
        with holding_stop_signals() as wait_for_stop, running_panels(file) as running, ExitStack() as cleanup:
            if control is not None:
                cleanup.callback(serve_control(control, create_control(running)))
            if events is None:
                words = f"{len(running)} panels connected; Ctrl-C ends"
                click.echo(f"{len(running)} 台面板已连接，Ctrl-C 结束  |  {words}")
                wait_for_stop()
                return
            verdict = run_looks(running, events=events, rate=rate, seed=seed)
    except TimeoutError as error:
        raise StartFailedError(
            "代理没有接受面板，请检查地址、密码和证书  |  "
            f"The broker did not accept a panel; check address, password and certificate: {error}"
        ) from error
    click.echo(json.dumps(asdict(verdict)))
    sys.exit(0 if verdict.is_good else 1)
