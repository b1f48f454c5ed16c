"""What the rent office refuses, each in a sentence of its own."""

from __future__ import annotations

from datetime import date

from backend.errors import ExplainedError
from backend.ledger.errors import yuan
from backend.rent.quantities import in_words


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


class TariffMissingError(ExplainedError):
    """A plan or tier has no version for a day that is to be charged."""

    code = "tariff_missing"

    def __init__(self, name: str, day: date) -> None:
        self.name, self.day = name, day
        super().__init__(
            f"标准“{name}”在 {day} 没有有效版本；请先录入再计租。",
            f"There is no version of {name!r} for {day}; enter one before charging.",
        )


class TariffOverlapError(ExplainedError):
    """Two versions would hold on the same day."""

    code = "tariff_overlap"

    def __init__(self, name: str, from_on: date) -> None:
        self.name, self.from_on = name, from_on
        super().__init__(
            f"标准“{name}”从 {from_on} 起的版本与已有版本的日期重叠；请先给旧版本填截止日。",
            f"The version of {name!r} from {from_on} overlaps another one; end that one first.",
        )


class DatesReversedError(ExplainedError):
    """An end that does not lie behind its beginning."""

    code = "dates_reversed"

    def __init__(self, from_on: date, to_on: date) -> None:
        self.from_on, self.to_on = from_on, to_on
        super().__init__(
            f"截止日 {to_on} 应晚于起始日 {from_on}。",
            f"The end {to_on} has to be later than the beginning {from_on}.",
        )


class PriceError(ExplainedError):
    """A price, area or share that is none."""

    code = "price"

    def __init__(self, what_zh: str, what_en: str, value: object) -> None:
        self.value = value
        super().__init__(
            f"{what_zh}无效：{str(value)[:40]}。", f"The {what_en} is not valid: {str(value)[:40]}."
        )


class AreaUnknownError(ExplainedError):
    """A plan by area, and nobody has measured the unit."""

    code = "area_unknown"

    def __init__(self) -> None:
        super().__init__(
            "这套房按面积计租，但没有登记面积；请先登记。",
            "This unit is charged by its area, and no area is registered; register it first.",
        )


class MeterUnknownError(ExplainedError):
    """No meter of that number in that unit."""

    code = "meter_unknown"

    def __init__(self, serial: str) -> None:
        self.serial = serial
        super().__init__(
            f"没有编号为“{serial[:40]}”的在用表具。", f"There is no meter {serial[:40]!r} in use."
        )


class MeterExistsError(ExplainedError):
    """A meter of that number is there already."""

    code = "meter_exists"

    def __init__(self, serial: str) -> None:
        self.serial = serial
        super().__init__(f"表具“{serial[:40]}”已登记。", f"The meter {serial[:40]!r} is registered already.")


class ReadingNegativeError(ExplainedError):
    """A reading below zero, or above what the meter can show."""

    code = "reading_range"

    def __init__(self, hundredths: int, highest: int) -> None:
        self.hundredths, self.highest = hundredths, highest
        super().__init__(
            f"读数应在 0 与 {in_words(highest)} 之间，现为 {in_words(hundredths)}。",
            f"A reading lies between 0 and {in_words(highest)}; this is {in_words(hundredths)}.",
        )


class ReadingFallsError(ExplainedError):
    """A reading below the one before it, or above the one behind it."""

    code = "reading_falls"

    def __init__(self, read_on: date, hundredths: int, other_on: date, other: int) -> None:
        self.read_on, self.hundredths, self.other_on, self.other = read_on, hundredths, other_on, other
        super().__init__(
            f"{read_on} 的读数 {in_words(hundredths)} 与 {other_on} 的 {in_words(other)} 矛盾：读数不能变小。"
            "表走满一圈请勾选“过零”，换表请用“换表”。",
            f"The reading {in_words(hundredths)} of {read_on} contradicts {in_words(other)} of {other_on}: "
            "readings never fall. Say so if the meter rolled over; a new meter is a replacement.",
        )


class ReadingExistsError(ExplainedError):
    """The meter was read on that day already, with another figure."""

    code = "reading_exists"

    def __init__(self, read_on: date) -> None:
        self.read_on = read_on
        super().__init__(
            f"{read_on} 已有读数；要改请注明更正。",
            f"There is a reading of {read_on} already; mark the new one as a correction.",
        )


