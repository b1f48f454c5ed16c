"""Backup in two files that are kept apart, and a restore that brings nobody back without consent.

The rows' file holds sealed templates; the keys' file holds the data keys, sealed under the vault's key.
Erasing somebody destroys their data key in the vault; once the keys' file is written anew, as every backup
does, no older copy of the rows' file can be opened for that person any more. The vault's own key is in
neither.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.vault import Vault
from gateway.vault_store import SCHEMA

ROWS_FILE = "vault-rows.db"
KEYS_FILE = "vault-keys.db"

Whom = tuple[str, str]  # estate, person

_IN_ROWS = ("template", "photograph", "duplicate", "erasure")
_IN_KEYS = ("meta", "data_key", "photograph_key", "secret")


class VaultExistsError(Exception):
    """A restore would replace a vault."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"人脸库 {path} 已存在，未恢复；请先移走  |  "
            f"The vault {path} exists, nothing was restored: move it away first"
        )


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did, as (estate, person).

    Attributes:
        kept: who is served again.
        dropped: whose rows were left out for want of a live consent.
        unreadable: whose rows do not open, such as people erased since the backup.
    """

    kept: tuple[Whom, ...]
    dropped: tuple[Whom, ...]
    unreadable: tuple[Whom, ...]


def back_up(vault_path: Path, folder: Path) -> tuple[Path, Path]:
    """Write the two files into `folder`, each replacing the one of the last backup when it is whole.

    Returns:
        the rows' file and the keys' file; take them to different places.
    Raises:
        sqlite3.Error, OSError: the disk is full or broken; the last backup is still there.
    """
    made = []
    with closing(sqlite3.connect(vault_path, isolation_level=None, timeout=5)) as source:
        # One view of the vault for both files.
        for attach, name in (("ATTACH ? AS rows", ROWS_FILE), ("ATTACH ? AS keys", KEYS_FILE)):
            beside = _fresh(folder / f"{name}.new")
            source.execute(attach, (str(beside),))
            made.append((beside, folder / name))
        source.execute("BEGIN")
        for place, tables in (("rows", _IN_ROWS), ("keys", _IN_KEYS)):
            for table in tables:
                source.execute(f"CREATE TABLE {place}.{table} AS SELECT * FROM main.{table}")  # noqa: S608
        source.execute("COMMIT")
        source.execute("DETACH rows")
        source.execute("DETACH keys")
    for beside, final in made:
        _sync(beside)
        beside.replace(final)
    return folder / ROWS_FILE, folder / KEYS_FILE


def restore(
    path: Path,
    key: bytes,
    rows_file: Path,
    keys_file: Path,
    live: Collection[Whom],
    photographed: Collection[Whom] = (),
) -> Restored:
    """Make a vault from a backup, with the people who have a live consent and nobody else.

    Args:
        path: the vault to make.
        key: the vault's key at the time of the backup.
        rows_file, keys_file: the two parts.
        live: (estate, person) of everybody whose consent is live today.
        photographed: those whose consent to a photograph kept for panels is live as well.
    Raises:
        VaultExistsError: there is a vault already.
        VaultKeyError: the key is not the one of the keys' file.
        sqlite3.Error, OSError: a file cannot be read or written; no vault was made.
    """
    if path.exists():
        raise VaultExistsError(path)
    beside = _fresh(path.with_name(path.name + ".restoring"))
    try:
        people = _copy(beside, rows_file, keys_file, live, photographed)
        unreadable = _drop_unreadable(beside, key, {estate for estate, _ in people})
        _sync(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    dropped = people - set(live)
    kept = people - dropped - unreadable
    return Restored(tuple(sorted(kept)), tuple(sorted(dropped)), tuple(sorted(unreadable)))


def _copy(
    target: Path,
    rows_file: Path,
    keys_file: Path,
    live: Collection[Whom],
    photographed: Collection[Whom],
) -> set[Whom]:
    """Bring the two parts together for the people in `live`; everybody the backup knows."""
    with closing(sqlite3.connect(target, isolation_level=None, uri=True)) as connection:
        connection.executescript(SCHEMA)
        connection.execute("ATTACH ? AS rows", (f"{rows_file.resolve().as_uri()}?mode=ro",))
        connection.execute("ATTACH ? AS keys", (f"{keys_file.resolve().as_uri()}?mode=ro",))
        connection.execute("BEGIN")
        connection.execute("INSERT INTO main.meta SELECT * FROM keys.meta")
        connection.execute("INSERT INTO main.secret SELECT * FROM keys.secret")
        connection.execute("INSERT INTO main.erasure SELECT * FROM rows.erasure")
        people = set(connection.execute("SELECT DISTINCT estate, person FROM rows.template"))
        chosen = {
            "rows.template": people & set(live),
            "keys.data_key": people & set(live),
            "rows.photograph": people & set(live) & set(photographed),
            "keys.photograph_key": people & set(live) & set(photographed),
        }
        for source, whom in chosen.items():
            connection.executemany(
                f"INSERT INTO main.{source.partition('.')[2]} SELECT * FROM {source} "  # noqa: S608 (constants)
                "WHERE estate = ? AND person = ?",
                sorted(whom),
            )
        # What was settled about two faces is kept for as long as both are.
        connection.execute(
            "INSERT INTO main.duplicate SELECT * FROM rows.duplicate AS pair WHERE "
            "EXISTS (SELECT 1 FROM main.template WHERE (estate, person) = (pair.estate, pair.person)) AND "
            "EXISTS (SELECT 1 FROM main.template WHERE (estate, person) = (pair.estate, pair.resembles))"
        )
        connection.execute("COMMIT")
    return people


def _drop_unreadable(target: Path, key: bytes, estates: Collection[str]) -> set[Whom]:
    """Take out the rows that do not open, such as those of people erased since the rows were backed up."""
    with closing(Vault(target, key)) as vault:
        broken = [row for estate in sorted(estates) for row in vault.read(estate)[1]]
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.executemany(
            "DELETE FROM template WHERE estate = ? AND person = ? AND encoder = ?",
            [(row.estate_id, row.person_id, row.encoder) for row in broken],
        )
    return {(row.estate_id, row.person_id) for row in broken}


def _fresh(path: Path) -> Path:
    """An empty file that only its owner may read."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    return path


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
