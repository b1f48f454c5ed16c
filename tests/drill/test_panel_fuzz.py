"""A million generated payloads for the panel family: no crash, no opening, no lost neighbour."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gateway.drivers import DoorEvent, DriverContext, Rejected
from gateway.drivers.mqtt_face import MqttFaceDriver
from tests.drill.conftest import Drill
from tests.unit.gateway.mutations import mutations
from tests.unit.gateway.panel_stage import DEVICE, ESTATE, NEIGHBOUR, OTHER, RESIDENT, PanelStage

SAMPLES = Path(__file__).resolve().parents[1] / "contracts/mqtt_face"
TOPICS = {"rec": "Rec", "snap": "Snap", "ack": "Ack"}
PAYLOADS = {3: 20_000, 50: 1_000_000}  # by the drill's kills: the short and the long form
EVERY = 1_000  # after so many, a resident enters


@pytest.mark.timeout(3_600)
def test_no_generated_payload_opens_a_door_or_costs_a_neighbour_the_way_in(
    drill: Drill, tmp_path: Path
) -> None:
    stage = PanelStage(tmp_path)
    stage.album.keep(RESIDENT, NEIGHBOUR)
    stage.connect()
    stage.pass_by(10)
    driver = MqttFaceDriver(DriverContext(estate_of={DEVICE: ESTATE, OTHER: ESTATE}.get))
    corpus = [
        (f"mqtt/face/{DEVICE}/{TOPICS[kind]}" if kind in TOPICS else "mqtt/face/heartbeat", path.read_bytes())
        for kind in ("rec", "snap", "ack", "shared")
        for path in sorted(SAMPLES.glob(f"{kind}/good/*.json"))
    ]
    payloads, reasons, expected = PAYLOADS[drill.kills], Counter[str](), Counter[str]()
    openings = {name: panel.openings for name, panel in stage.panels.items()}
    entered = 0
    for number in range(payloads):
        topic, sample = drill.choice.choice(corpus)
        [payload] = mutations(sample, drill.choice, 1)
        reading = driver.read(topic, payload)
        if isinstance(reading, Rejected):
            expected[reading.reason] += 1
        elif isinstance(reading, DoorEvent):
            reasons["event"] += 1
        stage.inbox.append((topic, payload))
        if number % 50 == 49:
            stage.settle()
        if number % EVERY == EVERY - 1:
            assert {name: panel.openings for name, panel in stage.panels.items()} == openings
            assert stage.look(NEIGHBOUR, OTHER), stage.last
            # Not simply the last one: a snapshot that waited for the encoder may end in the same moment.
            [*_, record] = [one for one in stage.disk.records if one.device == OTHER]
            assert (record.outcome, record.person) == ("open", NEIGHBOUR)
            openings[OTHER] += 1
            entered += 1
            stage.sent.clear()
            stage.disk.records[:-10] = []
            stage.pass_by(2)
    stage.settle()
    assert entered == payloads // EVERY
    assert reasons["event"] > payloads / 20  # the payloads are not all junk
    # Every rejected one has its cause and is counted.
    assert {reason: stage.counters.set_aside[reason] for reason in expected} == dict(expected)
    assert stage.counters.set_aside["driver_failed"] == 0
