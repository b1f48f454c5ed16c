"""How a payment goes: by metadata, by test card, or by amount.

The first that says something wins: `metadata[simulate]` of the PaymentIntent or the Checkout Session, then
the test card (or its `pm_card_…` / `tok_…` token), then the amount; otherwise it succeeds.

| metadata[simulate] | amount | what happens |
|---|---|---|
| `succeed` | any other | paid at once |
| `decline` | 444.01 | declined (`generic_decline`) |
| `insufficient_funds` | 444.02 | declined (`insufficient_funds`) |
| `late` | 444.03 | processing, succeeds `payment_confirmed_after_s` later |
| `late_failure` | 444.04 | processing, fails `payment_confirmed_after_s` later |
| `never` | 444.05 | processing for ever |
| `refund_late` | 444.06 | paid; a refund stays pending, then succeeds |
| `refund_fails` | 444.07 | paid; a refund fails `refund_confirmed_after_s` after it was made |
| `disputed` | 444.08 | paid; the card holder disputes it at once (cards only) |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

KEY = "simulate"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a payment, and later a refund of it, comes to."""

    payment: str = "succeed"  # decline · late · late_failure · never
    decline: str = "generic_decline"
    refund: str = "usual"  # late · fail
    dispute: str | None = None  # its reason; "inquiry" asks without taking the money
    authenticate: bool = False
    available_at_once: bool = False


@dataclass(frozen=True, slots=True)
class TestCard:
    """A card number of the original's test mode."""

    number: str
    name: str  # of its tokens: pm_card_<name>, tok_<name>
    brand: str = "visa"
    outcome: Outcome = Outcome()


CARDS = (
    TestCard("4242424242424242", "visa"),
    TestCard("5555555555554444", "mastercard", "mastercard"),
    TestCard("6200000000000005", "unionpay", "unionpay"),
    TestCard("4000000000000002", "chargeDeclined", outcome=Outcome("decline")),
    TestCard(
        "4000000000009995",
        "chargeDeclinedInsufficientFunds",
        outcome=Outcome("decline", decline="insufficient_funds"),
    ),
    TestCard("4000000000009987", "chargeDeclinedLostCard", outcome=Outcome("decline", decline="lost_card")),
    TestCard(
        "4000000000000069", "chargeDeclinedExpiredCard", outcome=Outcome("decline", decline="expired_card")
    ),
    TestCard(
        "4000000000000127", "chargeDeclinedIncorrectCvc", outcome=Outcome("decline", decline="incorrect_cvc")
    ),
    TestCard(
        "4000000000000119",
        "chargeDeclinedProcessingError",
        outcome=Outcome("decline", decline="processing_error"),
    ),
    TestCard("4000002500003155", "authenticationRequired", outcome=Outcome(authenticate=True)),
    TestCard("4000000000003220", "threeDSecure2Required", outcome=Outcome(authenticate=True)),
    TestCard("4000000000000259", "createDispute", outcome=Outcome(dispute="fraudulent")),
    TestCard(
        "4000000000002685",
        "createDisputeProductNotReceived",
        outcome=Outcome(dispute="product_not_received"),
    ),
    TestCard("4000000000001976", "createDisputeInquiry", outcome=Outcome(dispute="inquiry")),
    TestCard("4000000000007726", "pendingRefund", outcome=Outcome(refund="late")),
    TestCard("4000000000005126", "refundFail", outcome=Outcome(refund="fail")),
    TestCard("4000000000000077", "bypassPending", outcome=Outcome(available_at_once=True)),
)
BY_NUMBER = {card.number: card for card in CARDS}
BY_TOKEN = {
    token: card
    for card in CARDS
    for token in (f"pm_card_{card.name}", f"pm_card_visa_{card.name}", f"tok_{card.name}")
}
NAMED = {
    "succeed": Outcome(),
    "decline": Outcome("decline"),
    "insufficient_funds": Outcome("decline", decline="insufficient_funds"),
    "late": Outcome("late"),
    "late_failure": Outcome("late_failure"),
    "never": Outcome("never"),
    "refund_late": Outcome(refund="late"),
    "refund_fails": Outcome(refund="fail"),
    "disputed": Outcome(dispute="fraudulent"),
}
BY_AMOUNT = {44_400 + place: name for place, name in enumerate(list(NAMED)[1:], start=1)}

# decline → (error code, what the original says to the customer)
DECLINES = {
    "generic_decline": ("card_declined", "Your card was declined."),
    "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
    "lost_card": ("card_declined", "Your card was declined."),
    "expired_card": ("expired_card", "Your card has expired."),
    "incorrect_cvc": ("incorrect_cvc", "Your card's security code is incorrect."),
    "processing_error": (
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_required": (
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
}


def outcome_of(metadata: Mapping[str, str], amount: int, card: TestCard | None) -> Outcome:
    """What a payment comes to; see the table above. An unknown word in the metadata says nothing."""
    if (named := NAMED.get(metadata.get(KEY, ""))) is not None:
        return named
    if card is not None and card.outcome != Outcome():
        return card.outcome
    return NAMED[BY_AMOUNT.get(amount, "succeed")]
