"""Bytes to texts, amounts and moments: bounded, exact, and with the line that is to blame. Pure."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from backend.reconciliation.errors import (
    ArchiveError,
    CurrencyError,
    DuplicateLineError,
    EncodingError,
    FileTooLargeError,
    HeaderError,
    LineError,
    RunningBalanceError,
    TruncatedError,
)
from backend.reconciliation.lines import StatementLine
from backend.registry.rules import BEIJING

BYTES_MAX = 128 * 1024 * 1024
LINES_MAX = 1_000_000
MEMBERS_MAX = 16
_CHUNK = 1024 * 1024
_YUAN = re.compile(r"([+-]?)(\d{1,13})(?:\.(\d{1,8}))?", re.ASCII)
_MONEY_SIGNS = str.maketrans("", "", "¥￥,，  \t")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a file is read; an archive counts unpacked."""

    bytes_max: int = BYTES_MAX
    lines_max: int = LINES_MAX


def check_size(raw: bytes, limits: Limits) -> None:
    """Refuse what is too large to read.

    Raises:
        FileTooLargeError
    """
    if len(raw) > limits.bytes_max:
        raise _too_large(limits)


def unpacked(raw: bytes, limits: Limits, unwanted: str) -> bytes:
    """The one file of a zip whose name does not hold `unwanted`; anything that is no zip as it is.

    Raises:
        ArchiveError: not readable, or not exactly one such file.
        FileTooLargeError: what comes out is more than the limit; no more than that is unpacked.
    """
    if not raw.startswith(b"PK"):
        return raw
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            if len(members) > MEMBERS_MAX:
                raise ArchiveError("里文件太多", "holds too many files")
            wanted = [one for one in members if unwanted not in _name(one)]
            if len(wanted) != 1:
                raise ArchiveError("里应有且只有一份账单", "should hold one bill and holds another number")
            return _member(archive, wanted[0], limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ArchiveError("无法解开，可能下载不完整", "cannot be unpacked; it may be incomplete") from error


def text_of(raw: bytes, encoding: str) -> str:
    """Text, without a byte order mark.

    Raises:
        EncodingError: with the line of the first byte that does not fit.
    """
    try:
        text = raw.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        raise EncodingError(raw.count(b"\n", 0, error.start) + 1, encoding) from error
    if "\x00" in text:
        raise EncodingError(text.count("\n", 0, text.index("\x00")) + 1, encoding)
    return text


def rows_of(text: str, limits: Limits, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV text with the line each ends on.

    Raises:
        FileTooLargeError, LineError
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for row in reader:
            if reader.line_num > limits.lines_max:
                raise _too_large(limits)
            yield reader.line_num, row
    except csv.Error as error:
        raise LineError(reader.line_num, "CSV", str(error)) from error


def columns_of(header: Sequence[str], wanted: Iterable[str], line_no: int) -> dict[str, int]:
    """Where each wanted column stands; others may stand between them.

    Raises:
        HeaderError: one is missing or there twice.
    """
    names = [name.strip() for name in header]
    wrong = [name for name in wanted if names.count(name) != 1]
    if wrong:
        raise HeaderError(line_no, "、".join(wrong))
    return {name: place for place, name in enumerate(names)}


def check_width(row: Sequence[str], header: Sequence[str], line_no: int) -> None:
    """A row that is shorter than the header broke off.

    Raises:
        TruncatedError, LineError
    """
    if len(row) < len(header):
        raise TruncatedError(line_no)
    if len(row) > len(header):
        raise LineError(line_no, "列数 columns", str(len(row)))


def fen_of(text: str, line_no: int, column: str) -> int:
    """Yuan to fen, exactly; an empty value is nothing.

    Raises:
        LineError: no amount, or one with parts of a fen.
    """
    whole, rest = fen_and_rest(text, line_no, column)
    if rest:
        raise LineError(line_no, column, text)
    return whole


def fen_and_rest(text: str, line_no: int, column: str) -> tuple[int, int]:
    """Yuan to fen, towards zero, and what is left in millionths of a fen, with the same sign.

    Raises:
        LineError
    """
    found = _YUAN.fullmatch(text) or _YUAN.fullmatch(_plain(text))
    if found is None:
        if _plain(text) in ("", "-", "--"):
            return 0, 0
        raise LineError(line_no, column, text)
    sign, whole, part = found.groups()
    digits = (part or "").ljust(8, "0")
    fen, rest = int(whole) * 100 + int(digits[:2]), int(digits[2:])
    return (-fen, -rest) if sign == "-" else (fen, rest)


def rounded(fen: int, rest: int) -> int:
    """Half up, away from zero, as channels round their fees."""
    return fen + (rest >= 500_000) - (rest <= -500_000)


def moment_of(text: str, line_no: int, column: str) -> datetime:
    """`2026-11-03 10:00:00` on the clocks of China, as UTC.

    Raises:
        LineError
    """
    try:
        local = datetime.fromisoformat(text.strip().replace("/", "-"))
    except ValueError:
        raise LineError(line_no, column, text) from None
    return (local if local.tzinfo is not None else local.replace(tzinfo=BEIJING)).astimezone(UTC)


def day_of(moment: datetime) -> date:
    """The day in Jiangmen."""
    return moment.astimezone(BEIJING).date()


def check_currency(currency: str, line_no: int) -> None:
    """The books are kept in CNY.

    Raises:
        CurrencyError
    """
    if currency.strip().upper() not in ("CNY", "RMB", "人民币"):
        raise CurrencyError(line_no, currency.strip())


def check_numbers(lines: Iterable[StatementLine]) -> None:
    """No number occurs twice on a side.

    Raises:
        DuplicateLineError
    """
    seen: dict[tuple[str, str], int] = {}
    for line in lines:
        first = seen.setdefault((line.side, line.external_id), line.line_no)
        if first != line.line_no:
            raise DuplicateLineError(line.line_no, first, line.external_id)


def check_balances(lines: Sequence[StatementLine], opening_fen: int | None = None) -> tuple[int, int]:
    """Each balance follows from the one before; gives opening and closing.

    Raises:
        RunningBalanceError
    """
    first = lines[0]
    opening = (first.balance_fen or 0) - first.net_fen if opening_fen is None else opening_fen
    balance = opening
    for line in lines:
        balance += line.net_fen
        if line.balance_fen is not None and line.balance_fen != balance:
            raise RunningBalanceError(line.line_no, line.balance_fen, balance)
    return opening, balance


def day_ends(lines: Sequence[StatementLine], opening_fen: int) -> dict[date, int]:
    """The balance after the last line of each day, of lines in the order of the account."""
    ends: dict[date, int] = {}
    balance = opening_fen
    for line in lines:
        balance += line.net_fen
        ends[line.value_on] = balance
    return ends


def normal(text: str) -> str:
    """A heading in one width, without blanks."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(_MONEY_SIGNS)


def _name(member: zipfile.ZipInfo) -> str:
    if member.flag_bits & 0x800:
        return member.filename
    try:
        # The format's own fallback; Chinese programs put GBK there.
        return member.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return member.filename


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> bytes:
    # The size that the archive states is a claim: what counts is what comes out.
    parts, total = [], 0
    with archive.open(member) as file:
        while chunk := file.read(_CHUNK):
            total += len(chunk)
            if total > limits.bytes_max:
                raise _too_large(limits)
            parts.append(chunk)
    return b"".join(parts)


def _too_large(limits: Limits) -> FileTooLargeError:
    mib = limits.bytes_max // (1024 * 1024)
    return FileTooLargeError(
        f"文件超过 {mib} MiB 或 {limits.lines_max} 行",
        f"it has more than {mib} MiB or {limits.lines_max} lines",
    )
