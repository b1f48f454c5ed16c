"""The entries of money that goes back, held to docs/vouchers.md; and what an amount is taken out of."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import DUES, Occasion
from backend.payments import vouchers
from backend.rent.allocation import Due
from backend.rent.returns import Piece, Returned, take_back
from tests.unit.money.voucher_page import CHART, hold

ABOUT = Dimensions("pengjiang-1", None, UUID(int=1), "card")
OCCASION = Occasion("pengjiang-1", datetime(2026, 11, 3, tzinfo=UTC), date(2026, 11, 3), "test", None)
# Different amounts, so that no two rows can be exchanged unseen.
EACH_DUE = {word: 1000 + 7**place for place, word in enumerate(DUES)}
PIECES = tuple(Piece(UUID(int=2), UUID(int=3), Due(word), fen) for word, fen in EACH_DUE.items())
RETURNED = Returned(5, PIECES)
WORDS = {"prepaid": 5, "amount": RETURNED.amount_fen, **EACH_DUE}


@pytest.mark.parametrize("provider", ["stripe", "wechat", "cash"])
def test_a_refund_through_a_channel(provider: str) -> None:
    entry = vouchers.refund_entry(CHART, OCCASION, "key", provider, ABOUT, RETURNED)
    assert entry.event_kind == "refund"
    hold(entry, WORDS, provider)


def test_a_refund_by_transfer() -> None:
    entry = vouchers.refund_entry(CHART, OCCASION, "key", "bank", ABOUT, RETURNED)
    assert entry.event_kind == "refund_transfer"
    hold(entry, WORDS)


def test_a_refund_that_came_back_to_charges_that_are_paid() -> None:
    entry = vouchers.came_back_entry(CHART, OCCASION, "key", ABOUT, PIECES)
    hold(entry, {"amount": sum(EACH_DUE.values()), **EACH_DUE})


def test_a_dispute_from_its_beginning_to_either_end() -> None:
    opened = vouchers.dispute_opened_entry(CHART, OCCASION, "key", "stripe", ABOUT, 77)
    hold(opened, {"amount": 77})
    hold(vouchers.dispute_won_entry(CHART, OCCASION, "key", "stripe", ABOUT, 77), {"amount": 77})
    hold(vouchers.dispute_lost_entry(CHART, OCCASION, "key", ABOUT, RETURNED), WORDS)


def test_a_deposit_from_hand_over_to_its_return() -> None:
    def built(make: object) -> NewEntry:
        return make(CHART, OCCASION, "key", ABOUT, 77)  # type: ignore[operator,no-any-return]

    for make in (
        vouchers.deposit_held_entry,
        vouchers.deposit_released_entry,
        vouchers.deposit_returned_entry,
    ):
        hold(built(make), {"amount": 77})
    hold(built(vouchers.deposit_damage_entry), {"from_held": 77, "damage": 77})


@given(
    prepaid_fen=st.integers(0, 10**9),
    fens=st.lists(st.integers(1, 10**9), max_size=6),
    share=st.fractions(0, 1),
)
def test_what_goes_back_adds_up_and_takes_from_nothing_more_than_it_has(
    prepaid_fen: int, fens: list[int], share: object
) -> None:
    paid = [Piece(UUID(int=place), UUID(int=99), Due.RENT, fen) for place, fen in enumerate(fens)]
    amount_fen = int((prepaid_fen + sum(fens)) * share)  # type: ignore[operator]
    found = take_back(amount_fen, prepaid_fen, paid)
    assert found.amount_fen == amount_fen
    assert found.prepaid_fen == min(amount_fen, prepaid_fen)
    before = {piece.charge_id: piece.fen for piece in paid}
    assert all(0 < piece.fen <= before[piece.charge_id] for piece in found.pieces)
    # All but the last are taken back whole, in the order given.
    assert [piece.charge_id for piece in found.pieces] == [p.charge_id for p in paid[: len(found.pieces)]]
    assert all(piece.fen == before[piece.charge_id] for piece in found.pieces[:-1])
