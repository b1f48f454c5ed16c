"""Dated versions of tariffs and relief tiers, from a file that names where each figure comes from."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.exc import IntegrityError

from backend.approvals import service as approvals
from backend.approvals.service import Proposal
from backend.identity.principal import Principal
from backend.rent.errors import DatesReversedError, TariffChangedError, TariffOverlapError
from backend.rent.pricing_tables import relief_tier, tariff
from estate.config import convert, read_toml

KIND = "tariff"
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


def propose_tariff(
    connection: Connection,
    version: TariffVersion | TierVersion,
    reason: str,
    principal: Principal,
    now: datetime,
) -> Proposal:
    """Ask for a version of a price or a tier to be added, or ended; another person has to agree.

    It is tried first, so that nobody is asked to agree to what would be refused.

    Raises:
        DatesReversedError, TariffOverlapError, TariffChangedError
        NoRightError, ReasonMissingError: as with every proposal.
    """
    file = _alone(version)
    trial = connection.begin_nested()
    try:
        load_tariffs(connection, file, now)
    finally:
        trial.rollback()
    name = version.plan_id if isinstance(version, TariffVersion) else version.tier_id
    until = f" 至 {version.to_on}" if version.to_on else ""
    return approvals.propose(
        connection,
        KIND,
        None,
        f"tariff:{name}:{version.from_on}",
        f"{version.name_zh}（{name}）自 {version.from_on}{until}：{_price_zh(version)}",
        msgspec.to_builtins(file),
        reason,
        principal,
        now,
    )


def carry_out_tariff(connection: Connection, proposal_id: UUID, _: Principal, now: datetime) -> int:
    """Add or end the version that two people agreed on.

    Raises:
        ApprovalMissingError, ApprovalUsedError, TariffOverlapError, TariffChangedError
    """
    agreed = approvals.use(connection, proposal_id, KIND, now)
    return load_tariffs(connection, msgspec.convert(agreed.payload, TariffFile), now)


def _alone(version: TariffVersion | TierVersion) -> TariffFile:
    if isinstance(version, TariffVersion):
        return TariffFile(tariff=(version,))
    return TariffFile(tier=(version,))


def _price_zh(version: TariffVersion | TierVersion) -> str:
    if isinstance(version, TariffVersion):
        yuan, rest = divmod(version.price_centifen, 10_000)
        return f"单价 {yuan}.{rest:04d} 元"
    if version.share_permille is not None:
        return f"减免 {version.share_permille // 10}.{version.share_permille % 10}%"
    fen = version.monthly_fen or 0
    return f"每月减免 {fen // 100}.{fen % 100:02d} 元"
