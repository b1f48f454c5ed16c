import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from estate.embedded.authority import TlsFiles, issue, make_authority

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
HOSTS = ["127.0.0.1", "::1", "localhost", "gateway.estate-1.lan"]


def read(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def shake_hands(server: TlsFiles, trusted: Path, host: str) -> str:
    """One TLS handshake, as `server`, with a client that trusts only `trusted`."""
    ours, theirs = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)

    def serve() -> None:
        try:
            with context.wrap_socket(theirs, server_side=True) as end:
                end.recv(1)
        except (ssl.SSLError, OSError):
            theirs.close()  # the client refused; what it says is what counts

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ssl.create_default_context(cafile=trusted).wrap_socket(ours, server_hostname=host) as end:
            return end.version() or ""
    finally:
        ours.close()
        thread.join(10)


@pytest.mark.parametrize("host", HOSTS)
def test_a_client_that_trusts_the_authority_accepts_each_of_the_hosts(tmp_path: Path, host: str) -> None:
    issued = issue(tmp_path, "server", HOSTS)
    assert shake_hands(issued, issued.authority, host) == "TLSv1.3"


def test_a_client_refuses_another_host_and_another_authority(tmp_path: Path) -> None:
    issued, other = issue(tmp_path / "a", "server", HOSTS), make_authority(tmp_path / "b")
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(issued, issued.authority, "10.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(issued, other.certificate, "localhost")


def test_certificates_last_a_year_and_may_not_sign_others(tmp_path: Path) -> None:
    certificate = read(issue(tmp_path, "server", HOSTS, NOW).certificate)
    assert certificate.not_valid_after_utc == NOW + timedelta(days=365)
    assert certificate.not_valid_before_utc == NOW - timedelta(hours=1)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert constraints.ca is False
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    issued = issue(tmp_path, "server", HOSTS)
    for key in (issued.key, make_authority(tmp_path).key):
        assert key.stat().st_mode & 0o777 == 0o600
    assert {file.name for file in tmp_path.iterdir()} == {
        "authority.crt",
        "authority.key",
        "server.crt",
        "server.key",
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_what_still_lasts_a_week_is_used_again(tmp_path: Path) -> None:
    issue(tmp_path, "server", HOSTS, NOW)
    before = contents(tmp_path)
    issue(tmp_path, "server", HOSTS, NOW + timedelta(days=357))
    assert contents(tmp_path) == before


def test_what_ends_within_a_week_is_issued_again(tmp_path: Path) -> None:
    issue(tmp_path, "server", HOSTS, NOW)
    before = contents(tmp_path)
    later = NOW + timedelta(days=358, seconds=1)
    issued = issue(tmp_path, "server", HOSTS, later)
    changed = {name for name, content in before.items() if contents(tmp_path)[name] != content}
    assert changed == {"server.crt", "server.key"}
    assert read(issued.certificate).not_valid_after_utc > later + timedelta(days=300)


def test_other_hosts_need_another_certificate_of_the_same_authority(tmp_path: Path) -> None:
    first = issue(tmp_path, "server", ["localhost"])
    before = contents(tmp_path)
    issue(tmp_path, "server", ["localhost", "127.0.0.1"])
    assert contents(tmp_path)["server.crt"] != before["server.crt"]
    assert contents(tmp_path)["authority.crt"] == before["authority.crt"]
    assert shake_hands(first, first.authority, "127.0.0.1")


def test_an_authority_is_followed_by_one_that_was_trusted_a_year_before(tmp_path: Path) -> None:
    """A device that is handed the authority's file once a year trusts every certificate at every time."""
    trusted, signers = tmp_path / "trusted.crt", set()
    for days in range(0, 20 * 365, 180):
        now = NOW + timedelta(days=days)
        issued = issue(tmp_path / "ca", "server", HOSTS, now)
        signer = read(issued.authority)
        signers.add(signer.serial_number)
        assert read(issued.certificate).not_valid_after_utc >= now + timedelta(days=8)
        read(issued.certificate).verify_directly_issued_by(signer)
        if trusted.exists():
            assert signer in x509.load_pem_x509_certificates(trusted.read_bytes()), f"after {days} days"
        if days % 360 == 0:
            trusted.write_bytes(issued.authority.read_bytes())
    assert len(signers) == 3


def test_a_kill_while_the_successor_takes_over_leaves_one_that_signs(tmp_path: Path) -> None:
    for days in (0, 3650 - 700):
        make_authority(tmp_path, NOW + timedelta(days=days))
    later = NOW + timedelta(days=3650 - 300)
    (tmp_path / "authority.key").write_bytes((tmp_path / "successor.key").read_bytes())
    expected = read(tmp_path / "successor.crt")
    issued = issue(tmp_path, "server", HOSTS, later)
    assert read(issued.authority) == expected
    read(issued.certificate).verify_directly_issued_by(expected)


@pytest.mark.parametrize("name", ["server.crt", "server.key", "authority.crt", "authority.key"])
@pytest.mark.parametrize("damage", ["empty", "missing", "foreign"])
def test_a_damaged_file_is_replaced_and_the_pair_works_again(tmp_path: Path, name: str, damage: str) -> None:
    issue(tmp_path / "own", "server", HOSTS)
    issue(tmp_path / "other", "server", HOSTS)
    file = tmp_path / "own" / name
    if damage == "empty":
        file.write_bytes(b"")
    elif damage == "missing":
        file.unlink()
    else:
        file.write_bytes((tmp_path / "other" / name).read_bytes())
    issued = issue(tmp_path / "own", "server", HOSTS)
    assert shake_hands(issued, issued.authority, "localhost") == "TLSv1.3"
