"""`estate simulate doors`."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import click
from flask import Flask
from werkzeug.serving import make_server

from estate.processes import StartFailedError, die_with_current_parent, holding_stop_signals
from simulators.doors.control import create_control
from simulators.doors.device import DoorDevice
from simulators.doors.fleet import FleetFile, passers_by, read_fleet_file, run_passages, running_fleet


@click.command()
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    help="门与代理的 JSON 文件  |  JSON file of broker and doors (the demo writes var/demo/doors.json).",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0.001, max=1000),
    default=1.0,
    show_default=True,
    help="每秒刷卡次数  |  cards shown a second.",
)
@click.option(
    "--events",
    type=click.IntRange(min=1),
    help="刷这么多次卡后给出结论并退出  |  show this many cards, print a verdict and exit 0 or 1.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="随机种子  |  repeats the same people at the same doors.",
)
@click.option(
    "--control",
    type=click.IntRange(1, 65535),
    help="控制端口（仅本机）  |  loopback port to walk up to a door by hand.",
)
@click.option(
    "--quiet-doors",
    is_flag=True,
    help="没有路人，只听控制端口  |  nobody passes by; only the control port acts.",
)
def doors(
    path: Path, rate: float, events: int | None, seed: int, control: int | None, quiet_doors: bool
) -> None:
    """小区门口设备  |  the door devices of several estates, until Ctrl-C or a verdict."""
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    file = read_fleet_file(path)
    try:
        if events is not None:
            sys.exit(_verdict(file, events, rate, seed))
        with holding_stop_signals() as wait_for_stop, running_fleet(file) as fleet, ExitStack() as cleanup:
            if control is not None:
                cleanup.callback(serve_control(control, create_control(fleet)))
            if not quiet_doors:
                cleanup.callback(_let_people_pass(file, fleet, rate, seed))
            click.echo(f"{len(fleet)} 个门已连接，Ctrl-C 结束  |  {len(fleet)} doors connected; Ctrl-C ends")
            wait_for_stop()
    except TimeoutError as error:
        raise StartFailedError(
            "代理没有接受门设备，请检查地址、密码和证书  |  "
            f"The broker did not accept a door; check address, password and certificate: {error}"
        ) from error


def _verdict(file: FleetFile, events: int, rate: float, seed: int) -> int:
    """Show so many cards; 0 if none of them was lost."""
    with running_fleet(file) as fleet:
        verdict = run_passages(file, fleet, events=events, rate=rate, seed=seed)
    click.echo(json.dumps(asdict(verdict)))
    return 0 if verdict.is_good else 1


def _let_people_pass(
    file: FleetFile, fleet: dict[str, DoorDevice], rate: float, seed: int
) -> Callable[[], None]:
    """People at random doors, in the background; returns how to stop."""
    leaving = threading.Event()

    def live() -> None:
        for _ in passers_by(file, fleet, random.Random(seed), leaving, rate):
            pass

    threading.Thread(target=live, daemon=True).start()
    return leaving.set


def serve_control(port: int, control: Flask) -> Callable[[], None]:
    """Listen on the control port; returns how to stop."""
    try:
        server = make_server("127.0.0.1", port, control, threaded=True)
    except SystemExit:  # how werkzeug reports a busy port
        raise StartFailedError(
            f"端口 {port} 已被占用，请换一个 --control  |  Port {port} is in use; choose another --control"
        ) from None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.shutdown
