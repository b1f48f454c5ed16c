import shutil
from contextlib import closing
from pathlib import Path

import pytest

from gateway.matching.templates import DLIB_ENCODER
from gateway.sealing import new_key
from gateway.vault import Vault, VaultKeyError
from gateway.vault_backup import VaultExistsError, back_up, restore
from tests.integration.faces.test_vault import NOW, fill, sql, views_of

EVERYBODY = {("e1", f"p{number}") for number in range(4)}


def people_of(path: Path, key: bytes, estate: str = "e1") -> list[str]:
    with closing(Vault(path, key)) as vault:
        people, broken = vault.read(estate)
        assert broken == []
        return [person.person_id for person in people]


@pytest.fixture
def key() -> bytes:
    return new_key()


@pytest.fixture
def backup(tmp_path: Path, key: bytes) -> tuple[Path, Path]:
    with closing(Vault(tmp_path / "vault.db", key)) as vault:
        fill(vault, 4)
        vault.put_secret("card key e1", b"k" * 32)
        return back_up(tmp_path / "vault.db", tmp_path)


def test_a_restore_brings_back_those_with_a_live_consent_and_nobody_else(
    tmp_path: Path, key: bytes, backup: tuple[Path, Path]
) -> None:
    live = EVERYBODY - {("e1", "p2")} | {("e1", "enrolled later")}
    made = restore(tmp_path / "again.db", key, *backup, live)
    assert made.dropped == (("e1", "p2"),)
    assert made.kept == (("e1", "p0"), ("e1", "p1"), ("e1", "p3"))
    assert made.unreadable == ()
    assert people_of(tmp_path / "again.db", key) == ["p0", "p1", "p3"]
    assert sql(tmp_path / "again.db", "SELECT * FROM data_key WHERE person = 'p2'") == []
    with closing(Vault(tmp_path / "again.db", key)) as vault:
        assert vault.secret("card key e1") == b"k" * 32


def test_an_older_backup_does_not_bring_back_somebody_erased_since(
    tmp_path: Path, key: bytes, backup: tuple[Path, Path]
) -> None:
    old_rows = tmp_path / "kept elsewhere"
    shutil.copy(backup[0], old_rows)
    with closing(Vault(tmp_path / "vault.db", key)) as vault:
        certificate = vault.erase("p1", reason="consent withdrawn", now=NOW)
        back_up(tmp_path / "vault.db", tmp_path)
    # Even where the consents at hand are out of date, the data key is gone.
    made = restore(tmp_path / "again.db", key, old_rows, backup[1], EVERYBODY)
    assert made.unreadable == (("e1", "p1"),)
    assert people_of(tmp_path / "again.db", key) == ["p0", "p2", "p3"]
    assert certificate.holds(certificate.public_key)


def test_certificates_survive_a_restore(tmp_path: Path, key: bytes) -> None:
    with closing(Vault(tmp_path / "vault.db", key)) as vault:
        fill(vault, 1)
        certificate = vault.erase("p0", reason="consent withdrawn", now=NOW)
        parts = back_up(tmp_path / "vault.db", tmp_path)
    restore(tmp_path / "again.db", key, *parts, EVERYBODY)
    with closing(Vault(tmp_path / "again.db", key)) as vault:
        assert vault.certificates("p0") == [certificate]


def test_neither_part_opens_alone(tmp_path: Path, key: bytes, backup: tuple[Path, Path]) -> None:
    rows, keys = (part.read_bytes() for part in backup)
    with closing(Vault(tmp_path / "vault.db", key)) as vault:
        wrapped = [row[0] for row in sql(tmp_path / "vault.db", "SELECT wrapped FROM data_key")]
        sealed = [row[0] for row in sql(tmp_path / "vault.db", "SELECT sealed FROM template")]
        assert len(vault.templates("e1")) == len(wrapped) == len(sealed) == 4
    assert not any(isinstance(one, bytes) and one in rows for one in wrapped)
    assert not any(isinstance(one, bytes) and one in keys for one in sealed)
    assert all(part.stat().st_mode & 0o077 == 0 for part in backup)


def test_a_restore_needs_the_key_and_leaves_nothing_behind_without_it(
    tmp_path: Path, backup: tuple[Path, Path]
) -> None:
    with pytest.raises(VaultKeyError):
        restore(tmp_path / "again.db", new_key(), *backup, EVERYBODY)
    assert not list(tmp_path.glob("again.db*"))


def test_a_restore_never_replaces_a_vault(tmp_path: Path, key: bytes, backup: tuple[Path, Path]) -> None:
    with pytest.raises(VaultExistsError):
        restore(tmp_path / "vault.db", key, *backup, EVERYBODY)
    assert people_of(tmp_path / "vault.db", key) == ["p0", "p1", "p2", "p3"]


def test_a_new_backup_replaces_the_old_one(tmp_path: Path, key: bytes, backup: tuple[Path, Path]) -> None:
    with closing(Vault(tmp_path / "vault.db", key)) as vault:
        vault.store("e2", "p8", views_of(8), DLIB_ENCODER, NOW)
        assert back_up(tmp_path / "vault.db", tmp_path) == backup
    restore(tmp_path / "again.db", key, *backup, {("e2", "p8")})
    assert people_of(tmp_path / "again.db", key, "e2") == ["p8"]
    assert people_of(tmp_path / "again.db", key) == []


def test_a_photograph_comes_back_only_with_its_own_consent(tmp_path: Path, key: bytes) -> None:
    with closing(Vault(tmp_path / "vault.db", key)) as vault:
        fill(vault, 3)
        for person in ("p0", "p1", "p2"):
            vault.keep_photograph("e1", person, b"photograph of " + person.encode(), NOW)
        rows, keys = back_up(tmp_path / "vault.db", tmp_path)
    live = {("e1", "p0"), ("e1", "p1")}
    restore(tmp_path / "again.db", key, rows, keys, live, {("e1", "p1"), ("e1", "p2")})
    with closing(Vault(tmp_path / "again.db", key)) as vault:
        assert set(vault.photographs("e1")) == {"p1"}
        assert vault.photograph("e1", "p1") == b"photograph of p1"
