"""What the payment desk refuses, each in a sentence of its own."""

from __future__ import annotations

from backend.errors import ExplainedError
from backend.identity.errors import RefusedError
from backend.identity.principal import Principal


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


class NoticeUnknownError(ExplainedError):
    """No parked notice of that number."""

    code = "notice_unknown"

    def __init__(self, notice_id: int) -> None:
        self.notice_id = notice_id
        super().__init__(f"没有搁置的通知 {notice_id}。", f"There is no parked notice {notice_id}.")
