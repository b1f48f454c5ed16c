"""The Stripe account's own books, as lines of ours: balance transactions and the payouts they went into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import stripe

from backend.payments.lines import LineKind, SettlementLine

PAGE: Final = 100
CURRENCY: Final = "cny"
LOOKS: Final = 3
# A line leaves in a payout some days after it was booked; those of longer ago had theirs.
PAYOUT_FOLLOWS: Final = timedelta(days=14)
KINDS: Final[Mapping[str, LineKind]] = {
    "charge": LineKind.PAYMENT,
    "refund": LineKind.REFUND,
    "refund_failure": LineKind.REFUND_RETURNED,
    "dispute": LineKind.DISPUTE,
    "dispute_reversal": LineKind.DISPUTE_RETURNED,
    "payout": LineKind.PAYOUT,
    "payout_reversal": LineKind.PAYOUT_RETURNED,
    "fee": LineKind.FEE,
}


def lines_between(client: stripe.StripeClient, since: datetime, until: datetime) -> list[SettlementLine]:
    """Every balance transaction that was booked in [since, until), oldest first.

    Raises:
        stripe.StripeError
    """
    payouts = _payouts(client, since, until + PAYOUT_FOLLOWS)
    listed = client.v1.balance_transactions.list(
        {
            "created": {"gte": int(since.timestamp()), "lt": int(until.timestamp())},
            "limit": PAGE,
            "expand": ["data.source"],
        }
    )
    lines = [_line(one.to_dict(), payouts) for one in listed.auto_paging_iter()]
    return sorted(lines, key=lambda line: (line.at, line.line_ref))


def balance_before(client: stripe.StripeClient, moment: datetime) -> int | None:
    """What the account held just before a moment: what it holds now less what was booked since, in fen.

    None when money moved at each look, or when there is money in another currency than CNY.

    Raises:
        stripe.StripeError
    """
    for _ in range(LOOKS):
        holds = _holds(client)
        listed = client.v1.balance_transactions.list(
            {"created": {"gte": int(moment.timestamp())}, "limit": PAGE}
        )
        since = sum(one.net for one in listed.auto_paging_iter())
        # Stripe has no way to ask for both at one moment.
        if holds is not None and _holds(client) == holds:
            return holds - since
    return None


def _holds(client: stripe.StripeClient) -> int | None:
    found = client.v1.balance.retrieve().to_dict()
    parts = [*found["available"], *found["pending"]]
    if any(part["amount"] for part in parts if part["currency"] != CURRENCY):
        return None
    return sum(int(part["amount"]) for part in parts)


def _payouts(client: stripe.StripeClient, since: datetime, until: datetime) -> dict[str, str]:
    """Balance transaction → the payout that it is part of, or is."""
    found: dict[str, str] = {}
    for payout in _payouts_made(client, since, until):
        if payout["balance_transaction"] is not None:
            found[payout["balance_transaction"]] = payout["id"]
        if payout["automatic"] and payout["reconciliation_status"] == "completed":
            parts = client.v1.balance_transactions.list({"payout": payout["id"], "limit": PAGE})
            found |= {part.id: payout["id"] for part in parts.auto_paging_iter()}
    return found


def _payouts_made(client: stripe.StripeClient, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
    listed = client.v1.payouts.list(
        {"created": {"gte": int(since.timestamp()), "lt": int(until.timestamp())}, "limit": PAGE}
    )
    for payout in listed.auto_paging_iter():
        yield payout.to_dict()


def _line(booked: Mapping[str, Any], payouts: Mapping[str, str]) -> SettlementLine:
    source = booked["source"] if isinstance(booked["source"], dict) else {}
    presented = source.get("currency", booked["currency"]) != booked["currency"]
    what = booked["reporting_category"]
    return SettlementLine(
        line_ref=booked["id"],
        kind=KINDS.get(what, LineKind.OTHER),
        at=datetime.fromtimestamp(booked["created"], UTC),
        amount_minor=booked["amount"],
        fee_minor=booked["fee"],
        currency=booked["currency"],
        what=what,
        payment_ref=source.get("payment_intent"),
        refund_ref=source["id"] if source.get("object") in ("refund", "dispute") else None,
        payout_ref=payouts.get(booked["id"]),
        presented_fen=source.get("amount") if presented else None,
        exchange_rate=_rate(booked["exchange_rate"]),
    )


def _rate(rate: float | None) -> str | None:
    # Stripe sends a JSON number; it is written down as it reads and never calculated with.
    return None if rate is None else repr(rate)
