"""Membership in a long list, as one array parameter instead of one parameter a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, any_, literal


def among(column: ColumnElement[Any], values: Iterable[object]) -> ColumnElement[bool]:
    """`column = ANY(values)`; an empty list fits nothing. PostgreSQL takes at most 65,535 parameters."""
    return column == any_(literal(list(values), ARRAY(column.type)))
