"""Looks at all parts of a running gateway and says how it is; runs on the loop's thread."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.alarms import AlarmBook, sentences
from gateway.broker import Broker
from gateway.city import City
from gateway.clock import GatewayClock
from gateway.counters import Counters
from gateway.devices import DeviceBook, DeviceLife
from gateway.drivers import Address
from gateway.health import Counts, EstateHealth, Health, find_alarms
from gateway.journal import Journal
from gateway.journal_keeper import JournalKeeper
from gateway.photographs import Photographer
from gateway.policy import PolicyKeeper
from gateway.recognition import Galleries
from gateway.roster import EstateRoster, RosterBook


@dataclass(frozen=True, slots=True)
class Inspector:
    """The parts that are looked at."""

    gateway_id: str
    syncs: bool
    started_at: datetime
    broker: Broker
    counters: Counters
    rosters: RosterBook
    galleries: Galleries
    devices: DeviceBook
    journal: Journal
    keeper: JournalKeeper
    city: City
    photographer: Photographer
    clock: GatewayClock
    alarms: AlarmBook
    protocols: frozenset[str]  # that there are drivers for
    photographs_served: bool
    policy: PolicyKeeper | None

    def look(self) -> Health:
        """How it is now."""
        sizes = self.galleries.sizes()
        estates = [
            self._estate(roster, sizes.get(name)) for name, roster in sorted(self.rosters.estates.items())
        ]
        journal, buffer, backend = self.journal.state, self.keeper.buffer, self.city.states()
        behind_s = self.clock.behind_s()
        alarms = find_alarms(
            broker=self.broker.health,
            journal=journal,
            buffer=buffer,
            backend=backend,
            estates=estates,
            skewed=["/".join(address) for address in self.devices.skewed()],
            clock_behind_s=behind_s,
            city_ahead_s=self.clock.city_ahead_s,
            more=[
                *sentences(self.alarms.raised()),
                *self._unserved(),
                *(self.policy.sentences() if self.policy is not None else ()),
            ],
            syncs=self.syncs,
        )
        return Health(
            gateway=self.gateway_id,
            state="impaired" if alarms else "ok",
            started_at=self.started_at,
            now=datetime.fromtimestamp(self.clock.now_s(), UTC),
            alarms=alarms,
            broker=self.broker.health,
            journal=journal,
            buffer=buffer,
            held_entries=self.journal.held_entries,
            last_commit_ms=round(self.journal.commit_s * 1000, 3),
            backend=backend,
            estates=estates,
            devices=self.devices.reports(),
            lives=self._lives(),
            encoder=self.photographer.available,
            clock_behind_s=round(behind_s, 3),
            city_ahead_s=round(self.clock.city_ahead_s, 3),
            counts=Counts(
                **self.counters.values(),
                commits=self.journal.commits,
                rows=self.journal.rows,
                forwarded=self.city.forwarded,
                photographs=self.photographer.submitted,
                photographs_refused=self.photographer.full,
            ),
        )

    def _lives(self) -> list[DeviceLife]:
        return [
            self.devices.life_of(Address(name, door.device), door.protocol, door.active)
            for name, roster in sorted(self.rosters.estates.items())
            for _, door in sorted(roster.doors.items())
        ]

    def _unserved(self) -> list[str]:
        """What the configuration of this box lacks for what the rosters ask of it."""
        found = []
        for name, roster in sorted(self.rosters.estates.items()):
            if roster.policy.panels_match and not self.photographs_served:
                found.append(
                    f"{name} 的面板自行识别，但 [panels] 未提供照片  |  "
                    f"{name}: its panels match, but [panels] serves no photographs"
                )
            unknown = sorted({door.protocol for door in roster.doors.values()} - self.protocols)
            if unknown:
                names = ", ".join(unknown)
                found.append(f"{name} 没有这些驱动：{names}  |  {name}: no driver for {names}")
        return found

    def _estate(self, roster: EstateRoster, enrolled: int | None) -> EstateHealth:
        waiver = roster.policy.liveness_waiver_until
        return EstateHealth(
            estate=roster.estate,
            roster_version=roster.version,
            doors=len(roster.doors),
            people=len(roster.people),
            has_card_key=roster.estate in self.rosters.card_keys,
            faces=roster.policy.faces,
            liveness_waiver_until=waiver.isoformat() if waiver is not None else None,
            enrolled=enrolled,
            face_only_doors=roster.face_only_doors,
            unreadable=len(roster.unreadable),
        )
