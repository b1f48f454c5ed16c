"""Codes as values: drawing them, what stands for them in the database, and what a QR code says now.

The gateway computes the same from its copy of the key; `tests/contracts/codes.json` holds both to it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from itertools import pairwise

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.twofactor.totp import TOTP

QR_MARK, VISITOR_QR_MARK = "SEQ1", "SEV1:"
STEP_S, DIGITS, SEED_BYTES, NONCE_BYTES = 30, 8, 20, 12
PIN_DIGITS_MIN, PIN_DIGITS_MAX = 6, 10
VISITOR_DIGITS = 8
GUESS_SHARE_MAX = 1e-4  # so many of all PINs of that length may be somebody's

Below = Callable[[int], int]
"""A random whole number below the given one; `secrets.randbelow`."""


def pin_reference(key: bytes, group_id: str, pin: str) -> str:
    """What stands for a PIN of a door group."""
    return _digest(key, f"pin:{group_id}:{pin}")


def visitor_reference(key: bytes, code: str) -> str:
    """What stands for a visitor's code."""
    return _digest(key, f"visitor:{code}")


def pin_digits(live: int) -> int:
    """How long a new PIN of a group has to be, where `live` are in use: guessing must stay hopeless."""
    digits = PIN_DIGITS_MIN
    while digits < PIN_DIGITS_MAX and (live + 2) / 10**digits > GUESS_SHARE_MAX:
        digits += 1
    return digits


def draw_pin(digits: int, below: Below) -> str:
    """A PIN that nobody would try first."""
    while True:
        pin = f"{below(10**digits):0{digits}d}"
        if not is_obvious(pin):
            return pin


def is_obvious(pin: str) -> bool:
    """Few different digits, or a run up or down."""
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    return len(set(pin)) <= 2 or steps in ({1}, {9})


def seal_seed(key: bytes, estate_id: str, qr_id: str, seed: bytes, nonce: bytes) -> str:
    """A seed as it is stored and as gateways receive it."""
    sealed = _cipher(key).encrypt(nonce, seed, f"{estate_id}/{qr_id}".encode())
    return base64.b64encode(nonce + sealed).decode()


def open_seed(key: bytes, estate_id: str, qr_id: str, sealed: str) -> bytes:
    """The seed again.

    Raises:
        cryptography.exceptions.InvalidTag: it is another estate's, or was changed.
    """
    body = base64.b64decode(sealed)
    return _cipher(key).decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], f"{estate_id}/{qr_id}".encode())


def qr_text(seed: bytes, qr_id: str, group_id: str, now_s: float) -> str:
    """What the QR code of a person and a door group says now."""
    bound = _hmac(seed, f"group:{group_id}").digest()
    at_s = int(now_s) // STEP_S * STEP_S
    code = TOTP(bound, DIGITS, SHA256(), STEP_S).generate(at_s).decode()
    return f"{QR_MARK}:{qr_id}:{group_id}:{code}"


def _cipher(key: bytes) -> AESGCM:
    return AESGCM(_hmac(key, "qr seal").digest())


def _digest(key: bytes, text: str) -> str:
    return _hmac(key, text).hexdigest()


def _hmac(key: bytes, text: str) -> hmac.HMAC:
    return hmac.new(key, text.encode(), hashlib.sha256)
