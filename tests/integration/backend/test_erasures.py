"""Erasing at the estates: ordered in the roster, certified by the gateway's vault, checked and kept."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask.testing import FlaskClient

from backend.identity.principal import ALL
from backend.registry.certificates import SentCertificate, Statement, register_vault_key
from backend.registry.consents import NewConsent, give_consent, publish_due, publish_notice, withdraw_consent
from backend.registry.erasures import ErasureView, erasures
from backend.registry.facts import OPEN_DOORS, PANEL_PHOTOGRAPH
from backend.registry.rights import end_rights, grant_right
from backend.registry.roster import feed
from tests.integration.backend.conftest import NOW, Town, household, member
from tests.integration.backend.test_gateway_api import Caller
from tests.integration.conftest import NOTICE

VAULT = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def caller(town: Town, client: FlaskClient) -> Caller:
    return Caller(client, town.add_gateway("gw-east", "east"))


def document(town: Town, person_id: UUID) -> Any:
    with town.engine.connect() as connection:
        page = feed(connection, "east", 0, 5000)
    return next(json.loads(one.document or "null") for one in page.items if one.item_id == str(person_id))


def withdraw(town: Town, person_id: UUID, purpose: str = OPEN_DOORS) -> None:
    town.change(lambda c: withdraw_consent(c, person_id, purpose, actor=town.admin, now=NOW))


def orders(town: Town) -> list[ErasureView]:
    with town.engine.connect() as connection:
        return erasures(connection, ALL)


def certificate(person_id: UUID, order_id: str, key: Ed25519PrivateKey = VAULT, **changes: Any) -> Any:
    """As the gateway's `gateway.erasure.certify` makes it."""
    said = {
        "certificate_id": str(uuid4()),
        "vault_id": "vault-1",
        "person_id": str(person_id),
        "estates": ["east"],
        "templates": 1,
        "reason": f"withdrawn order:{order_id}",
        "erased_at": datetime(2026, 6, 1, 4, 0, 1, tzinfo=UTC).isoformat(),
        "photographs": 0,
    }
    signed = json.dumps(said | changes).encode()
    fields = (signed, key.sign(signed), key.public_key().public_bytes_raw())
    return dict(
        zip(
            ("signed", "signature", "public_key"),
            (base64.b64encode(one).decode() for one in fields),
            strict=True,
        )
    )


def send(caller: Caller, *certificates: Any) -> list[str]:
    answer = caller.post("erasures", {"certificates": list(certificates)})
    assert answer.status_code == 200, answer.text
    return [one["refused"] for one in answer.json["results"]]


def test_a_withdrawal_orders_the_erasure_in_the_roster_and_a_certificate_closes_it(
    town: Town, caller: Caller
) -> None:
    person_id = town.resident()
    withdraw(town, person_id)
    told = document(town, person_id)
    assert told["face_consent"] is False
    assert [(one["scope"], one["reason"]) for one in told["erase"]] == [("all", "withdrawn")]
    sent = certificate(person_id, told["erase"][0]["order"])
    assert send(caller, sent) == [""]
    assert "erase" not in document(town, person_id)
    (order,) = orders(town)
    assert (order.templates, order.gateway_id) == (1, "gw-east")
    assert order.certified_at is not None
    # Sent again after a lost answer, it changes nothing.
    assert send(caller, sent) == [""]
    assert town.value("SELECT count(*) FROM erasure_certificate") == 1


def test_a_certificate_is_refused_with_its_reason_and_the_order_stays_open(
    town: Town, caller: Caller
) -> None:
    person_id = town.resident()
    withdraw(town, person_id)
    order_id = document(town, person_id)["erase"][0]["order"]
    town.change(
        lambda c: register_vault_key(
            c, "gw-east", VAULT.public_key().public_bytes_raw(), "vault-1", actor="system:test", now=NOW
        )
    )
    other = certificate(person_id, order_id, Ed25519PrivateKey.generate())
    forged = certificate(person_id, order_id) | {"signature": base64.b64encode(bytes(64)).decode()}
    foreign = certificate(person_id, order_id, estates=["west"])
    unreadable = certificate(person_id, order_id, template=[0.1] * 128)
    assert send(caller, other, forged, foreign, unreadable) == [
        "unknown_key", "wrong_signature", "foreign_estate", "wrong_shape",
    ]  # fmt: skip
    assert orders(town)[0].certified_at is None
    assert town.value("SELECT count(*) FROM erasure_certificate") == 0
    assert town.value("SELECT count(*) FROM audit_record WHERE action = 'erasure_certificate'") == 4


