"""The backend's configuration: one frozen struct a section of `config/backend.toml`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from psycopg.conninfo import conninfo_to_dict

from backend.closing.settings import ClosingSettings
from backend.messaging.settings import MessageSettings
from backend.payments.settings import PaymentRules
from backend.reconciliation.settings import ReconciliationSettings
from backend.rent.dunning_settings import DunningRules
from backend.rent.settings import RentSettings
from backend.retention.settings import RetentionSettings
from estate.config import SettingsError, is_loopback, load_settings

PREFIX = "ESTATE_BACKEND"
# Not under PREFIX: everything there is a key of the file.
CONFIG_VARIABLE = "ESTATE_CONFIG_BACKEND"
DEFAULT_PATH = Path("config/backend.toml")

Count = Annotated[int, Meta(ge=1, le=4096)]
Text = Annotated[str, Meta(min_length=1)]
File = Annotated[str, Meta(min_length=1)]  # a path, which may be relative to the working directory


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all sections have in common."""


class DatabaseSettings(Section, frozen=True):
    """How the application, which owns nothing, reaches PostgreSQL."""

    url: Text  # libpq's connection string, either form
    password_file: File | None = None
    pool_size: Count = 8
    pool_overflow: Annotated[int, Meta(ge=0, le=4096)] = 8


class RoleSettings(Section, frozen=True):
    """How a role that is not the application's reaches PostgreSQL; its commands alone need it."""

    url: Text | None = None
    password_file: File | None = None


class ServeSettings(Section, frozen=True):
    """Where the web processes listen."""

    host: Text = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8080
    public_url: Text = "http://127.0.0.1:8080"  # what browsers and gateways call it, without a last slash
    workers: Count = 2
    threads: Count = 32  # of each worker; a gateway's long poll occupies one
    long_polls_max: Count = 24  # of each worker; above it, a gateway is asked to come again
    proxies: Annotated[int, Meta(ge=0, le=4)] = 0  # trusted reverse proxies in front
    tls_certificate: File | None = None
    tls_key: File | None = None


class SecretSettings(Section, frozen=True):
    """Files with secrets; none has a default content."""

    session_key_file: File
    master_key_file: File


class LoginSettings(Section, frozen=True):
    """How long a login lasts, and how many attempts are answered."""

    idle_minutes: Count = 60
    session_hours: Count = 12
    attempts_by_login: Count = 10
    attempts_by_address: Count = 60
    attempts_minutes: Count = 15


class WechatSettings(Section, frozen=True):
    """A merchant's own contract with WeChat Pay."""

    mchid: Text
    appid: Text
    certificate_serial: Text  # of the merchant's API certificate
    private_key_file: File
    api_v3_key_file: File
    # How the platform is known: by its public key, or, without one, by certificates kept in a folder.
    public_key_file: File | None = None
    public_key_id: Text | None = None
    certificate_folder: File | None = None
    api_base: Text = "https://api.mch.weixin.qq.com"  # another only for a stand-in


MethodName = Literal["wechat_pay", "alipay", "card", "cash", "bank_transfer"]
ProviderName = Literal["stripe", "wechat", "cash", "bank", "none"]


class PaymentSettings(Section, frozen=True):
    """The payment channels."""

    stripe_api_base: Text | None = None  # None: Stripe itself
    stripe_api_key_file: File | None = None
    stripe_webhook_secret_file: File | None = None
    # Where a paying browser is sent; the content security policy lets forms lead there and nowhere else.
    checkout_origins: tuple[str, ...] = ("https://checkout.stripe.com",)
    wechat: WechatSettings | None = None
    # Who takes which method, for all estates and for single ones; the software chooses where nothing is said.
    by_method: dict[MethodName, ProviderName] = msgspec.field(default_factory=dict)
    by_estate: dict[str, dict[MethodName, ProviderName]] = msgspec.field(default_factory=dict)


class WorkerSettings(Section, frozen=True):
    """The worker's rhythm, for what no notification announced."""

    poll_seconds: Count = 5


class DocumentSettings(Section, frozen=True):
    """What documents are made with."""

    font_folder: File = "/usr/share/fonts/opentype/noto"  # of Debian's fonts-noto-cjk


class NoticeSettings(Section, frozen=True):
    """What people are told before they consent to faces; a change needs a higher version."""

    version: Count
    handler: Text
    contact: Text
    purpose_text: Text
    method: Text
    retention: Text
    effect: Text
    rights: Text


class EnrolmentSettings(Section, frozen=True):
    """Where faces are enrolled: on each estate's own box, never here."""

    kiosks: dict[
        str, Annotated[str, Meta(pattern=r"^https?://[^/]+$")]
    ] = {}  # by estate, as browsers reach them


class BackendSettings(Section, frozen=True):
    """The whole file."""

    database: DatabaseSettings
    secrets: SecretSettings
    owner: RoleSettings = RoleSettings()
    reader: RoleSettings = RoleSettings()
    serve: ServeSettings = ServeSettings()
    login: LoginSettings = LoginSettings()
    payments: PaymentSettings = PaymentSettings()
    payment_rules: PaymentRules = PaymentRules()
    rent: RentSettings = RentSettings()
    dunning: DunningRules = DunningRules()
    reconciliation: ReconciliationSettings = ReconciliationSettings()
    closing: ClosingSettings = ClosingSettings()
    worker: WorkerSettings = WorkerSettings()
    documents: DocumentSettings = DocumentSettings()
    messages: MessageSettings = MessageSettings()
    retention: RetentionSettings = RetentionSettings()
    enrolment: EnrolmentSettings = EnrolmentSettings()
    notice: NoticeSettings | None = None
    log_level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$")] = "info"


def settings_path(environment: Mapping[str, str] | None = None) -> Path:
    """The file to read: `ESTATE_CONFIG_BACKEND`, or `config/backend.toml`."""
    environment = os.environ if environment is None else environment
    return Path(environment.get(CONFIG_VARIABLE, DEFAULT_PATH))


def load(path: Path, environment: Mapping[str, str] | None = None) -> BackendSettings:
    """Read and check the configuration.

    Raises:
        SettingsError: naming file, key and reason; also for plain text outside this machine.
    """
    settings = load_settings(BackendSettings, path, PREFIX, environment)
    check(settings, str(path))
    return settings


def check(settings: BackendSettings, source: str) -> None:
    """Refuse what a single field cannot tell: half a TLS pair, and plain text outside loopback."""
    serve = settings.serve
    if (serve.tls_certificate is None) != (serve.tls_key is None):
        raise SettingsError(source, "serve.tls_key", "证书和私钥须成对给出 (certificate and key go together)")
    if serve.tls_certificate is None and not is_loopback(serve.host):
        raise SettingsError(
            source,
            "serve.host",
            f"{serve.host} 不是本机地址，必须配置 tls_certificate 和 tls_key"
            " (not a loopback address: TLS is needed)",
        )
    for name in ("database", "owner", "reader"):
        url = getattr(settings, name).url
        if url is not None:
            _check_database(url, f"{name}.url", source)


def _check_database(url: str, key: str, source: str) -> None:
    try:
        parts = conninfo_to_dict(url)
    except Exception as error:
        raise SettingsError(source, key, f"不是有效的连接串 (not a connection string): {error}") from error
    hosts = [host for host in str(parts.get("host") or "").split(",") if host and not host.startswith("/")]
    safe = parts.get("sslmode") in {"require", "verify-ca", "verify-full"}
    if not safe and not all(is_loopback(host) for host in hosts):
        raise SettingsError(
            source,
            key,
            "数据库不在本机，连接串须含 sslmode=verify-full (a database elsewhere needs it)",
        )
