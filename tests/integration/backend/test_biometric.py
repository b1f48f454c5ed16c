"""No image and no vector gets into the backend: each endpoint refuses it, counts it, keeps nothing of it."""

from __future__ import annotations

import base64
import io
import json
import logging
import random
import re
import struct
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.api.biometric import EVIDENCE_ENDPOINTS, is_biometric
from backend.db.engine import connect
from tests.integration.backend.conftest import NOW, Town
from tests.integration.backend.test_gateway_api import BASE, Caller
from tests.integration.conftest import Database
from tests.known_faces import faces_in_database, known, plant_image, plant_template

CHANCE = random.Random(7)
VECTOR = [round(CHANCE.uniform(-0.3, 0.3), 6) for _ in range(128)]
TEMPLATE = struct.pack("<128f", *VECTOR)
IMAGE = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(CHANCE.randrange(256) for _ in range(600))
plant_image("the refused picture", IMAGE)
plant_template("the refused template", np.array(VECTOR))


def posts(app: Flask) -> list[str]:
    """Every address that takes something, with its parameters filled in."""
    values = {"uuid": "00000000-0000-4000-8000-000000000001", "default": "x", "int": "1"}
    found = []
    for rule in app.url_map.iter_rules():
        if "POST" in (rule.methods or ()) and rule.endpoint not in EVIDENCE_ENDPOINTS:
            path = rule.rule
            for name, converter in rule._converters.items():
                kind = "uuid" if "UUID" in type(converter).__name__ else "default"
                for form in (f"<uuid:{name}>", f"<int:{name}>", f"<{name}>"):
                    path = path.replace(form, values["int"] if "int:" in form else values[kind])
            found.append(path)
    return found


def payloads() -> list[dict[str, Any]]:
    """The same content as a body, a field, a file and JSON."""
    text = base64.b64encode(IMAGE).decode()
    return [
        {"data": IMAGE, "content_type": "image/jpeg"},
        {"data": TEMPLATE, "content_type": "application/octet-stream"},
        {"data": {"note": text}},
        {"data": {"note": IMAGE.hex()}},
        {"data": {"note": json.dumps(VECTOR)}},
        {"data": {"file": (io.BytesIO(IMAGE), "list.csv")}},
        {"data": json.dumps({"anything": VECTOR}), "content_type": "application/json"},
        {"data": json.dumps({"anything": f"data:image/jpeg;base64,{text}"}), "content_type": "text/plain"},
    ]


