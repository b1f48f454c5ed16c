"""The parts of a gateway that know faces: the vault and the encoder's processes."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import structlog

from estate.config import SettingsError, read_secret
from gateway.matching.encoder import EncoderPool, FacesMissingError
from gateway.matching.model_file import read_face_model
from gateway.matching.yardstick import Yardstick, make_yardstick
from gateway.photographs import Photographer
from gateway.sealing import KEY_BYTES
from gateway.settings import Settings
from gateway.vault import Vault, VaultKeyError

VAULT_FILE = "vault.db"

log = structlog.get_logger()


def read_vault_key(settings: Settings) -> bytes | None:
    """The vault's key from its file: 32 bytes in base64; None where no file is named.

    Raises:
        SettingsError: it cannot be read, or is not such a key.
    """
    source = settings.faces.vault_key_file
    if not source:
        return None
    text = read_secret(Path(source), "faces.vault_key_file")
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        reason = "应为 base64 编码的 32 字节 (expected 32 bytes in base64)"
        raise SettingsError(source, "faces.vault_key_file", reason)
    return key


def open_vault(settings: Settings, key: bytes) -> Vault:
    """The vault of this gateway's state folder.

    Raises:
        SettingsError: the key is another vault's.
        sqlite3.Error, OSError: the state folder cannot be written.
    """
    settings.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return Vault(settings.state_folder / VAULT_FILE, key)
    except VaultKeyError as error:
        source = settings.faces.vault_key_file
        raise SettingsError(source, "faces.vault_key_file", str(error)) from error


def face_yardstick(settings: Settings) -> Yardstick:
    """The encoder that is configured, and where its thresholds come from.

    Raises:
        SettingsError: a file cannot be read, or does not fit the encoder.
    """
    model, cohort = model_path(settings), settings.faces.cohort_file
    return make_yardstick(
        read_face_model(model) if model is not None else None, Path(cohort) if cohort else None
    )


def model_path(settings: Settings) -> Path | None:
    """The description of an operator's own face model; None for the default encoder."""
    return Path(settings.faces.model_file) if settings.faces.model_file else None


def start_photographer(settings: Settings) -> Photographer:
    """The encoder's processes; without them doors answer a photograph by asking for a card."""
    if not settings.faces.workers:
        return Photographer(None)
    try:
        pool = EncoderPool(
            settings.faces.workers, settings.faces.queue_limit, model_file=model_path(settings)
        )
        return Photographer(pool)
    except FacesMissingError as error:
        log.warning("faces_missing", reason=str(error))
        return Photographer(None)
