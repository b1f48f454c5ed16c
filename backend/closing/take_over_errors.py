"""What taking over refuses, each in a sentence of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from backend.closing.take_over_file import Fault
from backend.errors import ExplainedError

SHOWN = 20


class TakeOverFaultsError(ExplainedError):
    """Something in the file is wrong; nothing of it is used."""

    code = "take_over_faults"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        first = faults[:SHOWN]
        more = f"；另有 {len(faults) - SHOWN} 处" if len(faults) > SHOWN else ""
        more_en = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        zh = "；".join(f"{one.place}：{one.zh}" for one in first)
        en = "; ".join(f"{one.place}: {one.en}" for one in first)
        super().__init__(
            f"接管文件有 {len(faults)} 处问题，整份退回，没有入账。{zh}{more}。",
            f"The file has {len(faults)} faults and was refused whole. {en}{more_en}.",
        )


class TakeOverDoneError(ExplainedError):
    """The estate was taken over before."""

    code = "take_over_done"

    def __init__(self, estate_id: str) -> None:
        self.estate_id = estate_id
        super().__init__(
            f"{estate_id} 已经接管过，不能再次接管；有错请用更正或冲销。",
            f"{estate_id} was taken over before; put mistakes right by corrections or reversals.",
        )


class EstateInUseError(ExplainedError):
    """The estate is charged here already: opening figures would count twice."""

    code = "estate_in_use"

    def __init__(self, estate_id: str) -> None:
        self.estate_id = estate_id
        super().__init__(
            f"{estate_id} 在本系统已有应收或收款，不能再接管期初数。",
            f"{estate_id} has charges or payments here already; opening figures would count twice.",
        )


class TakeOverMonthError(ExplainedError):
    """The first month that is charged here has not begun."""

    code = "take_over_month"

    def __init__(self, month: date) -> None:
        self.month = month
        super().__init__(
            f"{month:%Y年%m月} 还没有开始；接管的是上月最后一晚的余额，请从当月 1 日起办理。",
            f"{month:%Y-%m} has not begun; what is taken over are the balances of the evening before it.",
        )


class TakeOverChangedError(ExplainedError):
    """The approved file would be posted with other totals than were approved."""

    code = "take_over_changed"

    def __init__(self) -> None:
        super().__init__(
            "住户资料有变化，入账结果与审批时不同，没有入账；请重新提交接管。",
            "Households changed since it was proposed and the result would differ; nothing was posted. "
            "Propose the take-over again.",
        )
