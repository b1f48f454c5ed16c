"""Amounts as Chinese vouchers write them: 壹仟贰佰叁拾肆元伍角陆分. Pure."""

from __future__ import annotations

DIGITS = "零壹贰叁肆伍陆柒捌玖"
PLACES = ("", "拾", "佰", "仟")
GROUPS = ("", "万", "亿", "万亿")


def capital_zh(amount_fen: int) -> str:
    """An amount of at least zero in capital figures, by 《支付结算办法》 annex 1."""
    yuan, fen = divmod(amount_fen, 100)
    jiao, fen = divmod(fen, 10)
    said = f"{_whole(yuan)}元" if yuan else ""
    if not jiao and not fen:
        return f"{said or '零元'}整"
    if jiao:
        said += f"{DIGITS[jiao]}角"
    elif yuan:
        said += "零"
    return said + (f"{DIGITS[fen]}分" if fen else "整")


def _whole(number: int) -> str:
    groups: list[int] = []
    while number:
        number, rest = divmod(number, 10_000)
        groups.append(rest)
    said, gap = "", False
    for place in range(len(groups) - 1, -1, -1):
        group = groups[place]
        if not group:
            gap = True
            continue
        if said and (gap or group < 1_000):
            said += "零"
        said += _group(group) + GROUPS[place]
        gap = False
    return said


def _group(number: int) -> str:
    said, gap = "", False
    for place in range(3, -1, -1):
        digit = number // 10**place % 10
        if digit:
            said += ("零" if gap and said else "") + DIGITS[digit] + PLACES[place]
            gap = False
        else:
            gap = True
    return said
