"""Mutations of a JSON payload: types swapped, fields dropped, names misspelt, bytes flipped."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2, 1e308, 10**30, "", " ", "0", "1", "2", "-7", "abc", "P200", "\x00", "\ud800x",
    [], {}, [1], {"a": 1}, "2026-13-01 00:00:00", "9999-12-31 23:59:59", "x" * 4000, "data:,",
    "data:image/png;base64,iVBO",
)  # fmt: skip


def mutations(payload: bytes, choice: random.Random, count: int) -> Iterator[bytes]:
    """So many, each from the payload itself."""
    for _ in range(count):
        content = json.loads(payload)
        for _ in range(choice.randint(1, 3)):
            choice.choice(_CHANGES)(content, choice)
        # A lone surrogate cannot be written as UTF-8 and is one as an escape.
        text = json.dumps(content, ensure_ascii=choice.random() < 0.5 or "\\ud8" in json.dumps(content))
        changed = text.encode("utf-8", "replace")
        yield _broken(changed, choice) if choice.random() < 0.2 else changed


def _places(content: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a document."""
    found: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else list(range(len(one))) if isinstance(one, list) else []
        found += [(one, key) for key in keys]
        waiting += [one[key] for key in keys]
    return found


def _swap(content: Any, choice: random.Random) -> None:
    if places := _places(content):
        container, key = choice.choice(places)
        container[key] = choice.choice(ODD)


def _drop(content: Any, choice: random.Random) -> None:
    if places := _places(content):
        container, key = choice.choice(places)
        del container[key]


def _misspell(content: Any, choice: random.Random) -> None:
    places = [(container, key) for container, key in _places(content) if isinstance(container, dict) and key]
    if places:
        container, key = choice.choice(places)
        at = choice.randrange(len(key))
        container[key[:at] + choice.choice("aZ_") + key[at + 1 :]] = container.pop(key)


def _as_other_type(content: Any, choice: random.Random) -> None:
    """A number as a text, a text as a number."""
    if places := _places(content):
        container, key = choice.choice(places)
        value = container[key]
        container[key] = (
            int(value) if isinstance(value, str) and value.isdigit() and len(value) < 30 else str(value)
        )


def _broken(payload: bytes, choice: random.Random) -> bytes:
    at = choice.randrange(len(payload)) if payload else 0
    return choice.choice(
        (payload[:at], payload[:at] + bytes([choice.randrange(256)]) + payload[at + 1 :], payload + payload)
    )


_CHANGES: tuple[Callable[[Any, random.Random], None], ...] = (_swap, _drop, _misspell, _as_other_type)
