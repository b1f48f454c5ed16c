"""What a bank's free text says: is it a charge, interest, or money in and out. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from backend.reconciliation.lines import Kind


def kind_of(note: str, amount_fen: int, charge_words: Sequence[str], interest_words: Sequence[str]) -> Kind:
    """Charges only go out and interest only comes in; words elsewhere mean nothing."""
    if amount_fen < 0 and any(word in note for word in charge_words):
        return Kind.CHARGE
    if amount_fen > 0 and any(word in note for word in interest_words):
        return Kind.INTEREST
    return Kind.TRANSFER
