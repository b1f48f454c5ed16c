"""Refunds, the account's flow, and the daily bills of the simulated WeChat Pay."""

from __future__ import annotations

import gzip
import hashlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulators.wechat.core import WechatCore

REFUNDS = "/v3/refund/domestic/refunds"
DAY_S = 24 * 3600
TRADE = "/v3/bill/tradebill?bill_date=2026-11-02"
FLOW = "/v3/bill/fundflowbill?bill_date=2026-11-02"


def test_a_refund_is_accepted_then_done_and_told(client: Any, core: WechatCore) -> None:
    client.place_and_pay()
    core.due_notices()
    status, asked = client.post(REFUNDS, client.refund("R1", 10_000, reason="多收"))
    assert (status, asked["status"], asked["amount"]["refund"]) == (200, "PROCESSING", 10_000)
    assert client.query()["trade_state"] == "REFUND"
    core.forward(60)
    done = client.get(f"{REFUNDS}/R1")[1]
    assert (done["status"], done["success_time"]) == ("SUCCESS", "2026-11-02T10:01:00+08:00")
    (notice,) = core.due_notices()
    kind, told = client.open(notice)
    assert (kind, told["refund_status"], told["out_refund_no"]) == ("REFUND.SUCCESS", "SUCCESS", "R1")


def test_one_refund_number_gives_one_refund_however_often_it_is_asked_for(
    client: Any, core: WechatCore
) -> None:
    client.place_and_pay()
    first = client.post(REFUNDS, client.refund("R1", 10_000))[1]
    assert client.post(REFUNDS, client.refund("R1", 10_000))[1] == first
    assert client.post(REFUNDS, client.refund("R1", 10_001))[1]["code"] == "INVALID_REQUEST"
    assert core.act(lambda account: account.orders["ORDER0001"].refunded_fen) == 10_000


def test_not_more_than_is_left_goes_back(client: Any) -> None:
    client.place_and_pay()
    client.place_and_pay("ORDER0002")  # so that the account holds enough
    for number, amount, status in (
        ("R1", 20_000, 200),
        ("R2", 10_001, 400),
        ("R3", 10_000, 200),
        ("R4", 1, 400),
    ):
        assert client.post(REFUNDS, client.refund(number, amount))[0] == status


@pytest.mark.parametrize(
    ("reason", "status"), [("simulate=abnormal", "ABNORMAL"), ("simulate=closed", "CLOSED")]
)
def test_a_refund_that_fails_puts_the_money_back(
    client: Any, core: WechatCore, reason: str, status: str
) -> None:
    client.place_and_pay()
    before = core.act(lambda account: account.balance_fen)
    client.post(REFUNDS, client.refund("R1", 10_000, reason=reason))
    assert core.act(lambda account: account.balance_fen) == before - 10_000 + 60
    core.forward(60)
    assert core.act(lambda account: account.balance_fen) == before
    assert client.get(f"{REFUNDS}/R1")[1]["status"] == status
    assert client.query()["trade_state"] == "SUCCESS"
    assert client.open(core.due_notices()[-1])[0] == f"REFUND.{status}"


def test_what_the_account_does_not_hold_cannot_be_refunded(client: Any, core: WechatCore) -> None:
    client.place_and_pay()
    core.forward(DAY_S)  # withdrawn to the bank at 02:00
    assert core.act(lambda account: account.balance_fen) == 0
    status, refused = client.post(REFUNDS, client.refund("R1", 10_000))
    assert (status, refused["code"]) == (403, "NOT_ENOUGH")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": {"refund": 0, "total": 30_000, "currency": "CNY"}}, "PARAM_ERROR"),
        ({"amount": {"refund": 1, "total": 29_999, "currency": "CNY"}}, "INVALID_REQUEST"),
        ({"amount": {"refund": 1, "total": 30_000, "currency": "USD"}}, "PARAM_ERROR"),
        ({"out_refund_no": "with space"}, "PARAM_ERROR"),
        ({"reason": "x" * 81}, "PARAM_ERROR"),
        ({"out_trade_no": "NOTHING1"}, "ORDER_NOT_EXIST"),
        ({"out_trade_no": None}, "PARAM_ERROR"),
        ({"transaction_id": "42nothing"}, "ORDER_NOT_EXIST"),
    ],
)
def test_a_wrong_refund_is_refused(client: Any, change: dict[str, Any], code: str) -> None:
    client.place_and_pay()
    assert client.post(REFUNDS, client.refund("R1", 1) | change)[1]["code"] == code
    assert client.get(f"{REFUNDS}/R1")[1]["code"] == "RESOURCE_NOT_EXISTS"