def test_every_endpoint_refuses_images_and_vectors_and_nothing_of_them_is_kept(
    app: Flask,
    town: Town,
    client: FlaskClient,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    capfd: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    addresses = [path for path in posts(app) if not path.startswith((BASE, "/webhooks/"))]
    assert len(addresses) >= 5
    for path in addresses:
        for payload in payloads():
            answer = client.post(path, **payload, headers={"Accept": "application/json"})
            assert answer.status_code == 422, (path, payload, answer.status_code)
            assert answer.json["error"]["code"] == "biometric"
            assert "人脸" in answer.json["error"]["zh"]
    counted = town.value("SELECT sum(times) FROM refused_payload")
    assert counted == len(addresses) * len(payloads())
    out, err = capfd.readouterr()
    assert known().found_in((caplog.text + out + err).encode()) == []
    assert faces_in_database(database.superuser_url) == []


@pytest.mark.parametrize("written", [base64.b64encode(IMAGE).decode(), IMAGE.hex(), json.dumps(VECTOR)])
def test_beside_a_file_of_evidence_nothing_may_be_written_either(
    app: Flask, town: Town, client: FlaskClient, database: Database, written: str
) -> None:
    addresses = {rule.endpoint: rule.rule for rule in app.url_map.iter_rules()}
    for endpoint in EVIDENCE_ENDPOINTS:
        path = re.sub(r"<[^>]*>", "00000000-0000-4000-8000-000000000001", addresses[endpoint])
        data = {"reason": written, "file": (io.BytesIO(b"%PDF-1.7"), "scan.pdf")}
        answer = client.post(path, data=data, headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json["error"]["code"]) == (422, "biometric")
    assert town.value("SELECT sum(times) FROM refused_payload") == len(EVIDENCE_ENDPOINTS)
    assert faces_in_database(database.superuser_url) == []


def gateway_bodies() -> list[tuple[str, Any]]:
    record = {
        "record_id": "6f1f3f3e-3b46-4f0e-9a55-2c6a0a4f7c11",
        "estate": "east",
        "device": "east-a",
        "passage": "t1",
        "events": ["e1"],
        "credential": "face",
        "device_at": NOW.isoformat(),
        "received_at": NOW.isoformat(),
        "outcome": "open",
        "cause": "granted",
        "person": None,
        "resent": False,
    }
    text = base64.b64encode(IMAGE).decode()
    return [
        ("access-records", {"records": [record | {"template": VECTOR}]}),
        ("access-records", {"records": [record | {"frames": [text]}]}),
        ("access-records", {"records": [record | {"passage": text}]}),
        ("access-records", {"records": [record], "image": text}),
        ("access-records", IMAGE),
        ("status", {"devices": [], "face": VECTOR}),
        ("status", IMAGE),
        ("erasures", {"certificates": [], "template": VECTOR}),
        ("erasures", {"certificates": [{"signed": text, "signature": text, "public_key": text}]}),
    ]


def test_the_gateways_interface_has_no_place_for_them(
    town: Town, client: FlaskClient, database: Database, capfd: Any
) -> None:
    caller = Caller(client, town.add_gateway("gw-east", "east"))
    for path, body in gateway_bodies():
        answer = caller.post(path, body)
        taken = answer.json.get("committed", []) if answer.status_code == 200 else []
        assert answer.status_code in {200, 422}
        assert taken == []
    assert town.value("SELECT count(*) FROM access_record") == 0
    refused = town.value("SELECT count(*) FROM audit_record WHERE outcome = 'refused'")
    assert refused + town.value("SELECT coalesce(sum(times), 0) FROM refused_payload") >= 8
    out, err = capfd.readouterr()
    assert known().found_in((out + err).encode()) == []
    assert faces_in_database(database.superuser_url) == []


COLUMNS = ("bytea", "text", "real[]", "double precision[]", "jsonb")


@pytest.mark.parametrize("column", COLUMNS)
def test_the_search_of_the_database_finds_what_is_planted_in_any_kind_of_column(
    database: Database, column: str
) -> None:
    """A search that finds nothing proves something only if it would find what was planted."""
    value: Any = {"bytea": TEMPLATE, "text": base64.b64encode(b"12" + TEMPLATE).decode()}.get(column, VECTOR)
    value = json.dumps({"anything": VECTOR}) if column == "jsonb" else value
    with connect(database.superuser_url) as connection:
        connection.execute(f"CREATE TABLE planted (day date, content {column})")
        connection.execute(f"INSERT INTO planted VALUES (now(), %s::{column})", (value,))
        connection.commit()
        found = faces_in_database(database.superuser_url)
        connection.execute("DROP TABLE planted")
    assert found
    assert all(one.startswith("planted: the refused template") for one in found)


def test_the_search_of_the_database_finds_a_picture_nobody_planted(database: Database) -> None:
    with connect(database.superuser_url) as connection:
        connection.execute("CREATE TABLE planted (content bytea)")
        connection.execute("INSERT INTO planted VALUES (%s)", (IMAGE[:20] + bytes(600),))
        connection.commit()
        found = faces_in_database(database.superuser_url)
        connection.execute("DROP TABLE planted")
    assert found == ["planted: a JPEG hex"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "evt_1", "object": "event", "data": {"amount": 38640, "images": ["https://x/y.jpg"]}}',
        "name=陈桂芳&note=三月份房租 386.40 元，已交 100.50 元".encode(),
        b"amount=1234.50&amount=386.40,12.5 3.25",
        b"%PDF-1.7",
        b"",
    ],
)
def test_ordinary_content_passes(body: bytes) -> None:
    assert is_biometric(body) is None
