"""The account's own books: balance transactions, and the balance as their sum.

What happened to money is only ever added here, so at each moment
`captured - refunded + returned refunds - disputed + won back - fees - payouts = available + pending`.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from simulators.stripe.settings import AccountSettings
from simulators.stripe.store import Doc
from simulators.stripe.world import World

# type → what reports count it as
CATEGORIES = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "payout": "payout",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
}


def settled(settings: AccountSettings, amount: int, currency: str) -> tuple[int, Decimal | None]:
    """An amount in the settlement currency's smallest unit, half up, and the rate if one was applied."""
    if currency == settings.settlement_currency:
        return amount, None
    rate = settings.exchange_rates.get(currency, Decimal(1))
    return int((amount * rate).quantize(Decimal(1), ROUND_HALF_UP)), rate


def record(
    world: World,
    kind: str,
    amount: int,
    currency: str,
    source: str,
    *,
    fee_method: str | None = None,
    fee_fen: int = 0,
    category: str | None = None,
    description: str | None = None,
    available_after_s: int = 0,
) -> Doc:
    """Add one balance transaction.

    Args:
        kind: its `type`.
        amount: signed, in the currency the customer saw.
        source: the id of what caused it.
        fee_method: a payment method whose fee is taken from the settled amount.
        fee_fen: a fixed fee instead.
        category: the reporting category where `kind` alone does not tell it.
    """
    settings = world.settings
    value, rate = settled(settings, amount, currency)
    fee = settings.fees[fee_method].of(value) if fee_method is not None else fee_fen
    details = [
        {
            "amount": fee,
            "application": None,
            "currency": settings.settlement_currency,
            "description": "Stripe processing fees" if fee_method else "Dispute fee",
            "type": "stripe_fee",
        }
    ]
    return world.add(
        "balance_transaction",
        {
            "id": world.new_id("txn_"),
            "amount": value,
            "available_on": world.now + available_after_s,
            "balance_type": "payments",
            "currency": settings.settlement_currency,
            "description": description,
            "exchange_rate": None if rate is None else float(rate),  # the original's own type
            "fee": fee,
            "fee_details": details if fee else [],
            "net": value - fee,
            "reporting_category": category or CATEGORIES[kind],
            "source": source,
            "status": "pending",
            "type": kind,
        },
    )


def shown(world: World, doc: Doc) -> Doc:
    """A balance transaction as answered now: pending until its money is available."""
    return doc | {"status": "available" if doc["available_on"] <= world.now else "pending"}


def totals(world: World) -> tuple[int, int]:
    """Net fen that is available, and net fen still pending."""
    available = pending = 0
    for doc in world.store.oldest_first("balance_transaction"):
        if doc["available_on"] <= world.now:
            available += doc["net"]
        else:
            pending += doc["net"]
    return available, pending


def balance(world: World, _: dict[str, Any]) -> Doc:
    """GET /v1/balance."""
    currency = world.settings.settlement_currency
    available, pending = (
        [{"amount": amount, "currency": currency, "source_types": {"card": amount}}]
        for amount in totals(world)
    )
    return {"object": "balance", "available": available, "livemode": False, "pending": pending}
