"""What importing and reconciling refuse, each in a sentence of its own.

A file is refused whole: each of these names the line (counted from 1) that shows it.
"""

from __future__ import annotations

from datetime import date

from backend.errors import ExplainedError


def yuan(fen: int) -> str:
    """`123450` as `1234.50`."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"


class FileRefusedError(ExplainedError):
    """A file of which nothing was imported; `line_no` is None where it is about the whole of it."""

    code = "file_refused"

    def __init__(self, line_no: int | None, zh: str, en: str) -> None:
        self.line_no = line_no
        where_zh = f"第 {line_no} 行：" if line_no is not None else ""
        where_en = f"line {line_no}: " if line_no is not None else ""
        super().__init__(
            f"文件未导入，{where_zh}{zh}。",
            f"The file was refused and nothing of it imported, {where_en}{en}.",
        )


class FileTooLargeError(FileRefusedError):
    """More bytes or lines than this installation reads, also after unpacking."""

    code = "file_too_large"

    def __init__(self, what_zh: str, what_en: str) -> None:
        super().__init__(None, f"{what_zh}，请分段下载后再导入", f"{what_en}; fetch it in parts")


class FileEmptyError(FileRefusedError):
    """No lines, where the format does not say for which days there are none."""

    code = "file_empty"

    def __init__(self) -> None:
        super().__init__(None, "文件中没有流水", "there are no lines in it")


class ArchiveError(FileRefusedError):
    """An archive that cannot be read, or does not hold the one bill that is looked for."""

    code = "file_archive"

    def __init__(self, reason_zh: str, reason_en: str) -> None:
        super().__init__(None, f"压缩包{reason_zh}", f"the archive {reason_en}")


class EncodingError(FileRefusedError):
    """The bytes are not text of the format's encoding."""

    code = "file_encoding"

    def __init__(self, line_no: int, encoding: str) -> None:
        self.encoding = encoding
        super().__init__(
            line_no,
            f"编码不是 {encoding}，请用原始文件，不要另存",
            f"this is not {encoding}; take the file as it was downloaded, unsaved",
        )


class HeaderError(FileRefusedError):
    """A column that is needed is not there, or is there twice."""

    code = "file_header"

    def __init__(self, line_no: int, columns: str) -> None:
        self.columns = columns
        super().__init__(
            line_no,
            f"表头与格式不符，缺少或重复的列：{columns}",
            f"the header is not this format's; missing or double: {columns}",
        )


class LineError(FileRefusedError):
    """A value that cannot be read."""

    code = "file_line"

    def __init__(self, line_no: int, column: str, value: str) -> None:
        self.column, self.value = column, value
        super().__init__(
            line_no, f"“{column}”无法识别：{value[:40]!r}", f"{column} cannot be read: {value[:40]!r}"
        )


class TruncatedError(FileRefusedError):
    """The end is missing."""

    code = "file_truncated"

    def __init__(self, line_no: int) -> None:
        super().__init__(
            line_no,
            "文件不完整，结尾缺失，请重新下载",
            "the file breaks off before its end; download it again",
        )


class DuplicateLineError(FileRefusedError):
    """The same number twice in one file."""

    code = "file_duplicate_line"

    def __init__(self, line_no: int, first_no: int, external_id: str) -> None:
        self.first_no, self.external_id = first_no, external_id
        super().__init__(
            line_no,
            f"与第 {first_no} 行的流水号相同：{external_id}",
            f"has the same number as line {first_no}: {external_id}",
        )


class TotalError(FileRefusedError):
    """The file's own total is not the sum of its lines."""

    code = "file_total"

    def __init__(self, line_no: int, name: str, said: str, counted: str) -> None:
        self.name, self.said, self.counted = name, said, counted
        super().__init__(
            line_no,
            f"合计“{name}”为 {said}，逐行相加为 {counted}",
            f"the total {name} says {said}, the lines add up to {counted}",
        )


class RunningBalanceError(FileRefusedError):
    """A balance that does not follow from the line before."""

    code = "file_balance"

    def __init__(self, line_no: int, said_fen: int, expected_fen: int) -> None:
        self.said_fen, self.expected_fen = said_fen, expected_fen
        super().__init__(
            line_no,
            f"余额 {yuan(said_fen)} 元与上一行推算的 {yuan(expected_fen)} 元不符",
            f"the balance {yuan(said_fen)} does not follow from the line before, which gives"
            f" {yuan(expected_fen)}",
        )


