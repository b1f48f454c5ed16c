"""Which providers this installation uses, and who takes which method in which estate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import Engine

from backend.payments.counter_adapter import CounterProvider
from backend.payments.errors import MethodNotTakenError, PaymentsNotSetUpError
from backend.payments.port import AT_THE_COUNTER, ONLINE, Method, Provider
from backend.payments.stripe_adapter import StripeProvider
from backend.payments.wechat_adapter import API, WechatAccount, WechatProvider
from backend.settings import BackendSettings, PaymentSettings, WechatSettings
from estate.config import SettingsError, is_loopback, read_secret

EXTENSION = "estate_payment_providers"
SOURCE = "config/backend.toml"
# Who is asked first where the configuration says nothing: a channel's own contract before a go-between.
PREFERRED = ("wechat", "stripe")
NOBODY = "none"


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers by name, and the choice among them.

    Attributes:
        by_method: who takes a method; `none` for nobody.
        by_estate: the same for single estates, which comes first.
    """

    by_name: Mapping[str, Provider]
    by_method: Mapping[str, str] = field(default_factory=dict)
    by_estate: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def all(self) -> tuple[Provider, ...]:
        """Every one of them."""
        return tuple(self.by_name.values())

    def get(self, name: str) -> Provider:
        """The provider of that name.

        Raises:
            PaymentsNotSetUpError: it is not configured here (any more).
        """
        try:
            return self.by_name[name]
        except KeyError:
            raise PaymentsNotSetUpError from None

    def for_method(self, method: Method, estate_id: str) -> Provider:
        """Who takes a method in an estate.

        Raises:
            PaymentsNotSetUpError: nobody takes anything online here.
            MethodNotTakenError: nobody takes this one.
        """
        named = self.by_estate.get(estate_id, {}).get(method) or self.by_method.get(method)
        if named is not None and named != NOBODY:
            return self.get(named)
        fits = [one for one in self._preferred() if method in one.methods]
        if named == NOBODY or not fits:
            if method in ONLINE and not self.online(estate_id):
                raise PaymentsNotSetUpError
            raise MethodNotTakenError(method)
        return fits[0]

    def online(self, estate_id: str) -> tuple[Method, ...]:
        """What can be paid with online in an estate."""
        return tuple(method for method in ONLINE if self._taken(method, estate_id))

    def _taken(self, method: Method, estate_id: str) -> bool:
        named = self.by_estate.get(estate_id, {}).get(method) or self.by_method.get(method)
        if named is not None:
            return named in self.by_name
        return any(method in one.methods for one in self.by_name.values())

    def _preferred(self) -> Iterable[Provider]:
        first = [self.by_name[name] for name in PREFERRED if name in self.by_name]
        return [*first, *(one for one in self.by_name.values() if one not in first)]


def make_providers(settings: BackendSettings, engine: Engine) -> Providers:
    """The configured providers; the counter is always there.

    Raises:
        SettingsError: half of what one needs is configured, a secret's file is missing, a key would travel
            in plain text, or a method is given to a provider that does not take it.
    """
    payments = settings.payments
    found: list[Provider] = [CounterProvider(engine, method) for method in AT_THE_COUNTER]
    if (stripe := _stripe(payments)) is not None:
        found.append(stripe)
    if payments.wechat is not None:
        found.append(_wechat(payments.wechat, settings.serve.public_url))

    providers = Providers(
        {one.name: one for one in found},
        dict(payments.by_method.items()),
        {name: dict(chosen.items()) for name, chosen in payments.by_estate.items()},
    )
    _check_choice(providers)
    return providers


def current_providers() -> Providers:
    """The providers of the application that answers this request."""
    return cast(Providers, current_app.extensions[EXTENSION])


def _stripe(settings: PaymentSettings) -> StripeProvider | None:
    key, secrets = settings.stripe_api_key_file, settings.stripe_webhook_secret_file
    if key is None and secrets is None:
        return None
    if key is None or secrets is None:
        raise SettingsError(
            SOURCE,
            "payments.stripe_api_key_file",
            "须与 stripe_webhook_secret_file 成对给出 (both or neither)",
        )
    _check_encrypted(settings.stripe_api_base, "payments.stripe_api_base")
    # Two lines while the endpoint's secret is being replaced.
    found = read_secret(Path(secrets), "payments.stripe_webhook_secret_file").split()
    return StripeProvider(
        read_secret(Path(key), "payments.stripe_api_key_file"), found, settings.stripe_api_base
    )


def _wechat(settings: WechatSettings, public_url: str) -> WechatProvider:
    if (settings.public_key_file is None) != (settings.public_key_id is None):
        raise SettingsError(
            SOURCE, "payments.wechat.public_key_id", "须与 public_key_file 成对给出 (both or neither)"
        )
    if settings.api_base != API and settings.public_key_file is None:
        raise SettingsError(
            SOURCE,
            "payments.wechat.public_key_file",
            "换用其他 api_base 时须给出公钥 (needed with another api_base)",
        )
    _check_encrypted(settings.api_base, "payments.wechat.api_base")
    public_key = settings.public_key_file
    return WechatProvider(
        WechatAccount(
            mchid=settings.mchid,
            appid=settings.appid,
            serial=settings.certificate_serial,
            notify_url=f"{public_url.rstrip('/')}/webhooks/wechat",
            private_key=read_secret(Path(settings.private_key_file), "payments.wechat.private_key_file"),
            api_v3_key=read_secret(Path(settings.api_v3_key_file), "payments.wechat.api_v3_key_file"),
            public_key=read_secret(Path(public_key), "payments.wechat.public_key_file")
            if public_key
            else None,
            public_key_id=settings.public_key_id,
            certificate_folder=settings.certificate_folder,
            api_base=settings.api_base,
        )
    )


def _check_encrypted(base: str | None, key: str) -> None:
    parts = urlsplit(base or "https://")
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise SettingsError(SOURCE, key, "不在本机的地址须用 https (https is needed outside this machine)")


def _check_choice(providers: Providers) -> None:
    choices = [("payments.by_method", providers.by_method)]
    choices += [(f"payments.by_estate.{name}", chosen) for name, chosen in providers.by_estate.items()]
    for key, chosen in choices:
        for method, name in chosen.items():
            provider = providers.by_name.get(name)
            if name != NOBODY and (provider is None or method not in provider.methods):
                raise SettingsError(
                    SOURCE,
                    f"{key}.{method}",
                    f"{name} 未配置或不支持此方式 (not set up, or does not take it)",
                )
