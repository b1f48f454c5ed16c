"""Long lists as one array parameter instead of one parameter a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, any_, cast, literal


def among(column: ColumnElement[Any], values: Iterable[object]) -> ColumnElement[bool]:
    """`column = ANY(values)`; an empty list fits nothing. PostgreSQL takes at most 65,535 parameters."""
    return column == any_(cast(literal(array_text(values), Text), ARRAY(column.type)))


def array_text(values: Iterable[object]) -> str:
    """A one-dimensional array in PostgreSQL's own notation, to be cast to its type.

    For the long columns of a batch, the driver's own way through lists takes ten times as long.
    """
    texts: list[str] = []
    last: object = array_text
    said = ""
    for value in values:
        # Neighbours are often the same object: the household of an entry's postings, a month.
        if value is not last:
            last, said = value, _element(value)
        texts.append(said)
    return "{" + ",".join(texts) + "}"


def _element(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        # Quoted always, so that no text is read as notation.
        if "\\" in value or '"' in value:
            value = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{value}"'
    return str(value)