class OpeningBalanceError(FileRefusedError):
    """It does not begin where the statement before it ended, or not end where the next one begins."""

    code = "file_opening"

    def __init__(self, day: date, said_fen: int, known_fen: int) -> None:
        self.day, self.said_fen, self.known_fen = day, said_fen, known_fen
        super().__init__(
            1,
            f"{day} 日初余额 {yuan(said_fen)} 元，而相邻账单的余额为 {yuan(known_fen)} 元",
            f"the balance at the beginning of {day} is {yuan(said_fen)} here and {yuan(known_fen)} in the"
            " statement next to it",
        )


class OtherAccountError(FileRefusedError):
    """The file is about another merchant or bank account."""

    code = "file_other_account"

    def __init__(self, line_no: int, found: str, expected: str) -> None:
        self.found, self.expected = found, expected
        super().__init__(
            line_no,
            f"这是 {found} 的账单，不是 {expected} 的",
            f"this is a bill of {found}, not of {expected}",
        )


class LineChangedError(FileRefusedError):
    """A line that is known already, with other figures."""

    code = "file_line_changed"

    def __init__(self, line_no: int, external_id: str) -> None:
        self.external_id = external_id
        super().__init__(
            line_no,
            f"流水 {external_id} 已导入过，但内容不同",
            f"{external_id} was imported before with other figures",
        )


class CurrencyError(FileRefusedError):
    """A line in another currency than the books'."""

    code = "file_currency"

    def __init__(self, line_no: int, currency: str) -> None:
        self.currency = currency
        super().__init__(
            line_no, f"币种为 {currency}，账簿只记人民币", f"the currency is {currency}, not CNY"
        )


class UnknownAccountError(ExplainedError):
    """No such statement account."""

    code = "statement_account_unknown"

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        super().__init__(
            f"没有登记这个对账账户：{account_id}。先用 estate reconcile accounts 登记。",
            f"There is no statement account {account_id}; register it by `estate reconcile accounts`.",
        )


class AccountRefusedError(ExplainedError):
    """An account that cannot be registered like this."""

    code = "statement_account_refused"

    def __init__(self, account_id: str, zh: str, en: str) -> None:
        self.account_id = account_id
        super().__init__(
            f"对账账户 {account_id} 未登记：{zh}。", f"Account {account_id} was not registered: {en}."
        )


class WrongFormatError(ExplainedError):
    """An account's files are not of this format."""

    code = "statement_format"

    def __init__(self, account_id: str, format_name: str) -> None:
        self.account_id, self.format_name = account_id, format_name
        super().__init__(
            f"账户 {account_id} 没有 {format_name} 格式的账单。",
            f"Account {account_id} has no statements of the format {format_name}.",
        )


class UnknownCaseError(ExplainedError):
    """No such case, or not one that this person sees."""

    code = "case_unknown"

    def __init__(self, case_id: int) -> None:
        self.case_id = case_id
        super().__init__(f"没有这个差异：{case_id}。", f"There is no case {case_id}.")


class CaseClosedError(ExplainedError):
    """Somebody closed it already, or it resolved itself."""

    code = "case_closed"

    def __init__(self, case_id: int) -> None:
        self.case_id = case_id
        super().__init__(f"差异 {case_id} 已经处理完毕。", f"Case {case_id} is closed already.")


class ReasonMissingError(ExplainedError):
    """What a person does by hand has a reason."""

    code = "reason_missing"

    def __init__(self) -> None:
        super().__init__("请写明处理原因。", "Please give a reason.")


class NotEqualError(ExplainedError):
    """What is to be matched differs."""

    code = "match_not_equal"

    def __init__(self, difference_fen: int) -> None:
        self.difference_fen = difference_fen
        super().__init__(
            f"两边相差 {yuan(difference_fen)} 元，不能匹配。请选对应的凭证，或转入待查。",
            f"The two sides differ by {yuan(difference_fen)}: choose the entry that fits, or move the"
            " difference to suspense.",
        )


class NotMatchableError(ExplainedError):
    """A line or entry that is not open any more, or not of this account."""

    code = "match_not_open"

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"{what} 不在本账户的待处理之列，可能刚被别人处理。请刷新。",
            f"{what} is not open in this account; somebody may just have dealt with it. Reload the page.",
        )


class SplitError(ExplainedError):
    """Parts that are not the line."""

    code = "split_parts"

    def __init__(self, amount_fen: int, parts_fen: int) -> None:
        self.amount_fen, self.parts_fen = amount_fen, parts_fen
        super().__init__(
            f"至少拆成两部分，且合计须等于原金额 {yuan(amount_fen)} 元，现为 {yuan(parts_fen)} 元。",
            f"Split into at least two parts that add up to {yuan(amount_fen)}; these are {yuan(parts_fen)}.",
        )
