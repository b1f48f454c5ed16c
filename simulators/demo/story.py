"""The story that the demo plays on the running system; each step says what it expects and what it saw."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from simulators.demo.doorstep import Doorstep, Seen
from simulators.demo.people import CARD_ONLY, CHEN, HE, HUANG, LI, Resident
from simulators.demo.report import Report
from simulators.demo.stack import Stack
from simulators.demo.visitor import Visitor
from simulators.photos import DemoPhotos, second_view

SETTLED_WITHIN_S = 20.0
ARRIVES_WITHIN_S = 30.0


@dataclass(slots=True)
class Story:
    """Plays on `stack`; what one step finds out, a later one needs."""

    stack: Stack
    photos: DemoPhotos
    report: Report
    door: Doorstep = field(init=False)
    tenant: Visitor = field(default_factory=Visitor)
    receipt: str = ""
    paid_fen: int = 0

    def __post_init__(self) -> None:
        self.door = Doorstep(self.stack.doors_url)

    def play(self) -> None:
        """The whole story, in order."""
        self.at_the_doors()
        self.the_rent()
        self.the_cut_link()

    # -- doors --------------------------------------------------------------------------------

    def at_the_doors(self) -> None:
        """Residents, a stranger, and a face that the camera would not vouch for."""
        step = self.report.step
        photos = self.photos
        step(
            f"{CHEN.name}在{CHEN.estate}刷脸，另一张照片  |  another photograph of the same person opens",
            "open granted",
            lambda: said(self.door.face(entrance(CHEN), [photos.a[2].read_bytes()])),
        )
        step(
            f"{HUANG.name}在{HUANG.estate}刷脸，取景和明暗不同  |  a photograph seen by another camera",
            "open granted",
            lambda: said(self.door.face(entrance(HUANG), [second_view(photos.b)])),
        )
        step(
            f"{LI.name}在{LI.estate}刷脸  |  the same, at a third estate",
            "open granted",
            lambda: said(self.door.face(entrance(LI), [second_view(photos.c)])),
        )
        step(
            "其余八个小区的住户刷卡  |  residents of the other eight estates show their cards",
            "8 open",
            lambda: f"{sum(self.door.card(entrance(one), one.card).opened for one in CARD_ONLY)} open",
        )
        step(
            f"陌生人在{CHEN.estate}刷脸，不开门也不留身份  |  a stranger: stays shut, leaves no identity",
            "deny unknown_person, person: none",
            self.stranger,
        )
        step(
            "没有活体检测结果的人脸：请刷卡  |  a face without a liveness verdict is asked for a card",
            "ask liveness_missing, ask: card",
            lambda: said_ask(self.door.face(entrance(CHEN), [photos.a[2].read_bytes()], liveness=None)),
        )
        step(
            f"{CHEN.name}改为刷卡，门开了  |  the card opens",
            "open granted",
            lambda: said(self.door.card(entrance(CHEN), CHEN.card)),
        )
        step(
            f"{HE.name}没有同意人脸，刷卡照样进门  |  who said no to faces gets in by card as well",
            "open granted",
            lambda: said(self.door.card(entrance(HE), HE.card)),
        )

    def stranger(self) -> str:
        """Somebody who lives in another estate is a stranger here, and the record says nothing of who."""
        seen = self.door.face(entrance(CHEN), [self.photos.b.read_bytes()])
        row = self.wait_record(seen)
        return f"{said(seen)}, person: {'none' if row['person_id'] is None else 'kept'}"

    # -- rent ---------------------------------------------------------------------------------

    def the_rent(self) -> None:
        """A month is charged, a tenant pays it on the phone, the books show it."""
        step = self.report.step
        step(
            "财务申请计收一个月的租金，另一人同意  |  a month's rent: proposed by one, approved by another",
            "12 charged",
            self.charge_a_month,
        )
        step(
            f"{LI.name}登录手机页面，看到应交金额  |  the tenant logs in and sees what is owed",
            "owed: all that is charged and not paid",
            self.log_in_and_see,
        )
        step(
            "在支付渠道的页面上用微信支付付清  |  pays by WeChat Pay on the channel's page",
            "paid with a receipt",
            self.pay_by_wechat,
        )
        step(
            "签名通知只入账一次  |  the signed notice is settled exactly once",
            "notice kept, 1 payment, 1 entry",
            self.settled_once,
        )
        step(
            "财务人员在今日账簿看到这笔收款  |  finance sees the entry in today's ledger",
            "entry found, debits equal credits",
            self.in_the_ledger,
        )

    def charge_a_month(self) -> str:
        """The first month that is not charged yet: the demo may be played again on the same data."""
        charged_until = self.value("SELECT max(month) FROM rent_charge")
        month = date.today() if charged_until is None else charged_until + timedelta(days=31)  # noqa: DTZ011
        clerk, second = self.logged_in("finance"), self.logged_in("admin")
        clerk.open(f"{self.stack.pages_url}/finance/runs?month={month:%Y-%m}")
        clerk.submit({}, action="/finance/runs")
        second.open(clerk.url)
        second.submit({}, action="/decision", press=("verdict", "approve"))

        def charged() -> str:
            done = re.search(r'data-done="yes".*?(\d+) / \d+ 户', second.open(clerk.url), re.DOTALL)
            return f"{done[1]} charged" if done else "not charged yet"

        return wait_for(charged, "12 charged", SETTLED_WITHIN_S)

    def log_in_and_see(self) -> str:
        """Through the login form, to the page with the total."""
        login = next(one for one in self.stack.logins if one.name == LI.login)
        self.tenant.open(f"{self.stack.pages_url}/login")
        self.tenant.submit({"login": login.name, "password": login.password}, action="")
        page = self.tenant.open(f"{self.stack.pages_url}/my/rent")
        total = re.search(r"data-total>¥([\d,]+\.\d\d)<", page)
        self.paid_fen = int(re.sub(r"[,.]", "", total[1])) if total else 0
        owed_fen = self.value(
            "SELECT sum(c.amount_fen) - coalesce(sum(a.amount_fen), 0) FROM rent_charge c"
            " JOIN household_member m USING (household_id)"
            " LEFT JOIN (SELECT charge_id, sum(amount_fen) AS amount_fen FROM payment_allocation"
            " GROUP BY charge_id) a USING (charge_id) WHERE m.person_id = %s",
            self.stack.people[LI.ref],
        )
        same = self.paid_fen > 0 and self.paid_fen == owed_fen
        return (
            "owed: all that is charged and not paid"
            if same
            else f"page {self.paid_fen}, database {owed_fen} fen"
        )

    def pay_by_wechat(self) -> str:
        """Three taps: how much, WeChat Pay, and the channel's own page; then the receipt's page."""
        self.tenant.submit({"method": "wechat_pay"}, action="/my/payments")
        if not self.tenant.url.startswith(self.stack.channel_url):
            return f"was sent to {self.tenant.url}"
        self.tenant.submit({}, having=("kind", "wechat_pay"), press=("action", "pay"))
        return wait_for(self.receipt_shown, "paid with a receipt", SETTLED_WITHIN_S)

    def receipt_shown(self) -> str:
        """What the return page says now."""
        page = self.tenant.open(self.tenant.url)
        state = re.search(r'data-state="(\w+)"', page)
        receipt = re.search(r"data-receipt>([^<]+)<", page)
        self.receipt = receipt[1] if receipt else ""
        is_paid = state is not None and state[1] == "paid" and self.receipt
        return "paid with a receipt" if is_paid else f"state {state[1] if state else '?'}"

    def settled_once(self) -> str:
        """By the database: how many notices, payments and entries this receipt has."""
        payments = self.value("SELECT count(*) FROM payment WHERE receipt_number = %s", self.receipt)
        entries = self.value(
            "SELECT count(*) FROM journal_entry JOIN payment USING (entry_id) WHERE receipt_number = %s",
            self.receipt,
        )
        notices = self.value(
            "SELECT count(*) FROM provider_notice JOIN payment USING (payment_id) WHERE receipt_number = %s",
            self.receipt,
        )
        return f"notice {'kept' if notices else 'missing'}, {payments} payment, {entries} entry"

    def in_the_ledger(self) -> str:
        """As the finance clerk, on the page."""
        clerk = self.logged_in("finance")
        page = clerk.open(f"{self.stack.pages_url}/finance/today?estate={LI.estate}")
        sums = [re.search(rf"data-{side}>([^<]+)<", page) for side in ("debit", "credit")]
        amount = f"{self.paid_fen // 100:,}.{self.paid_fen % 100:02d}"
        found = self.receipt != "" and self.receipt in page and amount in page
        totals = {one[1] for one in sums if one is not None}
        verdict = "equal" if all(sums) and len(totals) == 1 else "differ from"
        return f"entry {'found' if found else 'missing'}, debits {verdict} credits"

    def logged_in(self, role: str) -> Visitor:
        """Somebody of the staff, at their desk."""
        login = next(one for one in self.stack.logins if one.role == role)
        visitor = Visitor()
        visitor.open(f"{self.stack.pages_url}/login")
        visitor.submit({"login": login.name, "password": login.password}, action="")
        return visitor

    # -- the link -----------------------------------------------------------------------------

    def the_cut_link(self) -> None:
        """Without the city, residents get in; the records arrive when it is back."""
        passages: list[Seen] = []

        def face() -> str:
            self.stack.link.cut()
            passages.append(self.door.face(entrance(CHEN), [self.photos.a[2].read_bytes()]))
            return said(passages[-1])

        def card() -> str:
            passages.append(self.door.card(entrance(LI), LI.card))
            return said(passages[-1])

        def not_arrived() -> str:
            return f"{sum(self.record(seen) is not None for seen in passages)} arrived"

        def arrived() -> str:
            self.stack.link.restore()
            return f"{sum(self.wait_record(seen)['outcome'] == 'open' for seen in passages)} arrived"

        step = self.report.step
        step(
            "城市端断线：刷脸照常进门  |  the link to the city is cut: a resident still gets in by face",
            "open granted",
            face,
        )
        step("断线：刷卡照常进门  |  and by card, at another estate", "open granted", card)
        step("断线期间记录留在小区  |  meanwhile the records stay at the estate", "0 arrived", not_arrived)
        step("恢复连接：记录补到  |  the link is back: the records arrive", "2 arrived", arrived)

    # -- looking into the database with the reader's role -------------------------------------

    def rows(self, query: LiteralString, *values: object) -> list[dict[str, Any]]:
        """Rows of a query, as the role that may only read."""
        with psycopg.connect(self.stack.reader_dsn, row_factory=dict_row) as connection:
            return connection.execute(query, values).fetchall()

    def value(self, query: LiteralString, *values: object) -> Any:
        """The one value of a query."""
        return next(iter(self.rows(query, *values)[0].values()))

    def record(self, seen: Seen) -> dict[str, Any] | None:
        """The backend's record of that event, if it has arrived."""
        rows = self.rows(
            "SELECT outcome, cause, person_id FROM access_record WHERE %s = ANY(event_ids)", seen.event_id
        )
        return rows[0] if rows else None

    def wait_record(self, seen: Seen) -> dict[str, Any]:
        """The backend's record of that event, as soon as it has arrived."""
        found: list[dict[str, Any]] = []

        def look() -> str:
            row = self.record(seen)
            found.extend([row] if row else [])
            return "there" if row else "not there"

        if wait_for(look, "there", ARRIVES_WITHIN_S) != "there":
            raise TimeoutError(
                f"the record of {seen.event_id} has not arrived within {ARRIVES_WITHIN_S:.0f} s"
            )
        return found[0]


def entrance(resident: Resident) -> str:
    """The door of the resident's building."""
    return f"{resident.estate}-a"


def said(seen: Seen) -> str:
    """An answer in few words; an opening counts only if the door really opened in time."""
    outcome = seen.outcome if seen.opened or seen.outcome != "open" else "open too late"
    return f"{outcome} {seen.cause}{'' if seen.recorded else ', not recorded'}"


def said_ask(seen: Seen) -> str:
    """An answer with what it asks for."""
    return f"{said(seen)}, ask: {' '.join(seen.ask)}"


def wait_for(look: Callable[[], str], wanted: str, seconds: float) -> str:
    """Look again until `wanted` is seen or the time is over; what was seen last."""
    deadline_s = time.monotonic() + seconds
    while (seen := look()) != wanted and time.monotonic() < deadline_s:
        time.sleep(0.2)
    return seen
