"""The money's way through a month: payments, what the channel says, its payouts, what the bank says.

An error is put into one stage, and what lies behind that stage follows from it: a payment that the channel
does not know is in no payout either. So each error shows in one place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Literal

from simulators.wechat.settings import BEIJING

Channel = Literal["stripe", "wechat", "alipay"]
ErrorKind = Literal["missing", "extra", "amount", "doubled", "shifted", "fee"]
Stage = Literal["bill", "flow", "bank"]
ERROR_KINDS: tuple[ErrorKind, ...] = ("missing", "extra", "amount", "doubled", "shifted", "fee")
FEE_ERROR_FEN = 7
AMOUNT_ERROR_FEN = 100


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that a tenant paid, or got back (negative): what our books hold.

    Attributes:
        ref: the channel's number of it.
        our_ref: our number, which the channel repeats.
    """

    ref: str
    our_ref: str
    book: str
    amount_fen: int
    at: datetime
    method: str = "wechat_pay"


@dataclass(frozen=True, slots=True)
class Item:
    """A payment or refund as one statement of the channel has it; `number` is that line's own."""

    number: str
    ref: str
    our_ref: str
    book: str
    amount_fen: int
    fee_fen: int
    at: datetime
    method: str

    @property
    def day(self) -> date:
        """The day in Jiangmen."""
        return self.at.astimezone(BEIJING).date()


@dataclass(frozen=True, slots=True)
class Payout:
    """What the channel sends to the bank, made of which items."""

    ref: str
    amount_fen: int
    at: datetime
    items: tuple[Item, ...]

    @property
    def day(self) -> date:
        """The day in Jiangmen on which it leaves."""
        return self.at.astimezone(BEIJING).date()


@dataclass(frozen=True, slots=True)
class BankLine:
    """One line of the bank's statement."""

    number: str
    day: date
    amount_fen: int
    ref: str
    payer: str
    note: str


