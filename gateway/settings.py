"""The gateway's configuration: config/gateway.toml, with overrides ESTATE_GATEWAY_<SECTION>_<KEY>."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct, structs

from estate.config import SettingsError, is_loopback, load_settings, read_secret
from gateway.cases import DoorRules
from gateway.codes import GuessLimits
from gateway.mqtt import BrokerAddress

PREFIX = "ESTATE_GATEWAY"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

Port = Annotated[int, Meta(ge=1, le=65535)]


class GatewaySection(Struct, frozen=True, forbid_unknown_fields=True):
    """Who we are and what we serve."""

    id: str
    estates: Annotated[list[str], Meta(min_length=1)]
    state_folder: str


class BrokerSection(Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT broker on the estate's LAN."""

    host: str = "127.0.0.1"
    port: Port = 1883
    username: str = ""
    password_file: str = ""
    tls_ca_file: str = ""
    topic_root: str = "estate"


class BackendSection(Struct, frozen=True, forbid_unknown_fields=True):
    """The city side; an empty url runs the gateway on its own."""

    url: str = ""
    credential_file: str = ""
    tls_ca_file: str = ""


class JournalSection(Struct, frozen=True, forbid_unknown_fields=True):
    """How long records are kept, and how long an answer waits for the disk."""

    hours: Annotated[int, Meta(ge=1, le=24 * 366)] = 720
    answer_wait_ms: Annotated[int, Meta(ge=0, le=1000)] = 10
    sync: bool = True  # false only in the test that shows what it is for; an alarm says so


class DoorsSection(Struct, frozen=True, forbid_unknown_fields=True):
    """The times that doors live by."""

    open_within_ms: Annotated[int, Meta(ge=100, le=30_000)] = 5_000
    event_age_s_max: Annotated[float, Meta(gt=0, le=60)] = 10.0
    track_window_ms: Annotated[int, Meta(ge=0, le=10_000)] = 3_000  # frames of one passage join it so long
    wrong_codes_door_max: Annotated[int, Meta(ge=1, le=100)] = 5  # then no code is looked at there ...
    wrong_codes_estate_max: Annotated[int, Meta(ge=1, le=10_000)] = 50
    wrong_codes_within_s: Annotated[float, Meta(ge=10, le=86_400)] = 300.0  # ... for so long


class FacesSection(Struct, frozen=True, forbid_unknown_fields=True):
    """The vault and the encoder of photographs."""

    workers: Annotated[int, Meta(ge=0, le=64)] = 1  # 0: photographs are not encoded, doors ask for a card
    queue_limit: Annotated[int, Meta(ge=1, le=1000)] = 8
    fpir: Annotated[float, Meta(gt=0, lt=1)] = 0.003
    vault_key_file: str = ""
    model_file: str = ""  # an operator's own face model; empty: face_recognition
    cohort_file: str = ""  # templates of people who live elsewhere, to find thresholds with


class KioskSection(Struct, frozen=True, forbid_unknown_fields=True):
    """The enrolment page on the estate's LAN; port 0 is off."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    tls_certificate: str = ""
    tls_key: str = ""


class PanelsSection(Struct, frozen=True, forbid_unknown_fields=True):
    """Where panels that match by themselves fetch photographs; port 0: nowhere, and nobody is put on one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    tls_certificate: str = ""
    tls_key: str = ""
    public_url: str = ""  # as the panels reach it; empty: http(s)://host:port


class MetricsSection(Struct, frozen=True, forbid_unknown_fields=True):
    """Health and Prometheus metrics; port 0 is off."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9470


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    gateway: GatewaySection
    broker: BrokerSection = BrokerSection()
    backend: BackendSection = BackendSection()
    journal: JournalSection = JournalSection()
    doors: DoorsSection = DoorsSection()
    faces: FacesSection = FacesSection()
    kiosk: KioskSection = KioskSection()
    metrics: MetricsSection = MetricsSection()
    panels: PanelsSection = PanelsSection()
    drivers: dict[str, dict[str, str | int | float | bool]] = {}

    @property
    def state_folder(self) -> Path:
        """Where journal, roster copy and vault live."""
        return Path(self.gateway.state_folder)

    @property
    def rules(self) -> DoorRules:
        """The times that doors live by."""
        return DoorRules(
            self.journal.answer_wait_ms / 1000,
            self.doors.open_within_ms,
            self.doors.event_age_s_max,
            self.doors.track_window_ms / 1000,
        )

    @property
    def guess_limits(self) -> GuessLimits:
        """How many wrong codes are too many."""
        doors = self.doors
        return GuessLimits(
            doors.wrong_codes_door_max, doors.wrong_codes_estate_max, doors.wrong_codes_within_s
        )


def read_settings(
    path: Path, estates: list[str] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Read and check the configuration.

    Args:
        path: the TOML file.
        estates: serve only these of the file's estates.
        environment: defaults to the process's own.
    Raises:
        SettingsError: with file, key and reason.
    """
    settings = load_settings(Settings, path, PREFIX, environment)
    if estates is not None:
        strangers = sorted(set(estates) - set(settings.gateway.estates))
        if strangers or not estates:
            reason = f"配置中没有这些小区 (not among gateway.estates): {', '.join(strangers) or '-'}"
            raise SettingsError(str(path), "--estates", reason)
        settings = structs.replace(settings, gateway=structs.replace(settings.gateway, estates=estates))
    _check(settings, str(path))
    return settings


