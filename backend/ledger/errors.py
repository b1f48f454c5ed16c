"""What the books refuse, each in a sentence of its own."""

from __future__ import annotations

from datetime import date

from backend.errors import ExplainedError


def yuan(fen: int) -> str:
    """`123450` as `1234.50`."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


class UnbalancedEntryError(ExplainedError):
    """Debit and credit of an entry differ."""

    code = "entry_unbalanced"

    def __init__(self, event: str, debit_fen: int, credit_fen: int) -> None:
        self.event, self.debit_fen, self.credit_fen = event, debit_fen, credit_fen
        super().__init__(
            f"凭证借贷不平，未入账：{event} 借方 {yuan(debit_fen)} 元，贷方 {yuan(credit_fen)} 元。",
            f"Not posted, the entry is not balanced: {event} has debit {yuan(debit_fen)} and credit"
            f" {yuan(credit_fen)}.",
        )


class EntryTooLargeError(ExplainedError):
    """An entry is larger than the books hold."""

    code = "entry_too_large"

    def __init__(self, event: str, fen: int, fen_max: int) -> None:
        self.event, self.fen = event, fen
        super().__init__(
            f"{event} 的金额 {yuan(fen)} 元超过一张凭证的上限 {yuan(fen_max)} 元，未入账。请核对金额。",
            f"{event} is {yuan(fen)} yuan; an entry is at most {yuan(fen_max)}. Nothing was posted: check the"
            " amount.",
        )


class PostingSideError(ExplainedError):
    """A posting does not have exactly one positive side."""

    code = "posting_side"

    def __init__(self, event: str, account_code: str, debit_fen: int, credit_fen: int) -> None:
        self.event, self.account_code = event, account_code
        self.debit_fen, self.credit_fen = debit_fen, credit_fen
        super().__init__(
            f"分录须且只须有一方为正数：{event} 科目 {account_code} 借 {debit_fen} 分、贷 {credit_fen} 分。",
            f"A posting has exactly one positive side: {event}, account {account_code}, debit"
            f" {debit_fen} fen, credit {credit_fen} fen.",
        )


class EntryTooShortError(ExplainedError):
    """An entry with fewer than two postings."""

    code = "entry_too_short"

    def __init__(self, event: str, lines: int) -> None:
        self.event, self.lines = event, lines
        super().__init__(
            f"凭证至少要有两条分录：{event} 只有 {lines} 条。",
            f"An entry needs at least two postings: {event} has {lines}.",
        )


class EntryConflictError(ExplainedError):
    """The same business event is in the books already, with other figures."""

    code = "entry_conflict"

    def __init__(self, event: str, entry_id: int | None) -> None:
        self.event, self.entry_id = event, entry_id
        where = "同一批" if entry_id is None else f"凭证 {entry_id}"
        super().__init__(
            f"同一业务事项已按不同内容入账：{event}，见{where}。请先冲销再更正。",
            f"This event has other figures already: {event}, see entry"
            f" {entry_id or 'of the same batch'}. Reverse that one first.",
        )


class EntryUnknownError(ExplainedError):
    """No entry of that number in the book."""

    code = "entry_unknown"

    def __init__(self, entry_id: int) -> None:
        self.entry_id = entry_id
        super().__init__(f"没有这张凭证：{entry_id}。", f"There is no entry {entry_id}.")


class NotReversibleError(ExplainedError):
    """A reversal is not reversed: the event is posted anew instead."""

    code = "entry_not_reversible"

    def __init__(self, entry_id: int) -> None:
        self.entry_id = entry_id
        super().__init__(
            f"凭证 {entry_id} 本身是冲销凭证，不能再冲销；请按正确内容重新入账。",
            f"Entry {entry_id} is a reversal itself; post the event anew instead of reversing it.",
        )


class AccountRoleMissingError(ExplainedError):
    """The chart has no account for something that the vouchers need."""

    code = "account_role_missing"

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__(
            f"会计科目表缺少用途为 {role} 的科目，请在科目表中补上。",
            f"The chart of accounts has no account with the role {role}; add one.",
        )


class ChartChangedError(ExplainedError):
    """A chart that gives an account in use another meaning."""

    code = "chart_changed"

    def __init__(self, account_code: str) -> None:
        self.account_code = account_code
        super().__init__(
            f"科目 {account_code} 已在用，类别和用途不能改；请另设科目。",
            f"Account {account_code} is in use: its kind and role stay. Add another account instead.",
        )


class PeriodLockedError(ExplainedError):
    """An entry for a day in a month that is closed."""

    code = "period_locked"

    def __init__(self, book_id: str, days: str) -> None:
        self.book_id, self.days = book_id, days
        super().__init__(
            f"账簿 {book_id} 在 {days} 所在月份已结账，不能再入账；请记入未结账的月份，或经两人办理反结账。",
            f"Book {book_id} is closed for {days}: post into an open month, or have the month reopened by two"
            " people.",
        )


class PeriodOrderError(ExplainedError):
    """A month that is not the next to be closed, or not the last that was."""

    code = "period_order"

    def __init__(self, book_id: str, month: date, open_from: date | None) -> None:
        self.book_id, self.month, self.open_from = book_id, month, open_from
        since_zh = f"未结账月份从 {open_from:%Y-%m} 开始" if open_from else "尚未结过账"
        since = f"it is open from {open_from:%Y-%m}" if open_from else "nothing was closed yet"
        super().__init__(
            f"账簿 {book_id} 的月份须依次结账、依次反结账：{since_zh}，轮不到 {month:%Y-%m}。",
            f"Months of book {book_id} are closed and reopened in order: {since}, not {month:%Y-%m}.",
        )


class NotApprovedError(ExplainedError):
    """An entry that needs two people, without them."""

    code = "entry_not_approved"

    def __init__(self, event: str) -> None:
        self.event = event
        super().__init__(
            f"此类凭证须经另一人审批后才能入账：{event}。",
            f"This entry needs the approval of a second person first: {event}.",
        )


class AboveWhatStandsError(ExplainedError):
    """Money would leave an account above what stands in it."""

    code = "above_what_stands"

    def __init__(self, account_code: str, missing_fen: int) -> None:
        self.account_code, self.missing_fen = account_code, missing_fen
        super().__init__(
            f"科目 {account_code} 余额不足，还差 {yuan(missing_fen)} 元，未入账。请核对金额，或先登记到账。",
            f"Account {account_code} lacks {yuan(missing_fen)} yuan for this; nothing was posted. Check the "
            "amount, or record first what has arrived.",
        )


class HandingOnError(ExplainedError):
    """A remittance or a payment on that lacks something; says what."""

    code = "handing_on"


class BookUnknownError(ExplainedError):
    """No book of that name."""

    code = "book_unknown"

    def __init__(self, book_id: str) -> None:
        self.book_id = book_id
        super().__init__(
            f"没有账簿 {book_id}：应为小区代码，或 city。",
            f"There is no book {book_id}: it is an estate's id, or `city`.",
        )


class AccountUnknownError(ExplainedError):
    """No account of that code in the chart."""

    code = "account_unknown"

    def __init__(self, account_code: str) -> None:
        self.account_code = account_code
        super().__init__(
            f"科目表中没有科目 {account_code}。", f"The chart of accounts has no account {account_code}."
        )


class LineTextError(ExplainedError):
    """A posting that is not written as code, side and amount."""

    code = "line_text"

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(
            f"分录“{text}”看不懂，请写成“科目 借 12.34”或“科目 贷 12.34”。",
            f"The posting {text!r} is not understood: write `code 借 12.34` or `code 贷 12.34`.",
        )


class DayMissingError(ExplainedError):
    """A day or a month that has to be given is empty."""

    code = "day_missing"

    def __init__(self, field_zh: str, field_en: str) -> None:
        self.field_zh, self.field_en = field_zh, field_en
        super().__init__(f"请填写{field_zh}。", f"Please fill in {field_en}.")


class DayUnreadableError(ExplainedError):
    """What was typed is no day, or no month; `why` says what is wrong with it."""

    code = "day_unreadable"

    def __init__(self, field_zh: str, field_en: str, typed: str, why_zh: str, why_en: str) -> None:
        self.typed = typed
        shown = "".join(letter for letter in typed[:20] if letter.isprintable())
        super().__init__(
            f"{field_zh}“{shown}”不对：{why_zh}。",
            f"“{shown}” is not right for {field_en}: {why_en}.",
        )


class DaysBackwardsError(ExplainedError):
    """The last day is before the first."""

    code = "days_backwards"

    def __init__(self, from_on: date, last_on: date) -> None:
        self.from_on, self.last_on = from_on, last_on
        super().__init__(
            f"结束（{last_on}）早于开始（{from_on}），请对调或改正其中一个。",
            f"The end ({last_on}) is before the beginning ({from_on}): exchange them or mend one.",
        )


class AccountCodeError(ExplainedError):
    """What was typed is no code of an account."""

    code = "account_code"

    def __init__(self, typed: str) -> None:
        self.typed = typed
        shown = "".join(letter for letter in typed[:20] if letter.isprintable())
        super().__init__(
            f"科目编码“{shown}”看不懂，请写成 1212.01，或从试算平衡表点进去。",
            f"“{shown}” is not the code of an account: write 1212.01, or come from the trial balance.",
        )