class TariffChangedError(ExplainedError):
    """A version that is there would get another figure."""

    code = "tariff_changed"

    def __init__(self, name: str, from_on: date) -> None:
        self.name, self.from_on = name, from_on
        super().__init__(
            f"标准“{name}”从 {from_on} 起的版本已有，数字不能改；请给它填截止日，再加新版本。",
            f"The version of {name!r} from {from_on} is there and its figures stay; end it and add another.",
        )


class UnitUnknownError(ExplainedError):
    """No unit of that id."""

    code = "unit_unknown"

    def __init__(self) -> None:
        super().__init__("没有找到这套房。", "There is no such unit.")


class TermUnknownError(ExplainedError):
    """No term of that id."""

    code = "term_unknown"

    def __init__(self) -> None:
        super().__init__("没有找到这项条款。", "There is no such term.")


class TermPriceError(ExplainedError):
    """A term with none, or more than one, of amount, share, plan and tier."""

    code = "term_price"

    def __init__(self) -> None:
        super().__init__(
            "金额、比例、计租标准、减免档次请填且只填一项；比例和档次只用于减免。",
            "Give one of amount, share, plan and tier, and no more; share and tier are for relief only.",
        )


class OnceKindError(ExplainedError):
    """Something that follows from terms or readings is not asked for once."""

    code = "once_kind"

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(
            f"“{kind}”由合同条款或读数产生，不能单独收取；可单独收取押金和赔偿。",
            f"{kind!r} follows from terms or readings; only a deposit or damage is asked for by itself.",
        )


class RunUnknownError(ExplainedError):
    """No run that was begun has that number."""

    code = "run_unknown"

    def __init__(self) -> None:
        super().__init__("没有找到这次计租。", "There is no such run.")


class NothingToChargeError(ExplainedError):
    """A run that would charge nobody."""

    code = "nothing_to_charge"

    def __init__(self, month: date) -> None:
        self.month = month
        super().__init__(
            f"{month:%Y年%m月}没有要计收的租金：都已计收，或没有在租的家庭。",
            f"There is nothing to charge for {month:%Y-%m}: everybody is charged, or nobody rents.",
        )


class RunChangedError(ExplainedError):
    """What would be charged is not what two people agreed on."""

    code = "run_changed"

    def __init__(self, month: date) -> None:
        self.month = month
        super().__init__(
            f"{month:%Y年%m月}的计租在同意之后有变化（合同、标准、读数或付款），没有入账；请重新预览并审批。",
            f"The run of {month:%Y-%m} changed after it was agreed on (terms, prices, readings, payments);"
            " it was not charged. Preview it and have it approved again.",
        )


class RunNotAgreedError(ExplainedError):
    """Nobody agreed to this run."""

    code = "run_not_agreed"

    def __init__(self, month: date, state_zh: str | None) -> None:
        self.month = month
        now = f"现在：{state_zh}" if state_zh else "还没有人申请"
        super().__init__(
            f"{month:%Y年%m月}的计租还不能入账（{now}）；请先在网页“月度计租”上预览、申请，由另一人同意。",
            f"The run of {month:%Y-%m} cannot be charged yet; preview and propose it on the page, and have "
            "another person approve it.",
        )


class ReceiptUnknownError(ExplainedError):
    """No receipt of that number."""

    code = "receipt_unknown"

    def __init__(self) -> None:
        super().__init__("没有找到这张收据。", "There is no such receipt.")


class DemandUnknownError(ExplainedError):
    """No written demand in that case."""

    code = "demand_unknown"

    def __init__(self) -> None:
        super().__init__("没有找到这份催缴通知。", "There is no such demand.")


class ChargeUnknownError(ExplainedError):
    """No charge of that id."""

    code = "charge_unknown"

    def __init__(self) -> None:
        super().__init__("没有找到这笔应收。", "There is no such charge.")


class LetOffTooMuchError(ExplainedError):
    """More would be let off than is still owed."""

    code = "let_off_too_much"

    def __init__(self, amount_fen: int, left_fen: int) -> None:
        self.amount_fen, self.left_fen = amount_fen, left_fen
        super().__init__(
            f"这一项只欠 {yuan(left_fen)} 元，不能减免或核销 {yuan(amount_fen)} 元；已交的请用退款。",
            f"Only {yuan(left_fen)} yuan are owed, so {yuan(amount_fen)} cannot be let off; what was paid is "
            "refunded.",
        )
