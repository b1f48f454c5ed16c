"""Real photographs: enrolled at the counter, recognised at the door, and the door never waits in vain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from estate.embedded.broker import Broker
from gateway.vault import Vault
from simulators.photos import DemoPhotos, photos
from tests.integration.gateway.city import FakeCity
from tests.integration.gateway.conftest import (
    CARD,
    ESTATE,
    NEIGHBOUR,
    PASSWORD,
    RESIDENT,
    Gateway,
    person_doc,
    users,
)
from tests.integration.gateway.doors import Door
from tests.known_faces import known, plant_template


@pytest.fixture(scope="module")
def portraits() -> DemoPhotos:
    return photos()


@pytest.fixture
def encoding(tmp_path: Path, mosquitto: Broker, city: FakeCity) -> Iterator[Gateway]:
    """A gateway with one encoder process and room for two more passages."""
    mosquitto.update_users(users())
    faces = {"ESTATE_GATEWAY_FACES_WORKERS": "1", "ESTATE_GATEWAY_FACES_QUEUE_LIMIT": "2"}
    gateway = Gateway(tmp_path, mosquitto, city, faces)
    gateway.start()
    gateway.wait_rosters()
    yield gateway
    gateway.close()


def test_whoever_was_enrolled_at_the_counter_is_let_in_by_another_photograph(
    encoding: Gateway, mosquitto: Broker, portraits: DemoPhotos, city: FakeCity
) -> None:
    enrolment = [str(path) for path in portraits.a[:2]]
    refused = encoding.command("enrol", "--estate", ESTATE, "--person", NEIGHBOUR, *enrolment)
    assert refused.returncode == 1
    assert "consent" in refused.stderr
    enrolled = encoding.command("enrol", "--estate", ESTATE, "--person", RESIDENT, *enrolment)
    assert enrolled.returncode == 0, enrolled.stderr
    encoding.wait(lambda health: health["estates"][0]["enrolled"] == 1, "the gallery")
    gate = Door(ESTATE, "test-1-gate", PASSWORD, mosquitto.port)
    known = gate.photograph(portraits.a[2].read_bytes())
    assert gate.wait_answer(known, 30)["cause"] == "granted"
    stranger = gate.photograph(portraits.b.read_bytes())
    assert gate.wait_answer(stranger, 30)["cause"] == "unknown_person"
    nothing = gate.photograph(b"\xff\xd8\xff\xe0 is no photograph")
    assert gate.wait_answer(nothing, 30)["cause"] == "face_not_usable"
    assert [record["person"] for record in city.wait_records(3)] == [RESIDENT, None, None]
    check_nothing_left_the_estate(encoding, city)
    many = [gate.photograph(portraits.a[2].read_bytes()) for _ in range(12)]
    causes = [gate.wait_answer(event, 30)["cause"] for event in many]
    assert "encoder_busy" in causes
    assert set(causes) <= {"encoder_busy", "granted"}
    order = {"order": "o-1", "scope": "all", "reason": "withdrawn", "ordered_at": "2026-06-01T00:00:00Z"}
    withdrawn = person_doc(city, ["gate"], [CARD], face_consent=False) | {"erase": [order]}
    city.put(ESTATE, "person", RESIDENT, withdrawn)
    certificate = city.wait_certificate()
    assert (certificate["person_id"], certificate["templates"]) == (RESIDENT, 1)
    assert certificate["reason"] == "withdrawn order:o-1"
    encoding.wait(lambda health: health["estates"][0]["enrolled"] == 0, "the erasure")
    again = gate.wait_answer(gate.photograph(portraits.a[2].read_bytes()), 30)
    assert again["outcome"] != "open"
    card = gate.wait_answer(gate.card(CARD), 30)
    assert card["cause"] == "granted"


def check_nothing_left_the_estate(gateway: Gateway, city: FakeCity) -> None:
    """What went up and what was logged holds no part of a photograph or a template, however written."""
    with closing(Vault(gateway.state / "vault.db", gateway.key)) as vault:
        for view in vault.templates(ESTATE)[0].views:
            plant_template("an enrolled view", view)
    recorded = b"".join(one.read_bytes() for one in gateway.folder.glob("*.sent"))
    assert b"access-records" in recorded
    assert known().found_in(b"\n".join(city.bodies) + gateway.log().encode() + recorded) == []