@dataclass(frozen=True, slots=True)
class Error:
    """One error that was put in: its kind, the stage, and the number it can be found by."""

    kind: ErrorKind
    stage: Stage
    ref: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What the channel charges and when it pays out.

    Attributes:
        rates: basis points and fixed fen, by method.
        payout_after_days: from a payment to the payout that holds it.
        arrives_after_days: from the payout to the bank.
    """

    rates: dict[str, tuple[int, int]]
    payout_after_days: int
    arrives_after_days: int
    name: str
    refund_returns_fee: bool = False

    def fee_fen(self, method: str, amount_fen: int) -> int:
        """By contract: half up on a payment; a refund gives all or nothing back."""
        points, fixed = self.rates[method]
        if amount_fen < 0:
            return -((-amount_fen * points + 5_000) // 10_000) if self.refund_returns_fee else 0
        return (amount_fen * points + 5_000) // 10_000 + fixed


TERMS: dict[Channel, Terms] = {
    "stripe": Terms({"wechat_pay": (220, 0), "alipay": (220, 0), "card": (340, 235)}, 2, 1, "STRIPE"),
    "wechat": Terms({"wechat_pay": (60, 0)}, 1, 0, "财付通", refund_returns_fee=True),
    "alipay": Terms({"alipay": (60, 0)}, 1, 0, "支付宝"),
}
CHARGE_FEN = 100
CHARGE_ZH = "来账手续费"


@dataclass(frozen=True, slots=True)
class ChannelMonth:
    """What one channel says of a month: its bill, its movements, its payouts, and what was put in wrongly."""

    channel: Channel
    bill: tuple[Item, ...]
    flow: tuple[Item, ...]
    payouts: tuple[Payout, ...]
    errors: tuple[Error, ...] = field(default=())


def channel_month(
    channel: Channel,
    payments: Sequence[Payment],
    random: Random,
    errors: Iterable[tuple[Stage, ErrorKind, int]] = (),
) -> ChannelMonth:
    """What the channel says of these payments.

    Args:
        errors: stage, kind and how many; 'flow' only where the channel has a flow beside its bill.
    """
    terms = TERMS[channel]
    true = [_item(channel, terms, one, random) for one in sorted(payments, key=lambda one: (one.at, one.ref))]
    put_in: list[Error] = []
    taken: set[str] = set()
    stages: dict[str, list[Item]] = {"bill": list(true), "flow": list(true)}
    for stage, kind, count in errors:
        stages[stage] = _spoilt(
            channel, terms, stage, kind, count, true, stages[stage], random, taken, put_in
        )
    bill, flow = (sorted(stages[name], key=lambda one: (one.at, one.number)) for name in ("bill", "flow"))
    moved = flow if channel == "wechat" else bill
    return ChannelMonth(
        channel, tuple(bill), tuple(flow), tuple(_payouts(channel, terms, moved, random)), tuple(put_in)
    )


def bank_month(
    months: Sequence[ChannelMonth],
    random: Random,
    errors: Iterable[tuple[ErrorKind, int]] = (),
    named: bool = True,
) -> tuple[list[BankLine], list[Error]]:
    """What the bank says of all payouts: a credit for each, and a charge on each day that has one.

    Args:
        named: whether the bank's text repeats the number of the payout.
    """
    credits: list[BankLine] = []
    for month in months:
        terms = TERMS[month.channel]
        for payout in month.payouts:
            day = payout.day + timedelta(days=terms.arrives_after_days)
            note = f"{terms.name} {payout.ref}" if named else f"{terms.name} 资金结算"
            credits.append(
                BankLine("", day, payout.amount_fen, payout.ref if named else "", terms.name, note)
            )
    charges = [
        BankLine("", day, -CHARGE_FEN, "", "", f"{CHARGE_ZH} {day:%Y%m%d}")
        for day in sorted({line.day for line in credits})
    ]
    put_in: list[Error] = []
    for kind, count in errors:
        if kind == "fee":
            charges = _spoilt_charges(charges, count, random, put_in)
        else:
            credits = _spoilt_credits(credits, kind, count, random, put_in)
    lines = sorted([*credits, *charges], key=lambda one: (one.day, -one.amount_fen, one.note))
    return [replace(one, number=f"B{one.day:%Y%m%d}{place:06d}") for place, one in enumerate(lines)], put_in


def _item(channel: Channel, terms: Terms, payment: Payment, random: Random) -> Item:
    number = f"txn_{random.getrandbits(72):018x}" if channel == "stripe" else payment.ref
    if channel == "alipay":
        number = digits(random, 20)
    return Item(
        number,
        payment.ref,
        payment.our_ref,
        payment.book,
        payment.amount_fen,
        terms.fee_fen(payment.method, payment.amount_fen),
        payment.at,
        payment.method,
    )


def _spoilt(
    channel: Channel,
    terms: Terms,
    stage: Stage,
    kind: ErrorKind,
    count: int,
    true: list[Item],
    items: list[Item],
    random: Random,
    taken: set[str],
    put_in: list[Error],
) -> list[Item]:
    """The stage with `count` errors of a kind, each on a payment that has none yet."""
    first, last = min(one.day for one in true), max(one.day for one in true)
    free = [
        one
        for one in true
        if one.ref not in taken and first < one.day < last and one.amount_fen > AMOUNT_ERROR_FEN
    ]
    found = list(items)
    for chosen in random.sample(free, count):
        taken.add(chosen.ref)
        place = next(number for number, one in enumerate(found) if one.ref == chosen.ref)
        wrong = _wrong(channel, terms, kind, chosen, random)
        put_in.append(Error(kind, stage, wrong.ref if kind == "extra" else chosen.ref))
        if kind == "missing":
            del found[place]
        elif kind in ("extra", "doubled"):
            found.append(wrong)
        else:
            found[place] = wrong
    return found


def _wrong(channel: Channel, terms: Terms, kind: ErrorKind, item: Item, random: Random) -> Item:
    fresh = f"txn_{random.getrandbits(72):018x}" if channel == "stripe" else digits(random, 28)
    match kind:
        case "extra":
            other = f"{item.ref[:4]}{random.getrandbits(64):020d}"
            number = fresh if channel != "wechat" else other
            return replace(item, number=number, ref=other, our_ref=f"x{random.getrandbits(64):020d}")
        case "doubled":
            # WeChat numbers the order itself, so a second line has another number and the same order of ours.
            return replace(
                item,
                number=fresh,
                ref=fresh if channel == "wechat" else item.ref,
                at=item.at + timedelta(seconds=1),
            )
        case "amount":
            amount_fen = item.amount_fen + AMOUNT_ERROR_FEN
            return replace(item, amount_fen=amount_fen, fee_fen=terms.fee_fen(item.method, amount_fen))
        case "shifted":
            return replace(item, at=item.at + timedelta(days=1))
        case "fee":
            return replace(item, fee_fen=item.fee_fen + FEE_ERROR_FEN)
        case _:
            return item


def _payouts(channel: Channel, terms: Terms, items: Sequence[Item], random: Random) -> list[Payout]:
    """One a day, of what became due that day; what is not positive waits for the next."""
    by_day: defaultdict[date, list[Item]] = defaultdict(list)
    for item in items:
        by_day[item.day + timedelta(days=terms.payout_after_days)].append(item)
    found: list[Payout] = []
    waiting: list[Item] = []
    for day in sorted(by_day):
        waiting += by_day[day]
        amount_fen = sum(one.amount_fen - one.fee_fen for one in waiting)
        if amount_fen > 0:
            at = datetime.combine(day, time(2), BEIJING).astimezone(UTC)
            ref = f"po_{random.getrandbits(72):018x}" if channel == "stripe" else digits(random, 24)
            found.append(Payout(ref, amount_fen, at, tuple(waiting)))
            waiting = []
    return found


def _spoilt_credits(
    lines: list[BankLine], kind: ErrorKind, count: int, random: Random, put_in: list[Error]
) -> list[BankLine]:
    spoilt = {one.ref for one in put_in}

    def name(line: BankLine) -> str:
        return line.ref or f"{line.day} {line.note}"

    first, last = min(one.day for one in lines), max(one.day for one in lines)
    free = [one for one in lines if name(one) not in spoilt and first < one.day < last]
    found = list(lines)
    for chosen in random.sample(free, count):
        put_in.append(Error(kind, "bank", name(chosen)))
        match kind:
            case "missing":
                found.remove(chosen)
            case "extra":
                # An amount that no payout has, from somebody who is no channel.
                stray_fen, note = 12_345 + random.randrange(10_000), f"来账 {digits(random, 12)}"
                stray = BankLine("", chosen.day, stray_fen, "", "某公司", note)
                found.append(stray)
                put_in[-1] = Error(kind, "bank", name(stray))
            case "amount":
                found[found.index(chosen)] = replace(chosen, amount_fen=chosen.amount_fen - AMOUNT_ERROR_FEN)
            case "doubled":
                found.append(chosen)
            case _:
                found[found.index(chosen)] = replace(chosen, day=chosen.day + timedelta(days=1))
    return found


def _spoilt_charges(lines: list[BankLine], count: int, random: Random, put_in: list[Error]) -> list[BankLine]:
    found = list(lines)
    for place in random.sample(range(len(found)), count):
        put_in.append(Error("fee", "bank", found[place].note))
        found[place] = replace(found[place], amount_fen=found[place].amount_fen - FEE_ERROR_FEN)
    return found


def digits(random: Random, count: int) -> str:
    """A number such as channels give."""
    return f"{random.randrange(10 ** (count - 1), 10**count)}"
