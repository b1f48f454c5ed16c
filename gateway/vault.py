"""The vault: face templates and small secrets, encrypted on the estate's own box.

Each person's rows are sealed under a data key of their own, which is sealed under the vault's key. Erasing
a person destroys their data key, so that a copy of the rows kept anywhere, such as a backup, is worth
nothing from then on. A row is bound to its estate, person and encoder: one that was changed or moved does
not open, is reported, and the others load all the same.

Where an estate's panels match by themselves, one photograph of a person stays here for as long as the
person agrees to that. It has a data key apart from the templates', so that either can be erased alone.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import structlog

from gateway.duplicates import Duplicates
from gateway.erasure import ERASURE_DECODER, Erasure, ErasureCertificate, certify
from gateway.matching.templates import Floats, StoredTemplate, stored_template, stored_templates, unit_rows
from gateway.sealing import KEY_BYTES, SealBrokenError, key_name, new_key, seal, unseal
from gateway.vault_rotation import rewrap
from gateway.vault_store import VaultStore

# Table of data keys, and what their seals are bound to.
_TEMPLATES = ("data_key", "data key")
_PHOTOGRAPHS = ("photograph_key", "photograph key")
_WHOSE = "WHERE person = :person AND (:estate IS NULL OR estate = :estate)"
_SIGNING_KEY = "certificate signing key"

log = structlog.get_logger()


class VaultKeyError(Exception):
    """The key is not this vault's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"人脸库 {path} 的密钥不对；请用建库或最近一次轮换时的密钥文件  |  "
            f"Wrong key for the vault {path}: give the key file it was made with, or last rotated to"
        )


