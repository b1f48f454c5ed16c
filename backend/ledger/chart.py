"""The chart of accounts: configuration, found by what an account is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from backend.ledger.errors import AccountRoleMissingError
from estate.config import SettingsError, convert, read_toml

Text = Annotated[str, Meta(min_length=1)]


class Role(StrEnum):
    """What the vouchers need an account for."""

    CASH = "cash"
    BANK = "bank"
    HELD_BY_STRIPE = "held_by_stripe"
    HELD_BY_WECHAT = "held_by_wechat"
    HELD_BY_ALIPAY = "held_by_alipay"
    PAYOUT_IN_TRANSIT = "payout_in_transit"
    RENT_RECEIVABLE = "rent_receivable"
    LATE_FEE_RECEIVABLE = "late_fee_receivable"
    PROPERTY_FEE_RECEIVABLE = "property_fee_receivable"
    SUBSIDY_RECEIVABLE = "subsidy_receivable"
    UTILITIES_RECEIVABLE = "utilities_receivable"
    DEPOSIT_RECEIVABLE = "deposit_receivable"
    DAMAGE_RECEIVABLE = "damage_receivable"
    DISPUTED = "disputed"
    SUSPENSE_PAID = "suspense_paid"
    RENT_FOR_TREASURY_UNCOLLECTED = "rent_for_treasury_uncollected"
    RENT_FOR_TREASURY_COLLECTED = "rent_for_treasury_collected"
    LATE_FEE_UNCOLLECTED = "late_fee_uncollected"
    LATE_FEE_COLLECTED = "late_fee_collected"
    DAMAGE_UNCOLLECTED = "damage_uncollected"
    DAMAGE_COLLECTED = "damage_collected"
    INTEREST_FOR_TREASURY = "interest_for_treasury"
    PREPAID_RENT = "prepaid_rent"
    PROPERTY_FEE_UNCOLLECTED = "property_fee_uncollected"
    PROPERTY_FEE_COLLECTED = "property_fee_collected"
    UTILITIES_UNCOLLECTED = "utilities_uncollected"
    UTILITIES_COLLECTED = "utilities_collected"
    DEPOSIT_UNCOLLECTED = "deposit_uncollected"
    DEPOSIT = "deposit"
    DEPOSIT_HELD = "deposit_held"
    SUSPENSE_RECEIVED = "suspense_received"
    OPENING = "opening"
    SURPLUS = "surplus"
    FUNDING = "funding"
    PROVIDER_FEE = "provider_fee"
    BANK_CHARGE = "bank_charge"
    EXCHANGE_DIFFERENCE = "exchange_difference"


class ChartAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One account of the file."""

    code: Annotated[str, Meta(pattern=r"^[0-9]{4}(\.[0-9]{2})*$")]
    name_zh: Text
    name_en: Text
    kind: Literal["asset", "liability", "net_asset", "income", "expense"]
    role: Role | None = None


class ChartFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    account: tuple[ChartAccount, ...]


def read_chart(path: Path | None = None) -> tuple[ChartAccount, ...]:
    """Read a chart; without a path, the one that comes with the software.

    Raises:
        SettingsError: a wrong key or value, a code or role twice, or a role without an account.
    """
    if path is None:
        with resources.as_file(resources.files("backend.ledger") / "accounts.toml") as packaged:
            return read_chart(packaged)
    accounts = convert(ChartFile, read_toml(path), str(path)).account
    codes = [account.code for account in accounts]
    roles = [str(account.role) for account in accounts if account.role is not None]
    for found in (codes, roles):
        twice = {value for value in found if found.count(value) > 1}
        if twice:
            raise SettingsError(str(path), "account", f"重复 (twice): {', '.join(sorted(twice))}")
    missing = sorted(set(Role) - set(roles))
    if missing:
        raise SettingsError(str(path), "account.role", f"缺少 (missing): {', '.join(missing)}")
    return accounts


@dataclass(frozen=True, slots=True)
class Chart:
    """The accounts of the vouchers, as the database has them."""

    codes: Mapping[str, str]

    def code(self, role: Role) -> str:
        """The account for `role`.

        Raises:
            AccountRoleMissingError
        """
        try:
            return self.codes[role]
        except KeyError:
            raise AccountRoleMissingError(role) from None
