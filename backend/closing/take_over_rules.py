"""From the old system's rows to what is taken over: whose they are, and whether the totals agree. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from backend.closing.take_over_file import (
    ARREARS,
    BANK_TOTAL,
    COUNTED,
    DEPOSITS,
    HELD_TOTAL,
    MONEY,
    OWED_TOTAL,
    PREPAID,
    STATED,
    TOTALS,
    ArrearRow,
    Fault,
    OldBooks,
)
from backend.ledger.errors import yuan
from backend.rent.rules import LineKind, next_month

# What two people read and approve: the name of each figure of a plan.
FIGURES: Mapping[str, tuple[str, str]] = {
    "arrears_fen": ("欠费合计", "Arrears"),
    "arrears_charges": ("欠费（户·月）", "Charges in arrears"),
    "prepaid_fen": ("预收租金合计", "Prepaid rent"),
    "prepaid_households": ("预收户数", "Households with prepaid rent"),
    "deposits_fen": ("在押押金合计", "Deposits held"),
    "deposits": ("押金笔数", "Number of deposits"),
    "bank_fen": ("银行存款", "Bank"),
    "cash_fen": ("库存现金", "Cash"),
    "stripe_fen": ("Stripe 在途", "With Stripe"),
    "wechat_fen": ("微信支付在途", "With WeChat Pay"),
    "alipay_fen": ("支付宝在途", "With Alipay"),
    "rent_unremitted_fen": ("待缴租金", "Rent to remit"),
    "late_fee_unremitted_fen": ("待缴滞纳金", "Late fees to remit"),
    "damage_unremitted_fen": ("待缴损坏赔偿", "Damage to remit"),
    "property_fee_unpaid_fen": ("待付物业费", "Property fee to hand on"),
    "utilities_unpaid_fen": ("待付水电费", "Utilities to hand on"),
}


@dataclass(frozen=True, slots=True)
class HomeFact:
    """A tenancy of the estate; `names` are the ways in which its unit may be written."""

    household_id: UUID
    tenancy_id: UUID
    unit_id: UUID
    names: frozenset[str]
    from_on: date
    to_on: date | None

    def covers(self, month: date) -> bool:
        """Whether it lasted on some day of the month."""
        return self.from_on < next_month(month) and (self.to_on is None or self.to_on > month)


@dataclass(frozen=True, slots=True)
class Arrear:
    """What a tenancy owes of one month, by item."""

    home: HomeFact
    month: date
    due_on: date
    items: tuple[tuple[LineKind, int], ...]

    @property
    def fen(self) -> int:
        """All of it."""
        return sum(fen for _, fen in self.items)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be posted.

    Attributes:
        prepaid: by household.
        deposits: by tenancy.
        money: fen by the word of `opening_balance`.
    """

    month: date
    arrears: tuple[Arrear, ...]
    prepaid: tuple[tuple[UUID, int], ...]
    deposits: tuple[tuple[HomeFact, int], ...]
    money: Mapping[str, int]

    @property
    def figures(self) -> dict[str, int]:
        """Its totals, as two people read and approve them."""
        return {
            "arrears_fen": sum(one.fen for one in self.arrears),
            "arrears_charges": len(self.arrears),
            "prepaid_fen": sum(fen for _, fen in self.prepaid),
            "prepaid_households": len(self.prepaid),
            "deposits_fen": sum(fen for _, fen in self.deposits),
            "deposits": len(self.deposits),
            **{f"{word}_fen": fen for word, fen in sorted(self.money.items()) if fen},
        }


def unit_name(written: str) -> str:
    """A unit's name without what people write differently."""
    return re.sub(r"[\s\-—_栋座号室房]+", "", written).casefold()


def plan_of(
    old: OldBooks, homes: Mapping[str, Sequence[HomeFact]], month: date, due_day: int
) -> tuple[Plan, list[Fault]]:
    """What is taken over, and everything that is wrong; with a fault, nothing is.

    Args:
        homes: tenancies by the household's number.
        month: the first that is charged here.
        due_day: of the charged month, where the file names no day.
    """
    faults = [*old.faults]
    arrears = _arrears(old.arrears, homes, month, due_day, faults)
    prepaid: dict[UUID, int] = {}
    for row in old.prepaid:
        known = homes.get(row.household)
        if not known:
            faults.append(_unknown(PREPAID, row.row))
        elif known[0].household_id in prepaid:
            faults.append(_twice(PREPAID, row.row))
        else:
            prepaid[known[0].household_id] = row.fen
    deposits: dict[UUID, tuple[HomeFact, int]] = {}
    for held in old.deposits:
        home = _home(DEPOSITS, held.row, held.household, held.unit, homes, None, faults)
        if home is None:
            continue
        if home.tenancy_id in deposits:
            faults.append(_twice(DEPOSITS, held.row))
        else:
            deposits[home.tenancy_id] = (home, held.fen)
    faults += check_totals(old)
    plan = Plan(month, arrears, tuple(prepaid.items()), tuple(deposits.values()), dict(old.money))
    return plan, faults


