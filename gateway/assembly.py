"""Puts a gateway together: the one place that knows all of its parts."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from estate.config import SettingsError
from gateway.alarms import ALARMS, AlarmBook
from gateway.answers import Outbox
from gateway.broker import Broker
from gateway.cases import Joiners
from gateway.causes import OPENED_BY_GUARD
from gateway.city import City, CityVault, SecretStore, card_key_name
from gateway.clock import GatewayClock
from gateway.codes import Guesses
from gateway.counters import Counters
from gateway.device_status import DeviceStatus
from gateway.devices import DeviceBook
from gateway.door_orders import FIRES, DoorOrders, Fire
from gateway.drivers import Address, Driver, DriverContext
from gateway.drivers.choice import Drivers, known_drivers
from gateway.drivers.commands import Command, OpenDoor
from gateway.faces import face_yardstick
from gateway.fallback import FallbackLists
from gateway.finding import Finder
from gateway.inspection import Inspector
from gateway.intake import Intake
from gateway.journal import Group, Journal
from gateway.journal_keeper import JournalKeeper
from gateway.journal_store import JournalStore
from gateway.loop import Loop
from gateway.metrics import MetricsServer
from gateway.panels.care import DeviceCare
from gateway.panels.photos import PhotographSource
from gateway.panels.room import make_room
from gateway.photographs import Photographer
from gateway.pipeline import Pipeline
from gateway.policy import PolicyKeeper
from gateway.recents import Recents, Seen
from gateway.recognition import Galleries, GalleryKeeper, TemplateSource
from gateway.records import AccessRecord, keys_of
from gateway.roster import RosterBook
from gateway.roster_store import RosterStore
from gateway.service import ALARMS_NOTE, CLOCKS_NOTE, FIRES_NOTE, Parts, Service
from gateway.settings import Settings, broker_address
from gateway.snapshots import SnapshotKeeper
from gateway.tracks import Tracks

JOURNAL_FILE, ROSTER_FILE = "journal.db", "roster.db"
_OFFSETS = msgspec.json.Decoder(dict[str, float])
_OPENED_ZH = OPENED_BY_GUARD.tenant_zh
WARM_RECORDS = 5_000  # the newest records, whose events are known from memory after a start


class VaultParts(TemplateSource, CityVault, PhotographSource, Protocol):
    """What is asked of the vault."""


def assemble(
    settings: Settings,
    *,
    vault: VaultParts | None,
    photographer: Photographer,
    snapshots: SnapshotKeeper | None = None,
    configuration: tuple[Path, Callable[[], Settings]] | None = None,
) -> Service:
    """A gateway, ready to run; nothing is connected yet.

    Args:
        settings: checked.
        vault: templates and keys; None: faces are answered by asking for a card.
        photographer: the encoder's processes.
        snapshots: takes the pictures of doors that the enrolment desk asks for.
        configuration: the file and how it is read; its policy is taken up when it changes.
    Raises:
        SettingsError: a secret cannot be read.
        StartFailedError: the port of the metrics is taken.
        sqlite3.Error, OSError: the state folder cannot be written.
    """
    address = broker_address(settings)
    folder = settings.state_folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    loop, counters, rules = Loop(), Counters(), settings.rules
    recents, devices, yardstick = Recents(), DeviceBook(), face_yardstick(settings)

    alarms, roster_store = AlarmBook(lambda: str(uuid.uuid4())), RosterStore(folder / ROSTER_FILE)
    estates = settings.gateway.estates
    rosters = RosterBook((roster_store.load(estate) for estate in estates), _kept_keys(vault, estates))
    galleries = Galleries(rosters.estates, yardstick.encoder)

    journal_path = folder / JOURNAL_FILE
    recalled = _recall(journal_path, recents, devices, alarms)
    clock = GatewayClock(time.time, time.monotonic, recalled.time_s)
    journal = Journal(
        partial(JournalStore, journal_path, synchronous="FULL" if settings.journal.sync else "OFF"),
        lambda done: loop.post(lambda: written(done)),
        clock.now_s,
    )
    keeper = JournalKeeper(
        journal_path, settings.journal.hours, journal, lambda: datetime.fromtimestamp(clock.now_s(), UTC)
    )

    driver = _drivers(
        settings, rosters, lambda address, message_id: care.opened(address, message_id, clock.now_s())
    )
    broker = Broker(address, driver.filters(estates), loop, lambda: datetime.now(UTC))
    joiners, tracks = Joiners(), Tracks()
    out = Outbox(driver, broker.publish, rules.open_within_ms, counters)
    send = _sender(driver, broker)
    room = make_room(
        folder,
        settings.panels,
        vault=vault,
        loop=loop,
        rosters=rosters,
        devices=devices,
        drivers=driver,
        send=send,
        alarms=alarms,
        now_s=clock.now_s,
        state=lambda roster, of: orders.state(roster, of),  # noqa: PLW0108 (made below)
    )
    care = DeviceCare(send, devices, rosters.estates, alarms, counters, room.desk)
    watching = {"offer": snapshots.offer} if snapshots is not None else {}

    def keep_fires(fires: Mapping[str, Fire]) -> None:
        service.keep_fires(fires)

    orders = DoorOrders(
        rosters.estates,
        clock.now_s,
        clock.city_now_s,
        send,
        keep_fires,
        recalled.fires,
    )
    guesses = Guesses(settings.guess_limits)
    pipeline = Pipeline(
        intake=Intake(
            driver,
            rosters.estates,
            devices,
            recents,
            clock,
            rules,
            out,
            joiners,
            counters,
            tracks,
            orders,
            time.monotonic,
            care,
            **watching,
        ),
        finder=_finder(rosters, galleries, guesses, alarms, recalled),
        tracks=tracks,
        open_door=lambda address, name: send(address, OpenDoor(name, _OPENED_ZH)),
        out=out,
        joiners=joiners,
        recents=recents,
        faces=galleries,
        photographs=photographer,
        journal=journal,
        rules=rules,
        counters=counters,
        monotonic=time.monotonic,
    )

    orders.on_open, orders.on_fire = pipeline.open_by_order, _fire_alarm(alarms, clock)
    fallback = FallbackLists(rosters.estates, devices, send)
    rosters.on_applied += [orders.applied, fallback.applied]

    def written(done: list[Group]) -> None:
        pipeline.written(done)

    def hear_time(least_s: float, most_s: float) -> None:
        loop.post(lambda: service.heed_city(least_s, most_s))

    status = DeviceStatus(loop, devices, alarms, room)
    city = City(settings, journal_path, journal, roster_store, vault, status, loop, rosters, hear_time)
    policy = _policy(configuration, settings, pipeline, guesses, keeper)
    gallery_keeper = None
    if vault is not None:
        gallery_keeper = GalleryKeeper(
            vault,
            lambda: rosters.rates((policy.settings if policy is not None else settings).faces.fpir),
            lambda estate, gallery: loop.post(partial(galleries.put, estate, gallery)),
            yardstick,
        )
    inspector = Inspector(
        syncs=settings.journal.sync,
        gateway_id=settings.gateway.id,
        started_at=datetime.now(UTC),
        broker=broker,
        counters=counters,
        rosters=rosters,
        galleries=galleries,
        devices=devices,
        journal=journal,
        keeper=keeper,
        city=city,
        photographer=photographer,
        clock=clock,
        alarms=alarms,
        protocols=driver.names,
        photographs_served=room.server is not None,
        policy=policy,
    )
    metrics = None
    if settings.metrics.port:
        metrics = MetricsServer(
            settings.metrics.host, settings.metrics.port, lambda: loop.ask(inspector.look)
        )
    service = Service(
        Parts(
            loop=loop,
            broker=broker,
            pipeline=pipeline,
            journal=journal,
            keeper=keeper,
            clock=clock,
            devices=devices,
            care=care,
            panels=room,
            alarms=alarms,
            orders=orders,
            fallback=fallback,
            photographer=photographer,
            snapshots=snapshots,
            gallery_keeper=gallery_keeper,
            city=city,
            roster_store=roster_store,
            inspector=inspector,
            metrics=metrics,
            policy=policy,
        )
    )
    keeper.on_replay = city.replay
    keeper.on_release = lambda asked: loop.post(partial(service.release, asked))
    keeper.on_time_reset = lambda: loop.post(service.forget_noted_time)
    return service


def _drivers(settings: Settings, rosters: RosterBook, opening: Callable[[Address, str], None]) -> Drivers:
    """The native driver, and every other one that has a section in the configuration or is built in.

    Raises:
        SettingsError: a section of a driver that is not installed, or options that it does not take.
    """
    known = known_drivers()
    for name in settings.drivers:
        if name not in known:
            raise SettingsError("gateway.toml", f"drivers.{name}", "没有这个驱动 (no such driver)")
    made: list[Driver] = []
    for name, make in known.items():
        context = DriverContext(
            settings.broker.topic_root,
            partial(rosters.estate_of, protocol=name),
            settings.drivers.get(name, {}),
        )
        try:
            made.append(make(context))
        except (TypeError, ValueError) as error:
            raise SettingsError("gateway.toml", f"drivers.{name}", str(error)) from error
    return Drivers(made, rosters.protocol_of, opening)


def _finder(
    rosters: RosterBook, galleries: Galleries, guesses: Guesses, alarms: AlarmBook, recalled: _Recalled
) -> Finder:
    """Who codes and faces belong to, with what the last run had to remember."""
    finder = Finder(rosters.card_keys, galleries, guesses, recalled.pass_uses, alarms.sound)
    for record in recalled.records:
        if record.estate in rosters.estates:
            finder.recall(record, rosters.estates[record.estate])
    return finder


def _policy(
    configuration: tuple[Path, Callable[[], Settings]] | None,
    settings: Settings,
    pipeline: Pipeline,
    guesses: Guesses,
    keeper: JournalKeeper,
) -> PolicyKeeper | None:
    def apply(new: Settings) -> None:
        pipeline.take_rules(new.rules)
        guesses.take_limits(new.guess_limits)
        keeper.hours = new.journal.hours

    return PolicyKeeper(*configuration, settings, apply) if configuration is not None else None


def _fire_alarm(alarms: AlarmBook, clock: GatewayClock) -> Callable[[Address, bool], None]:
    def tell(where: Address, burns: bool) -> None:
        if burns:
            alarms.sound(where, "fire", clock.now_s())
        else:
            alarms.clear_all(where.estate, "fire", clock.now_s())

    return tell


def _sender(drivers: Drivers, broker: Broker) -> Callable[[Address, Command], bool]:
    """Gives a command to a device; False where its protocol has none such, or there is no connection."""

    def send(address: Address, command: Command) -> bool:
        sent = [broker.publish(topic, payload) for topic, payload in drivers.command(address, command)]
        return bool(sent) and all(sent)

    return send


def _kept_keys(vault: SecretStore | None, estates: Iterable[str]) -> dict[str, bytes]:
    if vault is None:
        return {}
    kept = {estate: vault.secret(card_key_name(estate)) for estate in estates}
    return {estate: key for estate, key in kept.items() if key is not None}


class _Recalled(Struct, frozen=True):
    time_s: float  # that our clock must not run behind; 0 where nothing is known
    pass_uses: dict[str, int]
    fires: dict[str, Fire]
    records: list[AccessRecord]  # the newest ones, oldest first


def _recall(journal_path: Path, recents: Recents, devices: DeviceBook, alarms: AlarmBook) -> _Recalled:
    """Take up what the last run knew."""
    store = JournalStore(journal_path)
    try:
        records = [record for _, record, _ in store.latest(WARM_RECORDS)][::-1]
        for record in records:
            recents.set(keys_of(record), Seen.RECORDED)
        if offsets := store.note(CLOCKS_NOTE):
            devices.restore_clocks(_OFFSETS.decode(offsets))
        if raised := store.note(ALARMS_NOTE):
            alarms.restore(ALARMS.decode(raised))
        fires = FIRES.decode(store.note(FIRES_NOTE) or "{}")
        return _Recalled(store.noted_time_s(), store.pass_uses(), fires, records)
    finally:
        store.close()
