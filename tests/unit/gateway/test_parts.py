"""Smaller parts: what was seen lately, devices, the loop, galleries, photographs, alarms."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from gateway.cases import Encoded
from gateway.devices import DeviceBook
from gateway.drivers import Address
from gateway.health import BrokerHealth, EstateHealth, find_alarms
from gateway.journal import JournalState
from gateway.journal_keeper import Buffer
from gateway.journal_store import Fill
from gateway.loop import Loop, LoopSilentError
from gateway.matching.encoder import EncodeResult
from gateway.matching.gallery import Gallery
from gateway.matching.templates import DLIB_ENCODER, StoredTemplate, stored_template
from gateway.matching.yardstick import default_yardstick
from gateway.photographs import Photographer
from gateway.recents import Recents, Seen
from gateway.recognition import Galleries, GalleryKeeper
from gateway.roster import CHANGES_REMEMBERED, EstateRoster, Item
from gateway.uplink import LinkState

NOON = datetime(2026, 9, 1, 4, tzinfo=UTC)
GATE = Address("e", "gate")


def test_what_was_seen_lately_is_bounded_and_never_forgets_what_is_pending() -> None:
    recents = Recents(keys_max=3)
    recents.set(["held"], Seen.PENDING)
    recents.set([f"k{number}" for number in range(10)], Seen.RECORDED)
    assert recents.get("held") is Seen.PENDING
    assert recents.get("k9") is Seen.RECORDED
    assert recents.get("k0") is None


def test_a_device_is_online_from_its_first_word_to_its_last_will_or_a_long_silence() -> None:
    book = DeviceBook()
    device = book.device(GATE)
    assert book.reports() == []
    book.heard(device, 100.0)
    book.heard(device, 110.0)
    assert [(one.state, one.since.timestamp()) for one in book.changes()] == [("online", 100.0)]
    book.find_silent(204.0)
    assert book.changes() == []
    book.find_silent(206.0)
    assert [one.state for one in book.changes()] == ["offline"]
    book.heard(device, 300.0)
    book.gone(device, 301.0)
    assert [(one.state, one.since.timestamp()) for one in book.reports()] == [("offline", 301.0)]


def test_wrong_clocks_of_devices_are_shown_and_kept_over_a_restart() -> None:
    book = DeviceBook()
    book.device(GATE).clock.offset_s = -7200.0
    book.device(Address("e", "right")).clock.offset_s = -0.1
    assert book.skewed() == [GATE]
    again = DeviceBook()
    again.restore_clocks(book.clocks())
    assert again.device(GATE).clock.offset_s == -7200.0
    assert again.device(Address("e", "right")).clock.offset_s == 0.0


def test_other_threads_are_heard_in_their_order_and_a_silent_loop_is_found_out() -> None:
    loop = Loop()
    heard: list[int] = []
    threads = [threading.Thread(target=lambda: [loop.post(lambda: heard.append(1)) for _ in range(500)])]
    threads += [threading.Thread(target=lambda: [loop.post(lambda: heard.append(2)) for _ in range(500)])]
    for thread in threads:
        thread.start()
    while len(heard) < 1000:
        loop.turn(1.0)
    for thread in threads:
        thread.join()
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(loop.ask(lambda: 42)))
    asking.start()
    while asking.is_alive():
        loop.turn(0.01)
    assert answers == [42]
    with pytest.raises(LoopSilentError):
        loop.ask(lambda: 1, 0.01)
    loop.close()


def test_the_loop_wakes_for_a_descriptor_until_it_is_told_not_to() -> None:
    loop = Loop()
    reader, writer = os.pipe()
    got: list[bytes] = []
    loop.watch(reader, lambda: got.append(os.read(reader, 10)))
    os.write(writer, b"a")
    loop.turn(1.0)
    loop.unwatch(reader)
    loop.unwatch(reader)
    os.write(writer, b"b")
    loop.turn(0.0)
    assert got == [b"a"]
    os.close(reader)
    os.close(writer)
    loop.close()


class Cupboard:
    """A vault that counts its changes."""

    def __init__(self) -> None:
        self.people: list[StoredTemplate] = []
        self.reads = 0

    def templates(self, estate_id: str) -> list[StoredTemplate]:
        self.reads += 1
        return self.people if estate_id == "e" else []

    def data_version(self) -> int:
        return len(self.people)


def someone(person: str, *groups: str) -> Item:
    rights = [{"group": group, "from": "2026-01-01T00:00:00Z"} for group in groups]
    return Item("person", person, 1, json.dumps({"rights": rights}).encode())


def rosters(*estates: str) -> dict[str, EstateRoster]:
    """Estates in which ann has to do with the north door."""
    made = {estate: EstateRoster(estate) for estate in estates}
    for roster in made.values():
        roster.apply([someone("ann", "north")], 1)
    return made


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, 128)).astype(np.float32)


def test_galleries_are_built_when_the_vault_or_the_rate_changes_and_not_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vault, galleries, rates = Cupboard(), Galleries(rosters("e", "f")), {"e": 0.003, "f": 0.003}
    keeper = GalleryKeeper(vault, lambda: rates, galleries.put, default_yardstick())
    keeper.step()
    keeper.step()
    assert vault.reads == 2
    vault.people.append(stored_template("ann", vector(1), DLIB_ENCODER))
    keeper.step()
    assert galleries.sizes() == {"e": 1, "f": 0}
    assert galleries.identify("e", [vector(1), vector(9)], ["north"] * 2) == [
        ("match", "ann"),
        ("unknown", None),
    ]

    def refuse(*_: object, **_given: object) -> Gallery:
        raise ValueError("nothing says from which score a face of so few may open at this rate")

    monkeypatch.setattr(Gallery, "build", refuse)
    rates["e"] = 0.000001
    keeper.step()
    assert galleries.identify("e", [vector(1)], ["north"]) == [("unavailable", None)]


def test_without_a_gallery_or_with_a_fault_in_it_a_face_is_answered_by_asking_for_a_card(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    galleries = Galleries(rosters("e"))
    assert galleries.identify("e", [vector(1)], ["north"]) == [("unavailable", None)]

    def fault(_self: Gallery, _tracks: Sequence[object], _allowed: Sequence[object]) -> list[object]:
        raise MemoryError

    monkeypatch.setattr(Gallery, "match_batch", fault)
    galleries.put("e", Gallery.build([stored_template("ann", vector(1), DLIB_ENCODER)]))
    assert galleries.identify("e", [vector(1), vector(2)], ["north"] * 2) == [("unavailable", None)] * 2


def test_a_door_knows_whoever_has_to_do_with_its_group_and_hears_of_changes() -> None:
    roster = EstateRoster("e")
    roster.apply([someone("ann", "north", "south"), someone("bob", "south")], 1)
    galleries = Galleries({"e": roster})
    people = [
        stored_template(person, vector(seed), DLIB_ENCODER) for seed, person in ((1, "ann"), (2, "bob"))
    ]
    galleries.put("e", Gallery.build(people))

    def found(group: str) -> list[str | None]:
        return [person for _, person in galleries.identify("e", [vector(1), vector(2)], [group] * 2)]

    assert found("north") == ["ann", None]
    assert found("south") == ["ann", "bob"]
    roster.apply([someone("bob", "north"), Item("person", "ann", 2, None)], 2)
    assert found("north") == [None, "bob"]
    assert found("south") == [None, None]
    for version in range(3, CHANGES_REMEMBERED + 10):  # more than it remembers one by one
        roster.apply([someone("carl", "north")], version)
    roster.apply([someone("ann", "south")], version + 1)
    for number in range(CHANGES_REMEMBERED + 1):
        roster.apply([someone(f"p{number}")], version + 2)
    assert found("south") == ["ann", None]
    galleries.put("e", Gallery.build(people[1:]))
    assert found("north") == [None, "bob"]


class Pool:
    """An encoder's pool over a pipe."""

    def __init__(self) -> None:
        self.wake_fd, self._writer = os.pipe()
        self.finished: list[EncodeResult] = []
        self.closed = self.broken = False

    def submit(self, job_id: int, images: list[bytes]) -> bool:
        if self.broken:
            raise BrokenPipeError
        self.finished.append(EncodeResult(job_id, None, images[0].decode(), (None,)))
        os.write(self._writer, b".")
        return len(self.finished) < 4

    def results(self) -> list[EncodeResult]:
        os.read(self.wake_fd, 100)
        found, self.finished = self.finished, []
        return found

    def close(self) -> None:
        self.closed = True
        os.close(self.wake_fd)
        os.close(self._writer)


