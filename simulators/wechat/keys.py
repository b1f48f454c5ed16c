"""The keys of both sides, and what they sign and seal.

The merchant signs requests; the platform signs answers and notices, and seals what is in them with the
APIv3 key that both know. Receivers check the platform by its certificate or by its public key: with a
public key, `Platform.serial` is `PUB_KEY_ID_…`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

API_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Merchant:
    """What WeChat Pay knows of the merchant."""

    mchid: str
    appid: str
    serial: str  # of the merchant's API certificate
    public_key: rsa.RSAPublicKey = field(repr=False)
    api_v3_key: str = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.api_v3_key.encode()) != API_KEY_BYTES:
            raise ValueError(f"the APIv3 key has {API_KEY_BYTES} bytes")


@dataclass(frozen=True, slots=True)
class Platform:
    """WeChat Pay's own key; `certificate` is None where receivers check by public key."""

    private_key: rsa.RSAPrivateKey = field(repr=False)
    serial: str
    certificate: x509.Certificate | None = None


def make_key() -> rsa.RSAPrivateKey:
    """A fresh RSA key of 2048 bits."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def certify(key: rsa.RSAPrivateKey, name: str, now: datetime) -> x509.Certificate:
    """A self-signed certificate, valid for five years."""
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=5 * 365))
        .sign(key, hashes.SHA256())
    )


def platform_with_certificate(key: rsa.RSAPrivateKey, now: datetime | None = None) -> Platform:
    """A platform that receivers check by certificate."""
    certificate = certify(key, "Tenpay.com simulated", now or datetime.now(UTC))
    return Platform(key, f"{certificate.serial_number:X}", certificate)


def sign(key: rsa.RSAPrivateKey, *lines: str | bytes) -> str:
    """The signature of lines, each ended by a newline, as base64."""
    return base64.b64encode(key.sign(_joined(lines), padding.PKCS1v15(), hashes.SHA256())).decode()


def is_signed(key: rsa.RSAPublicKey, signature: str, *lines: str | bytes) -> bool:
    """Whether `signature` is that of these lines."""
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, _joined(lines), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        return False
    return True


def seal(api_v3_key: str, plain: bytes, nonce: str, associated: str) -> str:
    """AES-256-GCM under the APIv3 key, as base64; `nonce` has 12 characters."""
    sealed = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), plain, associated.encode())
    return base64.b64encode(sealed).decode()


def pem(thing: x509.Certificate | rsa.RSAPrivateKey | rsa.RSAPublicKey) -> bytes:
    """As the text of a file."""
    encoding = serialization.Encoding.PEM
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(encoding)
    if isinstance(thing, rsa.RSAPublicKey):
        return thing.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    return thing.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _joined(lines: tuple[str | bytes, ...]) -> bytes:
    return b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines)
