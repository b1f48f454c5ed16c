"""A small certificate authority of our own, for TLS where no other authority is at hand."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from estate.embedded.places import put_file

AUTHORITY_DAYS = 3650
# Its successor is announced so long before, so that whoever is handed the authority's file trusts both ...
ANNOUNCE_BEFORE_DAYS = 730
VALID_DAYS = 365  # ... and signs from when a certificate would no longer last its time.
RENEW_BEFORE_DAYS = 7
CLOCK_LEEWAY = timedelta(hours=1)  # a device whose clock is a little behind may connect at once


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of one server or client.

    Args:
        certificate: its own.
        key: its private key, readable only for its owner.
        authority: the certificate of who signed it; the other side trusts this one.
    """

    certificate: Path
    key: Path
    authority: Path


def make_authority(folder: Path, now: datetime | None = None) -> TlsFiles:
    """The authority in `folder`, made if there is none that lasts; its `certificate` is what others trust.

    That file may hold two: the one that signs comes first, then its successor or its predecessor. Whoever
    gets the file anew at least once in a year never stands before a certificate it does not trust.
    """
    now = now or datetime.now(UTC)
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    files = TlsFiles(folder / "authority.crt", folder / "authority.key", folder / "authority.crt")
    successor = TlsFiles(folder / "successor.crt", folder / "successor.key", folder / "successor.crt")
    if not _is_authority(files, now, VALID_DAYS):
        _succeed(files, successor, now)
    elif not _is_authority(files, now, ANNOUNCE_BEFORE_DAYS) and not _is_authority(
        successor, now, ANNOUNCE_BEFORE_DAYS
    ):
        _write(successor, *_new_authority(now))
        _write_certificates(files.certificate, [_read(files.certificate), _read(successor.certificate)])
    return files


def _succeed(files: TlsFiles, successor: TlsFiles, now: datetime) -> None:
    """Let the announced authority, or else a new one, sign from now on; the one before stays trusted."""
    before = _still_valid(files.certificate, now)
    if not _is_authority(successor, now, VALID_DAYS):
        _write(successor, *_new_authority(now))
    put_file(files.key, successor.key.read_bytes(), 0o600)
    current = _read(successor.certificate)
    _write_certificates(files.certificate, [current, *(one for one in before if one != current)])
    for file in (successor.key, successor.certificate):
        file.unlink()


def _new_authority(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Smart Estate {os.urandom(4).hex()}")])
    built = (
        _builder(name, name, key.public_key(), now, now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return built, key


def _is_authority(files: TlsFiles, now: datetime, days: int) -> bool:
    """Whether the pair fits, signed itself, and lasts so many days."""
    return _lasts(files, now, days) and _is_signed_by(_read(files.certificate), _read(files.certificate))


def _still_valid(file: Path, now: datetime) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return []
    return [one for one in found if one.not_valid_after_utc > now and _is_signed_by(one, one)]


def issue(folder: Path, name: str, hosts: Sequence[str], now: datetime | None = None) -> TlsFiles:
    """A certificate for `hosts` from the authority in `folder`, as `folder/name.crt` and `.key`.

    The one that is there is used again while it lasts a week, names the same hosts and is of this authority.

    Args:
        folder: the authority's; made if needed.
        name: names the files and the certificate's holder.
        hosts: host names and IP addresses that clients connect to.
        now: the time it is issued at, UTC.
    """
    now = now or datetime.now(UTC)
    authority = make_authority(folder, now)
    files = TlsFiles(folder / f"{name}.crt", folder / f"{name}.key", authority.certificate)
    signer = _read(authority.certificate)
    alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    if _lasts(files, now):
        found = _read(files.certificate)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if names == alternatives and _is_signed_by(found, signer):
            return files
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    signing_key = serialization.load_pem_private_key(authority.key.read_bytes(), password=None)
    if not isinstance(signing_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{authority.key} is not a key of this module")
    built = (
        _builder(
            subject,
            signer.subject,
            key.public_key(),
            now,
            min(now + timedelta(days=VALID_DAYS), signer.not_valid_after_utc),
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(alternatives, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
        .sign(signing_key, hashes.SHA256())
    )
    _write(files, built, key)
    return files


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_LEEWAY)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _lasts(files: TlsFiles, now: datetime, days: int = RENEW_BEFORE_DAYS) -> bool:
    try:
        certificate = _read(files.certificate)
        key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):  # none yet, or cut short by a power cut
        return False
    # A kill between the two renames leaves a pair that does not fit.
    fits = isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == certificate.public_key()
    return fits and certificate.not_valid_after_utc > now + timedelta(days=days)


def _is_signed_by(certificate: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(signer)
    except Exception:
        return False
    return True


def _read(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def _write(files: TlsFiles, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    put_file(files.key, private, 0o600)
    _write_certificates(files.certificate, [certificate])


def _write_certificates(file: Path, certificates: Sequence[x509.Certificate]) -> None:
    put_file(file, b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates), 0o644)
