"""What closing a month and taking over refuse, each in a sentence of its own."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from backend.closing.checklist import Point
from backend.closing.records import Month
from backend.errors import ExplainedError
from backend.identity.errors import RefusedError


class MonthNotReadyError(ExplainedError):
    """Something is missing before the month can be closed."""

    code = "month_not_ready"

    def __init__(self, book_id: str, month: Month, points: Sequence[Point]) -> None:
        self.book_id, self.month, self.points = book_id, month, tuple(points)
        zh = "；".join(
            f"{p.zh}：还差 {p.open} 项{'（' + p.detail + '）' if p.detail else ''}" for p in points
        )
        en = "; ".join(f"{p.en}: {p.open} missing" for p in points)
        super().__init__(
            f"{book_id} {month} 还不能结账。{zh}。",
            f"{book_id} {month} cannot be closed yet. {en}.",
        )


class MonthNotClosedError(ExplainedError):
    """There is no closed month of that name."""

    code = "month_not_closed"

    def __init__(self, book_id: str, month: Month) -> None:
        self.book_id, self.month = book_id, month
        super().__init__(f"{book_id} {month} 没有结账。", f"{book_id} {month} is not closed.")


class NotLastClosedError(ExplainedError):
    """A later month is closed: the last one is opened first."""

    code = "not_last_closed"

    def __init__(self, book_id: str, month: Month) -> None:
        self.book_id, self.month = book_id, month
        super().__init__(
            f"{book_id} {month} 之后还有已结账的月份，请先从最后一个月开始反结账。",
            f"A month after {month} of {book_id} is closed; reopen the last one first.",
        )


class BookUnknownError(ExplainedError):
    """There is no such book."""

    code = "book_unknown"

    def __init__(self, book_id: str) -> None:
        self.book_id = book_id
        super().__init__(
            f"没有账簿 {book_id}；小区的账簿与小区同名，市级账簿是 city。",
            f"There is no book {book_id}: an estate's book has its name, the city's is `city`.",
        )


class CloseRunningError(ExplainedError):
    """Somebody is closing a month of the book at this moment."""

    code = "close_running"

    def __init__(self, book_id: str) -> None:
        self.book_id = book_id
        super().__init__(
            f"{book_id} 正在结账，请稍候再看。", f"{book_id} is being closed at this moment; look again soon."
        )


class CloseFailedError(ExplainedError):
    """Something broke that nobody expected; the trace is in the worker's log."""

    code = "close_failed"

    def __init__(self, book_id: str, month: Month) -> None:
        self.book_id, self.month = book_id, month
        super().__init__(
            f"{book_id} {month} 结账时出错，月份保持原样。请再结账一次；仍不行请告知管理员查看后台日志。",
            f"Closing {month} of {book_id} broke off; the month is as it was. Close again; if that does not "
            "help, the administrator finds more in the worker's log.",
        )


class PackWrongError(ExplainedError):
    """The pack that was just written does not pass its own checks."""

    code = "pack_wrong"

    def __init__(self, book_id: str, month: Month, wrong: Sequence[str]) -> None:
        self.book_id, self.month, self.wrong = book_id, month, tuple(wrong)
        said = "; ".join(wrong[:3])
        super().__init__(
            f"{book_id} {month} 的结账包与账不符，没有归档，账簿和月份保持原样：{said}。请更正后再结账。",
            f"The pack of {book_id} {month} does not pass its checks; nothing was filed or changed: {said}. "
            "Put that right, then close again.",
        )


class PackChangedError(ExplainedError):
    """A pack that is written again would not be the one that is on record."""

    code = "pack_changed"

    def __init__(self, book_id: str, month: Month) -> None:
        self.book_id, self.month = book_id, month
        super().__init__(
            f"{book_id} {month} 已结账，此后有资料变动，写不出同一个结账包。"
            "请从备份取回，或反结账后重新结账。",
            f"{book_id} {month} is closed, and facts changed since: the same pack cannot be written again. "
            "Take it from the backup, or reopen the month and close it again.",
        )


class PackFolderError(ExplainedError):
    """Where the pack should go, there is something already, or nothing can be written."""

    code = "pack_folder"

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"{path} 已存在或无法写入，请换一个位置。",
            f"{path} exists or cannot be written; choose another place.",
        )


class HeadDiffersError(ExplainedError):
    """What somebody wants to sign is not what was filed."""

    code = "head_differs"

    def __init__(self, book_id: str, month: Month, head: str) -> None:
        self.book_id, self.month, self.head = book_id, month, head
        super().__init__(
            f"链头与 {book_id} {month} 归档的结账包不符，没有签字。请核对结账单是否是这个账簿、这个月、"
            "最后一次结账的，链头有没有抄错；都对仍不符，请不要签，并告知管理员。",
            f"The head is not that of the pack filed for {book_id} {month}; nothing was signed. Check that "
            "the sheet is of this book, this month and its last close, and that the head is copied right. If "
            "all that is so, do not sign, and tell the administrator.",
        )


class SignedAlreadyError(ExplainedError):
    """That line of the close sheet is signed."""

    code = "signed_already"

    def __init__(self, book_id: str, month: Month) -> None:
        super().__init__(
            f"{book_id} {month} 的结账单这一栏已经签过，不用再签。",
            f"That line of the close sheet of {book_id} {month} is signed already.",
        )


class CloserSignsFirstError(ExplainedError):
    """The second signature before the first."""

    code = "closer_signs_first"

    def __init__(self, book_id: str, month: Month, closer: str) -> None:
        self.closer = closer
        super().__init__(
            f"{book_id} {month} 要先由结账人{closer}签字，再由您复核签字。",
            f"{closer} closed {month} of {book_id} and signs first; after that you sign.",
        )


class OtherPersonSignsError(RefusedError):
    """Whoever closed may not sign as the second person, under no login."""

    code = "other_person_signs"

    def __init__(self, actor: str, close_id: UUID, estate_id: str | None) -> None:
        super().__init__(
            "结账人不能自己复核签字，请由另一位有权限的同事签字。",
            "Whoever closed cannot sign as the second person: another person with the right has to.",
            actor=actor,
            action="closing.sign",
            object_kind="month_close",
            object_id=str(close_id),
            estate_id=estate_id,
        )


class ProgramMissingError(ExplainedError):
    """A program that checks or shows the books is not installed."""

    code = "program_missing"

    def __init__(self, name: str, how: str) -> None:
        self.name = name
        super().__init__(f"没有安装 {name}。请运行 {how}。", f"{name} is not installed. Run {how}.")
