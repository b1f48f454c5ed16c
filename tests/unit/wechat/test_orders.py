"""Orders, signatures and notices of the simulated WeChat Pay."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import Any

import pytest
import requests
import responses
from cryptography import x509
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from simulators.stripe.deliveries import DeliveryPlan
from simulators.stripe.faults import Fault
from simulators.wechat.core import RETRY_AFTER_S, WechatCore
from simulators.wechat.errors import WechatRefusedError
from simulators.wechat.keys import Merchant, platform_with_certificate
from simulators.wechat.mock import register

NATIVE = "/v3/pay/transactions/native"


def test_a_native_order_is_placed_paid_queried_and_told(client: Any, core: WechatCore) -> None:
    status, placed = client.post(NATIVE, client.order(attach="book=b1"))
    assert status == 200
    assert placed["code_url"].startswith("weixin://wxpay/bizpayurl?pr=")
    waiting = client.query()
    assert (waiting["trade_state"], waiting["amount"]) == ("NOTPAY", {"total": 30_000, "currency": "CNY"})
    core.pay("ORDER0001")
    paid = client.query()
    assert (paid["trade_state"], paid["trade_type"], paid["attach"]) == ("SUCCESS", "NATIVE", "book=b1")
    assert paid["success_time"] == "2026-11-02T10:00:00+08:00"
    by_id = client.get(f"/v3/pay/transactions/id/{paid['transaction_id']}?mchid=1900000109")[1]
    assert by_id == paid
    (notice,) = core.due_notices()
    assert notice.url == "https://estate.example/webhooks/wechat"
    kind, told = client.open(notice)
    assert (kind, told["out_trade_no"], told["amount"]["total"]) == (
        "TRANSACTION.SUCCESS",
        "ORDER0001",
        30_000,
    )
    assert told["mchid"] == "1900000109"


def test_jsapi_and_h5_orders(client: Any) -> None:
    jsapi = client.order("ORDER0002", payer={"openid": "oUser"})
    assert "prepay_id" in client.post("/v3/pay/transactions/jsapi", jsapi)[1]
    h5 = client.order("ORDER0003", scene_info={"payer_client_ip": "192.0.2.1", "h5_info": {"type": "Wap"}})
    assert "h5_url" in client.post("/v3/pay/transactions/h5", h5)[1]
    assert client.post("/v3/pay/transactions/jsapi", client.order("ORDER0004"))[1]["code"] == "PARAM_ERROR"
    assert client.post("/v3/pay/transactions/h5", client.order("ORDER0005"))[1]["code"] == "PARAM_ERROR"


def test_an_order_asked_for_again_is_the_same_order_while_unpaid(client: Any, core: WechatCore) -> None:
    first = client.post(NATIVE, client.order())[1]
    assert client.post(NATIVE, client.order())[1] == first
    other = client.post(NATIVE, client.order(total=1))
    assert (other[0], other[1]["code"]) == (403, "OUT_TRADE_NO_USED")
    core.pay("ORDER0001")
    assert client.post(NATIVE, client.order())[1] == {"code": "INVALID_REQUEST", "message": "该订单已支付"}
    with pytest.raises(WechatRefusedError, match="不能再付款"):
        core.pay("ORDER0001")


def test_a_closed_order_cannot_be_paid_or_placed_again(client: Any, core: WechatCore) -> None:
    client.post(NATIVE, client.order())
    close = "/v3/pay/transactions/out-trade-no/ORDER0001/close"
    answer = client.ask("POST", close, {"mchid": "1900000109"})
    assert (answer.status, answer.body) == (204, b"")
    assert client.query()["trade_state"] == "CLOSED"
    with pytest.raises(WechatRefusedError):
        core.pay("ORDER0001")
    assert client.post(NATIVE, client.order())[1]["code"] == "ORDER_CLOSED"
    client.place_and_pay("ORDER0002")
    refused = client.post(close.replace("0001", "0002"), {"mchid": "1900000109"})
    assert refused[1]["code"] == "ORDERPAID"


def test_an_expired_order_says_unpaid_for_two_weeks_but_takes_no_money(client: Any, core: WechatCore) -> None:
    client.post(NATIVE, client.order(time_expire="2026-11-02T10:30:00+08:00"))
    core.forward(1_800)
    with pytest.raises(WechatRefusedError, match="已过期"):
        core.pay("ORDER0001")
    assert client.query()["trade_state"] == "NOTPAY"
    core.forward(14 * 24 * 3600)
    assert client.query()["trade_state"] == "CLOSED"


@pytest.mark.parametrize(
    "change",
    [
        {"amount": {"total": 0}},
        {"amount": {"total": 1.5}},
        {"amount": {"total": "100"}},
        {"amount": {"total": 100, "currency": "USD"}},
        {"out_trade_no": "short"},
        {"out_trade_no": "with space 1"},
        {"description": ""},
        {"notify_url": "https://e.example/x?a=1"},
        {"notify_url": "nowhere"},
        {"attach": "x" * 129},
        {"time_expire": "tomorrow"},
        {"time_expire": "2026-11-02T10:30:00"},
        {"time_expire": "2026-11-01T10:00:00+08:00"},
        {"surprise": 1},
        {"mchid": "1"},
        {"appid": "wx1"},
    ],
)
def test_a_wrong_order_is_refused_and_leaves_nothing(
    client: Any, core: WechatCore, change: dict[str, Any]
) -> None:
    status, refused = client.post(NATIVE, client.order() | change)
    assert status == 400
    assert refused["code"] in ("PARAM_ERROR", "MCH_NOT_EXISTS", "APPID_MCHID_NOT_MATCH")
    assert core.act(lambda account: len(account.orders)) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"signature": "AAAA"},
        {"signature": "not base64"},
        {"mchid": "1"},
        {"serial_no": "FF"},
        {"timestamp": "1"},
        {"timestamp": "soon"},
    ],
)
def test_a_request_that_is_not_signed_right_is_401(
    client: Any, core: WechatCore, wrong: dict[str, str]
) -> None:
    target = "/v3/pay/transactions/out-trade-no/ORDER0001?mchid=1900000109"
    answer = core.handle("GET", target, b"", client.headers("GET", target, b"", **wrong))
    assert (answer.status, json.loads(answer.body)["code"]) == (401, "SIGN_ERROR")


def test_a_signature_covers_method_address_and_body(client: Any, core: WechatCore) -> None:
    body = json.dumps(client.order()).encode()
    good = client.headers("POST", NATIVE, body)
    for method, target, sent in (
        ("POST", NATIVE, body + b" "),
        ("POST", NATIVE + "?x=1", body),
        ("GET", NATIVE, body),
    ):
        assert core.handle(method, target, sent, good).status == 401
    assert core.handle("POST", NATIVE, body, {}).status == 401
    assert core.handle("POST", NATIVE, body, good).status == 200


def test_an_unknown_interface_is_404_and_rubbish_a_parameter_error(client: Any) -> None:
    assert client.get("/v3/unicorns")[0] == 404
    assert (
        client.get("/v3/pay/transactions/out-trade-no/NOTHING1?mchid=1900000109")[1]["code"]
        == "ORDER_NOT_EXIST"
    )
    raw = b"\xff\xfe"
    answer = client.core.handle("POST", NATIVE, raw, client.headers("POST", NATIVE, raw))
    assert json.loads(answer.body)["code"] == "PARAM_ERROR"


def test_a_notice_is_tried_fifteen_times_in_a_day(client: Any, core: WechatCore) -> None:
    client.place_and_pay()
    sent = 0
    for _ in range(2_000):
        for notice in core.due_notices():
            sent += 1
            core.delivered(notice, 500)
        due = core.next_notice_due()
        if due is None:
            break
        core.forward(max(0.0, due - core.now()) + 0.001)
    assert sent == len(RETRY_AFTER_S) + 1


def test_copies_and_loss_on_demand(client: Any, core: WechatCore) -> None:
    core.plan_deliveries(DeliveryPlan(copies=3))
    client.place_and_pay()
    assert len({json.loads(notice.body)["id"] for notice in core.due_notices()}) == 1
    core.plan_deliveries(DeliveryPlan(lose_permille=1000))
    client.place_and_pay("ORDER0002")
    assert core.due_notices() == []
    assert client.query("ORDER0002")["trade_state"] == "SUCCESS"


def test_failures_of_the_channel_on_demand(client: Any, core: WechatCore) -> None:
    for kind, status in (("error_before", 500), ("lock_timeout", 429)):
        core.plan_fault(Fault(kind, path="/v3/"))
        assert client.post(NATIVE, client.order())[0] == status
        assert core.act(lambda account: len(account.orders)) == 0
    core.plan_fault(Fault("error_after", path="/v3/"))
    assert client.post(NATIVE, client.order())[0] == 500
    assert client.query()["trade_state"] == "NOTPAY"


def test_the_platforms_certificate_is_sealed_and_signs(
    clock: Any, merchant: Merchant, platform_key: Any, merchant_key: Any, client: Any
) -> None:
    core = WechatCore(clock, Random(1), merchant, platform_with_certificate(platform_key))
    holder = type(client)(core, merchant_key, platform_key.public_key())
    status, listed = holder.get("/v3/certificates")
    assert status == 200
    sealed = listed["data"][0]["encrypt_certificate"]
    plain = AESGCM(merchant.api_v3_key.encode()).decrypt(
        sealed["nonce"].encode(), base64.b64decode(sealed["ciphertext"]), sealed["associated_data"].encode()
    )
    certificate = x509.load_pem_x509_certificate(plain)
    assert f"{certificate.serial_number:X}" == listed["data"][0]["serial_no"]
    assert certificate.public_key() == platform_key.public_key()
    assert client.get("/v3/certificates")[0] == 404  # that one is checked by public key


def test_a_key_of_the_wrong_length_is_refused(merchant_key: Any) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Merchant("1", "wx", "AB", merchant_key.public_key(), "short")


def test_it_is_reached_through_responses(client: Any, core: WechatCore) -> None:
    body = json.dumps(client.order()).encode()
    with responses.RequestsMock() as mock:
        register(core, mock)
        answer = requests.post(
            "https://api.mch.weixin.qq.com" + NATIVE,
            data=body,
            headers=client.headers("POST", NATIVE, body),
            timeout=5,
        )
        mock.assert_all_requests_are_fired = False
    assert answer.status_code == 200
    client.check(answer.headers, answer.content)
