import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gateway.matching.templates import DLIB_ENCODER, Floats, unit_rows
from gateway.sealing import SealBrokenError, new_key, seal, unseal
from gateway.vault import BrokenRow, ErasureUnfinishedError, Vault, VaultKeyError
from tests.unit.faces.people import make_centres

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


@pytest.fixture
def key() -> bytes:
    return new_key()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault.db"


@pytest.fixture
def vault(path: Path, key: bytes) -> Iterator[Vault]:
    with closing(Vault(path, key)) as opened:
        yield opened


def views_of(number: int, photos: int = 3) -> Floats:
    return unit_rows(make_centres(photos, np.random.default_rng(number)))


def fill(vault: Vault, people: int, estate: str = "e1") -> None:
    for number in range(people):
        vault.store(estate, f"p{number}", views_of(number), DLIB_ENCODER, NOW)


def sql(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


def all_bytes(path: Path) -> bytes:
    """Everything SQLite keeps: the file, its log, its index."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(path.name + "*")))


def test_what_is_stored_comes_back_after_reopening(vault: Vault, path: Path, key: bytes) -> None:
    fill(vault, 2)
    vault.store("e2", "p9", views_of(9, 1), "another/128", NOW)
    vault.close()
    with closing(Vault(path, key)) as again:
        people = again.templates("e1")
        assert [person.person_id for person in people] == ["p0", "p1"]
        assert people[1].views == pytest.approx(views_of(1))
        assert (people[1].photos, people[1].encoder) == (3, DLIB_ENCODER)
        assert [person.encoder for person in again.templates("e2")] == ["another/128"]
        assert again.templates("e3") == []


def test_enrolling_again_replaces_the_template(vault: Vault) -> None:
    fill(vault, 1)
    vault.store("e1", "p0", views_of(50, 2), DLIB_ENCODER, NOW)
    (person,) = vault.templates("e1")
    assert person.views == pytest.approx(views_of(50, 2))


def test_nothing_of_a_template_stands_in_the_file(vault: Vault, path: Path) -> None:
    fill(vault, 3)
    content = all_bytes(path)
    for number in range(3):
        for view in views_of(number):
            assert view.tobytes()[:32] not in content
            assert view.astype("<f2").tobytes()[:32] not in content
            assert view.astype("<f8").tobytes()[:32] not in content


def test_the_file_is_for_its_owner_alone(vault: Vault, path: Path) -> None:
    fill(vault, 1)
    for file in path.parent.glob("vault.db*"):
        assert file.stat().st_mode & 0o077 == 0, file


def test_every_write_counts_up_for_other_processes_too(vault: Vault, path: Path, key: bytes) -> None:
    with closing(Vault(path, key)) as other:
        before = vault.data_version()
        assert vault.data_version() == before
        other.store("e1", "p1", views_of(1), DLIB_ENCODER, NOW)
        stored = vault.data_version()
        assert stored > before
        other.erase("p1", reason="test", now=NOW)
        assert vault.data_version() > stored


def test_another_key_does_not_open_the_vault(vault: Vault, path: Path) -> None:
    fill(vault, 1)
    with pytest.raises(VaultKeyError):
        Vault(path, new_key())
    with pytest.raises(VaultKeyError):
        Vault(path, b"short")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE template SET sealed = zeroblob(100) WHERE person = 'p1'",
        "UPDATE template SET photos = 2 WHERE person = 'p1'",
        "UPDATE template SET encoder = 'another/128' WHERE person = 'p1'",
        "UPDATE template SET sealed = (SELECT sealed FROM template LIMIT 1) WHERE person = 'p1'",
        "UPDATE data_key SET wrapped = (SELECT wrapped FROM data_key LIMIT 1) WHERE person = 'p1'",
        "UPDATE data_key SET wrapped = x'00' WHERE person = 'p1'",
        "DELETE FROM data_key WHERE person = 'p1'",
    ],
    ids=[
        "changed",
        "other count",
        "other encoder",
        "another's row",
        "another's key",
        "key changed",
        "no key",
    ],
)
def test_a_tampered_row_is_refused_and_reported_while_the_others_load(
    vault: Vault, path: Path, statement: str
) -> None:
    fill(vault, 3)
    sql(path, statement)
    people, broken = vault.read("e1")
    assert [person.person_id for person in people] == ["p0", "p2"]
    assert [row.person_id for row in broken] == ["p1"]
    assert [person.person_id for person in vault.templates("e1")] == ["p0", "p2"]


def test_rows_of_two_people_or_two_estates_cannot_be_swapped(vault: Vault, path: Path) -> None:
    fill(vault, 1, "e1")
    fill(vault, 2, "e2")
    for table in ("template", "data_key"):
        sql(path, f"UPDATE {table} SET estate = 'e1' WHERE estate = 'e2' AND person = 'p1'")
    people, broken = vault.read("e1")
    assert [person.person_id for person in people] == ["p0"]
    assert broken == [BrokenRow("e1", "p1", DLIB_ENCODER)]
    for table in ("template", "data_key"):
        sql(path, f"UPDATE {table} SET person = 'p7' WHERE estate = 'e1' AND person = 'p0'")
    assert vault.read("e1")[0] == []


def test_a_broken_data_key_is_replaced_when_the_person_is_enrolled_again(vault: Vault, path: Path) -> None:
    fill(vault, 1)
    sql(path, "UPDATE data_key SET wrapped = x'00'")
    fill(vault, 1)
    assert [person.person_id for person in vault.templates("e1")] == ["p0"]


def test_erasing_leaves_no_byte_of_the_person_in_any_file(vault: Vault, path: Path) -> None:
    fill(vault, 300)
    sealed, wrapped = [], []
    for number in range(0, 300, 7):
        person = f"p{number}"
        sealed += [row[0] for row in sql(path, "SELECT sealed FROM template WHERE person = ?", person)]
        wrapped += [row[0] for row in sql(path, "SELECT wrapped FROM data_key WHERE person = ?", person)]
        vault.erase(person, reason="consent withdrawn", now=NOW)
    content = all_bytes(path)
    for secret in (*sealed, *wrapped):
        assert isinstance(secret, bytes)
        for start in range(0, len(secret) - 24, 24):
            assert secret[start : start + 24] not in content
    assert len(vault.templates("e1")) == 300 - len(range(0, 300, 7))


def test_an_erasure_is_certified_and_the_certificate_cannot_be_changed(vault: Vault) -> None:
    fill(vault, 1, "e1")
    fill(vault, 1, "e2")
    certificate = vault.erase("p0", reason="consent withdrawn", now=NOW)
    said = certificate.erasure
    assert (said.person_id, said.estates, said.templates, said.reason) == (
        *("p0", ("e1", "e2"), 2, "consent withdrawn"),
    )
    assert (said.erased_at, said.vault_id) == (NOW, vault.vault_id)
    assert certificate.holds(vault.public_key)
    other = certificate.signed.replace(b'"templates":2', b'"templates":3')
    assert other != certificate.signed
    assert not msgspec.structs.replace(certificate, signed=other).holds(vault.public_key)
    assert not certificate.holds(b"\x01" * 32)
    assert vault.certificates("p0") == [certificate]


def test_erasing_in_one_estate_leaves_the_other(vault: Vault) -> None:
    fill(vault, 1, "e1")
    fill(vault, 1, "e2")
    assert vault.erase("p0", reason="moved", now=NOW, estate_id="e1").erasure.estates == ("e1",)
    assert vault.templates("e1") == []
    assert len(vault.templates("e2")) == 1


def test_erasing_nobody_is_certified_as_nothing(vault: Vault) -> None:
    certificate = vault.erase("nobody", reason="consent withdrawn", now=NOW)
    assert (certificate.erasure.templates, certificate.erasure.estates) == (0, ())
    assert certificate.holds(vault.public_key)


def test_an_erasure_while_somebody_reads_is_finished_later(
    vault: Vault, path: Path, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(vault, 2)
    sql_wait = "PRAGMA busy_timeout = 50"
    vault._store._connection.execute(sql_wait)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert len(reader.execute("SELECT * FROM template").fetchall()) == 2
        with pytest.raises(ErasureUnfinishedError):
            vault.erase("p0", reason="consent withdrawn", now=NOW)
        # Not served any more, and not certified yet.
        assert [person.person_id for person in vault.templates("e1")] == ["p1"]
        assert vault.certificates("p0") == []
        reader.execute("ROLLBACK")
    vault.close()
    with closing(Vault(path, key)) as again:
        (certificate,) = again.certificates("p0")
        assert certificate.holds(again.public_key)
        assert certificate.erasure.templates == 1


def test_after_rotation_only_the_new_key_opens_and_everything_is_there(
    vault: Vault, path: Path, key: bytes
) -> None:
    fill(vault, 3)
    vault.put_secret("card key e1", b"k" * 32)
    old_wrapped = [row[0] for row in sql(path, "SELECT wrapped FROM data_key")]
    public_key, new = vault.public_key, new_key()
    assert vault.rotate(new) == 0
    assert len(vault.templates("e1")) == 3
    vault.close()
    with pytest.raises(VaultKeyError):
        Vault(path, key)
    with closing(Vault(path, new)) as again:
        assert len(again.templates("e1")) == 3
        assert again.secret("card key e1") == b"k" * 32
        assert again.public_key == public_key
    content = all_bytes(path)
    assert not any(isinstance(wrapped, bytes) and wrapped in content for wrapped in old_wrapped)


def test_a_process_with_the_old_key_is_told_so_after_a_rotation(vault: Vault, path: Path, key: bytes) -> None:
    fill(vault, 2)
    with closing(Vault(path, key)) as other:
        vault.rotate(new_key())
        with pytest.raises(VaultKeyError):
            other.templates("e1")
        with pytest.raises(VaultKeyError):
            other.store("e1", "p5", views_of(5), DLIB_ENCODER, NOW)
        with pytest.raises(VaultKeyError):
            other.put_secret("name", b"value")
    assert len(vault.templates("e1")) == 2


def test_a_tampered_row_does_not_stop_a_rotation(vault: Vault, path: Path) -> None:
    fill(vault, 3)
    sql(path, "UPDATE data_key SET wrapped = x'00' WHERE person = 'p1'")
    assert vault.rotate(new_key()) == 1
    assert [person.person_id for person in vault.templates("e1")] == ["p0", "p2"]


def test_a_secret_is_kept_sealed_and_bound_to_its_name(vault: Vault, path: Path) -> None:
    vault.put_secret("card key e1", b"first value, 32 bytes long......")
    vault.put_secret("card key e1", b"the key of estate one, 32 bytes.")
    assert vault.secret("card key e1") == b"the key of estate one, 32 bytes."
    assert vault.secret("card key e2") is None
    assert b"the key of estate one" not in all_bytes(path)
    sql(path, "UPDATE secret SET name = 'card key e2' WHERE name = 'card key e1'")
    with pytest.raises(SealBrokenError):
        vault.secret("card key e2")


def test_a_seal_opens_only_with_its_key_and_belonging() -> None:
    key = new_key()
    sealed = seal(key, b"content", "a", 1)
    assert unseal(key, sealed, "a", 1) == b"content"
    for wrong in (
        lambda: unseal(new_key(), sealed, "a", 1),
        lambda: unseal(key, sealed, "a1"),
        lambda: unseal(key, sealed, "a", "1"),
        lambda: unseal(key, sealed[:-1], "a", 1),
        lambda: unseal(key, b"", "a", 1),
    ):
        with pytest.raises(SealBrokenError):
            wrong()
    assert seal(key, b"content", "a", 1) != sealed


PHOTOGRAPH = b"\xff\xd8" + b"a face" * 200 + b"\xff\xd9"


def test_a_photograph_kept_for_panels_stands_sealed_beside_the_template(vault: Vault, path: Path) -> None:
    fill(vault, 2)
    vault.keep_photograph("e1", "p1", PHOTOGRAPH, NOW)
    assert vault.photograph("e1", "p1") == PHOTOGRAPH
    assert vault.photograph("e1", "p0") is None
    assert set(vault.photographs("e1")) == {"p1"}
    assert all(b"a face" not in file.read_bytes() for file in path.parent.iterdir())


def test_withdrawing_the_photograph_leaves_the_template_and_no_byte_of_the_photograph(
    vault: Vault, path: Path
) -> None:
    fill(vault, 2)
    vault.keep_photograph("e1", "p1", PHOTOGRAPH, NOW)
    sealed = sql(path, "SELECT sealed FROM photograph")[0][0]
    certificate = vault.erase_photograph("e1", "p1", reason="withdrawn", now=NOW)
    assert (certificate.erasure.templates, certificate.erasure.photographs) == (0, 1)
    assert certificate.holds(vault.public_key)
    assert vault.photograph("e1", "p1") is None
    assert [person.person_id for person in vault.templates("e1")] == ["p0", "p1"]
    assert sql(path, "SELECT * FROM photograph_key") == []
    assert all(sealed[20:60] not in file.read_bytes() for file in path.parent.iterdir())


def test_erasing_a_person_takes_the_photograph_along(vault: Vault) -> None:
    fill(vault, 2)
    vault.keep_photograph("e1", "p1", PHOTOGRAPH, NOW)
    erasure = vault.erase("p1", reason="moved out", now=NOW).erasure
    assert (erasure.templates, erasure.photographs, erasure.estates) == (1, 1, ("e1",))
    assert vault.photographs("e1") == {}


def test_a_photograph_moved_to_somebody_else_does_not_open(vault: Vault, path: Path) -> None:
    fill(vault, 2)
    vault.keep_photograph("e1", "p1", PHOTOGRAPH, NOW)
    sql(path, "UPDATE photograph SET person = 'p0'")
    sql(path, "UPDATE photograph_key SET person = 'p0'")
    assert vault.photograph("e1", "p0") is None


def test_a_photograph_is_there_after_the_vault_got_a_new_key(vault: Vault) -> None:
    fill(vault, 2)
    vault.keep_photograph("e1", "p1", PHOTOGRAPH, NOW)
    assert vault.rotate(new_key()) == 0
    assert vault.photograph("e1", "p1") == PHOTOGRAPH