def test_photographs_go_to_the_pool_and_come_back_through_the_loop() -> None:
    loop, pool = Loop(), Pool()
    photographer, results = Photographer(pool), list[Encoded]()
    photographer.watch(loop, results.extend)
    assert photographer.submit(1, [b"encoder_failed"]) is True
    assert photographer.submit(2, [b"no_face"]) is True
    loop.turn(1.0)
    assert [(one.job, one.crashed) for one in results] == [(1, True), (2, False)]
    pool.broken = True
    assert photographer.submit(3, [b"x"]) is None
    loop.unwatch(pool.wake_fd)
    photographer.close()
    loop.close()
    assert pool.closed


def test_without_a_pool_there_is_no_encoder() -> None:
    photographer = Photographer(None)
    assert not photographer.available
    assert photographer.submit(1, [b"x"]) is None


def buffer(fill: float = 0.0, parked: int = 0, *, nearly_full: bool = False) -> Buffer:
    return Buffer(720, fill, 1 << 30, 1 << 20, nearly_full, Fill(0, None, parked, 0))


def estate(**more: object) -> EstateHealth:
    usual: dict[str, object] = {
        "estate": "e",
        "roster_version": 7,
        "doors": 1,
        "people": 1,
        "has_card_key": True,
        "faces": True,
        "liveness_waiver_until": None,
        "enrolled": 1,
        "face_only_doors": [],
        "unreadable": 0,
    }
    return EstateHealth(**{**usual, **more})  # type: ignore[arg-type]


