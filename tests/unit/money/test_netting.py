"""What corrections take off: the same, whatever the order."""

from __future__ import annotations

import random
from datetime import date
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from backend.rent.allocation import Due
from backend.rent.netting import Item, net


def item(number: int, month: int, fen: int, due: Due = Due.RENT, tenancy: int = 1) -> Item:
    day = date(2026, month, 1)
    return Item(UUID(int=number), UUID(int=tenancy), day, day.replace(day=15), due, fen)


def test_a_correction_takes_off_its_own_month_first_and_then_the_oldest() -> None:
    october, november, credit = item(1, 10, 500), item(2, 11, 500), item(3, 11, -700)
    found = net([october, november, credit])
    assert found.taken_off == {(november.charge_id, Due.RENT): 500, (october.charge_id, Due.RENT): 200}
    assert found.credit_fen == 0


def test_every_correction_finds_its_own_month_before_any_is_used_elsewhere() -> None:
    items = [item(1, 9, 100), item(2, 10, 100), item(3, 9, -150), item(4, 10, -100)]
    found = net(items)
    assert found.taken_off == {(UUID(int=1), Due.RENT): 100, (UUID(int=2), Due.RENT): 100}
    assert found.credit_fen == 50


def test_rent_takes_off_no_property_fee_and_the_rest_waits() -> None:
    found = net([item(1, 11, 80, Due.PROPERTY_FEE), item(2, 11, -300)])
    assert (found.taken_off, found.credit_fen) == ({}, 300)


ITEMS = st.lists(
    st.builds(
        item,
        st.integers(1, 10**6),
        st.integers(1, 12),
        st.integers(-1000, 1000).filter(bool),
        st.sampled_from([Due.RENT, Due.PROPERTY_FEE]),
        st.integers(1, 2),
    ),
    max_size=12,
    unique_by=lambda one: one.charge_id,
)


@given(ITEMS, st.randoms(use_true_random=False))
def test_no_order_of_corrections_changes_what_is_owed(items: list[Item], order: random.Random) -> None:
    found = net(items)
    shuffled = list(items)
    order.shuffle(shuffled)
    assert net(shuffled) == found
    for due in {one.due for one in items}:
        mine = [one for one in items if one.due is due]
        owed = sum(one.open_fen for one in mine if one.open_fen > 0)
        taken = sum(fen for (_, of), fen in found.taken_off.items() if of is due)
        waiting = -sum(one.open_fen for one in mine if one.open_fen < 0) - taken
        assert owed - taken - waiting == sum(one.open_fen for one in mine)
        assert min(owed - taken, waiting) == 0
    for one in items:
        assert 0 <= found.taken_off.get((one.charge_id, one.due), 0) <= max(0, one.open_fen)
