"""What people and fire alarms have ordered of doors: openings, lockdowns, releases.

A release beats a lockdown, and a lockdown never locks the way out. Both hold until they are cancelled or
their time is over, and survive a restart: the guards' orders with the roster, a fire in the journal. An
opening is worth something for seconds only, and is carried out once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
import structlog
from msgspec import Struct

from gateway.decision import DoorState
from gateway.drivers import Address
from gateway.drivers.commands import Command, HoldDoor
from gateway.roster import EstateRoster, Item

log = structlog.get_logger()


class Fire(Struct, frozen=True):
    """A release from within the estate: a fire input, or somebody at the box."""

    since_s: float
    author: str
    reason: str


FIRES = msgspec.json.Decoder(dict[str, Fire])


class DoorOrders:
    """Belongs to the loop.

    Args:
        rosters: with the guards' orders, by estate.
        now_s: our time.
        city_now_s: the city's, which openings expire by.
        send: gives a command to a device.
        keep: has the fires survive a restart.
        fires: those of before the restart, by estate.
    """

    def __init__(
        self,
        rosters: Mapping[str, EstateRoster],
        now_s: Callable[[], float],
        city_now_s: Callable[[], float],
        send: Callable[[Address, Command], bool],
        keep: Callable[[Mapping[str, Fire]], None],
        fires: Mapping[str, Fire],
    ) -> None:
        self._rosters, self._now_s, self._city_now_s = rosters, now_s, city_now_s
        self._send, self._keep = send, keep
        self.fires = dict(fires)
        self._told: dict[Address, DoorState] = {}  # what a door was told last, where it is not "normal"
        self._sent = 0
        self.on_open: Callable[[Address, str], None] = lambda _address, _order_id: None
        self.on_fire: Callable[[Address, bool], None] = lambda _address, _burns: None

    @property
    def estates(self) -> frozenset[str]:
        """Whose doors they are."""
        return frozenset(self._rosters)

    def state(self, roster: EstateRoster, address: Address) -> DoorState:
        """Of a door, now."""
        if not self.fires and not roster.orders:
            return "normal"  # as it is nearly always
        if address.estate in self.fires:
            return "released"
        now_s, found = self._now_s(), set()
        for order in roster.orders.values():
            if order.door in (None, address.device) and order.given_s <= now_s + 60 and now_s < order.until_s:
                found.add(order.action)
        return "released" if "release" in found else "locked" if "lockdown" in found else "normal"

    def applied(self, estate: str, items: Iterable[Item]) -> None:
        """The roster has changed: carry out what is new."""
        changed = [item for item in items if item.kind in ("order", "door")]
        if not changed:
            return
        roster = self._rosters[estate]
        for item in changed:
            order = roster.orders.get(item.id) if item.kind == "order" else None
            if order is None:
                continue
            if order.action == "open" and order.door is not None and self._city_now_s() < order.until_s:
                log.info("door_ordered_open", estate=estate, device=order.door, order=order.order_id)
                self.on_open(Address(estate, order.door), order.order_id)
            fire = self.fires.get(estate)
            if order.action == "all_clear" and fire is not None and order.given_s > fire.since_s:
                self.clear(estate)
        self.tell(estate)

    def fire(self, address: Address, author: str, reason: str) -> None:
        """Release all doors of an estate, until somebody cancels it."""
        if address.estate in self.fires:
            return
        self.fires[address.estate] = Fire(self._now_s(), author, reason)
        log.error(
            "doors_released", estate=address.estate, device=address.device, author=author, reason=reason
        )
        self._keep(self.fires)
        self.on_fire(address, True)
        self.tell(address.estate)

    def clear(self, estate: str) -> None:
        """The fire is over."""
        if self.fires.pop(estate, None) is not None:
            log.warning("doors_no_longer_released", estate=estate)
            self._keep(self.fires)
            self.on_fire(Address(estate, "box"), False)
            self.tell(estate)

    def there(self, address: Address) -> None:
        """A device is there again, and may have missed what it was told."""
        roster = self._rosters.get(address.estate)
        if roster is not None and (state := self.state(roster, address)) != "normal":
            self._tell(address, state)

    def tick(self) -> None:
        """Once a second: orders whose time is over."""
        for estate, roster in self._rosters.items():
            if roster.orders or estate in self.fires or self._told:
                self.tell(estate)

    def tell(self, estate: str) -> None:
        """Tell the doors of an estate what has changed for them."""
        roster = self._rosters[estate]
        for device in roster.doors:
            address = Address(estate, device)
            state = self.state(roster, address)
            if state != self._told.get(address, "normal"):
                self._tell(address, state)

    def _tell(self, address: Address, state: DoorState) -> None:
        self._sent += 1
        if self._send(address, HoldDoor(f"hold-{int(self._now_s())}-{self._sent}", state)):
            self._told[address] = state