class ErasureUnfinishedError(Exception):
    """The person is erased and no longer served, but the log could not be cleared yet."""

    def __init__(self, person_id: str) -> None:
        self.person_id = person_id
        super().__init__(
            f"{person_id} 已停用，但人脸库正被读取，日志尚未清空；请再执行一次以取得删除证明  |  "
            f"{person_id} is no longer served, but the vault was being read and its log is not yet cleared: "
            "run the erasure again to get the certificate"
        )


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that does not open: changed, moved, or without its data key."""

    estate_id: str
    person_id: str
    encoder: str


class Vault:
    """An open vault. Every method may be called from any thread, and several processes may have it open.

    Args:
        path: the file; a new vault is made if it is not there.
        key: 32 bytes.
    Raises:
        VaultKeyError: it is another vault's key.
        sqlite3.Error, OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise VaultKeyError(path)
        self._store, self._key = VaultStore(path), key
        try:
            self._vault_id = self._introduce()
            self._signing_key = self._own_signing_key()
            self._finish_erasures()
        except BaseException:
            self._store.close()
            raise

    @property
    def vault_id(self) -> str:
        """Names this vault in its certificates."""
        return self._vault_id

    @property
    def public_key(self) -> bytes:
        """What certificates of this vault are checked with, 32 bytes."""
        probe = Erasure("", self._vault_id, "", (), 0, "", datetime.fromtimestamp(0).astimezone())
        return certify(probe, self._signing_key).public_key

    @property
    def duplicates(self) -> Duplicates:
        """Cases of one face under two names."""
        return Duplicates(self._store)

    def data_version(self) -> int:
        """Another number whenever anything was written, by any process; costs microseconds."""
        return self._store.version()

    def templates(self, estate_id: str) -> list[StoredTemplate]:
        """Everybody enrolled in an estate whose row opens; the others are logged.

        Raises:
            VaultKeyError: the key was rotated by another process since.
        """
        people, broken = self.read(estate_id)
        for row in broken:
            log.error("vault_row_broken", estate=row.estate_id, person=row.person_id, encoder=row.encoder)
        return people

    def read(self, estate_id: str) -> tuple[list[StoredTemplate], list[BrokenRow]]:
        """Everybody enrolled in an estate, and the rows that do not open.

        Raises:
            VaultKeyError: the key was rotated by another process since.
        """
        with self._store.reading() as connection:
            self._check_key(connection)
            rows = connection.execute(
                "SELECT person, encoder, photos, sealed, wrapped FROM template "
                "LEFT JOIN data_key USING (estate, person) WHERE estate = ? ORDER BY person, encoder",
                (estate_id,),
            ).fetchall()
        read: list[tuple[str, str, Floats]] = []
        broken: list[BrokenRow] = []
        for person, encoder, photos, sealed, wrapped in rows:
            try:
                data_key = unseal(self._key, wrapped or b"", "data key", self._vault_id, estate_id, person)
                bound = ("template", self._vault_id, estate_id, person, encoder, photos)
                views = np.frombuffer(unseal(data_key, sealed, *bound), "<f4").reshape(photos, -1)
            except (SealBrokenError, ValueError):
                broken.append(BrokenRow(estate_id, person, encoder))
            else:
                read.append((person, encoder, views))
        return stored_templates(read), broken

    def store(
        self, estate_id: str, person_id: str, views: npt.ArrayLike, encoder: str, now: datetime
    ) -> StoredTemplate:
        """Keep a person's template, in the place of an earlier one of the same encoder.

        Args:
            estate_id: where the person lives.
            person_id: opaque.
            views: shape (photos, dimension), the encodings of their photographs.
            encoder: name and dimension of what made them.
            now: UTC.
        Raises:
            TemplateShapeError: the views are no templates.
            sqlite3.Error: the disk is full or broken; nothing was changed.
        """
        unit = unit_rows(views)
        bound = ("template", self._vault_id, estate_id, person_id, encoder, len(unit))
        with self._store.writing() as connection:
            self._check_key(connection)
            data_key = self._data_key(connection, _TEMPLATES, estate_id, person_id)
            sealed = seal(data_key, unit.astype("<f4").tobytes(), *bound)
            row = (estate_id, person_id, encoder, len(unit), sealed, now.isoformat())
            connection.execute("INSERT OR REPLACE INTO template VALUES (?, ?, ?, ?, ?, ?)", row)
        return stored_template(person_id, unit, encoder)

    def erase(
        self, person_id: str, *, reason: str, now: datetime, estate_id: str | None = None
    ) -> ErasureCertificate:
        """Destroy everything kept of a person, and certify it; also where there is nothing.

        From the moment the rows are gone the version counts up, so galleries lose the person even where
        the log cannot be cleared at once.

        Args:
            person_id: opaque.
            reason: stands on the certificate.
            now: UTC.
            estate_id: only there; everywhere if None.
        Raises:
            ErasureUnfinishedError: somebody was reading for seconds on end; asked for again, it is finished.
        """
        whom = {"person": person_id, "estate": estate_id}
        return self._erase(whom, (_TEMPLATES, _PHOTOGRAPHS), reason, now)

    def erase_photograph(
        self, estate_id: str, person_id: str, *, reason: str, now: datetime
    ) -> ErasureCertificate:
        """Destroy the photograph kept for panels and leave the template, and certify it.

        Raises:
            ErasureUnfinishedError: as `erase`.
        """
        return self._erase({"person": person_id, "estate": estate_id}, (_PHOTOGRAPHS,), reason, now)

    def keep_photograph(self, estate_id: str, person_id: str, photograph: bytes, now: datetime) -> None:
        """Keep one photograph to load panels with, in the place of an earlier one.

        Whoever calls this has seen the person's consent to just that.

        Args:
            photograph: JPEG.
            now: UTC.
        """
        with self._store.writing() as connection:
            self._check_key(connection)
            data_key = self._data_key(connection, _PHOTOGRAPHS, estate_id, person_id)
            sealed = seal(data_key, photograph, "photograph", self._vault_id, estate_id, person_id)
            row = (estate_id, person_id, sealed, now.isoformat())
            connection.execute("INSERT OR REPLACE INTO photograph VALUES (?, ?, ?, ?)", row)

    def photograph(self, estate_id: str, person_id: str) -> bytes | None:
        """The photograph kept for panels, JPEG; None when there is none, or it does not open (logged).

        Raises:
            VaultKeyError: the key was rotated by another process since.
        """
        with self._store.reading() as connection:
            self._check_key(connection)
            row = connection.execute(
                "SELECT sealed, wrapped FROM photograph LEFT JOIN photograph_key USING (estate, person) "
                "WHERE estate = ? AND person = ?",
                (estate_id, person_id),
            ).fetchone()
        if row is None:
            return None
        bound = (self._vault_id, estate_id, person_id)
        try:
            data_key = unseal(self._key, row[1] or b"", _PHOTOGRAPHS[1], *bound)
            return unseal(data_key, row[0], "photograph", *bound)
        except SealBrokenError:
            log.error("vault_photograph_broken", estate=estate_id, person=person_id)
            return None

    def photographs(self, estate_id: str) -> dict[str, str]:
        """Of whom a photograph is kept in an estate, and since when (ISO time): another one has another."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT person, stored_at FROM photograph WHERE estate = ?", (estate_id,)
            ).fetchall()
        return dict(rows)

    def certificates(self, person_id: str) -> list[ErasureCertificate]:
        """The certificates of a person's finished erasures, oldest first."""
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT body, signature FROM erasure WHERE person = ? AND signature NOTNULL ORDER BY rowid",
                (person_id,),
            ).fetchall()
        return [ErasureCertificate(body, signature, self.public_key) for body, signature in rows]

    def _erase(
        self,
        whom: Mapping[str, str | None],
        kinds: Sequence[tuple[str, str]],
        reason: str,
        now: datetime,
    ) -> ErasureCertificate:
        counts: dict[str, int] = {}
        estates: set[str] = set()
        with self._store.writing() as connection:
            for keys, _ in kinds:
                table = "template" if keys == _TEMPLATES[0] else "photograph"
                gone = connection.execute(f"DELETE FROM {table} {_WHOSE} RETURNING estate", whom).fetchall()  # noqa: S608 (constants)
                connection.execute(f"DELETE FROM {keys} {_WHOSE}", whom)  # noqa: S608 (constants)
                counts[table] = len(gone)
                estates.update(row[0] for row in gone)
            person = str(whom["person"])
            if _TEMPLATES in kinds:
                connection.execute(
                    "DELETE FROM duplicate WHERE :person IN (person, resembles) "
                    "AND (:estate IS NULL OR estate = :estate)",
                    whom,
                )
            erasure = Erasure(
                certificate_id=str(uuid.uuid4()),
                vault_id=self._vault_id,
                person_id=person,
                estates=tuple(sorted(estates)),
                templates=counts.get("template", 0),
                reason=reason,
                erased_at=now,
                photographs=counts.get("photograph", 0),
            )
            connection.execute(
                "INSERT INTO erasure VALUES (?, ?, ?, NULL)",
                (erasure.certificate_id, person, msgspec.json.encode(erasure)),
            )
        if not self._finish_erasures():
            raise ErasureUnfinishedError(person)
        return certify(erasure, self._signing_key)

    def put_secret(self, name: str, value: bytes) -> None:
        """Keep a small secret, such as an estate's key for card references."""
        sealed = seal(self._key, value, "secret", self._vault_id, name)
        with self._store.writing() as connection:
            self._check_key(connection)
            connection.execute("INSERT OR REPLACE INTO secret VALUES (?, ?)", (name, sealed))

    def secret(self, name: str) -> bytes | None:
        """A secret, or None when there is none of that name.

        Raises:
            SealBrokenError: it was changed or moved.
            VaultKeyError: the key was rotated by another process since.
        """
        with self._store.reading() as connection:
            self._check_key(connection)
            row = connection.execute("SELECT sealed FROM secret WHERE name = ?", (name,)).fetchone()
        return unseal(self._key, row[0], "secret", self._vault_id, name) if row is not None else None

    def rotate(self, new: bytes) -> int:
        """Seal every data key and secret under a new vault key, in one transaction.

        Keep the new key's file before calling this; the old one may be destroyed after it returns.
        Other processes that have the vault open must be started again.

        Args:
            new: 32 bytes.
        Returns:
            how many rows did not open under the old key and were left as they are.
        """
        with self._store.writing() as connection:
            self._check_key(connection)
            left = rewrap(connection, self._vault_id, self._key, new)
        self._key = new
        # What was sealed under the old key must not be left in the log either.
        self._store.clear_log()
        return left

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def _introduce(self) -> str:
        """Name a new vault, or check that the key is this one's."""
        with self._store.reading() as connection:
            found = connection.execute("SELECT value FROM meta WHERE name = 'vault'").fetchone()
            if found is not None:
                self._check_key(connection)
                return str(found[0])
        with self._store.writing() as connection:
            values = {"version": 0, "vault": str(uuid.uuid4()), "key": key_name(self._key)}
            connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", values.items())
        return self._introduce()

    def _check_key(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT value FROM meta WHERE name = 'key'").fetchone()
        if row is None or row[0] != key_name(self._key):
            raise VaultKeyError(self._store.path)

    def _own_signing_key(self) -> bytes:
        key = self.secret(_SIGNING_KEY)
        if key is None:
            key = new_key()
            self.put_secret(_SIGNING_KEY, key)
        return key

    def _data_key(
        self, connection: sqlite3.Connection, kind: tuple[str, str], estate_id: str, person_id: str
    ) -> bytes:
        """The person's data key of a kind; a new one if there is none that opens."""
        table, name = kind
        bound = (name, self._vault_id, estate_id, person_id)
        row = connection.execute(
            f"SELECT wrapped FROM {table} WHERE estate = ? AND person = ?",  # noqa: S608 (a constant)
            (estate_id, person_id),
        ).fetchone()
        if row is not None:
            try:
                return unseal(self._key, row[0], *bound)
            except SealBrokenError:
                log.error("vault_data_key_broken", estate=estate_id, person=person_id)
        data_key = new_key()
        wrapped = seal(self._key, data_key, *bound)
        connection.execute(
            f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608 (a constant)
            (estate_id, person_id, wrapped),
        )
        return data_key

    def _finish_erasures(self) -> bool:
        """Clear the log and sign what waits for that; True when nothing waits any more."""
        with self._store.reading() as connection:
            waiting = connection.execute(
                "SELECT certificate_id, body FROM erasure WHERE signature IS NULL"
            ).fetchall()
        if not waiting:
            return True
        if not self._store.clear_log():
            return False
        with self._store.writing() as connection:
            for certificate_id, body in waiting:
                certificate = certify(ERASURE_DECODER.decode(body), self._signing_key)
                connection.execute(
                    "UPDATE erasure SET signature = ? WHERE certificate_id = ?",
                    (certificate.signature, certificate_id),
                )
        return True
