"""`estate gateway panels …`: what each panel that matches by itself holds, and bringing it in line."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path

import click
import msgspec

from estate.config import SettingsError
from estate.processes import StartFailedError
from gateway.drivers import Address
from gateway.panels.report import PanelReport, reports
from gateway.panels.store import PANELS_FILE, PanelStore
from gateway.settings import read_settings
from gateway.telling import CONFIG

WAIT_S = 60.0


@click.group()
def panels() -> None:
    """自行识别的面板  |  Panels that match faces by themselves."""


@panels.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="JSON")
def report(config: Path, as_json: bool) -> None:
    """每台面板上有谁、谁仍可能开门  |  What each panel holds, and who may still open."""
    with _Store(config) as store:
        found = reports(store)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for one in found:
        _show(one)
    if not found:
        click.echo("没有自行识别的面板  |  no panel matches by itself")


@panels.command()
@CONFIG
@click.option("--device", multiple=True, help="只核对这些面板  |  only these panels")
def reconcile(config: Path, device: tuple[str, ...]) -> None:
    """把每台面板的名单与我们的核对并修正  |  Compare each panel's list with ours and mend it."""
    with _Store(config) as store:
        known = {one.device: one for one in store.panels()}
        if missing := sorted(set(device) - set(known)):
            reason = f"没有这台面板 (no such panel): {', '.join(missing)}"
            raise SettingsError("--device", missing[0], reason)
        asked = [known[name] for name in device] if device else list(known.values())
        store.ask(asked)
        left = _wait(store, asked)
        for one in reports(store):
            if Address(one.estate, one.device) in asked:
                _show(one)
    for address in left:
        click.echo(
            f"! {address.estate}/{address.device} 未回应，上线后自动核对  |  "
            "no answer; it is compared when it is back",
            err=True,
        )
    if left:
        sys.exit(1)


def _wait(store: PanelStore, asked: list[Address]) -> list[Address]:
    """Until the running gateway has compared them; those that it could not."""
    until_s = time.monotonic() + WAIT_S
    while True:
        left = [address for address in asked if store.reconciled(address).asked]
        if not left or time.monotonic() > until_s:
            return left
        time.sleep(0.2)


def _show(one: PanelReport) -> None:
    when = one.reconciled_at.astimezone().isoformat(" ", "seconds") if one.reconciled_at else "-"
    click.echo(
        f"{one.estate}/{one.device}\t{one.people} people, {one.refused} refused; compared {when}: "
        f"{one.missing} missing, {one.extra} extra, {one.nameless} without a reference, "
        f"{one.strangers} of somebody else's being removed"
    )
    for left in one.may_still_open:
        until = left.until.astimezone().isoformat(" ", "seconds") if left.until else "?"
        click.echo(f"  ! {left.person} 仍可能开门，至 {until}  |  may still open until {until}")


class _Store:
    """The store of the configured gateway; what does not play along is one sentence."""

    def __init__(self, config: Path) -> None:
        self._path = read_settings(config).state_folder / PANELS_FILE

    def __enter__(self) -> PanelStore:
        try:
            if not self._path.exists():
                raise FileNotFoundError("还没有 (there is none yet)")
            self._store = PanelStore(self._path)
        except (OSError, sqlite3.Error) as error:
            raise StartFailedError(f"{self._path} 无法读取  |  cannot be read: {error}") from error
        return self._store

    def __exit__(self, *_: object) -> None:
        self._store.close()
