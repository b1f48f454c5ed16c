"""The `Stripe-Signature` header."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable


def signature(payload: bytes, secret: str, timestamp: int) -> str:
    """HMAC-SHA256 of `timestamp.payload` under the endpoint's whole secret, as hex."""
    return hmac.new(secret.encode(), str(timestamp).encode() + b"." + payload, hashlib.sha256).hexdigest()


def header(payload: bytes, secrets: Iterable[str], timestamp: int) -> str:
    """`t=…,v1=…` with one `v1` for each secret that is valid now."""
    return ",".join(
        [f"t={timestamp}", *(f"v1={signature(payload, secret, timestamp)}" for secret in secrets)]
    )
