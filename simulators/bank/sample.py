"""Invented payments of a month: rents around a thousand yuan, some refunds, at all hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from simulators.bank.month import Channel, Payment, digits
from simulators.wechat.settings import BEIJING

REFUND_EVERY = 20
METHODS: dict[Channel, tuple[str, ...]] = {
    "stripe": ("wechat_pay", "alipay", "card"),
    "wechat": ("wechat_pay",),
    "alipay": ("alipay",),
}


def sample_payments(
    channel: Channel, count: int, from_on: date, days: int, books: Sequence[str], random: Random
) -> list[Payment]:
    """`count` payments and refunds over `days` days, each day with at least one where there are enough."""
    found: list[Payment] = []
    start = datetime.combine(from_on, time(), BEIJING)
    for number in range(count):
        at = (start + timedelta(days=number % days, seconds=random.randrange(3 * 3600, 86_000))).astimezone(
            UTC
        )
        refund = number % REFUND_EVERY == REFUND_EVERY - 1
        amount_fen = random.randrange(60_000, 160_000)
        found.append(
            Payment(
                _ref(channel, refund, random),
                f"c{random.getrandbits(96):024x}",
                books[number % len(books)],
                -amount_fen // 10 if refund else amount_fen,
                at,
                random.choice(METHODS[channel]),
            )
        )
    return found


def _ref(channel: Channel, refund: bool, random: Random) -> str:
    if channel == "stripe":
        return f"{'re' if refund else 'pi'}_{random.getrandbits(72):018x}"
    if channel == "wechat":
        return f"{'50' if refund else '42'}{digits(random, 26)}"
    return f"{'2027' if refund else '2026'}{digits(random, 24)}"