def broker_address(settings: Settings) -> BrokerAddress:
    """The broker with our password read from its file.

    Raises:
        SettingsError: the password's file cannot be read.
    """
    broker = settings.broker
    password = (
        read_secret(Path(broker.password_file), "broker.password_file") if broker.password_file else None
    )
    authority = Path(broker.tls_ca_file) if broker.tls_ca_file else None
    return BrokerAddress(
        broker.host,
        broker.port,
        f"gateway-{settings.gateway.id}",
        broker.username or None,
        password,
        authority,
    )


def backend_credential(settings: Settings) -> str:
    """The credential `<gateway id>.<secret>` from its file.

    Raises:
        SettingsError: it cannot be read, or is another gateway's.
    """
    source = settings.backend.credential_file
    credential = read_secret(Path(source), "backend.credential_file")
    if not credential.startswith(settings.gateway.id + "."):
        reason = f"不是网关 {settings.gateway.id} 的凭据 (not the credential of this gateway)"
        raise SettingsError(source, "backend.credential_file", reason)
    return credential


def _check(settings: Settings, source: str) -> None:
    def refuse(key: str, reason: str) -> None:
        raise SettingsError(source, key, reason)

    for key, names in (
        ("gateway.id", [settings.gateway.id]),
        ("gateway.estates", settings.gateway.estates),
        ("broker.topic_root", settings.broker.topic_root.split("/")),
    ):
        if wrong := [name for name in names if not _NAME.fullmatch(name)]:
            refuse(key, f"只能用小写字母、数字和连字符 (lower-case letters, digits, hyphens): {wrong[0]!r}")
    if len(set(settings.gateway.estates)) != len(settings.gateway.estates):
        refuse("gateway.estates", "有重复 (an estate stands twice)")
    broker, backend = settings.broker, settings.backend
    if not is_loopback(broker.host) and not broker.tls_ca_file:
        refuse("broker.tls_ca_file", "本机以外的地址必须用 TLS (an address beyond this machine needs TLS)")
    if broker.password_file and not broker.username:
        refuse("broker.username", "有密码而没有用户名 (a password without a user name)")
    for name, page in (("kiosk", settings.kiosk), ("panels", settings.panels)):
        _check_page(name, page, refuse)
    if not backend.url:
        return
    url = urlsplit(backend.url)
    if url.scheme not in ("http", "https") or not url.hostname:
        refuse("backend.url", "应为 http(s)://主机[:端口] (expected http(s)://host[:port])")
    elif url.scheme == "http" and not is_loopback(url.hostname):
        refuse("backend.url", "本机以外的地址必须用 https (an address beyond this machine needs https)")
    if not backend.credential_file:
        refuse("backend.credential_file", "缺少凭据文件 (the credential's file is missing)")
    if not settings.faces.vault_key_file:
        refuse("faces.vault_key_file", "卡号密钥要加密保存，需要它 (it encrypts the cards' keys; needed)")


def _check_page(name: str, page: KioskSection | PanelsSection, refuse: Callable[[str, str], None]) -> None:
    """What is served on the estate's LAN is served over TLS."""
    if bool(page.tls_certificate) != bool(page.tls_key):
        refuse(f"{name}.tls_key", "证书和私钥须一起填 (certificate and key go together)")
    if page.port and not is_loopback(page.host) and not page.tls_certificate:
        reason = "本机以外的地址必须用 TLS (an address beyond this machine needs TLS)"
        refuse(f"{name}.tls_certificate", reason)
