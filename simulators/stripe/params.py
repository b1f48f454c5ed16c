"""Reads form-encoded parameters, nested by brackets, and checks them against what an operation takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from simulators.stripe.errors import MalformedError, empty, missing, unknown

Parser = Callable[[Any, str], Any]
DEPTH_MAX = 8
FIELDS_MAX = 1_000
_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


def decode(text: str | bytes) -> dict[str, Any]:
    """`a[b][0]=1` as `{"a": {"b": {"0": "1"}}}`; `a[]=1` numbers itself. Later values win.

    Raises:
        MalformedError: not UTF-8, too many or too deep fields, or a value that is plain and nested at once.
    """
    try:
        raw = text.decode("utf-8") if isinstance(text, bytes) else text
        pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise MalformedError(
            "Invalid request (check that your POST body is valid, form-encoded UTF-8 with at most "
            f"{FIELDS_MAX} fields)."
        ) from None
    tree: dict[str, Any] = {}
    for key, value in pairs:
        found = _KEY.match(key)
        names = [found[1], *re.findall(r"\[([^\[\]]*)\]", found[2])] if found else [key]
        if len(names) > DEPTH_MAX or "\x00" in value:
            raise MalformedError(f"Invalid request: '{key[:80]}' cannot be read.", param=key[:80])
        _place(tree, names, value, key)
    return tree


def _place(tree: dict[str, Any], names: list[str], value: str, key: str) -> None:
    at = tree
    for name in names[:-1]:
        inner = at.setdefault(name or str(len(at)), {})
        if not isinstance(inner, dict):
            raise MalformedError(f"Invalid hash: '{key}' is used as a plain value as well.", param=names[0])
        at = inner
    at[names[-1] or str(len(at))] = value


def string(maximum: int = 5_000, unset: bool = False) -> Parser:
    """Text; with `unset`, an empty string unsets (None)."""

    def parse(value: Any, param: str) -> str | None:
        if not isinstance(value, str):
            raise MalformedError(f"Invalid string: {value}", param=param)
        if not value:
            if unset:
                return None
            raise empty(param)
        if len(value) > maximum:
            raise MalformedError(
                f"Invalid string: {value[:20]}...; must be at most {maximum} characters", param=param
            )
        return value

    return parse


def integer(minimum: int | None = None, maximum: int | None = None) -> Parser:
    """A whole number in `[minimum, maximum]`; a fraction of a fen is refused."""

    def parse(value: Any, param: str) -> int:
        if value == "":
            raise empty(param)
        if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise MalformedError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=param)
        number = int(value)
        if minimum is not None and number < minimum:
            raise MalformedError(
                f"This value must be greater than or equal to {minimum}.",
                code="parameter_invalid_integer",
                param=param,
            )
        if maximum is not None and number > maximum:
            raise MalformedError(
                f"This value must be less than or equal to {maximum}.",
                code="parameter_invalid_integer",
                param=param,
            )
        return number

    return parse


def boolean(value: Any, param: str) -> bool:
    """`true` or `false`."""
    if value not in ("true", "false"):
        raise MalformedError(f"Invalid boolean: {value}", param=param)
    return bool(value == "true")


def one_of(*choices: str) -> Parser:
    """One of a list of words."""

    def parse(value: Any, param: str) -> str:
        if value == "":
            raise empty(param)
        if not isinstance(value, str) or value not in choices:
            listed = ", ".join(choices[:-1]) + (", or " if len(choices) > 1 else "") + choices[-1]
            raise MalformedError(f"Invalid {param}: must be one of {listed}", param=param)
        return value

    return parse


def url(value: Any, param: str) -> str:
    """An absolute http(s) address; a placeholder in braces is allowed."""
    text: str = string()(value, param)
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"\s", text):
        raise MalformedError("Not a valid URL", code="url_invalid", param=param)
    return text


def array(item: Parser, maximum: int = 100) -> Parser:
    """A list; numbered or unnumbered brackets."""

    def parse(value: Any, param: str) -> list[Any]:
        if value == "":
            return []
        if not isinstance(value, dict) or not all(key.isdecimal() and len(key) < 6 for key in value):
            raise MalformedError("Invalid array", param=param)
        if len(value) > maximum:
            raise MalformedError(f"Array must contain at most {maximum} items.", param=param)
        ordered = sorted(value.items(), key=lambda pair: int(pair[0]))
        return [item(entry, f"{param}[{index}]") for index, (_, entry) in enumerate(ordered)]

    return parse


def hash_of(spec: Spec) -> Parser:
    """A nested hash with its own parameters."""

    def parse(value: Any, param: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise MalformedError("Invalid hash", param=param)
        return spec.read(value, param)

    return parse


def metadata(value: Any, param: str) -> dict[str, str]:
    """Up to 50 pairs; an empty value unsets its key, an empty string unsets all (returned under "")."""
    if value == "":
        return {"": ""}
    if not isinstance(value, dict):
        raise MalformedError("Invalid hash", param=param)
    if len(value) > 50:
        raise MalformedError("You can have up to 50 metadata keys.", param=param)
    for key, text in value.items():
        where = f"{param}[{key}]"
        if len(key) > 40:
            raise MalformedError(
                f"Metadata keys can be at most 40 characters long; '{key}' is longer.", param=where
            )
        if not isinstance(text, str):
            raise MalformedError("Metadata values must be strings.", param=where)
        if len(text) > 500:
            raise MalformedError("Metadata values can be at most 500 characters long.", param=where)
    return dict(value)


def merged(old: Mapping[str, str], change: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata after a change."""
    if change is None:
        return dict(old)
    if "" in change:
        return {}
    return {key: text for key, text in {**old, **change}.items() if text}


def moment_range(value: Any, param: str) -> dict[str, int]:
    """A timestamp, or bounds `gt`, `gte`, `lt`, `lte`."""
    number = integer()
    if isinstance(value, str):
        return {"gte": number(value, param), "lte": number(value, param)}
    return Spec(gt=number, gte=number, lt=number, lte=number).read(value, param)


def within(moment: int, bounds: Mapping[str, int] | None) -> bool:
    """Whether a timestamp lies in a `moment_range`."""
    tests = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    return all(tests[name](moment, bound) for name, bound in (bounds or {}).items())


@dataclass(frozen=True)
class Spec:
    """What one operation takes: a parser for each name, and which names it needs."""

    fields: Mapping[str, Parser]
    required: tuple[str, ...] = ()

    def __init__(self, *required: str, **fields: Parser) -> None:
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "required", required)

    def read(self, raw: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
        """The checked values; names that were not given are absent.

        Raises:
            MalformedError: an unknown, missing or malformed parameter.
        """

        def named(name: str) -> str:
            return f"{prefix}[{name}]" if prefix else name

        if strange := [named(name) for name in raw if name not in self.fields]:
            raise unknown(strange)
        for name in self.required:
            if name not in raw:
                raise missing(named(name))
        return {name: self.fields[name](value, named(name)) for name, value in raw.items()}

    def plus(self, *required: str, **fields: Parser) -> Spec:
        """This one with more parameters."""
        return Spec(*self.required, *required, **{**self.fields, **fields})