CONNECTED = BrokerHealth(True, NOON, "")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"broker": BrokerHealth(False, None, "nobody listens")}, "nobody listens"),
        ({"journal": JournalState(False, "disk full", NOON)}, "disk full"),
        ({"buffer": buffer(0.9, nearly_full=True)}, "90%"),
        ({"buffer": buffer(parked=3)}, "3 records"),
        ({"backend": {"roster:e": LinkState(False, NOON, "HTTP 503")}}, "HTTP 503"),
        ({"estates": [estate(face_only_doors=["back"])]}, "back"),
        ({"estates": [estate(roster_version=0)]}, "no roster"),
        ({"estates": [estate(unreadable=2)]}, "2 roster entries"),
        ({"estates": [estate(liveness_waiver_until="2026-10-01")]}, "2026-10-01"),
        ({"skewed": ["e/gate"]}, "e/gate"),
        ({"clock_behind_s": 90.0}, "reset-clock"),
        ({"city_ahead_s": -90.0}, "90 s ahead of the city's"),
    ],
)
def test_each_thing_to_look_at_is_one_sentence(given: dict[str, object], words: str) -> None:
    healthy: dict[str, object] = {
        "broker": CONNECTED,
        "journal": JournalState(),
        "buffer": buffer(),
        "backend": {"records": LinkState(True, NOON)},
        "estates": [estate()],
        "skewed": [],
        "clock_behind_s": 0.0,
        "city_ahead_s": 0.0,
    }
    assert find_alarms(**healthy) == []  # type: ignore[arg-type]
    [alarm] = find_alarms(**{**healthy, **given})  # type: ignore[arg-type]
    chinese, _, english = alarm.partition("  |  ")
    assert words in english
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)
