"""Keeps images and face vectors out of the backend: refused, counted, and nothing of them kept.

Only the evidence store takes files of images. The gateways' interface is not looked through here: its
schemas have no field that could carry any, and tell of those that try.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import structlog
from flask import Flask, request
from sqlalchemy.dialects.postgresql import insert

from backend.errors import ExplainedError
from backend.registry.rules import local_day
from backend.retention.tables import refused_payload
from backend.services import services

# Where evidence is handed in: signed consents, photographs of damage that a deposit pays for, papers in a
# dispute. Their files are looked at by their own rules, and only staff of that desk get so far; what is
# written beside a file is looked through as everywhere.
EVIDENCE_ENDPOINTS = frozenset({"evidence.add", "money.ask_deduction", "money.answer"})
# Held by their own rules: schemas without a place for it; a provider's signature, over its own QR pictures.
OTHER_RULES = frozenset({"gateways", "payments"})
LOOKED_AT_BYTES_MAX = 2 * 1024 * 1024
TYPES = ("image/", "video/", "audio/", "application/octet-stream", "application/x-npy")
IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", b"RIFF", b"II*\x00", b"MM\x00*", b"\x93NUMPY")
# The beginnings of the same in base64 and in hex, in the middle of a text.
ENCODED = re.compile(
    rb"/9j/[A-Za-z0-9+/_-]{40}|iVBORw0KGgo|R0lGOD[dl]h|data:image/|UklGR[A-Za-z0-9+/]{8}V0VCUF"
    rb"|(?i:ffd8ff[de][0-9a-f])[0-9a-fA-F]{60}|(?i:89504e470d0a1a0a)"
)
# Dozens of fractions in a row are a vector, whatever it is called.
VECTOR = re.compile(rb"(?:-?\d*\.\d+(?:[eE][-+]?\d+)?[\s,;]+){31}")
log = structlog.get_logger()


class BiometricPayloadError(ExplainedError):
    """An image or a vector where none may come."""

    code = "biometric"

    def __init__(self) -> None:
        super().__init__(
            "城市端不接收人脸照片或特征数据，本次内容已拒收且未保存；请在小区服务台现场登记。",
            "The city side takes no face images or templates; nothing of it was kept. Enrol at the estate.",
        )


def install(app: Flask) -> None:
    """Look through what every request brings."""

    @app.before_request
    def refuse() -> None:
        if request.method in {"GET", "HEAD", "OPTIONS"} or request.blueprint in OTHER_RULES:
            return
        if kind := _written() if request.endpoint in EVIDENCE_ENDPOINTS else _found():
            count_refusal(request.endpoint or "unknown", kind)
            raise BiometricPayloadError


def is_biometric(body: bytes) -> str | None:
    """What kind of biometric content a text or file holds; None where there is none.

    Names of fields count for nothing here: a provider's notice may call anything an image.
    """
    if body.startswith(IMAGES):
        return "image"
    if ENCODED.search(body):
        return "encoded_image"
    if VECTOR.search(body):
        return "vector"
    return None


def count_refusal(endpoint: str, kind: str) -> None:
    """Count it by day, endpoint and kind, in a transaction of its own."""
    log.warning("biometric_refused", endpoint=endpoint, kind=kind)
    row = {"refused_on": local_day(datetime.now(UTC)), "endpoint": endpoint, "kind": kind, "times": 1}
    counted = insert(refused_payload).values(row)
    with services().engine.begin() as connection:
        connection.execute(
            counted.on_conflict_do_update(
                index_elements=["refused_on", "endpoint", "kind"],
                set_={"times": refused_payload.c.times + 1},
            )
        )


def _found() -> str | None:
    if request.mimetype.startswith(TYPES):
        return "type"
    if request.mimetype == "multipart/form-data":
        files = (file.stream for _, file in request.files.items(multi=True))
        for stream in files:
            start = stream.read(LOOKED_AT_BYTES_MAX)
            stream.seek(0)
            if kind := is_biometric(start):
                return kind
        return _written()
    if request.mimetype == "application/x-www-form-urlencoded":
        return _written()
    return is_biometric(request.get_data(cache=True)[:LOOKED_AT_BYTES_MAX])


def _written() -> str | None:
    """What a form's fields hold, its files left out."""
    return is_biometric("\n".join(request.form.values()).encode())
