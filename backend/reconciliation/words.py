"""The words of cases, rules and days, in both languages, for pages and commands."""

from __future__ import annotations

from collections.abc import Mapping

Pair = tuple[str, str]

CASES: Mapping[str, Pair] = {
    "missing": ("对方缺少", "missing on the other side"),
    "extra": ("对方多出", "not in our books"),
    "amount": ("金额不符", "amounts differ"),
    "doubled": ("重复", "a second time"),
    "shifted": ("日期不符", "another day"),
    "fee": ("手续费不符", "not the agreed fee"),
    "balance": ("余额不符", "the balance differs"),
    "ambiguous": ("无法分辨", "several fit"),
    "other": ("待人工核对", "for a person to look at"),
}
SIDES: Mapping[str, Pair] = {
    "bill": ("渠道账单", "channel's bill"),
    "flow": ("资金账单", "channel's flow"),
    "fee": ("手续费流水", "fee line"),
    "payout": ("渠道打款", "payout"),
    "bank": ("银行流水", "bank statement"),
    "book": ("本账簿", "our book"),
    "balance": ("账户余额", "the balance of the account"),
}
SUGGESTIONS: Mapping[str, Pair] = {
    "missing": (
        "向对方查询这笔款。确认没有收到：冲销本方凭证，差异会自动消失；一时查不清：转入待查。",
        "Ask the other side. If it never came, reverse our entry and the case goes away; otherwise suspense.",
    ),
    "extra": (
        "查明是谁的款。已有凭证：选它匹配；尚未入账：先入账；一时查不清：转入待查。",
        "Find out whose it is. Match it with its entry, or post the receipt first, or move it to suspense.",
    ),
    "amount": (
        "与对方核对金额。本方记错：冲销后按正确金额入账；对方有误：差额转入待查并要求更正。",
        "Compare with the other side. Ours wrong: reverse and post anew; theirs: the difference to suspense.",
    ),
    "doubled": (
        "同一笔款出现两次。请对方退回其一；款已到账的转入待查，退回时核销。",
        "The same payment twice. Have one returned; if the money came, keep it in suspense until then.",
    ),
    "shifted": (
        "金额一致，日期不同。确认是同一笔后直接匹配。",
        "The amounts agree, the days do not. Match it once you know that it is the same.",
    ),
    "fee": (
        "手续费与约定不符。按实收匹配入账，并向对方要求补退差额。",
        "Not the agreed fee. Match it as it was taken, and ask for the difference.",
    ),
    "balance": (
        "余额与各账簿合计不同，没有流水能说明。查从哪天、哪本账簿起；改正后自动消失，或写明原因关闭。",
        "No open line explains it. See since when and in which book; put right, it goes away; or say why.",
    ),
    "ambiguous": (
        "几笔金额、日期、付款人都相同，软件不猜。看附言逐笔匹配。",
        "Several agree in amount, day and payer, and the software does not guess. Match them by their text.",
    ),
    "other": ("看明细后匹配，或转入待查。", "Look at the lines, then match or move to suspense."),
}
RULES: Mapping[str, Pair] = {
    "provider_number": ("渠道支付单号一致", "the channel's number of the payment"),
    "our_number": ("我方订单号一致", "our own number"),
    "line_number": ("流水号一致", "the number of the line"),
    "payout_number": ("打款单号一致", "the number of the payout"),
    "entry_number": ("单据号一致", "the number of the document"),
    "channel_says": ("按渠道打款记录入账", "posted on the channel's word"),
    "amount_day_payer": ("金额、日期、付款人均唯一相符", "amount, day and payer together, one of each"),
    "agreed_price": ("符合约定收费", "the agreed price"),
    "bank_says": ("按银行流水入账", "posted on the bank's word"),
    "person": ("人工匹配", "by a person"),
}
FIELDS: Mapping[str, Pair] = {
    "pay_ref": ("支付单号", "payment number"),
    "our_ref": ("我方单号", "our number"),
    "external_id": ("流水号", "line number"),
    "payout_ref": ("打款单号", "payout number"),
    "number": ("单号", "number"),
    "amount_fen": ("金额", "amount"),
    "fee_fen": ("手续费", "fee"),
    "value_on": ("日期", "day"),
    "payer": ("付款人", "payer"),
    "note": ("附言", "text"),
    "parts": ("明细合计", "sum of its parts"),
}
STATES: Mapping[str, Pair] = {
    "waiting": ("等账单", "statement not due yet"),
    "no_statement": ("缺账单", "statement missing"),
    "open": ("有差异", "open cases"),
    "clean": ("已对平", "reconciled"),
}
FORMATS: Mapping[str, Pair] = {
    "stripe_report": ("Stripe 打款明细报表 (CSV)", "Stripe itemised payout report"),
    "stripe_api": ("Stripe 接口", "Stripe API"),
    "wechat_trade": ("微信交易账单", "WeChat trade bill"),
    "wechat_flow": ("微信资金账单", "WeChat fund flow"),
    "alipay": ("支付宝账务明细", "Alipay account details"),
    "bank_csv": ("银行流水 CSV", "bank CSV"),
    "camt053": ("银行对账单 camt.053", "camt.053"),
    "mt940": ("银行对账单 MT940", "MT940"),
}


def both(table: Mapping[str, Pair], code: str) -> Pair:
    """The words for a code; a code that has none stands for itself."""
    return table.get(code, (code, code))
