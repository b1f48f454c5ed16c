"""What the payment desk refuses, each in a sentence of its own."""

from __future__ import annotations

from datetime import date

from backend.errors import ExplainedError
from backend.identity.errors import RefusedError
from backend.identity.principal import Principal
from backend.payments.windows import ClosedFor


class AmountOutOfRangeError(ExplainedError):
    """An amount that cannot be paid: none, or more than what is owed and may be paid in advance."""

    code = "amount_out_of_range"

    def __init__(self, amount_fen: int, limit_fen: int) -> None:
        self.amount_fen, self.limit_fen = amount_fen, limit_fen
        limit = f"{limit_fen // 100:,}.{limit_fen % 100:02d}"
        super().__init__(
            f"现在可缴 0.01 至 {limit} 元，请改一下金额。",
            f"You can pay from 0.01 to {limit} yuan now; please change the amount.",
        )


class ForeignHouseholdError(RefusedError):
    """Somebody asks for the account or the checkout of a household that is not theirs."""

    code = "foreign_household"

    def __init__(self, who: Principal, action: str, household_id: str, estate_id: str) -> None:
        super().__init__(
            "这不是您家的账单。请从“我的房租”重新进入，或到小区服务窗口办理。",
            "This is not your household's bill. Start again from your own page, or ask at the counter.",
            actor=who.actor,
            action=action,
            object_kind="household",
            object_id=household_id,
            estate_id=estate_id,
        )


class CheckoutUnknownError(ExplainedError):
    """No checkout of that id."""

    code = "checkout_unknown"

    def __init__(self) -> None:
        super().__init__(
            "没有找到这笔支付，请从“我的房租”重新进入。",
            "There is no such payment; start again from your page.",
        )


class CheckoutClosedError(ExplainedError):
    """The same form sent again after its payment has ended, or with something else in it."""

    code = "checkout_closed"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(
            "这笔支付已经处理过，没有重复扣款。请回到“我的房租”查看。",
            "This payment was dealt with already and nothing was charged twice. See your page for its state.",
        )


class PaymentsNotSetUpError(ExplainedError):
    """No provider is configured."""

    code = "payments_not_set_up"

    def __init__(self) -> None:
        super().__init__(
            "还没有开通网上缴费，请到小区服务窗口缴费。",
            "Paying online is not set up here yet; please pay at the service counter.",
        )


class OnlineClosedError(ExplainedError):
    """The estate takes nothing online at this moment."""

    code = "online_closed"

    def __init__(self, reason: ClosedFor, opens_on: date) -> None:
        self.reason, self.opens_on = reason, opens_on
        why_zh, why_en = {
            ClosedFor.MONTH_END: ("月末结账", "the month is being closed"),
            ClosedFor.BANK_BATCH: ("银行正在代扣", "the bank is collecting"),
        }[reason]
        super().__init__(
            f"{why_zh}期间暂停网上缴费，{opens_on.month}月{opens_on.day}日恢复；没有扣款。"
            "现在也可以到服务窗口缴费。",
            f"Paying online is closed while {why_en}; it opens on {opens_on}. Nothing was charged."
            " The service counter takes payments meanwhile.",
        )


class MethodNotTakenError(ExplainedError):
    """A way to pay that nobody takes in this estate."""

    code = "method_not_taken"

    def __init__(self, method: str) -> None:
        self.method = method
        super().__init__(
            "这个小区不能用这种方式付款，请换一种。",
            "This way to pay is not taken in this estate; please choose another.",
        )


class SlipUnknownError(ExplainedError):
    """A payment at the counter without a usable number or day."""

    code = "slip_unknown"

    def __init__(self) -> None:
        super().__init__(
            "请填写收据号或银行流水号（不超过 60 字），到账时间不能晚于现在。",
            "Give the receipt's or the bank's number (60 characters at most) and a time that is not to come.",
        )


class SlipTakenError(ExplainedError):
    """The number stands for another payment already."""

    code = "slip_taken"

    def __init__(self, slip_ref: str) -> None:
        self.slip_ref = slip_ref
        super().__init__(
            f"号码“{slip_ref[:60]}”已经登记过另一笔款项，没有重复入账。请核对后重填。",
            f"The number {slip_ref[:60]!r} stands for another payment already; nothing was booked twice.",
        )


class NoticeUnknownError(ExplainedError):
    """No parked notice of that number."""

    code = "notice_unknown"

    def __init__(self, notice_id: int) -> None:
        self.notice_id = notice_id
        super().__init__(f"没有搁置的通知 {notice_id}。", f"There is no parked notice {notice_id}.")


