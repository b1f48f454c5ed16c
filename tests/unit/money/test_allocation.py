"""What a payment pays for."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from backend.rent.allocation import Due, OpenCharge, allocate, dues_of, split


def charge(number: int, month: int, rent: int, fee: int = 0, paid: int = 0) -> OpenCharge:
    dues = {due: fen for due, fen in ((Due.RENT, rent), (Due.PROPERTY_FEE, fee)) if fen}
    day = date(2026, month, 1)
    whole = OpenCharge(UUID(int=number), UUID(int=9), day, day.replace(day=15), dues, 0)
    return whole.after(split(dues, paid))


def test_the_oldest_charge_is_paid_first_and_its_rent_before_its_fee() -> None:
    charges = [charge(1, 11, 900, 100), charge(2, 9, 900, 100), charge(3, 10, 900, 100, paid=850)]
    parts, left = allocate(1_130, charges)
    assert [(part.charge.month.month, part.amount_fen, dict(part.split)) for part in parts] == [
        (9, 1_000, {Due.RENT: 900, Due.PROPERTY_FEE: 100}),
        (10, 130, {Due.RENT: 50, Due.PROPERTY_FEE: 80}),
    ]
    assert left == 0


def test_what_is_over_is_left() -> None:
    parts, left = allocate(500, [charge(1, 11, 300)])
    assert (parts[0].amount_fen, left) == (300, 200)
    assert allocate(500, []) == ((), 500)


CHARGES = st.lists(
    st.builds(
        lambda number, month, rent, fee, share: charge(number, month, rent, fee, (rent + fee) * share // 100),
        st.integers(1, 10**9),
        st.integers(1, 12),
        st.integers(0, 100_000),
        st.integers(1, 10_000),
        st.integers(0, 100),
    ),
    max_size=8,
    unique_by=lambda one: one.charge_id,
)


@given(amount=st.integers(1, 1_000_000), charges=CHARGES)
def test_every_fen_of_a_payment_goes_to_a_charge_or_is_left(amount: int, charges: list[OpenCharge]) -> None:
    parts, left = allocate(amount, charges)
    assert sum(part.amount_fen for part in parts) + left == amount
    for part in parts:
        assert 0 < part.amount_fen <= part.charge.left_fen
        assert sum(part.split.values()) == part.amount_fen
    assert left == 0 or sum(part.amount_fen for part in parts) == sum(one.left_fen for one in charges)
    ends = [part.charge for part in parts if part.amount_fen < part.charge.left_fen]
    assert len(ends) <= 1


@given(charges=CHARGES.filter(bool), payments=st.lists(st.integers(1, 40_000), max_size=12))
def test_many_small_payments_pay_the_same_dues_as_one(charges: list[OpenCharge], payments: list[int]) -> None:
    def pay(amounts: list[int]) -> dict[tuple[UUID, Due], int]:
        state, found = {one.charge_id: one for one in charges}, {}
        for amount in amounts:
            for part in allocate(amount, list(state.values()))[0]:
                for due, fen in part.split.items():
                    key = (part.charge.charge_id, due)
                    found[key] = found.get(key, 0) + fen
                state[part.charge.charge_id] = part.charge.after(part.split)
        return found

    assert pay(payments) == pay([sum(payments)] if payments else [])


@given(st.integers(0, 1000), st.integers(0, 1000), st.data())
def test_a_split_pays_each_due_no_more_than_is_left_of_it(rent: int, fee: int, data: st.DataObject) -> None:
    left = {Due.RENT: rent, Due.PROPERTY_FEE: fee}
    amount = data.draw(st.integers(0, rent + fee))
    now = split(left, amount)
    assert sum(now.values()) == amount
    assert all(0 < now[due] <= left[due] for due in now)
    assert now.get(Due.PROPERTY_FEE, 0) == 0 or now.get(Due.RENT, 0) == rent


def test_the_lines_of_a_charge_are_its_dues() -> None:
    lines = [
        ("rent", 900),
        ("relief", -300),
        ("subsidy", -100),
        ("subsidy_carried", -50),
        ("property_fee", 70),
        ("water", 20),
        ("electricity", 30),
        ("late_fee", 5),
    ]
    assert list(dues_of(lines).items()) == [
        (Due.RENT, 450),
        (Due.LATE_FEE, 5),
        (Due.PROPERTY_FEE, 70),
        (Due.UTILITIES, 50),
    ]
    assert dues_of([("rent", 900), ("relief", -900)]) == {}