def check_totals(old: OldBooks) -> list[Fault]:
    """The old system's own totals against the rows, and the money against whose it is, to the fen.

    A sheet of which a row cannot be read is not added up: that row is what has to be put right first.
    """
    unread = {fault.sheet for fault in old.faults}
    faults = [
        Fault(TOTALS, 0, word, "缺少这一项合计", "this total is missing")
        for word in STATED
        if word not in old.totals
    ]
    counted = {
        ARREARS: (len(old.arrears), sum(row.fen for row in old.arrears)),
        PREPAID: (len(old.prepaid), sum(row.fen for row in old.prepaid)),
        DEPOSITS: (len(old.deposits), sum(row.fen for row in old.deposits)),
        HELD_TOTAL: (None, old.held_fen),
        OWED_TOTAL: (None, old.owed_fen),
        BANK_TOTAL: (None, old.money.get("bank", 0)),
    }
    for word, stated in old.totals.items():
        if (word if word in COUNTED else MONEY) in unread:
            continue
        count, fen = counted[word]
        if count is not None and stated.count != count:
            faults.append(
                Fault(
                    TOTALS,
                    stated.row,
                    word,
                    f"原系统 {stated.count} 笔，表中 {count} 笔",
                    f"the old system counts {stated.count} rows, the sheet has {count}",
                )
            )
        if stated.fen != fen:
            faults.append(_differs(stated.row, word, stated.fen, fen))
    whose = counted[PREPAID][1] + counted[DEPOSITS][1] + old.owed_fen
    if old.held_fen != whose and not unread & {PREPAID, DEPOSITS, MONEY}:
        faults.append(
            Fault(
                MONEY,
                0,
                "",
                f"资金 {yuan(old.held_fen)} 元，预收、押金和待缴待付合计 {yuan(whose)} 元，两边不等",
                f"there are {yuan(old.held_fen)} yuan; prepaid rent, deposits and what is owed on are "
                f"{yuan(whose)}",
            )
        )
    return faults


def _arrears(
    rows: Iterable[ArrearRow],
    homes: Mapping[str, Sequence[HomeFact]],
    month: date,
    due_day: int,
    faults: list[Fault],
) -> tuple[Arrear, ...]:
    found: dict[tuple[UUID, date], tuple[HomeFact, dict[LineKind, int], set[date]]] = {}
    for row in rows:
        home = _home(ARREARS, row.row, row.household, row.unit, homes, row.month, faults)
        if row.month >= month:
            faults.append(
                Fault(
                    ARREARS,
                    row.row,
                    "费用月份",
                    f"{month:%Y年%m月} 起由本系统计租，欠费只到上一个月",
                    f"from {month:%Y-%m} on it is charged here; arrears end the month before",
                )
            )
        if home is None:
            continue
        _, items, due = found.setdefault((home.tenancy_id, row.month), (home, {}, set()))
        if row.item in items:
            faults.append(_twice(ARREARS, row.row))
        items[row.item] = row.fen
        due.add(row.due_on or row.month.replace(day=due_day))
    return tuple(
        Arrear(home, of_month, min(due), tuple(items.items()))
        for (_, of_month), (home, items, due) in found.items()
    )


def _home(
    sheet: str,
    row: int,
    household: str,
    unit: str,
    homes: Mapping[str, Sequence[HomeFact]],
    month: date | None,
    faults: list[Fault],
) -> HomeFact | None:
    """The tenancy that a row means: by its unit, or the only one, or the only one of that month."""
    known = homes.get(household)
    if not known:
        faults.append(_unknown(sheet, row))
        return None
    fitting = [home for home in known if not unit or unit_name(unit) in home.names]
    if len(fitting) > 1:
        of_month = [home for home in fitting if (home.covers(month) if month else home.to_on is None)]
        fitting = of_month if len(of_month) == 1 else fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        zh, en = "这户有多份租约，请填房源", "this household has several tenancies: name the unit"
    else:
        zh, en = "这户没有租过这套房", "this household never rented this unit"
    faults.append(Fault(sheet, row, "房源", zh, en))
    return None


def _unknown(sheet: str, row: int) -> Fault:
    return Fault(
        sheet,
        row,
        "家庭编号",
        "本小区没有这户，或没有租约；请先导入住户",
        "no such household with a tenancy here; import it first",
    )


def _twice(sheet: str, row: int) -> Fault:
    return Fault(sheet, row, "", "与前面一行重复", "this repeats a row above")


def _differs(row: int, word: str, stated_fen: int, fen: int) -> Fault:
    return Fault(
        TOTALS,
        row,
        word,
        f"原系统合计 {yuan(stated_fen)} 元，表中加总 {yuan(fen)} 元，差 {yuan(abs(stated_fen - fen))} 元",
        f"the old system says {yuan(stated_fen)} yuan, the rows add up to {yuan(fen)}",
    )
