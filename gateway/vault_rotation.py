"""Gives a vault a new key, without touching what its data keys protect."""

from __future__ import annotations

import sqlite3

from gateway.sealing import SealBrokenError, key_name, seal, unseal


def rewrap(connection: sqlite3.Connection, vault_id: str, old: bytes, new: bytes) -> int:
    """Seal every data key and secret under a new vault key; how many did not open and were left.

    Args:
        connection: inside a transaction.
        vault_id: the vault's name, part of every seal.
        old: the key so far, 32 bytes.
        new: the key from now on.
    """
    left = 0
    for table, kind in (("data_key", "data key"), ("photograph_key", "photograph key")):
        rows = connection.execute(f"SELECT estate, person, wrapped FROM {table}").fetchall()  # noqa: S608 (constants)
        for estate, person, wrapped in rows:
            again = _again(wrapped, old, new, kind, vault_id, estate, person)
            if again is None:
                left += 1
                continue
            connection.execute(
                f"UPDATE {table} SET wrapped = ? WHERE estate = ? AND person = ?",  # noqa: S608 (constants)
                (again, estate, person),
            )
    for name, sealed in connection.execute("SELECT name, sealed FROM secret").fetchall():
        again = _again(sealed, old, new, "secret", vault_id, name)
        if again is None:
            left += 1
            continue
        connection.execute("UPDATE secret SET sealed = ? WHERE name = ?", (again, name))
    connection.execute("UPDATE meta SET value = ? WHERE name = 'key'", (key_name(new),))
    return left


def _again(sealed: bytes, old: bytes, new: bytes, *belongs_to: str) -> bytes | None:
    try:
        return seal(new, unseal(old, sealed, *belongs_to), *belongs_to)
    except SealBrokenError:
        return None
