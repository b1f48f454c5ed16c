"""`estate demo`: eleven estates on this machine, a story, and then your turn."""

from __future__ import annotations

import fcntl
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.table import Table

from estate.embedded.broker import Kind
from estate.processes import StartFailedError, die_with_current_parent
from simulators.demo.enrol import enrol_faces
from simulators.demo.layout import Layout, choose_ports
from simulators.demo.report import Report
from simulators.demo.stack import Stack
from simulators.demo.story import Story
from simulators.photos import photos

FREE_BYTES_MIN = 300 * 1024 * 1024


class _StoppedError(BaseException):
    """Somebody asked the demo to end; not an Exception, so that no step swallows it."""


@click.command()
@click.option(
    "--once",
    is_flag=True,
    help="演完即退出，成功为 0  |  end after the story; exit status 0 if all was as expected.",
)
@click.option(
    "--port",
    "port_base",
    type=click.IntRange(0, 65000),
    default=8600,
    show_default=True,
    help="起始端口，0 为任选  |  first of eight ports; 0 takes free ones.",
)
@click.option(
    "--broker",
    type=click.Choice(["mosquitto", "amqtt"]),
    help="指定消息代理  |  which broker; by default Mosquitto where installed.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("var/demo"),
    show_default=True,
    help="数据目录  |  where it keeps its data.",
)
def demo(once: bool, port_base: int, broker: Kind | None, folder: Path) -> None:
    """一条命令演示全部  |  run everything on this machine, with real parts and a story."""
    # Whoever started us and is gone cannot stop us any more.
    die_with_current_parent()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    console = Console(highlight=False, soft_wrap=True)
    layout = Layout(folder.absolute())
    try:
        _check_disk(folder)
        layout.make()
        with _only_one(layout), Stack(layout, choose_ports(port_base), broker) as stack:
            report = _run(console, stack)
            report.write(layout.summary)
            verdict = "✓ 全部符合预期  |  all as expected"
            if not report.ok:
                verdict = "✗ 有步骤不符合预期  |  not all as expected"
            console.print(f"\n{verdict}: {layout.summary}")
            if not once:
                _show_addresses(console, stack)
                threading.Event().wait()
    except _StoppedError:
        console.print("\n已停止  |  stopped")
        sys.exit(0 if not once else 1)
    sys.exit(0 if report.ok else 1)


def _run(console: Console, stack: Stack) -> Report:
    report = Report(console)
    console.print("[bold]一、启动  |  starting[/]")
    started_s = time.monotonic()
    for words in stack.stages():
        console.print(f"   {words}")
    for sentence in stack.broker.cannot_show:
        console.print(f"   [yellow]{sentence}[/]")
    portraits = photos(Path("var/photos"))
    enrol_faces(stack, portraits)
    console.print(f"   [dim]{time.monotonic() - started_s:.1f} s[/]")
    console.print("[bold]二、故事  |  the story[/]")
    story = Story(stack, portraits, report)
    story.play()
    for what, words in (("face", "刷脸应答  |  answers to faces"), ("card", "刷卡应答  |  answers to cards")):
        taken = story.door.answer_seconds[what]
        if taken:
            console.print(f"   [dim]{words}: {min(taken) * 1000:.0f} – {max(taken) * 1000:.0f} ms[/]")
    return report


def _show_addresses(console: Console, stack: Stack) -> None:
    table = Table(title="演示账号  |  demo logins")
    for heading in ("账号 login", "密码 password", "角色 role"):
        table.add_column(heading, no_wrap=True)
    table.add_column("页面 page", overflow="fold")
    for login in stack.logins:
        table.add_row(login.name, login.password, login.role, stack.pages_url + login.page)
    console.print(table)
    console.print(f"支付渠道模拟器  |  payment stand-in: {stack.channel_url}")
    console.print(f"门口设备模拟器  |  simulated doors: {stack.doors_url}/doors")
    console.print(f"日志  |  logs: {stack.layout.logs}")
    console.print("[bold]Ctrl-C 结束  |  Ctrl-C ends[/]")


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _StoppedError


@contextmanager
def _only_one(layout: Layout) -> Iterator[None]:
    """Two demos on the same data would fight over it; the kernel forgets the lock with its process."""
    with (layout.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartFailedError(
                f"演示已在运行（{layout.root}）；请先用 Ctrl-C 结束它  |  "
                f"A demo already runs on {layout.root}; end it with Ctrl-C first"
            ) from None
        yield


def _check_disk(folder: Path) -> None:
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < FREE_BYTES_MIN:
        left, needed = f"{free // 2**20} MB", f"{FREE_BYTES_MIN // 2**20} MB"
        raise StartFailedError(
            f"磁盘空间不足：{place} 只剩 {left}，至少需要 {needed}，请先清理  |  "
            f"The disk is nearly full: {place} has {left} left and {needed} are needed; make room first"
        )
