"""One panel as its desk sees it: how it stands on the roster, and what is under way with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from gateway.decision import Door, DoorState, Person, Policy
from gateway.devices import DeviceBook
from gateway.drivers import Address
from gateway.drivers.commands import Command
from gateway.panels.lease import Step
from gateway.roster import EstateRoster


@dataclass(frozen=True, slots=True)
class PanelView:
    """A panel as the loop sees it now."""

    address: Address
    door: Door | None  # None: no longer on the roster
    policy: Policy
    people: Sequence[Person]
    online: bool


@dataclass(slots=True)
class Flight:
    """The command that a panel has not answered yet."""

    command: Command
    step: Step | None  # None: a page of the panel's own list
    sent_s: float
    wait_s: float


@dataclass(slots=True)
class Panel:
    """What is going on with one panel."""

    flight: Flight | None = None
    not_before_s: float = 0.0
    failures: int = 0
    listed: list[str] | None = None  # pages so far, while its list is read
    by_count: bool = False  # its firmware knows no pages
    reconcile: bool = True  # once after each start
    list_failures: int = 0
    list_after_s: float = 0.0  # its list could not be read: not before then
    repairs: set[str] = field(default_factory=set)


def panel_look(
    rosters: Mapping[str, EstateRoster],
    devices: DeviceBook,
    protocols: Set[str],
    state: Callable[[EstateRoster, Address], DoorState],
) -> Callable[[Sequence[Address]], list[PanelView]]:
    """What the desk asks the loop: the panels that hold rosters, or once did.

    Args:
        rosters: the loop's.
        devices: whether each is there.
        protocols: those whose devices can hold a roster.
        state: what the guards have ordered of a door. No panel can be told to keep shut for those it knows,
            so in a lockdown it knows nobody; it gets its people back afterwards.
    """

    def look(known: Sequence[Address]) -> list[PanelView]:
        wanted = {
            Address(estate, door.device)
            for estate, roster in rosters.items()
            if roster.policy.panels_match
            for door in roster.doors.values()
            if door.protocol in protocols
        }
        people = {estate: list(roster.people.values()) for estate, roster in rosters.items()}
        views = []
        for address in sorted(wanted | set(known)):
            roster = rosters.get(address.estate)
            if roster is not None:
                door = roster.doors.get(address.device)
                online = devices.device(address).state == "online"
                is_shut = door is not None and door.way == "in" and state(roster, address) == "locked"
                known_there = [] if is_shut else people[address.estate]
                views.append(PanelView(address, door, roster.policy, known_there, online))
        return views

    return look
