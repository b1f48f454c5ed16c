"""Where a payment stands, in words; and when two wishes to pay are one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.payments.checkouts import CheckoutView
from backend.payments.port import CheckoutState, Method
from backend.web.payment_view import attempt_id, payment_page
from backend.web.receipts import Part, Receipt

WISHES = st.tuples(
    st.uuids(),
    st.uuids(),
    st.from_regex(r"\A[0-9]{1,4}-[0-9]{1,4}\Z"),
    st.integers(1, 10**9),
    st.sampled_from(Method),
)


def view(state: CheckoutState, receipt_number: str | None = None) -> CheckoutView:
    return CheckoutView(
        checkout_id=UUID("7f3a21c9-0000-4000-8000-000000000000"),
        household_id=UUID(int=2),
        state=state,
        method=Method.ALIPAY,
        amount_fen=100_000,
        url="https://channel.example/pay/1",
        receipt_number=receipt_number,
    )


RECEIPT = Receipt(
    payment_id=UUID(int=3),
    receipt_number="SJ20261123-000001",
    household_id=UUID(int=2),
    provider="stripe",
    provider_ref="pi_1",
    channel="alipay",
    amount_fen=100_000,
    paid_at=datetime(2026, 11, 23, 4, 0, tzinfo=UTC),
    parts=(Part(date(2026, 11, 1), 78_050),),
)


@given(WISHES)
def test_the_same_wish_is_the_same_attempt(wish: tuple[UUID, UUID, str, int, Method]) -> None:
    assert attempt_id(*wish) == attempt_id(*wish)


@given(WISHES, WISHES)
def test_another_wish_is_another_attempt(
    one: tuple[UUID, UUID, str, int, Method], other: tuple[UUID, UUID, str, int, Method]
) -> None:
    assert (attempt_id(*one) == attempt_id(*other)) == (one == other)


@pytest.mark.parametrize(
    ("state", "shown", "under_way", "may_go_on"),
    [
        (CheckoutState.ASKED, "waiting", False, False),
        (CheckoutState.OPEN, "waiting", True, True),
        (CheckoutState.PROCESSING, "waiting", True, False),
        (CheckoutState.PAID, "paid", False, False),
        (CheckoutState.FAILED, "ended", False, False),
        (CheckoutState.EXPIRED, "ended", False, False),
    ],
)
def test_only_an_open_page_can_be_gone_on_with(
    state: CheckoutState, shown: str, under_way: bool, may_go_on: bool
) -> None:
    page = payment_page(view(state), None)
    assert (page.state, page.under_way, page.url is not None) == (shown, under_way, may_go_on)
    assert page.title_zh
    assert page.title_en


def test_a_receipt_says_what_was_paid_and_what_is_kept() -> None:
    page = payment_page(view(CheckoutState.PAID, "SJ20261123-000001"), RECEIPT)
    assert [(share.zh, share.amount_fen) for share in page.shares] == [
        ("抵2026年11月房租", 78_050),
        ("留到下个月抵", 21_950),
    ]
    assert sum(share.amount_fen for share in page.shares) == page.amount_fen
    assert page.reference == "7F3A21C9"
