"""A small month in all formats, and the accounts that it belongs to."""

from __future__ import annotations

from datetime import date
from functools import cache
from random import Random

from backend.reconciliation.accounts import Account, AccountSettings, CsvMapping, Rate
from backend.reconciliation.lines import Format
from simulators.bank import bank_files, channel_files
from simulators.bank.month import Channel, ChannelMonth, bank_month, channel_month
from simulators.bank.sample import sample_payments

FROM, TO = date(2026, 11, 1), date(2026, 12, 1)
MCHID, ALIPAY_NO, BANK_NO = "1900000109", "20881234567890120156", "44050167010100000001"
OPENING_FEN = 5_000_00
BOOK = "pengjiang-1"

MAPPING = CsvMapping(
    encoding="gb18030",
    day="交易日期",
    income="收入",
    expense="支出",
    balance="余额",
    number="流水号",
    account="账号",
    reference="附言",
    payer="对方户名",
    note="摘要",
)
STRIPE = Account(
    "stripe-main",
    "stripe",
    "acct_1",
    "Stripe",
    BOOK,
    "1021.01",
    AccountSettings(
        rates={
            "wechat_pay": Rate(basis_points=220),
            "alipay": Rate(basis_points=220),
            "card": Rate(basis_points=340, fixed_fen=235),
        },
        payout_lag_days=1,
    ),
    FROM,
)
WECHAT = Account(
    "wechat-main",
    "wechat",
    MCHID,
    "微信支付",
    BOOK,
    "1021.02",
    AccountSettings(rates={"wechat_pay": Rate(basis_points=60)}, refund_returns_fee=True, has_flow=True),
    FROM,
)
ALIPAY = Account(
    "alipay-main",
    "alipay",
    ALIPAY_NO,
    "支付宝",
    BOOK,
    "1021.03",
    AccountSettings(rates={"alipay": Rate(basis_points=60)}),
    FROM,
)
BANK = Account(
    "bank-main",
    "bank",
    BANK_NO,
    "示例银行",
    BOOK,
    "1002",
    AccountSettings(charges_fen={"来账手续费": 100}, csv=MAPPING),
    FROM,
)


@cache
def month_of(channel: Channel, count: int = 60, seed: int = 1) -> ChannelMonth:
    """A month of one channel without any error."""
    random = Random(seed)
    return channel_month(channel, sample_payments(channel, count, FROM, 30, [BOOK], random), random)


def wechat_day(month: ChannelMonth, day: date = date(2026, 11, 3)) -> dict[Format, bytes]:
    """Both bills of a day."""
    return {
        Format.WECHAT_TRADE: channel_files.wechat_trade_bills(month, MCHID)[day],
        Format.WECHAT_FLOW: channel_files.wechat_flow_bills(month)[day],
    }


@cache
def samples() -> dict[Format, tuple[Account, bytes]]:
    """One file of each format, without errors."""
    wechat = month_of("wechat")
    lines, _ = bank_month([wechat], Random(2))
    bank = (BANK_NO, OPENING_FEN, FROM, date(2026, 12, 5))
    found = {
        Format.STRIPE_REPORT: (STRIPE, channel_files.stripe_report(month_of("stripe"))),
        Format.ALIPAY: (
            ALIPAY,
            channel_files.alipay_zip(month_of("alipay"), ALIPAY_NO, FROM, date(2026, 12, 5)),
        ),
        Format.BANK_CSV: (BANK, bank_files.bank_csv(lines, BANK_NO, OPENING_FEN)),
        Format.CAMT053: (BANK, bank_files.camt053(lines, *bank)),
        Format.MT940: (BANK, bank_files.mt940(lines, *bank)),
    }
    return found | {name: (WECHAT, raw) for name, raw in wechat_day(wechat).items()}
