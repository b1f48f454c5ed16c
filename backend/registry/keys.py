"""The estates' keys for card references, encrypted in the database under one master key from a file."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backend.errors import ExplainedError
from estate.config import SettingsError, read_secret

KEY_BYTES = 32
NONCE_BYTES = 12
FORM_1 = b"\x01"  # the sealed form: this byte, the nonce, the ciphertext with its tag


class SealBrokenError(ExplainedError):
    """A sealed key does not open: the master key is another one, or the row was changed."""

    code = "seal_broken"

    def __init__(self, estate_id: str) -> None:
        self.estate_id = estate_id
        super().__init__(
            f"小区 {estate_id} 的密钥无法解开：主密钥文件不对，或数据被改动。请恢复原主密钥文件。",
            f"The key of estate {estate_id} does not open: wrong master key file, or the row was changed. "
            "Restore the original master key file.",
        )


class MasterKey:
    """Seals and opens the keys of estates; the estate's id is bound to its key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def from_file(cls, path: str | Path) -> MasterKey:
        """Read 32 bytes in base64 from a file.

        Raises:
            SettingsError: the file is missing or holds something else.
        """
        text = read_secret(Path(path), "secrets.master_key_file")
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise SettingsError(
                str(path), "secrets.master_key_file", "须为 32 字节的 base64 (32 bytes in base64 are needed)"
            )
        return cls(key)

    def seal(self, estate_id: str, key: bytes, nonce: bytes | None = None) -> bytes:
        """Encrypt an estate's key for the database."""
        nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce
        return FORM_1 + nonce + self._cipher.encrypt(nonce, key, _bound(estate_id))

    def open(self, estate_id: str, sealed: bytes) -> bytes:
        """The estate's key again.

        Raises:
            SealBrokenError: it was sealed by another master key, for another estate, or changed.
        """
        form, nonce, body = sealed[:1], sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            if form != FORM_1:
                raise InvalidTag
            return self._cipher.decrypt(nonce, body, _bound(estate_id))
        except (InvalidTag, ValueError):
            raise SealBrokenError(estate_id) from None


def card_reference(key: bytes, number: str) -> str:
    """What stands for a card: HMAC-SHA256 of its number under the estate's key, in hex."""
    return hmac.new(key, b"card:" + number.encode(), hashlib.sha256).hexdigest()


def _bound(estate_id: str) -> bytes:
    return b"estate hmac key:" + estate_id.encode()
