"""Certificates of erasure: what was erased where and when, signed by the vault that did it."""

from __future__ import annotations

from datetime import datetime

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class Erasure(msgspec.Struct, frozen=True):
    """What was erased.

    Attributes:
        certificate_id: of this erasure.
        vault_id: of the vault.
        person_id: opaque.
        estates: where the person had anything; empty when there was nothing.
        templates: how many templates were destroyed with their data keys.
        photographs: how many photographs kept for door panels were destroyed with theirs.
        reason: why, such as "consent withdrawn".
        erased_at: UTC, when rows and data keys were destroyed; it is signed only once the write-ahead log
            has been cleared of them too.
    """

    certificate_id: str
    vault_id: str
    person_id: str
    estates: tuple[str, ...]
    templates: int
    reason: str
    erased_at: datetime
    photographs: int = 0


# Made at import: msgspec 0.22 crashes where two threads are the first to use a Struct, both at once.
ERASURE_DECODER = msgspec.json.Decoder(Erasure)


class ErasureCertificate(msgspec.Struct, frozen=True):
    """An erasure and the vault's Ed25519 signature over its JSON.

    Attributes:
        signed: the exact bytes that were signed.
        signature: 64 bytes.
        public_key: 32 bytes; compare it with the one the vault is registered with.
    """

    signed: bytes
    signature: bytes
    public_key: bytes

    @property
    def erasure(self) -> Erasure:
        """What it says."""
        return ERASURE_DECODER.decode(self.signed)

    def holds(self, public_key: bytes) -> bool:
        """Whether the vault with this public key signed it and nothing was changed since."""
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(self.signature, self.signed)
        except (InvalidSignature, ValueError):
            return False
        return True


def certify(erasure: Erasure, signing_key: bytes) -> ErasureCertificate:
    """Sign an erasure with the vault's 32-byte Ed25519 key."""
    key = Ed25519PrivateKey.from_private_bytes(signing_key)
    signed = msgspec.json.encode(erasure)
    return ErasureCertificate(signed, key.sign(signed), key.public_key().public_bytes_raw())
