"""What a household owes and how it may pay, as the tenant's page shows it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from backend.errors import ExplainedError
from backend.rent.rules import next_month
from backend.rent.service import LineView, Statement, UnpaidCharge
from backend.web import words
from backend.web.amounts import AmountMissingError, read_yuan

LINES_EN: Mapping[str, str] = {
    "rent": "Base rent",
    "relief": "Rent relief",
    "subsidy": "Subsidy",
    "subsidy_carried": "Subsidy carried over from last month",
    "late_fee": "Late fee",
    "property_fee": "Property fee",
    "water": "Water",
    "electricity": "Electricity",
    "gas": "Gas",
    "deposit": "Deposit",
    "damage": "Damage, or asked for once",
}


@dataclass(frozen=True, slots=True)
class Method:
    """A way to pay online; `sign` is the one character drawn beside it."""

    key: str
    zh: str
    en: str
    sign: str


METHODS = (
    Method("wechat_pay", "微信支付", "WeChat Pay", "微"),
    Method("alipay", "支付宝", "Alipay", "支"),
    Method("card", "银行卡", "Bank card", "卡"),
)
_OFFERED = re.compile(r"(all|month)-(?P<fen>[0-9]{1,12})", re.ASCII)
METHOD_BY_KEY = {method.key: method for method in METHODS}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a charge; relief and subsidies are negative."""

    zh: str
    en: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Charge:
    """One month's charge, why it is what it is, and what is left of it."""

    charge_id: UUID
    title_zh: str
    title_en: str
    due_on: date
    late: bool
    lines: tuple[Line, ...]
    paid_fen: int
    taken_off_fen: int
    left_fen: int


@dataclass(frozen=True, slots=True)
class Choice:
    """An amount that can be chosen with one tap."""

    key: Literal["all", "month"]
    zh: str
    en: str
    amount_fen: int

    @property
    def value(self) -> str:
        """What the form sends: the amount goes with it, so that nobody pays another one than was shown."""
        return f"{self.key}-{self.amount_fen}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a filled-in form asks for; `offered` is the value of the choice, None for a typed amount."""

    amount_fen: int
    offered: str | None


class BillChangedError(ExplainedError):
    """The account is not what the form showed any more."""

    code = "bill_changed"

    def __init__(self) -> None:
        super().__init__(
            "您的账单刚刚有变化，这次没有付款。请看一下现在的金额，再付。",
            "Your bill has just changed, so nothing was paid. Please look at the amount and pay again.",
        )


class MethodMissingError(ExplainedError):
    """No way to pay was chosen, or one that there is not."""

    code = "method_missing"

    def __init__(self) -> None:
        super().__init__(
            "请选一种付款方式：微信支付、支付宝或银行卡。",
            "Please choose how to pay: WeChat Pay, Alipay or a bank card.",
        )


def charges_of(statement: Statement, today: date) -> tuple[Charge, ...]:
    """What is not paid yet, oldest first."""
    return tuple(_charge(unpaid, today) for unpaid in statement.unpaid)


def choices_of(statement: Statement) -> tuple[Choice, ...]:
    """All that is owed; and, where that is more than one month, the oldest month alone."""
    if not statement.unpaid:
        return ()
    everything = Choice("all", "全部交清", "All of it", statement.total_owed_fen)
    if len(statement.unpaid) == 1:
        return (everything,)
    oldest, newest = statement.unpaid[0], statement.unpaid[-1]
    # The year only where it tells something: the fewer words on a telephone the better.
    same_year = oldest.month.year == newest.month.year
    zh = f"只交{oldest.month.month}月" if same_year else f"只交{words.month_zh(oldest.month)}"
    en = f"Only {words.month_en(oldest.month)}, the oldest"
    return (everything, Choice("month", zh, en, oldest.left_fen))


def read_wish(choice: str, typed: str, limit_fen: int) -> Wish:
    """The amount that a filled-in form asks for.

    Raises:
        AmountError: nothing is chosen, or what was typed is no amount that can be paid.
    """
    if choice == "other":
        return Wish(read_yuan(typed, limit_fen), None)
    offered = _OFFERED.fullmatch(choice)
    if offered is None:
        raise AmountMissingError
    return Wish(int(offered["fen"]), choice)


def wish_for(statement: Statement, chosen: Collection[str]) -> tuple[Wish, tuple[UUID, ...]]:
    """The amount of the charges that were ticked, and which they are.

    Raises:
        AmountMissingError: nothing is ticked.
        BillChangedError: one of them is not owed any more.
    """
    if not chosen:
        raise AmountMissingError
    found = [charge for charge in statement.unpaid if str(charge.charge_id) in chosen]
    if len(found) != len(set(chosen)):
        raise BillChangedError
    return Wish(sum(charge.left_fen for charge in found), None), tuple(one.charge_id for one in found)


def still_offered(wish: Wish, statement: Statement) -> bool:
    """Whether the account still offers what the form shows; a typed amount is always the payer's own."""
    return wish.offered is None or wish.offered in {choice.value for choice in choices_of(statement)}


def chosen_method(key: str) -> Method:
    """The way to pay that a form asks for.

    Raises:
        MethodMissingError
    """
    try:
        return METHOD_BY_KEY[key]
    except KeyError:
        raise MethodMissingError from None


def method_zh(key: str) -> str:
    """A channel's name for people; a channel that is not known here keeps its own name."""
    return METHOD_BY_KEY[key].zh if key in METHOD_BY_KEY else key


def _charge(unpaid: UnpaidCharge, today: date) -> Charge:
    return Charge(
        charge_id=unpaid.charge_id,
        title_zh=f"{words.month_zh(unpaid.month)}房租",
        title_en=words.month_en(unpaid.month),
        due_on=unpaid.due_on,
        late=unpaid.due_on < today,
        lines=tuple(_line(line, unpaid.month) for line in unpaid.lines if line.amount_fen),
        paid_fen=unpaid.paid_fen,
        taken_off_fen=unpaid.taken_off_fen,
        left_fen=unpaid.left_fen,
    )


def _line(line: LineView, month: date) -> Line:
    zh, en = line.label_zh, LINES_EN.get(line.kind, line.kind)
    if (line.from_on, line.to_on) != (month, next_month(month)):
        # Only part of the month: say which days, so that the odd figure explains itself.
        last = date.fromordinal(line.to_on.toordinal() - 1)
        zh += f"（{line.from_on.month}月{line.from_on.day}日至{last.month}月{last.day}日）"
        en += f", {line.from_on.day} to {last.day} {words.MONTHS_EN[last.month - 1]}"
    return Line(zh, en, line.amount_fen)
