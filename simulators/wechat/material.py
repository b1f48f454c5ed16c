"""A folder with everything both sides need: made on first use, read again afterwards.

`merchant.json` (mchid, appid, serial, platform_serial) · `merchant_key.pem` and `api_v3_key` for the
merchant's side · `platform_key.pem` for the stand-in · `platform_public.pem` for the merchant to check it.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from estate.config import SettingsError
from simulators.wechat.keys import API_KEY_BYTES, Merchant, Platform, make_key, pem

FACTS, KEY, API_KEY = "merchant.json", "merchant_key.pem", "api_v3_key"
PLATFORM_KEY, PLATFORM_PUBLIC = "platform_key.pem", "platform_public.pem"


def load(folder: Path) -> tuple[Merchant, Platform]:
    """Both sides' keys out of a folder; a folder without `merchant.json` is filled first.

    Raises:
        SettingsError: a file is missing or not what it should be.
    """
    if not (folder / FACTS).exists():
        _make(folder)
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        key = _private(folder / KEY)
        merchant = Merchant(
            facts["mchid"],
            facts["appid"],
            facts["serial"],
            key.public_key(),
            (folder / API_KEY).read_text(encoding="utf-8").strip(),
        )
        return merchant, Platform(_private(folder / PLATFORM_KEY), facts["platform_serial"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(str(folder), "--folder", f"密钥不完整 (incomplete): {error}") from error


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    merchant_key, platform_key = make_key(), make_key()
    _write(folder / KEY, pem(merchant_key))
    _write(folder / PLATFORM_KEY, pem(platform_key))
    _write(folder / PLATFORM_PUBLIC, pem(platform_key.public_key()))
    _write(folder / API_KEY, secrets.token_hex(API_KEY_BYTES // 2).encode())
    facts = {
        "mchid": "1900000109",
        "appid": "wx8888888888888888",
        "serial": secrets.token_hex(20).upper(),
        "platform_serial": "PUB_KEY_ID_" + "".join(str(secrets.randbelow(10)) for _ in range(24)),
    }
    _write(folder / FACTS, json.dumps(facts, indent=2).encode())


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _private(path: Path) -> rsa.RSAPrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{path.name}: no RSA key")
    return key
