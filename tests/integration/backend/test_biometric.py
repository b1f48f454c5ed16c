"""No image and no vector gets into the backend: each endpoint refuses it, counts it, keeps nothing of it."""

from __future__ import annotations

import base64
import io
import json
import logging
import random
import struct
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.api.biometric import EVIDENCE_ENDPOINTS, is_biometric
from tests.integration.backend.conftest import NOW, Town
from tests.integration.backend.test_gateway_api import BASE, Caller

CHANCE = random.Random(7)
VECTOR = [round(CHANCE.uniform(-0.3, 0.3), 6) for _ in range(128)]
TEMPLATE = struct.pack("<128f", *VECTOR)
IMAGE = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(CHANCE.randrange(256) for _ in range(600))
# Every way in which either could be written down.
ENCODINGS: dict[str, bytes] = {
    "image": IMAGE,
    "image_base64": base64.b64encode(IMAGE),
    "image_urlsafe": base64.urlsafe_b64encode(IMAGE),
    "image_hex": IMAGE.hex().encode(),
    "template": TEMPLATE,
    "template_base64": base64.b64encode(TEMPLATE),
    "template_hex": TEMPLATE.hex().encode(),
    "vector": json.dumps(VECTOR).encode(),
}
# A part of each, so that a cut copy is found as well.
TRACES = {name: encoded[40:80] for name, encoded in ENCODINGS.items()}


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


def stored(town: Town) -> bytes:
    """Every row of every table, as text; bytea in hex."""
    tables = [
        row[0]
        for row in town.rows(
            "SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE n.nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition"
            " AND has_table_privilege(pg_class.oid, 'SELECT')"
        )
    ]
    return "\n".join(town.text_of(table) for table in tables).encode()


def traces_in(haystack: bytes) -> list[str]:
    return [name for name, trace in TRACES.items() if trace in haystack or trace.hex().encode() in haystack]


def test_every_endpoint_refuses_images_and_vectors_and_nothing_of_them_is_kept(
    app: Flask, town: Town, client: FlaskClient, caplog: pytest.LogCaptureFixture, capfd: Any
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
    assert traces_in(stored(town) + caplog.text.encode() + out.encode() + err.encode()) == []


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


def test_the_gateways_interface_has_no_place_for_them(town: Town, client: FlaskClient, capfd: Any) -> None:
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
    assert traces_in(stored(town) + out.encode() + err.encode()) == []


def test_the_search_finds_what_is_there(town: Town) -> None:
    """A search that finds nothing proves something only if it would find what was planted."""
    for name, encoded in ENCODINGS.items():
        assert name in traces_in(encoded)
    town.change(
        lambda c: c.exec_driver_sql(
            "INSERT INTO evidence (evidence_id, estate_id, kind, media_type, size_bytes, sha256, wrapped_key,"
            " sealed, added_by, added_at) VALUES (gen_random_uuid(), 'east', 'damage', 'image/jpeg', 1,"
            " sha256(''), '', %s, gen_random_uuid(), now())",
            (IMAGE,),
        )
    )
    assert "image_hex" in traces_in(stored(town)) or "image" in traces_in(stored(town))


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
