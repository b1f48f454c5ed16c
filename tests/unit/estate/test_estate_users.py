"""One identity for each device, and its own topics alone."""

from __future__ import annotations

import pytest

from estate.embedded.broker_users import BrokerUserError, covers
from estate.embedded.estate_users import FACE_SHARED, DoorEntry, device_user, gateway_user

NATIVE, PANEL = DoorEntry("e", "gate"), DoorEntry("e", "P100", "mqtt_face")


@pytest.mark.parametrize("door", [NATIVE, PANEL])
def test_a_device_speaks_on_no_topic_of_another_and_hears_nothing_said_to_one(door: DoorEntry) -> None:
    user = device_user(door, "p")
    foreign = (
        "estate/e/shed/event",
        "estate/f/gate/event",
        "mqtt/face/P200/Rec",
        "mqtt/face/P200",
        "estate/e/shed/answer",
    )
    assert not any(covers(allowed, topic) for allowed in (*user.reads, *user.writes) for topic in foreign)


def test_a_panel_speaks_on_its_own_topics_and_on_the_shared_ones_and_cannot_command_itself() -> None:
    user = device_user(PANEL, "p")
    assert set(user.writes) == {f"mqtt/face/P100/{way}" for way in ("Rec", "Snap", "Ack", "ack")} | set(
        FACE_SHARED
    )
    assert user.reads == ("mqtt/face/P100",)
    assert not any(covers(allowed, "mqtt/face/P100") for allowed in user.writes)


def test_a_gateway_hears_its_estates_and_can_speak_for_no_device() -> None:
    user = gateway_user("gw", "p", ["e"], [NATIVE, PANEL])
    heard = ("estate/e/gate/event", "estate/e/gate/status", "mqtt/face/P100/Snap", *FACE_SHARED)
    assert all(any(covers(allowed, topic) for allowed in user.reads) for topic in heard)
    assert not any(covers(allowed, topic) for allowed in user.writes for topic in heard)
    assert not any(covers(allowed, "estate/f/gate/event") for allowed in user.reads)
    assert any(covers(allowed, "mqtt/face/P100") for allowed in user.writes)


def test_a_protocol_whose_topics_are_not_known_here_gets_no_rights_by_guessing() -> None:
    with pytest.raises(BrokerUserError, match="telex"):
        device_user(DoorEntry("e", "d", "telex"), "p")
