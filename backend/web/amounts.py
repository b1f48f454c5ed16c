"""Reads an amount that a person typed, exactly and in fen."""

from __future__ import annotations

import re
import unicodedata

from backend.errors import ExplainedError

_AMOUNT = re.compile(r"(?P<yuan>\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.(?P<fen>\d{1,2}))?", re.ASCII)
_CURRENCY = re.compile(
    r"[$€£₩₽฿]|USD|HKD|EUR|GBP|JPY|MOP|美元|美金|港币|港元|港纸|澳门|欧元|英镑|日元", re.IGNORECASE
)
_PRECISE = re.compile(r"[\d,]+\.\d{3,}", re.ASCII)


class AmountError(ExplainedError):
    """What was typed is not an amount that can be paid; says what to type instead."""

    code = "amount"


class AmountMissingError(AmountError):
    """Nothing was typed."""

    def __init__(self) -> None:
        super().__init__("请填写要交多少元，例如 300。", "Please enter how much to pay, for example 300.")


class AmountUnreadableError(AmountError):
    """It is no number of yuan."""

    def __init__(self, typed: str) -> None:
        self.typed = typed
        super().__init__(
            f"“{typed[:20]}”不是一个金额。请只填数字，例如 300 或 300.50。",
            "That is not an amount. Please enter figures only, for example 300 or 300.50.",
        )


class AmountTooPreciseError(AmountError):
    """It has fractions of a fen."""

    def __init__(self) -> None:
        super().__init__(
            "金额最多写到分，也就是两位小数，例如 300.50。",
            "At most two decimals, please, for example 300.50.",
        )


class AmountCurrencyError(AmountError):
    """It is in another currency."""

    def __init__(self) -> None:
        super().__init__(
            "这里只收人民币，请填多少元，例如 300.50。", "Only yuan (CNY) are taken here, for example 300.50."
        )


class AmountNegativeError(AmountError):
    """It is below zero."""

    def __init__(self) -> None:
        super().__init__(
            "金额不能是负数。要退款，请到服务窗口办理。",
            "The amount cannot be below zero. For a refund, please come to the service counter.",
        )


class AmountZeroError(AmountError):
    """It is nothing."""

    def __init__(self) -> None:
        super().__init__(
            "金额是零，没有什么要交的。请填大于零的金额，例如 300。",
            "That is zero: nothing would be paid. Please enter more than zero, for example 300.",
        )


class AmountOutOfRangeError(AmountError):
    """It is more than may be paid at once."""

    def __init__(self, limit_fen: int) -> None:
        self.limit_fen = limit_fen
        limit = f"¥{limit_fen // 100:,}.{limit_fen % 100:02d}"
        super().__init__(
            f"一次可以交 ¥0.01 到 {limit}。更多请分几次交，或到服务窗口交。",
            f"You can pay from ¥0.01 to {limit} at once. For more, pay in parts or at the service counter.",
        )


def read_yuan(typed: str, limit_fen: int) -> int:
    """The amount in fen, in [1, `limit_fen`].

    Takes what phones and elderly hands produce: full-width digits, `￥`, `元`, blanks, thousands commas.
    No float is involved.

    Raises:
        AmountError: missing, unreadable, another currency, finer than a fen, below zero, zero, too much.
    """
    text = unicodedata.normalize("NFKC", typed).replace("。", ".")
    if _CURRENCY.search(text):
        raise AmountCurrencyError
    text = re.sub(r"\s+", "", text).removeprefix("¥").removesuffix("元")
    if not text:
        raise AmountMissingError
    if text[0] in "-−" and _AMOUNT.fullmatch(text[1:].removeprefix("¥")):
        raise AmountNegativeError
    if _PRECISE.fullmatch(text):
        raise AmountTooPreciseError
    found = _AMOUNT.fullmatch(text)
    if found is None:
        if re.fullmatch(r"\d{10,}(\.\d{1,2})?", text):
            raise AmountOutOfRangeError(limit_fen)
        raise AmountUnreadableError(typed.strip())
    fen = int(found["yuan"].replace(",", "")) * 100 + int((found["fen"] or "").ljust(2, "0"))
    if fen == 0:
        raise AmountZeroError
    if fen > limit_fen:
        raise AmountOutOfRangeError(limit_fen)
    return fen
