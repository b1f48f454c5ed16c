"""Daily bills as files: the trade bill by orders and refunds, the fund flow by lines of the account.

Days are Beijing's. Values carry a backtick before them, amounts are yuan, fees have five decimals, and two
lines of totals end the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from simulators.wechat.errors import WechatRefusedError, invalid, wrong_parameter
from simulators.wechat.refunds import yuan
from simulators.wechat.settings import BEIJING
from simulators.wechat.state import Account, Order, Refund, beijing

ALL = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,"
    "货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,"
    "商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
FLOW = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
_ONLY_REFUNDS = (
    "微信退款单号",
    "商户退款单号",
    "退款金额",
    "充值券退款金额",
    "退款类型",
    "退款状态",
    "申请退款金额",
)
_REFUND_TIMES = ("退款申请时间", "退款成功时间")
BILL_STATUS = {"SUCCESS": "SUCCESS", "PROCESSING": "PROCESSING", "ABNORMAL": "CHANGE", "CLOSED": "FAIL"}
Row = dict[str, str]


def day_of(account: Account, text: str | None) -> date:
    """The day a bill is asked for.

    Raises:
        WechatRefusedError: no date, of a day not over, too old, or not made yet.
    """
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        raise wrong_parameter("bill_date", "格式应为 yyyy-MM-DD") from None
    settings = account.settings
    today = beijing(account.now).date()
    if day >= today or day < today - timedelta(days=settings.bill_kept_days):
        raise invalid("账单日期应在今天之前、三个月以内")
    ready = datetime(day.year, day.month, day.day, settings.bill_ready_hour, tzinfo=BEIJING)
    if account.now < (ready + timedelta(days=1)).timestamp():
        raise WechatRefusedError("STATEMENT_CREATING", "账单生成中，请在 10 点后再试")
    return day


def trade_bill(account: Account, day: date, kind: str, mchid: str) -> str:
    """The trade bill of a day; `kind` ALL, SUCCESS (payments only) or REFUND (refunds only).

    Raises:
        WechatRefusedError: another kind, or nothing happened that day.
    """
    if kind not in ("ALL", "SUCCESS", "REFUND"):
        raise wrong_parameter("bill_type", "应为 ALL、SUCCESS 或 REFUND")
    paid = [one for one in account.orders.values() if one.paid_at is not None and _on(one.paid_at, day)]
    given = [one for one in account.refunds.values() if _on(one.made_at, day)]
    dated = [(one.paid_at or 0, _payment(account, one, mchid)) for one in paid if kind != "REFUND"]
    dated += [(one.made_at, _refund(account, one, mchid)) for one in given if kind != "SUCCESS"]
    rows = [row for _, row in sorted(dated, key=lambda pair: pair[0])]
    if not rows:
        raise _nothing()
    return _file(_columns(kind), rows, _totals(kind, paid, given))


def fund_flow(account: Account, day: date) -> str:
    """The fund flow of a day.

    Raises:
        WechatRefusedError: nothing happened that day.
    """
    flows = [one for one in account.flows if _on(one.at, day)]
    if not flows:
        raise _nothing()
    columns = FLOW.split(",")
    rows = [
        dict(
            zip(
                columns,
                (
                    _clock(one.at),
                    one.business_no,
                    one.flow_no,
                    one.name,
                    one.kind,
                    "收入" if one.amount_fen > 0 else "支出",
                    yuan(abs(one.amount_fen)),
                    yuan(one.balance_fen),
                    one.by,
                    one.note,
                    one.voucher,
                ),
                strict=True,
            )
        )
        for one in flows
    ]
    came = [one.amount_fen for one in flows if one.amount_fen > 0]
    went = [-one.amount_fen for one in flows if one.amount_fen <= 0]
    totals = {
        "资金流水总笔数": str(len(flows)),
        "收入笔数": str(len(came)),
        "收入金额": yuan(sum(came)),
        "支出笔数": str(len(went)),
        "支出金额": yuan(sum(went)),
    }
    return _file(columns, rows, totals)


def _columns(kind: str) -> list[str]:
    columns = ALL.split(",")
    if kind == "SUCCESS":
        return [name for name in columns if name not in _ONLY_REFUNDS]
    if kind == "REFUND":
        place = columns.index("微信退款单号")
        return [*columns[:place], *_REFUND_TIMES, *columns[place:]]
    return columns


def _payment(account: Account, order: Order, mchid: str) -> Row:
    return _common(account, order, mchid) | {
        "交易时间": _clock(order.paid_at or 0),
        "交易状态": "SUCCESS",
        "应结订单金额": yuan(order.total_fen),
        "微信退款单号": "0",
        "商户退款单号": "0",
        "退款金额": "0.00",
        "退款类型": "",
        "退款状态": "",
        "手续费": _fee(order.fee_fen),
        "订单金额": yuan(order.total_fen),
        "申请退款金额": "0.00",
    }


def _refund(account: Account, refund: Refund, mchid: str) -> Row:
    return _common(account, account.orders[refund.out_trade_no], mchid) | {
        "交易时间": _clock(refund.made_at),
        "交易状态": "REFUND",
        "应结订单金额": "0.00",
        "微信退款单号": refund.refund_id,
        "商户退款单号": refund.out_refund_no,
        "退款金额": yuan(refund.amount_fen),
        "退款类型": "ORIGINAL",
        "退款状态": BILL_STATUS[refund.status],
        "手续费": _fee(-refund.fee_fen),
        "订单金额": "0.00",
        "申请退款金额": yuan(refund.amount_fen),
        "退款申请时间": _clock(refund.made_at),
        "退款成功时间": _clock(refund.done_at) if refund.status == "SUCCESS" and refund.done_at else "",
    }


def _common(account: Account, order: Order, mchid: str) -> Row:
    rate = account.settings.fee_basis_points
    return {
        "公众账号ID": order.appid,
        "商户号": mchid,
        "特约商户号": "0",
        "设备号": "",
        "微信订单号": order.transaction_id or "",
        "商户订单号": order.out_trade_no,
        "用户标识": order.openid,
        "交易类型": order.trade_type,
        "付款银行": "OTHERS",
        "货币种类": "CNY",
        "代金券金额": "0.00",
        "充值券退款金额": "0.00",
        "商品名称": order.description.replace(",", " "),
        "商户数据包": (order.attach or "").replace(",", " "),
        "费率": f"{rate // 100}.{rate % 100:02d}%",
        "费率备注": "",
    }


def _totals(kind: str, paid: Sequence[Order], given: Sequence[Refund]) -> Row:
    orders = [] if kind == "REFUND" else paid
    refunds = [] if kind == "SUCCESS" else given
    total = sum(one.total_fen for one in orders)
    back = sum(one.amount_fen for one in refunds)
    fees = sum(one.fee_fen for one in orders) - sum(one.fee_fen for one in refunds)
    every = {
        "总交易单数": str(len(orders) + len(refunds)),
        "应结订单总金额": yuan(total),
        "退款总金额": yuan(back),
        "充值券退款总金额": "0.00",
        "手续费总金额": _fee(fees),
        "订单总金额": yuan(total),
        "申请退款总金额": yuan(back),
    }
    if kind == "SUCCESS":
        return {name: value for name, value in every.items() if "退款" not in name}
    return every


def _file(columns: Sequence[str], rows: Iterable[Row], totals: Row) -> str:
    lines = [",".join(columns)]
    lines += [",".join("`" + row[name] for name in columns) for row in rows]
    lines += [",".join(totals), ",".join("`" + value for value in totals.values())]
    return "\n".join(lines) + "\n"


def _on(moment: int, day: date) -> bool:
    return beijing(moment).date() == day


def _clock(moment: int) -> str:
    return beijing(moment).strftime("%Y-%m-%d %H:%M:%S")


def _fee(amount_fen: int) -> str:
    return yuan(amount_fen) + "000"


def _nothing() -> WechatRefusedError:
    return WechatRefusedError("NO_STATEMENT_EXIST", "账单文件不存在：当天没有交易")
