"""What the rent office refuses, each in a sentence of its own."""

from __future__ import annotations

from backend.errors import ExplainedError


class MonthError(ExplainedError):
    """Not a month."""

    code = "month"

    def __init__(self, given: str) -> None:
        self.given = given
        super().__init__(
            f"“{given[:20]}”不是月份，请按 2026-11 的格式填写。",
            f"{given[:20]!r} is not a month; write it like 2026-11.",
        )


class AmountNotPositiveError(ExplainedError):
    """An amount that is no amount of money received or charged."""

    code = "amount_not_positive"

    def __init__(self, amount_fen: int) -> None:
        self.amount_fen = amount_fen
        super().__init__(
            f"金额必须大于零，现为 {amount_fen} 分。",
            f"The amount has to be above zero; it is {amount_fen} fen.",
        )


class HouseholdUnknownError(ExplainedError):
    """No household of that id."""

    code = "household_unknown"

    def __init__(self) -> None:
        super().__init__(
            "没有找到这个家庭，请到服务窗口查询。",
            "There is no such household; please ask at the service counter.",
        )


class TenancyUnknownError(ExplainedError):
    """No tenancy of that id."""

    code = "tenancy_unknown"

    def __init__(self) -> None:
        super().__init__("没有找到这份租约。", "There is no such tenancy.")


class TermExistsError(ExplainedError):
    """A term of that kind begins on that day already."""

    code = "term_exists"

    def __init__(self, kind: str, from_on: str) -> None:
        self.kind, self.from_on = kind, from_on
        super().__init__(
            f"这份租约从 {from_on} 起已有同类条款（{kind}）；请换一个起始日。",
            f"This tenancy has a term of that kind ({kind}) from {from_on} already; choose another day.",
        )