def test_an_unpaid_order_and_one_of_last_year_are_not_refunded(client: Any, core: WechatCore) -> None:
    client.post("/v3/pay/transactions/native", client.order())
    assert client.post(REFUNDS, client.refund("R1", 1))[1]["message"] == "订单未支付，不能退款"
    core.pay("ORDER0001")
    core.forward(365 * DAY_S + 1)
    assert "一年" in client.post(REFUNDS, client.refund("R1", 1))[1]["message"]


def test_an_order_is_refunded_at_most_fifty_times(client: Any) -> None:
    client.place_and_pay()
    for number in range(50):
        assert client.post(REFUNDS, client.refund(f"R{number}", 1))[0] == 200
    assert "50" in client.post(REFUNDS, client.refund("R50", 1))[1]["message"]


def test_the_trade_bill_as_an_accountant_reads_it(client: Any, core: WechatCore) -> None:
    client.place_and_pay(attach="b1")
    core.forward(3_600)
    client.post(REFUNDS, client.refund("R1", 10_000))
    core.forward(DAY_S)
    rows = client.bill(TRADE + "&bill_type=ALL")
    assert len(rows[0]) == 27
    assert all(value.startswith("`") for row in rows[1:3] for value in row)
    paid, given = (dict(zip(rows[0], (value[1:] for value in row), strict=True)) for row in rows[1:3])
    assert (paid["交易时间"], paid["商户订单号"], paid["交易状态"]) == (
        "2026-11-02 10:00:00",
        "ORDER0001",
        "SUCCESS",
    )
    assert (paid["订单金额"], paid["手续费"], paid["费率"]) == ("300.00", "1.80000", "0.60%")
    assert (given["交易状态"], given["退款金额"], given["手续费"]) == ("REFUND", "100.00", "-0.60000")
    assert (given["商户退款单号"], given["退款状态"], given["订单金额"]) == ("R1", "SUCCESS", "0.00")
    totals = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
    assert ",".join(rows[3]) == totals
    assert rows[4] == ["`2", "`300.00", "`100.00", "`0.00", "`1.20000", "`300.00", "`100.00"]


def test_payments_and_refunds_have_bills_of_their_own_with_other_columns(
    client: Any, core: WechatCore
) -> None:
    client.place_and_pay()
    client.post(REFUNDS, client.refund("R1", 10_000))
    core.forward(DAY_S)
    success, refund = client.bill(TRADE + "&bill_type=SUCCESS"), client.bill(TRADE + "&bill_type=REFUND")
    assert "退款金额" not in success[0]
    assert "退款成功时间" in refund[0]
    assert [len(row) for row in success[:2]] == [20, 20]
    assert [len(row) for row in refund[:2]] == [29, 29]
    assert client.get(TRADE + "&bill_type=OTHER")[1]["code"] == "PARAM_ERROR"


