"""The state machine: one signed request in, one signed answer out; notices signed and sealed.

Safe for threads: requests take turns.
"""

from __future__ import annotations

import heapq
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from simulators.stripe.deliveries import Attempt, Delivered, Deliveries, DeliveryPlan, Notice
from simulators.stripe.faults import Fault, Faults
from simulators.wechat import orders, refunds
from simulators.wechat.api import Api, Reply
from simulators.wechat.errors import WechatRefusedError, badly_signed
from simulators.wechat.keys import Merchant, Platform, is_signed, seal, sign
from simulators.wechat.settings import DAY_S, MerchantSettings
from simulators.wechat.state import Account, Order, rfc3339

T = TypeVar("T")
# After each failed attempt, as the original documents it.
RETRY_AFTER_S = (
    *(15.0, 15.0, 30.0, 180.0, 600.0, 1_200.0, 1_800.0, 1_800.0, 1_800.0, 3_600.0),
    *(10_800.0, 10_800.0, 10_800.0, 21_600.0, 21_600.0),
)
FORWARD_S_MAX = 10 * 366 * DAY_S
WITHDRAW_AT_S = 2 * 3600  # 02:00 in Beijing
_TOKEN = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class WechatAnswer:
    """What a request was answered; `lost` means that the connection breaks instead."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    lost: bool = False


class WechatCore:
    """One simulated merchant account at WeChat Pay.

    Args:
        clock: the present moment, UTC-aware.
        random: where numbers and nonces come from.
        merchant: whose requests are let in.
        platform: who signs the answers.
        base_url: the address of the API, for download addresses.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        random: Random,
        merchant: Merchant,
        platform: Platform,
        settings: MerchantSettings | None = None,
        *,
        base_url: str = "https://api.mch.weixin.qq.com",
        retry_after_s: tuple[float, ...] = RETRY_AFTER_S,
    ) -> None:
        self.merchant = merchant
        self.settings = settings or MerchantSettings()
        self.faults = Faults()
        self._platform = platform
        self._clock = clock
        self._ahead_s = 0.0
        self._lock = threading.RLock()
        self._account = Account(self.settings, random)
        self._account.now = int(self.now())
        # Each wait comes once; the minute covers what the attempts themselves take.
        self._deliveries = Deliveries(Random(random.random()), retry_after_s, sum(retry_after_s) + 60)
        self._events: dict[str, dict[str, Any]] = {}
        self._api = Api(self._account, merchant, platform, base_url, self._await_refund)
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()
        if self.settings.withdraw_daily:
            self._later(self._next_withdrawal(), self._withdraw)

    def now(self) -> float:
        """The simulated moment, in seconds since 1970."""
        return self._clock().astimezone(UTC).timestamp() + self._ahead_s

    def handle(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> WechatAnswer:
        """Answer one API request; `target` is its path with the query, exactly as it was sent."""
        parts = urlsplit(target)
        try:
            self._check_signed(method, target, body, {name.lower(): text for name, text in headers.items()})
            fault = self.faults.take(method, parts.path)
            if fault is not None and fault in ("error_before", "lock_timeout", "rate_limit"):
                raise _fault_refusal(fault)
            if fault == "request_lost":
                return WechatAnswer(0, b"", {}, lost=True)
            with self._lock:
                self._advance()
                found = self._reply(self._api.reply(method, parts.path, _query(parts.query), body))
                self._advance()
            if fault == "error_after":
                raise _fault_refusal(fault)
            return WechatAnswer(found.status, found.body, found.headers, lost=fault == "answer_lost")
        except WechatRefusedError as refused:
            return self._signed(refused.status, {"code": refused.code, "message": refused.message})

    def act(self, deed: Callable[[Account], T]) -> T:
        """Look at the account, or have somebody do something that is no API request."""
        with self._lock:
            self._advance()
            return deed(self._account)

    def pay(self, out_trade_no: str) -> Order:
        """Somebody pays an order; its notice goes out.

        Raises:
            WechatRefusedError: it is paid, closed, out of date, or there is none.
        """
        with self._lock:
            self._advance()
            order = orders.pay(self._account, out_trade_no)
            facts = {"mchid": self.merchant.mchid, **orders.shown(order)}
            self._tell(order.notify_url, "TRANSACTION.SUCCESS", "支付成功", "transaction", facts)
            return order

    def forward(self, seconds: float) -> None:
        """Let time pass at once; what falls due happens at its own moment."""
        if not 0 <= seconds <= FORWARD_S_MAX:
            raise ValueError("time only goes forward, at most ten years at once")
        with self._lock:
            self._ahead_s += seconds
            self._advance()

    @property
    def plan(self) -> DeliveryPlan:
        """How notices fare now."""
        return self._deliveries.plan

    def plan_deliveries(self, plan: DeliveryPlan) -> None:
        """From now on notices fare like this."""
        with self._lock:
            self._deliveries.plan = plan

    def plan_fault(self, fault: Fault) -> None:
        """A failure of the channel to come."""
        self.faults.add(fault)

    def due_notices(self) -> list[Notice]:
        """Take the notices to be sent now; report each by `delivered`."""
        with self._lock:
            self._advance()
            return [self._notice(attempt) for attempt in self._deliveries.take_due(self.now())]

    def delivered(self, notice: Notice, status: int | None) -> None:
        """How sending went: the HTTP status, None if there was no answer."""
        with self._lock:
            self._deliveries.report(notice.attempt, status, self.now())

    def next_notice_due(self) -> float | None:
        """When the next notice has to leave."""
        with self._lock:
            return self._deliveries.next_due()

    def delivery_history(self) -> list[Delivered]:
        """Every attempt to deliver a notice so far."""
        with self._lock:
            return list(self._deliveries.history)

    def _check_signed(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> None:
        scheme, _, rest = headers.get("authorization", "").partition(" ")
        if scheme != "WECHATPAY2-SHA256-RSA2048":
            raise badly_signed("缺少 Authorization: WECHATPAY2-SHA256-RSA2048")
        given = dict(_TOKEN.findall(rest))
        if given.get("mchid") != self.merchant.mchid or given.get("serial_no") != self.merchant.serial:
            raise badly_signed("商户号或证书序列号不对")
        stamp, nonce = given.get("timestamp", ""), given.get("nonce_str", "")
        if not stamp.isdecimal() or len(stamp) > 12:
            raise badly_signed("时间戳不是整数")
        if abs(self.now() - int(stamp)) > self.settings.request_age_s_max:
            raise badly_signed("时间戳与当前时间相差太多")
        key = self.merchant.public_key
        if not is_signed(key, given.get("signature", ""), method, target, stamp, nonce, body):
            raise badly_signed("验签不通过")

    def _reply(self, reply: Reply) -> WechatAnswer:
        if reply.file is not None:  # unsigned, as the original's
            return WechatAnswer(reply.status, reply.file, {"Content-Type": reply.file_kind})
        return self._signed(reply.status, reply.facts)

    def _signed(self, status: int, facts: object) -> WechatAnswer:
        body = b"" if facts is None else json.dumps(facts, ensure_ascii=False).encode()
        with self._lock:
            headers = self._signature(body, int(self.now()))
            request_id = self._account.nonce()
        return WechatAnswer(
            status, body, {"Content-Type": "application/json", "Request-ID": request_id, **headers}
        )

    def _signature(self, body: bytes, moment: int) -> dict[str, str]:
        nonce = self._account.nonce()
        return {
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Timestamp": str(moment),
            "Wechatpay-Serial": self._platform.serial,
            "Wechatpay-Signature": sign(self._platform.private_key, str(moment), nonce, body),
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }

    def _tell(self, url: str, kind: str, summary: str, original: str, facts: dict[str, Any]) -> None:
        event_id = "EV-" + self._account.number(f"{self._account.now}", 24)
        nonce = self._account.word(12)
        self._events[event_id] = {
            "id": event_id,
            "create_time": rfc3339(self._account.now),
            "resource_type": "encrypt-resource",
            "event_type": kind,
            "summary": summary,
            "resource": {
                "original_type": original,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": seal(
                    self.merchant.api_v3_key,
                    json.dumps(facts, ensure_ascii=False).encode(),
                    nonce,
                    original,
                ),
                "associated_data": original,
                "nonce": nonce,
            },
        }
        event = {"id": event_id, "type": kind}
        self._deliveries.announce(event, [url], float(self._account.now))

    def _notice(self, attempt: Attempt) -> Notice:
        body = json.dumps(self._events[attempt.event_id], ensure_ascii=False).encode()
        moment = int(self.now()) + attempt.timestamp_offset_s
        headers = {"Content-Type": "application/json", "User-Agent": "Mozilla/4.0"}
        return Notice(attempt, attempt.endpoint_id, body, headers | self._signature(body, moment))

    def _await_refund(self, out_refund_no: str) -> None:
        moment = self._account.now + self.settings.refund_done_after_s
        self._later(moment, lambda: self._decide(out_refund_no))

    def _decide(self, out_refund_no: str) -> None:
        refund = refunds.decide(self._account, out_refund_no)
        if refund.notify_url is not None:
            kind, summary = refunds.EVENTS[refund.status]
            facts = refunds.told(self._account, refund, self.merchant.mchid)
            self._tell(refund.notify_url, kind, summary, "refund", facts)

    def _withdraw(self) -> None:
        """What was there when the day before ended goes to the bank."""
        account = self._account
        midnight = account.now - WITHDRAW_AT_S
        before = [one for one in account.flows if one.at < midnight]
        then = before[-1].balance_fen if before else self.settings.opening_balance_fen
        amount = min(then, account.balance_fen)
        if amount > 0:
            number = account.number("101", 26)
            account.book(number, "提现", "提现", -amount, "自动提现到银行账户", number, "system")
        self._later(account.now + DAY_S, self._withdraw)

    def _next_withdrawal(self) -> int:
        beijing_s = self._account.now + 8 * 3600
        today = self._account.now - beijing_s % DAY_S + WITHDRAW_AT_S
        return today if today > self._account.now else today + DAY_S

    def _later(self, moment: int, deed: Callable[[], None]) -> None:
        heapq.heappush(self._due, (moment, next(self._numbers), deed))

    def _advance(self) -> None:
        until = int(self.now())
        while self._due and self._due[0][0] <= until:
            moment, _, deed = heapq.heappop(self._due)
            self._account.now = max(self._account.now, moment)
            deed()
        self._account.now = max(self._account.now, until)


def _query(text: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _fault_refusal(kind: str) -> WechatRefusedError:
    if kind in ("lock_timeout", "rate_limit"):
        return WechatRefusedError("FREQUENCY_LIMITED", "频率超限，请稍后再试", 429)
    return WechatRefusedError("SYSTEM_ERROR", "系统异常，请稍后重试", 500)
