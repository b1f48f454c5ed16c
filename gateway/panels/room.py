"""Puts the parts that look after panels together: one desk, one store, one server for photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway.alarms import AlarmBook
from gateway.decision import DoorState
from gateway.devices import DeviceBook
from gateway.drivers import Address
from gateway.drivers.choice import Drivers
from gateway.drivers.commands import Command
from gateway.loop import Loop
from gateway.panels.desk import PanelDesk
from gateway.panels.photos import PhotographSource, PhotoServer, Tokens
from gateway.panels.report import PanelReport, reports
from gateway.panels.state import panel_look
from gateway.panels.store import PANELS_FILE, PanelStore
from gateway.roster import EstateRoster, RosterBook
from gateway.settings import PanelsSection


@dataclass(frozen=True, slots=True)
class PanelRoom:
    """The panels' part of a gateway."""

    desk: PanelDesk
    store: PanelStore
    server: PhotoServer | None

    def start(self) -> None:
        """Begin to keep rosters and to serve photographs."""
        if self.server is not None:
            self.server.start()
        self.desk.start()

    def close(self) -> None:
        """End; what panels hold is on disk."""
        self.desk.close()
        if self.server is not None:
            self.server.close()
        self.store.close()

    def reports(self) -> list[PanelReport]:
        """What the backend is told of each panel."""
        return reports(self.store)

    def told(self, sent: Sequence[PanelReport]) -> None:
        """The backend has these."""
        self.store.told(max((one.seq for report in sent for one in report.erased), default=0))


def make_room(
    folder: Path,
    settings: PanelsSection,
    *,
    vault: PhotographSource | None,
    loop: Loop,
    rosters: RosterBook,
    devices: DeviceBook,
    drivers: Drivers,
    send: Callable[[Address, Command], bool],
    alarms: AlarmBook,
    now_s: Callable[[], float],
    state: Callable[[EstateRoster, Address], DoorState],
) -> PanelRoom:
    """The room, ready to start.

    Raises:
        StartFailedError: the port for photographs is taken, or its certificate cannot be read.
        sqlite3.Error, OSError: the state folder cannot be written.
    """
    tokens, server, base = Tokens(), None, ""
    if settings.port and vault is not None:
        certificate, key = settings.tls_certificate, settings.tls_key
        tls = (Path(certificate), Path(key)) if certificate else None
        server = PhotoServer(settings.host, settings.port, tls, vault, tokens)
        base = settings.public_url or f"{'https' if tls else 'http'}://{settings.host}:{server.port}"

    def photo_url(estate: str, person: str) -> str | None:
        return f"{base.rstrip('/')}/photo/{tokens.give(estate, person)}" if server is not None else None

    def differs(address: Address, is_different: bool) -> None:
        def change() -> None:
            if is_different:
                alarms.sound(address, "roster_differs", now_s())
            else:
                alarms.clear(address, "roster_differs", now_s())

        loop.post(change)

    look = panel_look(rosters.estates, devices, drivers.with_rosters, state)
    store = PanelStore(folder / PANELS_FILE)
    desk = PanelDesk(
        lambda known: loop.ask(partial(look, known)),
        lambda address, command: loop.ask(partial(send, address, command)),
        store,
        vault,
        photo_url,
        now_s,
        differs,
    )
    return PanelRoom(desk, store, server)