def test_a_certificate_of_another_person_closes_no_order(town: Town, caller: Caller) -> None:
    person_id, other = town.resident(), town.resident("li", unit="0102")
    withdraw(town, person_id)
    order_id = document(town, person_id)["erase"][0]["order"]
    assert send(caller, certificate(other, order_id)) == [""]
    assert orders(town)[0].certified_at is None


def test_who_never_consented_gets_no_order(town: Town) -> None:
    refused = member("p", face_consent={"given": False})
    person_id = town.run_import(household("h", "east", "0101", refused)).ids["p"]
    withdraw(town, person_id)
    town.change(lambda c: end_rights(c, person_id, "east", actor=town.admin, reason="", now=NOW))
    assert orders(town) == []


def test_moving_out_orders_the_erasure(town: Town) -> None:
    person_id = town.resident()
    town.change(lambda c: end_rights(c, person_id, "east", actor=town.admin, reason="left", now=NOW))
    assert [(one.reason, one.person_id) for one in orders(town)] == [("moved_out", person_id)]
    # Long after, when the rights are no longer told, the order still is.
    town.change(
        lambda c: end_rights(
            c, person_id, "east", actor=town.admin, reason="again", now=NOW + timedelta(days=40)
        )
    )
    told = document(town, person_id)
    assert told["rights"] == []
    assert len(told["erase"]) == 1


def test_a_right_that_ends_by_its_own_date_orders_the_erasure_once(town: Town) -> None:
    person_id = town.run_import(household("h", "east", "0101", member("p", door_groups=[]))).ids["p"]
    ends_at = NOW + timedelta(days=10)
    town.change(
        lambda c: grant_right(
            c, person_id, "east", "gate", starts_at=NOW, ends_at=ends_at, actor=town.admin, now=NOW
        )
    )
    counts = [
        town.change(lambda c, at=at: publish_due(c, at))
        for at in (ends_at - timedelta(seconds=1), ends_at, ends_at + timedelta(hours=1))
    ]
    assert counts == [0, 1, 0]
    assert [one.reason for one in orders(town)] == ["moved_out"]


def test_a_new_notice_orders_the_erasure_of_everybody_who_is_asked_again(town: Town) -> None:
    people = {town.resident(), town.resident("li", unit="0102")}
    new = msgspec.structs.replace(NOTICE, version=2, retention="一个月")
    town.change(lambda c: publish_notice(c, OPEN_DOORS, new, actor="system:test", now=NOW))
    assert {(one.reason, one.person_id) for one in orders(town)} == {
        ("notice_changed", one) for one in people
    }


def test_the_photograph_for_panels_has_a_consent_of_its_own(town: Town) -> None:
    person_id = town.resident()
    town.change(lambda c: publish_notice(c, PANEL_PHOTOGRAPH, NOTICE, actor="system:test", now=NOW))
    assert "panel_consent" not in document(town, person_id)
    given = NewConsent(person_id, PANEL_PHOTOGRAPH, "counter", None)
    town.change(lambda c: give_consent(c, given, actor=town.admin, now=NOW))
    assert document(town, person_id)["panel_consent"] is True
    withdraw(town, person_id, PANEL_PHOTOGRAPH)
    told = document(town, person_id)
    assert (told["face_consent"], "panel_consent" in told) == (True, False)
    assert [one["scope"] for one in told["erase"]] == ["photograph"]


def test_without_the_consent_to_faces_the_one_to_the_photograph_counts_for_nothing(town: Town) -> None:
    person_id = town.resident()
    town.change(lambda c: publish_notice(c, PANEL_PHOTOGRAPH, NOTICE, actor="system:test", now=NOW))
    given = NewConsent(person_id, PANEL_PHOTOGRAPH, "counter", None)
    town.change(lambda c: give_consent(c, given, actor=town.admin, now=NOW))
    withdraw(town, person_id)
    assert "panel_consent" not in document(town, person_id)


def test_the_statement_of_the_contract_is_understood_whole() -> None:
    contract = json.loads(Path("tests/contracts/erasure_certificate.json").read_text("utf-8"))
    said = msgspec.json.decode(json.dumps(contract["signed"]).encode(), type=Statement)
    assert said.order_id == UUID("1c0e6a52-7d0f-4b62-9a0b-5a2d4c3b2a19")
    assert set(contract["signed"]) == set(Statement.__struct_fields__)
    assert set(contract["certificate"]) == set(SentCertificate.__struct_fields__)
