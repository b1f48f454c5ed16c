"""Dated versions of tariffs and relief tiers, from a file that names where each figure comes from."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from backend.rent.errors import DatesReversedError, TariffChangedError, TariffOverlapError
from backend.rent.pricing_tables import relief_tier, tariff
from estate.config import convert, read_toml

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class TariffVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version of a price: hundredths of a fen for a square metre a month, a ton, a kilowatt hour…"""

    plan_id: Name
    kind: Literal["rent", "property_fee", "water", "electricity", "gas"]
    from_on: date
    to_on: date | None = None
    price_centifen: Annotated[int, Meta(ge=0, le=10**12)]
    name_zh: Text
    source_zh: Text


class TierVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One version of a relief tier: a share of the rent, or an amount a month."""

    tier_id: Name
    from_on: date
    to_on: date | None = None
    share_permille: Annotated[int, Meta(ge=1, le=1000)] | None = None
    monthly_fen: Annotated[int, Meta(ge=0, le=10**9)] | None = None
    name_zh: Text
    source_zh: Text


class TariffFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    tariff: tuple[TariffVersion, ...] = ()
    tier: tuple[TierVersion, ...] = ()


def read_tariff_file(path: Path) -> TariffFile:
    """Read and check the file.

    Raises:
        SettingsError: naming key and reason.
    """
    return convert(TariffFile, read_toml(path), str(path))


def load_tariffs(connection: Connection, file: TariffFile, now: datetime) -> int:
    """Add the versions that are new, and end those that the file gives an end; the same again does nothing.

    Returns:
        How many were added or ended.
    Raises:
        DatesReversedError, TariffOverlapError
        TariffChangedError: a version that is there would get another figure.
    """
    return sum(
        _load(connection, tariff, {"plan_id": one.plan_id, "kind": one.kind}, one, now) for one in file.tariff
    ) + sum(_load(connection, relief_tier, {"tier_id": one.tier_id}, one, now) for one in file.tier)


def _load(
    connection: Connection,
    table: Table,
    key: dict[str, str],
    version: TariffVersion | TierVersion,
    now: datetime,
) -> int:
    values: dict[str, Any] = {name: getattr(version, name) for name in version.__struct_fields__}
    name = next(iter(key.values()))
    if version.to_on is not None and version.to_on <= version.from_on:
        raise DatesReversedError(version.from_on, version.to_on)
    mine = [table.c[column] == value for column, value in key.items()]
    mine.append(table.c.from_on == version.from_on)
    before = connection.execute(select(table).where(*mine).with_for_update()).one_or_none()
    try:
        with connection.begin_nested():
            if before is None:
                connection.execute(insert(table).values(**values, created_at=now))
                return 1
            for column in ("price_centifen", "share_permille", "monthly_fen"):
                if column in values and values[column] != before._mapping[column]:
                    raise TariffChangedError(name, version.from_on)
            if before.to_on == version.to_on:
                return 0
            connection.execute(update(table).where(*mine).values(to_on=version.to_on))
            return 1
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) == "23P01":
            raise TariffOverlapError(name, version.from_on) from error
        raise
