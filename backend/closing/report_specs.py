"""Which reports there are, and their columns."""

from __future__ import annotations

from collections.abc import Mapping

from backend.closing.reports import Period, ReportSpec
from backend.documents.columns import Column, Kind


def _fen(title: str, *, total: bool = True) -> Column:
    return Column(title, Kind.YUAN, total=total)


TRIAL_BALANCE = ReportSpec(
    "trial_balance",
    "试算平衡表",
    "Trial balance",
    (
        Column("科目编码", width=10),
        Column("科目名称", width=36),
        _fen("期初借方"),
        _fen("期初贷方"),
        _fen("本期借方"),
        _fen("本期贷方"),
        _fen("期末借方"),
        _fen("期末贷方"),
    ),
    "c1",
    "account",
)
GENERAL_LEDGER = ReportSpec(
    "general_ledger",
    "总账明细",
    "General ledger",
    (
        Column("科目编码", width=10),
        Column("日期", Kind.DATE),
        Column("凭证号", Kind.WHOLE),
        Column("摘要", width=40),
        _fen("借方"),
        _fen("贷方"),
        _fen("余额（借+贷−）", total=False),
    ),
    "c1, c2 NULLS FIRST, c3, place",
    "entry",
)
HOUSEHOLD_LEDGER = ReportSpec(
    "household_ledger",
    "分户账",
    "Household sub-ledger",
    (
        Column("户号", width=14),
        Column("科目编码", width=10),
        Column("科目名称", width=30),
        Column("日期", Kind.DATE),
        Column("凭证号", Kind.WHOLE),
        Column("摘要", width=40),
        _fen("借方"),
        _fen("贷方"),
        _fen("余额（借+贷−）", total=False),
    ),
    "c1, household_id, c2, c4 NULLS FIRST, c5, line_no",
    "entry",
)
SHOULD_ACTUAL_OWED = ReportSpec(
    "should_actual_owed",
    "应收实收欠收表",
    "Charged, received, owed",
    (
        Column("户号", width=14),
        Column("房源", width=14),
        _fen("期初欠收"),
        _fen("本期应收"),
        _fen("本期实收"),
        _fen("期末欠收"),
        Column("收缴率", Kind.SHARE),
    ),
    "c1, opens",
    "household",
)
AGEING = ReportSpec(
    "ageing",
    "账龄表",
    "Ageing of arrears",
    (
        Column("户号", width=14),
        Column("房源", width=14),
        _fen("未到期"),
        _fen("1–30天"),
        _fen("31–90天"),
        _fen("91–180天"),
        _fen("181–365天"),
        _fen("365天以上"),
        _fen("无账单"),
        _fen("合计欠收"),
    ),
    "c1, opens",
    "charges",
    period=Period.DAY,
)
COLLECTION = ReportSpec(
    "collection",
    "收缴率表",
    "Collection by estate and month",
    (
        Column("小区", width=20),
        Column("费用月份", width=10),
        _fen("应收"),
        _fen("已收"),
        _fen("未收"),
        Column("收缴率", Kind.SHARE),
    ),
    "c1, c2",
    "month",
    period=Period.MONTHS,
)
CHARGES_OF_MONTH = ReportSpec(
    "charges_of_month",
    "费用月份明细",
    "Charges of a month by household",
    (Column("户号", width=14), Column("费用月份", width=10), _fen("应收"), _fen("已收"), _fen("未收")),
    "c1, opens",
    "household",
    inner=True,
    period=Period.MONTHS,
)
OPEN_ITEMS = ReportSpec(
    "open_items",
    "欠费明细",
    "Open charges",
    (Column("户号", width=14), Column("费用月份", width=10), Column("到期日", Kind.DATE), _fen("未收")),
    "c1, opens, c3 NULLS LAST, c2, charge_id",
    "household",
    period=Period.DAY,
)
CASH_BOOK = ReportSpec(
    "cash_book",
    "现金银行日记账",
    "Cash book",
    (
        Column("科目编码", width=10),
        Column("科目名称", width=36),
        Column("日期", Kind.DATE),
        _fen("收入"),
        _fen("支出"),
        _fen("日末余额", total=False),
    ),
    "c1, c3 NULLS FIRST",
    "account",
)
REMITTANCES = ReportSpec(
    "remittances",
    "缴库清单",
    "Remittances to the treasury",
    (
        Column("日期", Kind.DATE),
        Column("缴款书号", width=24),
        Column("凭证号", Kind.WHOLE),
        Column("摘要", width=40),
        _fen("金额"),
    ),
    "c1, c3",
    "entry",
)
ESTATES = ReportSpec(
    "estates",
    "各小区收缴情况",
    "Estates: charged, received, owed",
    (
        Column("区县", width=12),
        Column("小区", width=20),
        Column("欠费户数", Kind.WHOLE, total=True),
        _fen("期初欠收"),
        _fen("本期应收"),
        _fen("本期实收"),
        _fen("期末欠收"),
        Column("收缴率", Kind.SHARE),
        _fen("待缴库"),
    ),
    "c1, c2, opens",
    "book",
)
DISTRICTS = ReportSpec(
    "districts",
    "各区收缴情况",
    "Districts: charged, received, owed",
    (
        Column("区县", width=12),
        Column("小区数", Kind.WHOLE, total=True),
        _fen("期初欠收"),
        _fen("本期应收"),
        _fen("本期实收"),
        _fen("期末欠收"),
        Column("收缴率", Kind.SHARE),
    ),
    "c1",
    "district",
)

REPORTS: Mapping[str, ReportSpec] = {
    spec.name: spec
    for spec in (
        TRIAL_BALANCE,
        GENERAL_LEDGER,
        HOUSEHOLD_LEDGER,
        SHOULD_ACTUAL_OWED,
        AGEING,
        OPEN_ITEMS,
        COLLECTION,
        CHARGES_OF_MONTH,
        CASH_BOOK,
        REMITTANCES,
        ESTATES,
        DISTRICTS,
    )
}
