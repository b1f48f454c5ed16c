"""What the backend is told of devices: what has changed each second, all of it now and then."""

from __future__ import annotations

from gateway.alarms import AlarmBook
from gateway.backend_client import Status
from gateway.devices import DeviceBook
from gateway.loop import Loop
from gateway.panels.report import PanelReport
from gateway.panels.room import PanelRoom


class DeviceStatus:
    """Called by the reporter's thread; asks the loop for what is the loop's."""

    def __init__(self, loop: Loop, devices: DeviceBook, alarms: AlarmBook, panels: PanelRoom) -> None:
        self._loop, self._devices, self._alarms, self._panels = loop, devices, alarms, panels
        self._seen = -1  # changes of the panels' store that were told

    def changes(self) -> Status:
        """What has changed since this was last asked."""
        devices, alarms = self._loop.ask(lambda: (self._devices.changes(), self._alarms.changes()))
        return Status(devices, alarms, self._of_panels())

    def everything(self) -> Status:
        """All that is known."""
        self._seen = -1
        devices, alarms = self._loop.ask(lambda: (self._devices.reports(), self._alarms.everything()))
        return Status(devices, alarms, self._of_panels())

    def told(self, status: Status) -> None:
        """The backend has taken it."""
        self._panels.told(status.panels)

    def _of_panels(self) -> list[PanelReport]:
        changes = self._panels.store.changes
        if changes == self._seen:
            return []
        self._seen = changes
        return self._panels.reports()