def test_the_fund_flow_balances_line_by_line(client: Any, core: WechatCore) -> None:
    client.place_and_pay()
    client.post(REFUNDS, client.refund("R1", 10_000))
    core.forward(DAY_S)
    rows = client.bill(FLOW)
    lines = [dict(zip(rows[0], (value[1:] for value in row), strict=True)) for row in rows[1:-2]]
    assert [
        (one["业务类型"], one["收支类型"], one["收支金额(元)"], one["账户结余(元)"]) for one in lines
    ] == [
        ("交易", "收入", "300.00", "300.00"),
        ("扣除交易手续费", "支出", "1.80", "298.20"),
        ("退款", "支出", "99.40", "198.80"),
    ]
    assert lines[2]["备注"] == "退款总金额100.00元;含手续费0.60元"
    assert rows[-1] == ["`3", "`1", "`300.00", "`2", "`101.20"]
    core.forward(DAY_S)
    (withdrawal,) = client.bill(FLOW.replace("11-02", "11-03"))[1:-2]
    assert [value[1:] for value in withdrawal][3:8] == ["提现", "提现", "支出", "198.80", "0.00"]


def test_a_bill_is_there_from_nine_the_next_morning_for_three_months(client: Any, core: WechatCore) -> None:
    client.place_and_pay()
    assert client.get(TRADE)[1]["code"] == "INVALID_REQUEST"
    core.forward(14 * 3600)  # midnight in Beijing
    assert client.get(TRADE)[1]["code"] == "STATEMENT_CREATING"
    core.forward(9 * 3600)
    assert client.get(TRADE)[0] == 200
    core.forward(DAY_S)
    assert client.get(TRADE.replace("11-02", "11-03"))[1]["code"] == "NO_STATEMENT_EXIST"
    core.forward(92 * DAY_S)
    assert client.get(TRADE)[1]["code"] == "INVALID_REQUEST"
    assert client.get(TRADE.replace("2026-11-02", "yesterday"))[1]["code"] == "PARAM_ERROR"


def test_the_file_is_packed_summed_and_soon_gone(client: Any, core: WechatCore) -> None:
    client.place_and_pay()
    core.forward(DAY_S)
    offered = client.get(FLOW + "&account_type=BASIC&tar_type=GZIP")[1]
    target = offered["download_url"].removeprefix("https://api.mch.weixin.qq.com")
    file = client.ask("GET", target)
    assert "Wechatpay-Signature" not in file.headers
    plain = gzip.decompress(file.body)
    assert hashlib.sha1(plain).hexdigest() == offered["hash_value"]  # noqa: S324 (the original's)
    core.forward(301)
    assert json.loads(client.ask("GET", target).body)["code"] == "INVALID_REQUEST"
    assert client.get(FLOW + "&account_type=FEES")[1]["code"] == "PARAM_ERROR"
    assert client.get(FLOW + "&tar_type=ZIP")[1]["code"] == "PARAM_ERROR"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    total=st.integers(1, 1_000_000),
    parts=st.lists(st.tuples(st.integers(1, 400_000), st.booleans()), max_size=8),
    seed=st.integers(0, 10**6),
)
def test_account_and_orders_agree_to_the_fen(
    client: Any, core: WechatCore, total: int, parts: list[tuple[int, bool]], seed: int
) -> None:
    number = f"PAY{seed:03d}-{core.act(lambda account: len(account.orders))}"
    client.place_and_pay(number, total)
    for place, (amount, works) in enumerate(parts):
        reason = "退款" if works else "simulate=abnormal"
        asked = client.refund(f"{number}-{place}", amount, total, reason=reason, out_trade_no=number)
        assert client.post(REFUNDS, asked)[0] in (200, 400, 403)
        core.forward(61)

    def check(account: Any) -> None:
        assert account.balance_fen == sum(flow.amount_fen for flow in account.flows)
        net = sum(
            one.total_fen - one.fee_fen - one.refunded_fen + one.fee_returned_fen
            for one in account.orders.values()
            if one.paid_at is not None
        )
        withdrawn = -sum(flow.amount_fen for flow in account.flows if flow.kind == "提现")
        assert net == account.balance_fen + withdrawn
        for one in account.orders.values():
            assert 0 <= one.fee_returned_fen <= one.fee_fen
            assert one.refunded_fen < one.total_fen or one.fee_returned_fen == one.fee_fen

    core.act(check)
