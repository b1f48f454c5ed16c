"""`estate gateway drivers …`: which drivers there are, and whether one keeps the rules."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from estate.config import SettingsError
from estate.processes import StartFailedError
from gateway.drivers import DriverContext
from gateway.drivers.choice import BUILT_IN, known_drivers
from gateway.drivers.conformance import DEVICE, ESTATE, faults, read_samples


@click.group()
def drivers() -> None:
    """设备驱动  |  The drivers of door devices."""


@drivers.command("list")
def list_drivers() -> None:
    """有哪些驱动  |  The drivers that are built in, and those of installed packages."""
    for name in known_drivers():
        click.echo(f"{name}\t{'built in' if name in BUILT_IN else 'installed'}")


@drivers.command()
@click.argument("name")
@click.option(
    "--samples",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="样例文件夹  |  folder of sample messages, see docs/drivers.md",
)
@click.option("--seed", default=1, show_default=True, help="随机种子  |  of the noise that it is fed")
def check(name: str, samples: Path | None, seed: int) -> None:
    """检查一个驱动是否合规  |  Check that a driver keeps the rules; exit status 1 when it does not."""
    known = known_drivers()
    if name not in known:
        names = ", ".join(known)
        raise StartFailedError(f"没有驱动 {name}，已知 {names}  |  no driver {name}; known are {names}")
    try:
        given = read_samples(samples) if samples is not None else []
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(str(samples), "--samples", str(error)) from error
    driver = known[name](DriverContext(estate_of={DEVICE: ESTATE}.get))
    found = faults(driver, given, seed)
    for fault in found:
        click.echo(f"✗ {fault}", err=True)
    if found:
        sys.exit(1)
    click.echo(f"驱动 {name} 合规（{len(given)} 个样例）  |  {name} conforms ({len(given)} samples)")
