"""A core on a hand-set clock, and a merchant's client written from the published rules for signatures."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from simulators.stripe.deliveries import Notice
from simulators.wechat.core import WechatAnswer, WechatCore
from simulators.wechat.keys import Merchant, Platform, make_key

API_V3_KEY = "0123456789abcdef0123456789abcdef"
NOTIFY = "https://estate.example/webhooks/wechat"


class Clock:
    """The simulated wall clock; it moves only when told."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 2, 2, 0, tzinfo=UTC)  # 10:00 in Beijing

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **span: float) -> None:
        self.moment += timedelta(**span)


class MerchantClient:
    """Signs requests, checks the answers' signatures, opens notices."""

    def __init__(self, core: WechatCore, key: rsa.RSAPrivateKey, platform: rsa.RSAPublicKey) -> None:
        self.core, self._key, self._platform = core, key, platform
        self.unsigned = False

    def headers(self, method: str, target: str, body: bytes, **wrong: str) -> dict[str, str]:
        given = {
            "mchid": self.core.merchant.mchid,
            "nonce_str": "N0NCE",
            "timestamp": str(int(self.core.now())),
            "serial_no": self.core.merchant.serial,
        } | wrong
        message = f"{method}\n{target}\n{given['timestamp']}\n{given['nonce_str']}\n".encode() + body + b"\n"
        raw = self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        given.setdefault("signature", base64.b64encode(raw).decode())
        fields = ",".join(f'{name}="{value}"' for name, value in given.items())
        return {"Authorization": f"WECHATPAY2-SHA256-RSA2048 {fields}"}

    def ask(self, method: str, target: str, body: dict[str, Any] | None = None) -> WechatAnswer:
        raw = json.dumps(body).encode() if body is not None else b""
        answer = self.core.handle(method, target, raw, self.headers(method, target, raw))
        if not answer.lost and "Wechatpay-Signature" in answer.headers:
            self.check(answer.headers, answer.body)
        return answer

    def post(self, target: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        answer = self.ask("POST", target, body)
        return answer.status, json.loads(answer.body or b"{}")

    def get(self, target: str) -> tuple[int, dict[str, Any]]:
        answer = self.ask("GET", target)
        return answer.status, json.loads(answer.body)

    def check(self, headers: Any, body: bytes) -> None:
        message = f"{headers['Wechatpay-Timestamp']}\n{headers['Wechatpay-Nonce']}\n".encode() + body + b"\n"
        signature = base64.b64decode(headers["Wechatpay-Signature"])
        self._platform.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())

    def open(self, notice: Notice) -> tuple[str, dict[str, Any]]:
        self.check(notice.headers, notice.body)
        told = json.loads(notice.body)
        resource = told["resource"]
        plain = AESGCM(API_V3_KEY.encode()).decrypt(
            resource["nonce"].encode(),
            base64.b64decode(resource["ciphertext"]),
            resource["associated_data"].encode(),
        )
        return told["event_type"], json.loads(plain)

    def order(self, number: str = "ORDER0001", total: int = 30_000, **more: Any) -> dict[str, Any]:
        return {
            "appid": self.core.merchant.appid,
            "mchid": self.core.merchant.mchid,
            "description": "2026年11月 租金",
            "out_trade_no": number,
            "notify_url": NOTIFY,
            "amount": {"total": total, "currency": "CNY"},
            **more,
        }

    def refund(self, number: str, amount: int, total: int = 30_000, **more: Any) -> dict[str, Any]:
        return {
            "out_trade_no": "ORDER0001",
            "out_refund_no": number,
            "notify_url": NOTIFY,
            "amount": {"refund": amount, "total": total, "currency": "CNY"},
            **more,
        }

    def place_and_pay(self, number: str = "ORDER0001", total: int = 30_000, **more: Any) -> None:
        assert self.post("/v3/pay/transactions/native", self.order(number, total, **more))[0] == 200
        self.core.pay(number)

    def query(self, number: str = "ORDER0001") -> dict[str, Any]:
        return self.get(f"/v3/pay/transactions/out-trade-no/{number}?mchid={self.core.merchant.mchid}")[1]

    def bill(self, target: str) -> list[list[str]]:
        status, offered = self.get(target)
        assert status == 200, offered
        file = self.ask("GET", offered["download_url"].removeprefix("https://api.mch.weixin.qq.com"))
        assert file.status == 200
        return [line.split(",") for line in file.body.decode().splitlines()]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def merchant_key() -> rsa.RSAPrivateKey:
    return make_key()


@pytest.fixture(scope="session")
def platform_key() -> rsa.RSAPrivateKey:
    return make_key()


@pytest.fixture
def merchant(merchant_key: rsa.RSAPrivateKey) -> Merchant:
    return Merchant("1900000109", "wx8888888888888888", "AB12", merchant_key.public_key(), API_V3_KEY)


@pytest.fixture
def core(clock: Clock, merchant: Merchant, platform_key: rsa.RSAPrivateKey) -> WechatCore:
    return WechatCore(clock, Random(7), merchant, Platform(platform_key, "PUB_KEY_ID_1"))


@pytest.fixture
def client(
    core: WechatCore, merchant_key: rsa.RSAPrivateKey, platform_key: rsa.RSAPrivateKey
) -> MerchantClient:
    return MerchantClient(core, merchant_key, platform_key.public_key())
