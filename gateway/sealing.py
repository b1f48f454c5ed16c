"""Sealing: AES-256-GCM whose seal also covers what the content belongs to, so that nothing can be swapped."""

from __future__ import annotations

import hashlib
import os

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


class SealBrokenError(Exception):
    """The content was changed, belongs elsewhere, or was sealed with another key."""

    def __init__(self, belongs_to: tuple[str | int, ...]) -> None:
        self.belongs_to = belongs_to
        super().__init__(f"the seal does not hold: {belongs_to}")


def new_key() -> bytes:
    """32 random bytes."""
    return os.urandom(KEY_BYTES)


def key_name(key: bytes) -> str:
    """A name for a key that says nothing about it."""
    return hashlib.sha256(b"smart-estate vault key\0" + key).hexdigest()[:16]


def seal(key: bytes, plain: bytes, *belongs_to: str | int) -> bytes:
    """Encrypt `plain`; it opens only with the same key and the same `belongs_to`."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, msgspec.msgpack.encode(belongs_to))


def unseal(key: bytes, sealed: bytes, *belongs_to: str | int) -> bytes:
    """The content of `seal`.

    Raises:
        SealBrokenError: anything about it is not as it was.
    """
    try:
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return AESGCM(key).decrypt(nonce, rest, msgspec.msgpack.encode(belongs_to))
    except (InvalidTag, ValueError):
        raise SealBrokenError(belongs_to) from None
