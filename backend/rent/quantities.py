"""How quantities are read and written: hundredths of a unit, without a float. Pure."""

from __future__ import annotations

import re

_TYPED = re.compile(r"(?P<whole>\d{1,10})(?:\.(?P<part>\d{1,2}))?", re.ASCII)


def in_words(hundredths: int) -> str:
    """`1250` as `12.5`."""
    whole, part = divmod(abs(hundredths), 100)
    said = f"{whole}.{part:02d}".rstrip("0").rstrip(".")
    return f"-{said}" if hundredths < 0 else said


def read_hundredths(typed: str) -> int | None:
    """`12.5` as `1250`; None for what is no quantity of at most two decimals."""
    found = _TYPED.fullmatch(typed.strip())
    if found is None:
        return None
    return int(found["whole"]) * 100 + int((found["part"] or "").ljust(2, "0"))
