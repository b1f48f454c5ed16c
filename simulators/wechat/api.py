"""What each request of the API does, on the account as it is now."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec

from simulators.wechat import bills, orders, refunds
from simulators.wechat.errors import WechatRefusedError, invalid, wrong_parameter
from simulators.wechat.keys import Merchant, Platform, pem, seal
from simulators.wechat.state import Account

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered: facts to be signed, or a file as it is."""

    status: int
    facts: object = None
    file: bytes | None = None
    file_kind: str = ""


class Api:
    """The operations of one merchant's account; used under the core's lock.

    Args:
        await_refund: told of each new refund, so that it is decided later.
    """

    def __init__(
        self,
        account: Account,
        merchant: Merchant,
        platform: Platform,
        base_url: str,
        await_refund: Callable[[str], None],
    ) -> None:
        self._book = account
        self._merchant = merchant
        self._platform = platform
        self._base_url = base_url
        self._await_refund = await_refund
        self._files: dict[str, tuple[int, bytes, str]] = {}
        orders_at = "/v3/pay/transactions"
        refunds_at = "/v3/refund/domestic/refunds"
        self._routes: tuple[tuple[str, str, Callable[..., Reply]], ...] = (
            ("POST", f"{orders_at}/(native|jsapi|h5)", self._place),
            ("GET", f"{orders_at}/id/([^/]+)", self._query_by_transaction),
            ("GET", f"{orders_at}/out-trade-no/([^/]+)", self._query),
            ("POST", f"{orders_at}/out-trade-no/([^/]+)/close", self._close),
            ("POST", refunds_at, self._refund),
            ("GET", f"{refunds_at}/([^/]+)", self._query_refund),
            ("GET", "/v3/bill/tradebill", self._trade_bill),
            ("GET", "/v3/bill/fundflowbill", self._fund_flow),
            ("GET", "/v3/billdownload/file", self._download),
            ("GET", "/v3/certificates", self._certificates),
        )

    def reply(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Reply:
        """Do what a request asks for.

        Raises:
            WechatRefusedError: it cannot be done.
        """
        for wanted, pattern, run in self._routes:
            if wanted == method and (found := re.fullmatch(pattern, path)):
                return run(query, body, *(unquote(one) for one in found.groups()))
        raise WechatRefusedError("RESOURCE_NOT_EXISTS", f"没有这个接口：{method} {path[:100]}", 404)

    def _place(self, _: Mapping[str, str], body: bytes, kind: str) -> Reply:
        wanted = _read(body, orders.NewOrder)
        self._check_mchid(wanted.mchid)
        return Reply(200, orders.place(self._book, kind, wanted, self._merchant.appid))

    def _query(self, query: Mapping[str, str], _: bytes, number: str) -> Reply:
        self._check_mchid(query.get("mchid", ""))
        found = orders.query(self._book, number)
        return Reply(200, {"mchid": self._merchant.mchid, **found})

    def _query_by_transaction(self, query: Mapping[str, str], _: bytes, number: str) -> Reply:
        self._check_mchid(query.get("mchid", ""))
        found = orders.query_by_transaction(self._book, number)
        return Reply(200, {"mchid": self._merchant.mchid, **found})

    def _close(self, _: Mapping[str, str], body: bytes, number: str) -> Reply:
        self._check_mchid(_read(body, _Closing).mchid)
        orders.close(self._book, number)
        return Reply(204, None)

    def _refund(self, _: Mapping[str, str], body: bytes) -> Reply:
        refund, is_new = refunds.ask(self._book, _read(body, refunds.NewRefund))
        if is_new:
            self._await_refund(refund.out_refund_no)
        return Reply(200, refunds.shown(self._book, refund))

    def _query_refund(self, _unused: Mapping[str, str], _: bytes, number: str) -> Reply:
        return Reply(200, refunds.query(self._book, number))

    def _trade_bill(self, query: Mapping[str, str], _: bytes) -> Reply:
        day = bills.day_of(self._book, query.get("bill_date"))
        kind = query.get("bill_type", "ALL")
        text = bills.trade_bill(self._book, day, kind, self._merchant.mchid)
        return self._offered(text, query.get("tar_type"))

    def _fund_flow(self, query: Mapping[str, str], _: bytes) -> Reply:
        if query.get("account_type", "BASIC") != "BASIC":
            raise wrong_parameter("account_type", "这里只有 BASIC 账户")
        day = bills.day_of(self._book, query.get("bill_date"))
        return self._offered(bills.fund_flow(self._book, day), query.get("tar_type"))

    def _offered(self, text: str, packing: str | None) -> Reply:
        if packing not in (None, "", "GZIP"):
            raise wrong_parameter("tar_type", "应为 GZIP 或不填")
        raw = text.encode()
        token = self._book.word(64)
        packed = gzip.compress(raw, mtime=0) if packing == "GZIP" else raw
        kind = "application/x-gzip" if packing == "GZIP" else "text/plain; charset=utf-8"
        self._files[token] = (self._book.now + self._book.settings.download_open_s, packed, kind)
        return Reply(
            200,
            {
                "hash_type": "SHA1",
                "hash_value": hashlib.sha1(raw).hexdigest(),  # noqa: S324 (the original's own check sum)
                "download_url": f"{self._base_url}/v3/billdownload/file?token={token}",
            },
        )

    def _download(self, query: Mapping[str, str], _: bytes) -> Reply:
        until, content, kind = self._files.get(query.get("token", ""), (0, b"", ""))
        if self._book.now > until:
            raise invalid("下载地址无效或已过期，请重新申请账单")
        return Reply(200, file=content, file_kind=kind)

    def _certificates(self, _unused: Mapping[str, str], _: bytes) -> Reply:
        certificate = self._platform.certificate
        if certificate is None:
            raise WechatRefusedError("RESOURCE_NOT_EXISTS", "无可用的平台证书，请使用微信支付公钥", 404)
        nonce = self._book.word(12)
        sealed = seal(self._merchant.api_v3_key, pem(certificate), nonce, "certificate")
        return Reply(
            200,
            {
                "data": [
                    {
                        "serial_no": self._platform.serial,
                        "effective_time": certificate.not_valid_before_utc.isoformat(),
                        "expire_time": certificate.not_valid_after_utc.isoformat(),
                        "encrypt_certificate": {
                            "algorithm": "AEAD_AES_256_GCM",
                            "nonce": nonce,
                            "associated_data": "certificate",
                            "ciphertext": sealed,
                        },
                    }
                ]
            },
        )

    def _check_mchid(self, mchid: str) -> None:
        if mchid != self._merchant.mchid:
            raise WechatRefusedError("MCH_NOT_EXISTS", "商户号不存在")


class _Closing(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    mchid: str


# Made at import: msgspec 0.22 crashes where two threads are the first to use a Struct, both at once.
_DECODERS: dict[type[Any], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (_Closing, orders.NewOrder, refunds.NewRefund)
}


def _read(body: bytes, kind: type[T]) -> T:
    try:
        found: T = _DECODERS[kind].decode(body)
        return found
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WechatRefusedError("PARAM_ERROR", f"参数错误：{error}") from error
