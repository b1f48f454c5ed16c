"""Each door's own list of cards for when the box is down: renewed daily, and soon after a right has changed.

A reference is worth nothing without the estate's key, which a door is provisioned with. Whose right ends
before the list does is not on it: with the box down nobody could take the card off again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from gateway.devices import DeviceBook
from gateway.drivers import Address
from gateway.drivers.commands import Command, KeepCards
from gateway.roster import EstateRoster, Item

RENEWED_AFTER_S = 24 * 3600.0
GOOD_FOR_S = 26 * 3600.0
CHANGED_AFTER_S = 60.0  # changes of a minute go in one list
PART = 500


class FallbackLists:
    """Belongs to the loop.

    Args:
        rosters: whose cards open which doors.
        devices: which of the doors are there.
        send: gives a command to a device; False where its protocol has none such, or no connection.
    """

    def __init__(
        self,
        rosters: Mapping[str, EstateRoster],
        devices: DeviceBook,
        send: Callable[[Address, Command], bool],
    ) -> None:
        self._rosters, self._devices, self._send = rosters, devices, send
        self._sent_s: dict[Address, float] = {}
        self._changed: set[str] = set()
        self._number = 0

    def applied(self, estate: str, items: Iterable[Item]) -> None:
        """The roster has changed."""
        if any(item.kind in ("person", "door") for item in items):
            self._changed.add(estate)

    def tick(self, now_s: float) -> None:
        """Renew what is due, at doors that are there."""
        for estate, roster in self._rosters.items():
            age_s = CHANGED_AFTER_S if estate in self._changed else RENEWED_AFTER_S
            due = [
                Address(estate, name)
                for name, door in roster.doors.items()
                if "card" in door.credentials
                and now_s - self._sent_s.get(Address(estate, name), -1e9) >= age_s
            ]
            there = [one for one in due if self._devices.device(one).state == "online"]
            for address in there:
                self._renew(address, roster, now_s)
            if due and len(there) == len(due):
                self._changed.discard(estate)

    def _renew(self, address: Address, roster: EstateRoster, now_s: float) -> None:
        until_s = now_s + GOOD_FOR_S
        references = roster.cards_until(roster.doors[address.device].group, now_s, until_s)
        parts = [tuple(references[at : at + PART]) for at in range(0, len(references), PART)] or [()]
        self._number += 1
        name = f"cards-{int(now_s)}-{self._number}"
        sent = [
            self._send(address, KeepCards(name, now_s, until_s, place, len(parts), part))
            for place, part in enumerate(parts, 1)
        ]
        if all(sent):
            self._sent_s[address] = now_s
