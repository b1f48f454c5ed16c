"""PINs, rotating QR codes and visitors' passes: whose a code is, under the estate's key.

No code is kept anywhere: a PIN and a visitor's code are known by their HMAC under the estate's key, and a QR
code is made anew every half minute from a seed that travels and rests encrypted under that key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import deque
from typing import Literal, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from msgspec import Struct

from gateway.drivers import Address

QR_MARK = "SEQ1"
STEP_S, DIGITS = 30, 8
STEPS_OFF_MAX = 1  # a phone's clock may be half a minute off, and so may ours
CODES_KEPT_MAX = 20_000
GUESSABLE = frozenset({"pin", "qr", "visitor"})
WRONG_GUESSES = frozenset({"pin_wrong", "qr_invalid", "pass_unknown"})

Reading: TypeAlias = Literal["match", "unknown", "expired", "used"]


def pin_reference(key: bytes, group: str, pin: str) -> str:
    """What stands for a PIN of a door group."""
    return hmac.digest(key, f"pin:{group}:{pin}".encode(), "sha256").hex()


def visitor_reference(key: bytes, code: str) -> str:
    """What stands for a visitor's code."""
    return hmac.digest(key, b"visitor:" + code.encode(), "sha256").hex()


def open_seed(key: bytes, estate: str, qr_id: str, sealed: str) -> bytes | None:
    """The seed of somebody's QR codes; None where it was sealed under another key, or changed."""
    try:
        body = base64.b64decode(sealed, validate=True)
        cipher = AESGCM(hmac.digest(key, b"qr seal", "sha256"))
        return cipher.decrypt(body[:12], body[12:], f"{estate}/{qr_id}".encode())
    except (binascii.Error, InvalidTag, ValueError):
        return None


def qr_text(seed: bytes, qr_id: str, group: str, now_s: float) -> str:
    """What the QR code of a person and a door group says now."""
    return f"{QR_MARK}:{qr_id}:{group}:{_code(seed, group, int(now_s) // STEP_S)}"


class Shown(Struct, frozen=True):
    """What a QR code claims."""

    qr_id: str
    group: str
    code: str


def read_qr(text: str) -> Shown | None:
    """The parts of a QR code of ours."""
    parts = text.split(":")
    if len(parts) != 4 or parts[0] != QR_MARK:
        return None
    return Shown(*parts[1:])


class UsedCodes:
    """QR codes that have opened a door: each opens one once, so that a picture of it is worth nothing."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, str, int], None] = {}

    def check(self, seed: bytes, shown: Shown, now_s: float) -> Reading:
        """Whether a code is right and new; looking does not use it up."""
        step = _step_of(seed, shown, now_s, STEPS_OFF_MAX)
        if step is None:
            older = _step_of(seed, shown, now_s, 20)
            return "unknown" if older is None else "expired"
        return "used" if (shown.qr_id, shown.group, step) in self._used else "match"

    def use(self, seed: bytes, shown: Shown, now_s: float) -> None:
        """A code has opened a door."""
        step = _step_of(seed, shown, now_s, STEPS_OFF_MAX)
        if step is not None:
            self._used[shown.qr_id, shown.group, step] = None
        self._forget_oldest()

    def recall(self, qr_id: str, group: str, at_s: float) -> None:
        """A code opened a door at that time, before we were started: it may have been any that was right."""
        now = int(at_s) // STEP_S
        for step in range(now - STEPS_OFF_MAX, now + STEPS_OFF_MAX + 1):
            self._used[qr_id, group, step] = None
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        while len(self._used) > CODES_KEPT_MAX:
            del self._used[next(iter(self._used))]


class GuessLimits(Struct, frozen=True):
    """How many wrong codes are too many."""

    door_max: int = 5
    estate_max: int = 50
    within_s: float = 300.0


class Guesses:
    """Wrong codes of the last minutes, by door and by estate."""

    def __init__(self, limits: GuessLimits) -> None:
        self._limits = limits
        self._wrong: dict[tuple[str, ...], deque[float]] = {}

    def take_limits(self, limits: GuessLimits) -> None:
        """Count by these from now on; the guesses so far stay."""
        self._limits = limits
        self._wrong = {
            key: deque(times, maxlen=limits.estate_max if len(key) == 1 else limits.door_max)
            for key, times in self._wrong.items()
        }

    def wrong(self, address: Address, now_s: float) -> None:
        """One more."""
        for key, most in (
            (tuple(address), self._limits.door_max),
            ((address.estate,), self._limits.estate_max),
        ):
            self._wrong.setdefault(key, deque(maxlen=most)).append(now_s)

    def too_many(self, address: Address, now_s: float) -> bool:
        """Whether no code is looked at there for now."""
        return any(self._full(key, now_s) for key in (tuple(address), (address.estate,)))

    def _full(self, key: tuple[str, ...], now_s: float) -> bool:
        times = self._wrong.get(key)
        if times is None or times.maxlen is None or len(times) < times.maxlen:
            return False
        return now_s - times[0] < self._limits.within_s


def _code(seed: bytes, group: str, step: int) -> str:
    # One seed a person, another code at each door group: a code for the gate opens no house.
    bound = hmac.digest(seed, b"group:" + group.encode(), "sha256")
    return TOTP(bound, DIGITS, SHA256(), STEP_S).generate(step * STEP_S).decode()


def _step_of(seed: bytes, shown: Shown, now_s: float, off_max: int) -> int | None:
    now = int(now_s) // STEP_S
    for step in range(now - off_max, now + off_max + 1):
        if step >= 0 and hmac.compare_digest(_code(seed, shown.group, step).encode(), shown.code.encode()):
            return step
    return None
