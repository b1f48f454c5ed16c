"""Which provider this installation uses: built once from the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from flask import current_app

from backend.payments.errors import PaymentsNotSetUpError
from backend.payments.port import Provider
from backend.payments.stripe_adapter import StripeProvider
from backend.settings import PaymentSettings
from estate.config import SettingsError, is_loopback, read_secret

EXTENSION = "estate_payment_provider"


def make_provider(settings: PaymentSettings) -> Provider | None:
    """The configured provider; None where paying online is not set up.

    Raises:
        SettingsError: half of what it needs is configured, or a secret's file is missing, or the
            key would travel in plain text.
    """
    key, secrets = settings.stripe_api_key_file, settings.stripe_webhook_secret_file
    if key is None and secrets is None:
        return None
    if key is None or secrets is None:
        raise SettingsError(
            "config/backend.toml",
            "payments.stripe_api_key_file",
            "须与 stripe_webhook_secret_file 成对给出 (both or neither)",
        )
    base = urlsplit(settings.stripe_api_base or "https://")
    if base.scheme != "https" and not is_loopback(base.hostname or ""):
        raise SettingsError(
            "config/backend.toml",
            "payments.stripe_api_base",
            "不在本机的地址须用 https (https is needed outside this machine)",
        )
    # Two lines while the endpoint's secret is being replaced.
    found = read_secret(Path(secrets), "payments.stripe_webhook_secret_file").split()
    return StripeProvider(
        read_secret(Path(key), "payments.stripe_api_key_file"), found, settings.stripe_api_base
    )


def current_provider() -> Provider:
    """The provider of the application that answers this request.

    Raises:
        PaymentsNotSetUpError
    """
    provider = current_app.extensions.get(EXTENSION)
    if provider is None:
        raise PaymentsNotSetUpError
    return cast(Provider, provider)
