"""Photographs by a door's camera: only while asked for, only of that request, sealed, and gone afterwards."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from flask.testing import FlaskClient

from estate.processes import wait_until
from gateway.drivers import Address
from gateway.snapshots import ASKED_FOR_S, SHELF_FILE, SNAPSHOTS_MAX, SnapshotKeeper, SnapshotShelf
from simulators.photos import photos
from tests.integration.kiosk.conftest import CONSENTS, NOW_S, Box, ticket

GATE, SHED = Address("e1", "gate"), Address("e1", "shed")


@pytest.fixture
def keeper(box: Box) -> Iterator[SnapshotKeeper]:
    """The gateway's side, on the same file."""
    running = SnapshotKeeper(box.shelf(), lambda: NOW_S)
    running.start()
    yield running
    running.stop()


def test_pictures_are_kept_only_of_the_door_that_is_asked(
    box: Box, shelf: SnapshotShelf, keeper: SnapshotKeeper
) -> None:
    keeper.offer(GATE, [b"before anybody asked"])
    request = shelf.ask(GATE, "ann", NOW_S)
    wait_until(lambda: GATE in keeper._asked, 10, "the gateway does not know that it is asked")
    keeper.offer(SHED, [b"another door"])
    keeper.offer(GATE, [b"first picture of ann", b"second picture of ann"])
    wait_until(lambda: len(shelf.pictures(request, "e1", "ann") or []) == 2, 10, "the pictures did not come")
    assert shelf.pictures(request, "e1", "ann") == [b"first picture of ann", b"second picture of ann"]
    assert b"picture of ann" not in (box.state / SHELF_FILE).read_bytes()
    keeper.offer(GATE, [b"x"] * 20)
    wait_until(lambda: len(shelf.pictures(request, "e1", "ann") or []) == SNAPSHOTS_MAX, 10, "no more came")
    # Somebody else's ticket does not show them.
    assert shelf.pictures(request, "e1", "eve") is None
    shelf.drop(request)
    assert shelf.pictures(request, "e1", "ann") is None
    wait_until(lambda: not keeper._asked, 10, "the gateway still keeps pictures")


def test_a_request_ends_by_itself_with_what_it_got(shelf: SnapshotShelf) -> None:
    request = shelf.ask(GATE, "ann", NOW_S)
    shelf.put(request, b"a picture")
    assert shelf.asked(NOW_S + ASKED_FOR_S - 1) == {GATE: request}
    assert shelf.asked(NOW_S + ASKED_FOR_S) == {}
    assert shelf.pictures(request, "e1", "ann") is None
    shelf.put(request, b"too late")
    assert shelf._db.execute("SELECT count(*) FROM snapshot").fetchone() == (0,)


def test_asking_again_gives_up_the_earlier_request(shelf: SnapshotShelf) -> None:
    first = shelf.ask(GATE, "ann", NOW_S)
    shelf.put(first, b"a picture of ann")
    second = shelf.ask(GATE, "bob", NOW_S)
    assert shelf.pictures(first, "e1", "ann") is None
    assert shelf.pictures(second, "e1", "bob") == []


def test_a_full_disk_stops_neither_thread_nor_door(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = box.shelf()
    broken = threading.Event()
    asked = opened.asked

    def fail(now_s: float) -> dict[Address, str]:
        if not broken.is_set():
            broken.set()
            opened._db.execute("SELECT * FROM no_such_table")
        return asked(now_s)

    monkeypatch.setattr(opened, "asked", fail)
    running = SnapshotKeeper(opened, time.time)
    running.start()
    wait_until(broken.is_set, 10, "it was not tried")
    with closing(box.shelf()) as shelf:
        shelf.ask(GATE, "ann", time.time())
        wait_until(lambda: GATE in running._asked, 10, "it did not go on after the fault")
    running.stop()


def test_a_clerk_enrols_by_a_doors_camera(box: Box, kiosk: FlaskClient, shelf: SnapshotShelf) -> None:
    box.roster(ann=CONSENTS)
    wrong = kiosk.post("/enrol/panel", data={"ticket": ticket("ann"), "device": "shed"})
    assert (wrong.status_code, "没有这台门口机" in wrong.text) == (422, True)
    asked = kiosk.post("/enrol/panel", data={"ticket": ticket("ann"), "device": "gate"})
    assert asked.status_code == 200
    request = shelf.asked(NOW_S)[GATE]
    assert request in asked.text
    form = {"ticket": ticket("ann"), "request": request}
    assert "已拍到 0 张" in kiosk.post("/enrol/panel/look", data=form).text
    shelf.put(request, b"a picture that is none")
    refused = kiosk.post("/enrol/panel/enrol", data=form)
    assert (refused.status_code, "不是照片文件" in refused.text) == (422, True)
    over = kiosk.post("/enrol/panel/look", data=form)
    assert (over.status_code, "请重新开始" in over.text) == (410, True)
    again = kiosk.post("/enrol/panel", data={"ticket": ticket("ann"), "device": "gate"})
    request = shelf.asked(NOW_S)[GATE]
    assert request in again.text
    for path in photos().a[:3]:
        shelf.put(request, path.read_bytes())
    shown = kiosk.post("/enrol/panel/look", data={**form, "request": request})
    assert shown.text.count("data:image/jpeg;base64,") == 3
    other = kiosk.post("/enrol/panel/enrol", data={"ticket": ticket("eve"), "request": request})
    assert other.status_code == 410
    done = kiosk.post("/enrol/panel/enrol", data={**form, "request": request})
    assert done.status_code == 200, done.text
    assert box.enrolled() == {"ann"}
