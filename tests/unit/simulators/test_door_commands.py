"""What a simulated door does when it is told something that no event of its has asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from paho.mqtt.client import MQTTMessage

from simulators.doors.device import BrokerAddress, DeviceIdentity, DoorDevice


@pytest.fixture
def door() -> DoorDevice:
    return DoorDevice(DeviceIdentity("e", "gate", "secret"), BrokerAddress("127.0.0.1", 1))


def tell(door: DoorDevice, **content: Any) -> None:
    message = MQTTMessage(topic=b"estate/e/gate/command")
    message.payload = json.dumps({"v": 1, **content}).encode()
    door._on_message(door._client, None, message)


def test_a_guards_order_opens_once_however_often_the_broker_brings_it(door: DoorDevice) -> None:
    for order in ("o1", "o1", "o2"):
        tell(door, id=order, command="open", within_ms=5000)
    assert door.openings == 2


def test_a_hold_is_kept_until_the_next_one(door: DoorDevice) -> None:
    assert door.state == "normal"
    for state in ("locked", "released", "normal"):
        tell(door, id=state, command="hold", state=state)
        assert door.state == state
    assert door.openings == 0
