"""Amounts in capital figures."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.rent.capitals import capital_zh


@pytest.mark.parametrize(
    ("fen", "said"),
    [
        (0, "零元整"),
        (1, "壹分"),
        (10, "壹角整"),
        (100, "壹元整"),
        (101, "壹元零壹分"),
        (110, "壹元壹角整"),
        (123_456, "壹仟贰佰叁拾肆元伍角陆分"),
        (100_000, "壹仟元整"),
        (100_500, "壹仟零伍元整"),
        (1_000_000, "壹万元整"),
        (1_000_500, "壹万零伍元整"),
        (10_010_000, "壹拾万零壹佰元整"),
        (168_000_00, "壹拾陆万捌仟元整"),
        (10_700_053, "壹拾万柒仟元伍角叁分"),
        (100_000_000_00, "壹亿元整"),
        (100_000_001_00, "壹亿零壹元整"),
        (609_007_050, "陆佰零玖万零柒拾元伍角整"),
    ],
)
def test_amounts_are_written_as_vouchers_want_them(fen: int, said: str) -> None:
    assert capital_zh(fen) == said


VALUES = {word: place for place, word in enumerate("零壹贰叁肆伍陆柒捌玖")}


def read(said: str) -> int:
    """The amount again, by reading the figures from the left."""
    yuan, _, rest = said.partition("元") if "元" in said else ("", "", said)
    total = group = digit = 0
    for word in yuan:
        if word in VALUES:
            digit = VALUES[word]
        elif word in "拾佰仟":
            group, digit = group + digit * {"拾": 10, "佰": 100, "仟": 1000}[word], 0
        else:
            total, group, digit = (total + group + digit) * {"万": 10_000, "亿": 10**8}[word], 0, 0
    fen = (total + group + digit) * 100
    for word, place in pairwise(rest):
        if word in VALUES and place in "角分":
            fen += VALUES[word] * {"角": 10, "分": 1}[place]
    return fen


@given(st.integers(0, 9_999_999_999))
def test_they_say_the_same_amount(fen: int) -> None:
    said = capital_zh(fen)
    assert read(said) == fen
    assert "零零" not in said
