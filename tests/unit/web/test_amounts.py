"""Amounts as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.web import words
from backend.web.amounts import (
    AmountCurrencyError,
    AmountError,
    AmountMissingError,
    AmountNegativeError,
    AmountOutOfRangeError,
    AmountTooPreciseError,
    AmountUnreadableError,
    AmountZeroError,
    read_yuan,
)

LIMIT_FEN = 20_000_00


@pytest.mark.parametrize(
    ("typed", "fen"),
    [
        ("300", 30_000),
        ("300.5", 30_050),
        ("300.50", 30_050),
        ("0.01", 1),
        ("1,234.50", 123_450),
        ("１２３．４５", 12_345),
        ("300。50", 30_050),
        ("￥300", 30_000),
        ("¥ 300", 30_000),
        (" 300 元 ", 30_000),
        ("20000", LIMIT_FEN),
    ],
)
def test_what_a_phone_keyboard_produces_is_understood(typed: str, fen: int) -> None:
    assert read_yuan(typed, LIMIT_FEN) == fen


@pytest.mark.parametrize(
    ("typed", "refusal"),
    [
        ("", AmountMissingError),
        ("  元", AmountMissingError),
        ("0", AmountZeroError),
        ("0.00", AmountZeroError),
        ("20000.01", AmountOutOfRangeError),
        ("9" * 40, AmountOutOfRangeError),
        ("1.001", AmountTooPreciseError),
        ("0.0000001", AmountTooPreciseError),
        ("-5", AmountNegativeError),
        ("−¥5.00", AmountNegativeError),
        ("--5", AmountUnreadableError),
        ("1e3", AmountUnreadableError),
        ("0x10", AmountUnreadableError),
        ("1,23", AmountUnreadableError),
        ("12.", AmountUnreadableError),
        ("$5", AmountCurrencyError),
        ("＄5", AmountCurrencyError),
        ("5 usd", AmountCurrencyError),
        ("100港元", AmountCurrencyError),
        ("三百", AmountUnreadableError),
        ("٣", AmountUnreadableError),
        ("nan", AmountUnreadableError),
        ("<script>", AmountUnreadableError),
    ],
)
def test_what_is_no_amount_is_refused_with_what_to_type_instead(
    typed: str, refusal: type[AmountError]
) -> None:
    with pytest.raises(refusal) as refused:
        read_yuan(typed, LIMIT_FEN)
    assert refused.value.zh
    assert refused.value.en


@given(st.integers(min_value=1, max_value=LIMIT_FEN))
def test_an_amount_that_is_written_reads_back_the_same(fen: int) -> None:
    assert read_yuan(words.yuan(fen), LIMIT_FEN) == fen
    assert read_yuan(words.plain_yuan(fen), LIMIT_FEN) == fen


@given(st.text(max_size=40))
def test_whatever_is_typed_is_an_amount_in_range_or_a_named_refusal(typed: str) -> None:
    try:
        fen = read_yuan(typed, LIMIT_FEN)
    except AmountError:
        return
    assert 1 <= fen <= LIMIT_FEN
