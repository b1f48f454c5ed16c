"""Orders to erase, carried out in a real vault: certified once, told until the city has it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gateway.backend_client import BackendAwayError, BackendClient, CertificateResult
from gateway.eraser import Eraser, Task, open_tasks
from gateway.erasure import ErasureCertificate
from gateway.roster import ErasureOrder, EstateRoster, Item
from gateway.uplink import Link
from gateway.vault import Vault

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ENCODER = "test-4"


class CityStub(BackendClient):
    """Remembers what it was sent; away while `away`."""

    def __init__(self) -> None:
        self.away = False
        self.sent: list[ErasureCertificate] = []

    def send_certificates(self, certificates: Sequence[ErasureCertificate]) -> list[CertificateResult]:
        if self.away:
            raise BackendAwayError("away")
        self.sent += certificates
        return [CertificateResult(one.erasure.certificate_id, "") for one in certificates]

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with closing(Vault(tmp_path / "vault.db", bytes(32))) as vault:
        for person in ("p1", "p2"):
            vault.store("e1", person, np.eye(4, dtype=np.float32)[:3], ENCODER, NOW)
            vault.keep_photograph("e1", person, b"\xff\xd8 jpeg", NOW)
        yield vault


def eraser(vault: Vault, city: CityStub, *tasks: Task) -> Eraser:
    return Eraser(vault, lambda: list(tasks), city, Link())


def people(vault: Vault) -> set[str]:
    return {one.person_id for one in vault.templates("e1")}


ALL = ("e1", "p1", ErasureOrder("o-1", "all", "withdrawn"))
PHOTOGRAPH = ("e1", "p2", ErasureOrder("o-2", "photograph", "withdrawn"))


def test_an_order_destroys_the_face_and_sends_the_certificate(vault: Vault) -> None:
    city = CityStub()
    assert eraser(vault, city, ALL, PHOTOGRAPH).step() == 2
    assert people(vault) == {"p2"}
    assert vault.photographs("e1") == {}
    first, second = city.sent
    assert first.holds(vault.public_key)
    assert (first.erasure.templates, first.erasure.photographs) == (1, 1)
    assert first.erasure.reason == "withdrawn order:o-1"
    assert (second.erasure.templates, second.erasure.photographs) == (0, 1)


def test_the_face_goes_at_once_while_the_city_is_away_and_the_same_certificate_follows(vault: Vault) -> None:
    city = CityStub()
    city.away = True
    with pytest.raises(BackendAwayError):
        eraser(vault, city, ALL).step()
    assert people(vault) == {"p2"}
    city.away = False
    for _ in range(2):
        eraser(vault, city, ALL).step()
    ids = {one.erasure.certificate_id for one in city.sent}
    assert len(city.sent) == 2
    assert len(ids) == 1
    assert len(vault.certificates("p1")) == 1


def test_orders_come_with_the_roster_and_go_with_it() -> None:
    roster = EstateRoster("e1")
    plain = {
        "rights": [],
        "cards": [],
        "face_consent": False,
        "erase": [
            {"order": "o-1", "scope": "all", "reason": "withdrawn", "ordered_at": "2026-06-01T00:00:00Z"}
        ],
    }
    roster.apply([Item("person", "p1", 1, json.dumps(plain).encode())], 1)
    assert open_tasks({"e1": roster}) == [ALL]
    assert not roster.people["p1"].face_consent
    roster.apply([Item("person", "p1", 2, json.dumps(plain | {"erase": []}).encode())], 2)
    assert open_tasks({"e1": roster}) == []


def test_a_certificate_goes_over_the_wire_as_the_contract_says(vault: Vault) -> None:
    city = CityStub()
    eraser(vault, city, ALL).step()
    sent = json.loads(msgspec.json.encode({"certificates": city.sent}))["certificates"][0]
    contract = json.loads(Path("tests/contracts/erasure_certificate.json").read_text("utf-8"))
    assert set(sent) == set(contract["certificate"])
    assert set(json.loads(base64.b64decode(sent["signed"]))) == set(contract["signed"])