class PaymentUnknownError(ExplainedError):
    """No payment of that id."""

    code = "payment_unknown"

    def __init__(self) -> None:
        super().__init__("没有这笔收款。", "There is no such payment.")


class RefundUnknownError(ExplainedError):
    """No refund of that id."""

    code = "refund_unknown"

    def __init__(self) -> None:
        super().__init__("没有这笔退款。", "There is no such refund.")


class RefundTooMuchError(ExplainedError):
    """A refund of nothing, or of more than is left of the payment."""

    code = "refund_too_much"

    def __init__(self, amount_fen: int, left_fen: int) -> None:
        self.amount_fen, self.left_fen = amount_fen, left_fen
        left = f"{left_fen // 100:,}.{left_fen % 100:02d}"
        super().__init__(
            f"这笔收款最多还可退 {left} 元（已退、正在退和有争议的不能再退）。",
            f"At most {left} yuan of this payment can still be given back.",
        )


class PayeeMissingError(ExplainedError):
    """A transfer without somebody to transfer to."""

    code = "payee_missing"

    def __init__(self) -> None:
        super().__init__(
            "这笔退款须用银行转账，请填写收款人和账号。",
            "This goes back by bank transfer; please give the payee and the account.",
        )


class RefundNotReadyError(ExplainedError):
    """A refund that is not where this step needs it."""

    code = "refund_not_ready"

    def __init__(self) -> None:
        super().__init__(
            "这笔退款现在不能办理此步骤，请刷新后查看它的状态；转账须填写银行流水号。",
            "This cannot be done to the refund in its present state; a transfer needs the bank's number.",
        )


class DisputeUnknownError(ExplainedError):
    """No dispute of that id."""

    code = "dispute_unknown"

    def __init__(self) -> None:
        super().__init__("没有这笔拒付争议。", "There is no such dispute.")


class DisputeClosedError(ExplainedError):
    """A dispute that takes no answer any more."""

    code = "dispute_closed"

    def __init__(self) -> None:
        super().__init__(
            "这笔争议已经答复、已有结果或已过举证期限。",
            "This dispute was answered or decided, or the time for evidence is over.",
        )


class EvidenceMissingError(ExplainedError):
    """A dispute was answered without a word."""

    code = "evidence_missing"

    def __init__(self) -> None:
        super().__init__("请写明事实和依据。", "State the facts.")


class DepositNotHeldError(ExplainedError):
    """No deposit is there."""

    code = "deposit_not_held"

    def __init__(self) -> None:
        super().__init__("这份租约没有在押的押金。", "No deposit is held for this tenancy.")


class DepositStepError(ExplainedError):
    """A step out of order."""

    code = "deposit_step"

    def __init__(self) -> None:
        super().__init__(
            "押金按“交房扣留、抵扣、结算、退还”的顺序办理，这一步现在不能办理；退还须填写银行流水号。",
            "A deposit is held at hand-over, reduced, settled, returned: this step is not its turn now.",
        )


class DepositTooMuchError(ExplainedError):
    """More than is left of a deposit."""

    code = "deposit_too_much"

    def __init__(self, left_fen: int) -> None:
        self.left_fen = left_fen
        left = f"{left_fen // 100:,}.{left_fen % 100:02d}"
        super().__init__(f"押金只剩 {left} 元，不能超过。", f"Only {left} yuan of the deposit is left.")


class LinkUnknownError(ExplainedError):
    """A link that is none."""

    code = "pay_link_unknown"

    def __init__(self) -> None:
        super().__init__(
            "这个代缴链接不完整或不存在，请家人重新发一次。",
            "This payment link is incomplete or does not exist; please ask for it again.",
        )


class LinkExpiredError(ExplainedError):
    """A link whose time is over."""

    code = "pay_link_expired"

    def __init__(self) -> None:
        super().__init__(
            "这个代缴链接已经过期，请家人重新发一个。没有扣款。",
            "This payment link has expired; please ask for a new one. Nothing was charged.",
        )


class LinkRevokedError(ExplainedError):
    """A link that was taken back."""

    code = "pay_link_revoked"

    def __init__(self) -> None:
        super().__init__(
            "这个代缴链接已被家人撤回。没有扣款。",
            "This payment link was taken back by the household. Nothing was charged.",
        )


class AutopayRunsError(ExplainedError):
    """The household has agreed to this already."""

    code = "autopay_runs"

    def __init__(self) -> None:
        super().__init__(
            "您家已经开通了自动缴费或每月提醒；要更改，请先关闭再重新开通。",
            "This runs for your household already; end it first to change it.",
        )
