"""`estate gateway kiosk`: the kiosk as a process of its own, so that a photograph never delays a door."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask

from estate.config import SettingsError
from estate.logs import configure_logs
from estate.processes import die_with_current_parent
from estate.serving import Listener, serve_wsgi
from gateway.city import card_key_name
from gateway.counter import Counter
from gateway.faces import face_yardstick, read_vault_key
from gateway.kiosk.app import create_app
from gateway.settings import Settings, read_settings
from gateway.snapshots import SHELF_FILE, SnapshotShelf

CONFIG_VARIABLE = "ESTATE_CONFIG_GATEWAY"
# As many may upload at once; the encoder takes one after the other.
THREADS = 4


def serve_forever(settings: Settings, path: Path) -> None:
    """Serve until told to stop.

    Raises:
        SettingsError: the kiosk is switched off, or there is no vault key.
        StartFailedError: the port is taken.
    """
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    configure_logs("kiosk")
    kiosk = settings.kiosk
    if not kiosk.port:
        raise SettingsError(str(path), "kiosk.port", "为 0，登记台未启用 (is 0: the kiosk is switched off)")
    if read_vault_key(settings) is None:
        raise SettingsError(str(path), "faces.vault_key_file", "没有人脸库密钥 (there is no vault key)")
    face_yardstick(settings)  # a mistake is told here once, and not by each worker that dies of it
    os.environ[CONFIG_VARIABLE] = str(path.absolute())
    listener = Listener(
        kiosk.host, kiosk.port, "kiosk.port", 1, THREADS, kiosk.tls_certificate, kiosk.tls_key
    )
    serve_wsgi("gateway.kiosk.serving:create_app_from_environment", listener)


def create_app_from_environment() -> Flask:
    """The factory that the web server calls in its worker; `ESTATE_CONFIG_GATEWAY` names the file."""
    if os.environ.get("ESTATE_DIE_WITH_PARENT") == "1":
        die_with_current_parent()
    settings = read_settings(Path(os.environ[CONFIG_VARIABLE]))
    configure_logs("kiosk")
    counter = Counter(settings, workers=max(1, settings.faces.workers))

    def keys() -> dict[str, bytes]:
        kept = {estate: counter.vault.secret(card_key_name(estate)) for estate in settings.gateway.estates}
        return {estate: key for estate, key in kept.items() if key is not None}

    key = read_vault_key(settings)
    if key is None:
        raise SettingsError(str(CONFIG_VARIABLE), "faces.vault_key_file", "没有人脸库密钥 (no vault key)")
    return create_app(counter, SnapshotShelf(settings.state_folder / SHELF_FILE, key), keys)
