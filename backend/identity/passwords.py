"""Password hashes: Argon2id, at the same cost for a login that does not exist."""

from __future__ import annotations

import secrets
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from backend.identity.errors import WeakPasswordError

LENGTH_MIN = 8
LENGTH_MAX = 256
# Each verification takes 64 MiB: not more of them at once than a small machine can bear.
AT_ONCE_MAX = 4

_hasher = PasswordHasher()
_turn = threading.BoundedSemaphore(AT_ONCE_MAX)


def hash_password(password: str) -> str:
    """The hash to store.

    Raises:
        WeakPasswordError: fewer than LENGTH_MIN characters.
    """
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise WeakPasswordError(LENGTH_MIN)
    with _turn:
        return _hasher.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password fits; `stored` None (no such login or password) costs as much and is False."""
    hashed = stored if stored is not None else _nobody()
    with _turn:
        try:
            _hasher.verify(hashed, password[: LENGTH_MAX + 1])
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


def prepare() -> None:
    """Make the hash of nobody's password now, so that the first unknown login takes no longer."""
    _nobody()


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_urlsafe(24))
