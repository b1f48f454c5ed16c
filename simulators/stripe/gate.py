"""Who is let in: the secret key and the API version of a request."""

from __future__ import annotations

import base64
import binascii
import hmac

from simulators.stripe import API_VERSION
from simulators.stripe.errors import RefusedError


def check_version(version: str) -> None:
    """Only the pinned version is spoken."""
    if version != API_VERSION:
        raise RefusedError(
            f"Invalid Stripe API version: {version[:40]}. The stand-in speaks {API_VERSION} only.",
            param="Stripe-Version",
        )


def check_key(authorization: str, wanted: str | None) -> None:
    """Let in the secret key `wanted`, or any test key; by Bearer, or as the user of Basic.

    Raises:
        RefusedError: 401.
    """
    scheme, _, value = authorization.partition(" ")
    key = value.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    challenge = {"WWW-Authenticate": 'Bearer realm="Stripe"'}
    if scheme.lower() not in ("basic", "bearer") or not key:
        raise RefusedError(
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
            "https://stripe.com/docs/api#authentication for details, or we can help at "
            "https://support.stripe.com/.",
            status=401,
            headers=challenge,
        )
    if key.startswith("pk_"):
        raise RefusedError(
            "This API call cannot be made with a publishable API key. Please use a secret API key. You can "
            "find a list of your API keys at https://dashboard.stripe.com/account/apikeys.",
            code="secret_key_required",
            status=401,
            headers=challenge,
        )
    if not (key.startswith("sk_test_") if wanted is None else _same(key, wanted)):
        shown = f"{key[:8]}{'*' * max(0, min(len(key), 40) - 12)}{key[-4:]}" if len(key) > 12 else "****"
        raise RefusedError(f"Invalid API Key provided: {shown}", status=401, headers=challenge)


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())
