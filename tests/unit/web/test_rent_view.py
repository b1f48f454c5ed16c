"""The tenant's bill in words, and what a filled-in form asks for."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest

from backend.rent.service import LineView, Statement, UnpaidCharge
from backend.web.amounts import AmountError, AmountMissingError
from backend.web.rent_view import (
    METHODS,
    MethodMissingError,
    Wish,
    charges_of,
    choices_of,
    chosen_method,
    method_zh,
    read_wish,
    still_offered,
)

LIMIT_FEN = 2_000_000


def unpaid(month: date, amount_fen: int, paid_fen: int = 0, lines: tuple[LineView, ...] = ()) -> UnpaidCharge:
    return UnpaidCharge(UUID(int=month.month), month, month.replace(day=15), amount_fen, paid_fen, 0, lines)


def statement(*charges: UnpaidCharge) -> Statement:
    owed = sum(charge.left_fen for charge in charges)
    return Statement(UUID(int=1), charges, owed, 0, 0, ())


OCTOBER, NOVEMBER = unpaid(date(2026, 10, 1), 80_000, 30_000), unpaid(date(2026, 11, 1), 80_000)


def test_a_charge_is_late_only_after_its_day() -> None:
    (on_the_day,) = charges_of(statement(NOVEMBER), date(2026, 11, 15))
    (the_day_after,) = charges_of(statement(NOVEMBER), date(2026, 11, 16))
    assert (on_the_day.late, the_day_after.late) == (False, True)


def test_a_line_for_part_of_a_month_says_which_days() -> None:
    month = date(2026, 11, 1)
    whole = LineView("property_fee", "物业费", month, date(2026, 12, 1), 5_000)
    part = LineView("rent", "合同租金", date(2026, 11, 11), date(2026, 12, 1), 40_000)
    nothing = LineView("subsidy", "补贴", month, date(2026, 12, 1), 0)
    (charge,) = charges_of(statement(unpaid(month, 45_000, lines=(part, whole, nothing))), date(2026, 11, 1))
    assert [line.zh for line in charge.lines] == ["合同租金（11月11日至11月30日）", "物业费"]
    assert charge.lines[0].en == "Base rent, 11 to 30 Nov"


def test_all_is_offered_and_the_oldest_month_where_there_are_several() -> None:
    assert [choice.value for choice in choices_of(statement(OCTOBER, NOVEMBER))] == [
        "all-130000",
        "month-50000",
    ]
    assert [choice.value for choice in choices_of(statement(NOVEMBER))] == ["all-80000"]
    assert choices_of(statement()) == ()


def test_a_form_asks_for_what_it_showed() -> None:
    wish = read_wish("month-50000", "", LIMIT_FEN)
    assert wish == Wish(50_000, "month-50000")
    assert still_offered(wish, statement(OCTOBER, NOVEMBER))
    assert not still_offered(wish, statement(NOVEMBER))


def test_a_typed_amount_is_the_payers_own() -> None:
    wish = read_wish("other", "12.34", LIMIT_FEN)
    assert wish == Wish(1_234, None)
    assert still_offered(wish, statement())


@pytest.mark.parametrize(
    "choice", ["", "all", "all-", "all--5", "all-1.5", "half-100", "all-1" + "0" * 13, "all-１"]
)
def test_a_choice_that_was_not_offered_is_no_amount(choice: str) -> None:
    with pytest.raises(AmountMissingError):
        read_wish(choice, "", LIMIT_FEN)


def test_a_typed_amount_above_the_limit_is_refused() -> None:
    with pytest.raises(AmountError):
        read_wish("other", "20000.01", LIMIT_FEN)


def test_only_known_ways_to_pay_are_taken() -> None:
    assert [chosen_method(method.key) for method in METHODS] == list(METHODS)
    for key in ("", "gold", "WECHAT_PAY"):
        with pytest.raises(MethodMissingError):
            chosen_method(key)


def test_a_channel_of_the_counter_keeps_its_own_name() -> None:
    assert method_zh("wechat_pay") == "微信支付"
    assert method_zh("cash") == "cash"
