"""Each format is read to the fen, and refused whole where it is not what it says."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import date

import pytest

from backend.reconciliation import errors
from backend.reconciliation.accounts import Account
from backend.reconciliation.errors import FileRefusedError
from backend.reconciliation.importers.reader import read_file
from backend.reconciliation.lines import Format, Kind, ReadFile, Side
from backend.reconciliation.reading import Limits
from tests.unit.reconciliation.sample import FROM, OPENING_FEN, month_of, samples

LIMITS = Limits(bytes_max=4 * 1024 * 1024, lines_max=10_000)
FORMATS = sorted(samples())
CHANNEL_OF = {Format.STRIPE_REPORT: "stripe", Format.ALIPAY: "alipay"}
Change = Callable[[str], str]


def read(format_: Format, change: Change = lambda text: text) -> ReadFile:
    account, raw = samples()[format_]
    return read_file(changed(format_, raw, change), account, format_, LIMITS)


def encoding(format_: Format) -> str:
    return "gb18030" if format_ in (Format.ALIPAY, Format.BANK_CSV) else "utf-8"


def changed(format_: Format, raw: bytes, change: Change) -> bytes:
    """The file with its text changed; a zip is taken apart and packed again."""
    if format_ is not Format.ALIPAY:
        return change(raw.decode(encoding(format_))).encode(encoding(format_))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.infolist():
            text = old.read(member).decode("gbk")
            new.writestr(member.filename, (text if "汇总" in member.filename else change(text)).encode("gbk"))
    return out.getvalue()


def lines_of(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def refusal(format_: Format, change: Change) -> FileRefusedError:
    with pytest.raises(FileRefusedError) as refused:
        read(format_, change)
    return refused.value


@pytest.mark.parametrize("format_", FORMATS)
def test_a_whole_file_is_read_with_numbers_days_and_amounts(format_: Format) -> None:
    found = read(format_)
    assert found.lines
    assert len({(line.side, line.external_id) for line in found.lines}) == len(found.lines)
    assert min(line.value_on for line in found.lines) >= found.from_on
    if format_ is not Format.STRIPE_REPORT:  # whose newest day goes on in the next report
        assert max(line.value_on for line in found.lines) < found.to_on
    assert all(isinstance(line.amount_fen, int) for line in found.lines)
    if found.opening_fen is not None:
        assert found.opening_fen + sum(line.net_fen for line in found.lines) == found.closing_fen
        assert found.day_ends_fen[max(found.day_ends_fen)] == found.closing_fen


@pytest.mark.parametrize("format_", [Format.STRIPE_REPORT, Format.ALIPAY])
def test_a_channels_bill_says_what_was_paid_to_the_fen(format_: Format) -> None:
    month = month_of(CHANNEL_OF[format_])  # type: ignore[arg-type]
    bill = [line for line in read(format_).lines if line.side is Side.BILL]
    assert {(line.pay_ref, line.amount_fen, line.value_on) for line in bill} == {
        (item.ref, item.amount_fen, item.day) for item in month.bill
    }
    fees = [line for line in read(format_).lines if line.side is Side.FEE]
    assert sum(line.fee_fen for line in bill) - sum(line.amount_fen for line in fees) == sum(
        item.fee_fen for item in month.bill
    )
    payouts = [line for line in read(format_).lines if line.side is Side.PAYOUT]
    assert sorted(-line.amount_fen for line in payouts) == sorted(one.amount_fen for one in month.payouts)


def test_both_wechat_bills_of_a_day_tell_the_same_payments() -> None:
    trade, flow = read(Format.WECHAT_TRADE), read(Format.WECHAT_FLOW)
    assert {(line.pay_ref, line.amount_fen) for line in trade.lines if line.kind is Kind.PAYMENT} == {
        (line.pay_ref, line.amount_fen) for line in flow.lines if line.kind is Kind.PAYMENT
    }
    assert trade.from_on == flow.from_on == date(2026, 11, 3)
    assert {line.kind for line in flow.lines} == {Kind.PAYMENT, Kind.FEE, Kind.PAYOUT}


def test_three_formats_of_a_bank_tell_the_same_lines() -> None:
    told = [
        [(line.external_id, line.amount_fen, line.value_on, line.kind) for line in read(format_).lines]
        for format_ in (Format.BANK_CSV, Format.CAMT053, Format.MT940)
    ]
    assert told[0] == told[1] == told[2]
    assert read(Format.MT940).opening_fen == OPENING_FEN
    assert read(Format.MT940).from_on == read(Format.CAMT053).from_on == FROM
    assert {kind for *_, kind in told[0]} == {Kind.TRANSFER, Kind.CHARGE}


def test_columns_of_alipay_may_stand_elsewhere_and_have_other_brackets() -> None:
    def turned(text: str) -> str:
        rows = lines_of(text)
        for place, row in enumerate(rows):
            if not row.startswith("#") and row.strip():
                cells = row.rstrip("\r\n").split(",")
                rows[place] = ",".join([*cells[6:], *cells[:6]]) + "\r\n"
        return "".join(rows).replace("（", "(").replace("）", ")")

    assert [line.amount_fen for line in read(Format.ALIPAY, turned).lines] == [
        line.amount_fen for line in read(Format.ALIPAY).lines
    ]


def test_alipay_rows_may_be_listed_newest_first() -> None:
    def backwards(text: str) -> str:
        rows = lines_of(text)
        first = next(place for place, row in enumerate(rows) if row.startswith("账务流水号")) + 1
        last = next(place for place, row in enumerate(rows) if "列表结束" in row)
        return "".join([*rows[:first], *reversed(rows[first:last]), *rows[last:]])

    assert read(Format.ALIPAY, backwards).closing_fen == read(Format.ALIPAY).closing_fen


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(format_: Format, share: float) -> None:
    account, raw = samples()[format_]
    with pytest.raises(FileRefusedError):
        read_file(raw[: int(len(raw) * share)], account, format_, LIMITS)


@pytest.mark.parametrize(
    "format_", [Format.WECHAT_TRADE, Format.WECHAT_FLOW, Format.ALIPAY, Format.CAMT053, Format.MT940]
)
def test_a_file_that_breaks_off_between_two_lines_is_refused(format_: Format) -> None:
    """It still looks whole: totals, closing balances and end marks find it."""
    refused = refusal(format_, lambda text: "".join(lines_of(text)[:-6]))
    assert refused.line_no is None or refused.line_no > 0


@pytest.mark.parametrize(
    ("format_", "wrong"),
    [
        (Format.WECHAT_TRADE, b"\xff\xfe"),
        (Format.WECHAT_FLOW, b"\xff\xfe"),
        (Format.STRIPE_REPORT, b"\xff\xfe"),
        (Format.CAMT053, b"\xff\xfe"),
        (Format.MT940, b"\xff\xfe"),
        (Format.BANK_CSV, b"\xff\xff"),
    ],
)
def test_another_encoding_is_refused_with_its_line(format_: Format, wrong: bytes) -> None:
    account, raw = samples()[format_]
    place = raw.index(b"\n", len(raw) // 2) + 1
    with pytest.raises(FileRefusedError) as refused:
        read_file(raw[:place] + wrong + raw[place:], account, format_, LIMITS)
    assert refused.value.line_no == raw.count(b"\n", 0, place) + 1


def test_an_alipay_bill_saved_as_utf8_is_refused() -> None:
    account, raw = samples()[Format.ALIPAY]
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        text = archive.read(next(one for one in archive.infolist() if "汇总" not in one.filename)).decode(
            "gbk"
        )
    with pytest.raises(FileRefusedError):
        read_file(text.encode("utf-8"), account, Format.ALIPAY, LIMITS)


@pytest.mark.parametrize(
    ("format_", "column"),
    [
        (Format.WECHAT_TRADE, "商户订单号"),
        (Format.WECHAT_FLOW, "账户结余(元)"),
        (Format.ALIPAY, "账务流水号"),
        (Format.STRIPE_REPORT, "payment_intent_id"),
        (Format.BANK_CSV, "余额"),
    ],
)
def test_a_changed_header_is_refused_and_names_the_column(format_: Format, column: str) -> None:
    refused = refusal(format_, lambda text: text.replace(column, "别的", 1))
    assert isinstance(refused, errors.HeaderError)
    assert refused.line_no is not None
    assert column.partition("(")[0] in refused.columns


@pytest.mark.parametrize(
    ("format_", "number"),
    [
        (Format.WECHAT_TRADE, "1900000109"),
        (Format.ALIPAY, "20881234567890120156"),
        (Format.BANK_CSV, "44050167010100000001"),
        (Format.CAMT053, "44050167010100000001"),
        (Format.MT940, "44050167010100000001"),
    ],
)
def test_a_bill_of_another_account_is_refused(format_: Format, number: str) -> None:
    refused = refusal(format_, lambda text: text.replace(number, "1" * len(number)))
    assert isinstance(refused, errors.OtherAccountError)
    assert refused.line_no


def double_line(format_: Format, text: str) -> str:
    """The text with one of its lines a second time."""
    rows = lines_of(text)
    if format_ is Format.CAMT053:
        place = next(number for number, row in enumerate(rows) if row.startswith("<Ntry>"))
        return "".join([*rows[: place + 1], *rows[place:]])
    if format_ is Format.MT940:
        place = next(number for number, row in enumerate(rows) if row.startswith(":61:"))
        return "".join([*rows[: place + 2], *rows[place:]])
    heads = ("#", "账务流水号", "交易", "记账", "balance_transaction_id")
    place = next(number for number, row in enumerate(rows) if not row.startswith(heads))
    return "".join([*rows[: place + 1], *rows[place:]])


@pytest.mark.parametrize("format_", FORMATS)
def test_a_line_that_stands_there_twice_is_refused(format_: Format) -> None:
    refused = refusal(format_, lambda text: double_line(format_, text))
    # Where balances or totals are looked at first, they find it.
    assert isinstance(refused, errors.DuplicateLineError | errors.TotalError | errors.RunningBalanceError)
    assert refused.line_no


@pytest.mark.parametrize(
    "format_", [Format.WECHAT_TRADE, Format.WECHAT_FLOW, Format.ALIPAY, Format.CAMT053, Format.MT940]
)
def test_a_total_that_does_not_add_up_is_refused_with_its_line(format_: Format) -> None:
    before = {
        Format.WECHAT_TRADE: lambda text: "".join(
            [*lines_of(text)[:-1], lines_of(text)[-1].replace(",`", ",`1", 1)]
        ),
        Format.WECHAT_FLOW: lambda text: "".join(
            [*lines_of(text)[:-1], lines_of(text)[-1].replace("`", "`9", 1)]
        ),
        Format.ALIPAY: lambda text: text.replace("#收入合计：", "#收入合计：1"),
        Format.CAMT053: lambda text: text.replace("<NbOfNtries>", "<NbOfNtries>1"),
        Format.MT940: lambda text: text.replace(":62F:C261204CNY", ":62F:C261204CNY1"),
    }[format_]
    refused = refusal(format_, before)
    assert isinstance(refused, errors.TotalError)
    assert refused.line_no


@pytest.mark.parametrize("format_", [Format.WECHAT_FLOW, Format.BANK_CSV])
def test_a_running_balance_that_does_not_follow_is_refused(format_: Format) -> None:
    def moved(text: str) -> str:
        rows = lines_of(text)
        cells = rows[3].split(",")
        place = 7 if format_ is Format.WECHAT_FLOW else 5
        cells[place] = cells[place][:-2] + "17"
        return "".join([*rows[:3], ",".join(cells), *rows[4:]])

    refused = refusal(format_, moved)
    assert isinstance(refused, errors.RunningBalanceError)
    assert refused.line_no == 4


def test_a_stripe_row_whose_net_is_not_gross_less_fee_is_refused() -> None:
    def moved(text: str) -> str:
        rows = lines_of(text)
        cells = rows[5].split(",")
        cells[8] = "0.01"
        return "".join([*rows[:5], ",".join(cells), *rows[6:]])

    refused = refusal(Format.STRIPE_REPORT, moved)
    assert isinstance(refused, errors.TotalError)
    assert refused.line_no == 6


@pytest.mark.parametrize("format_", [Format.WECHAT_TRADE, Format.CAMT053, Format.MT940, Format.STRIPE_REPORT])
def test_another_currency_is_refused(format_: Format) -> None:
    refused = refusal(format_, lambda text: text.replace("CNY", "USD").replace(",cny,", ",usd,"))
    assert isinstance(refused, errors.CurrencyError)


@pytest.mark.parametrize("amount", ["1e5", "12.345", "NaN", "１２.3４x", "--5"])
def test_what_is_no_amount_of_fen_is_refused(amount: str) -> None:
    def moved(text: str) -> str:
        rows = lines_of(text)
        cells = rows[1].split(",")
        cells[5] = amount
        return "".join([rows[0], ",".join(cells), *rows[2:]])

    assert isinstance(refusal(Format.BANK_CSV, moved), errors.LineError)


def test_fees_with_five_decimals_are_rounded_half_up_and_summed_exactly() -> None:
    def finer(text: str) -> str:
        rows = lines_of(text)
        for place, tail in ((1, "500"), (-1, "500")):
            cells = rows[place].split(",`")
            column = 22 if place == 1 else 4
            cells[column] = cells[column][:-3] + tail
            rows[place] = ",`".join(cells)
        return "".join(rows)

    before, after = read(Format.WECHAT_TRADE).lines, read(Format.WECHAT_TRADE, finer).lines
    assert after[0].fee_fen == before[0].fee_fen + 1


def test_a_zip_that_unpacks_without_end_is_refused_within_its_bound() -> None:
    account, _ = samples()[Format.ALIPAY]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("账务明细.csv", b"0" * (64 * 1024 * 1024))
    assert len(out.getvalue()) < 100_000
    with pytest.raises(errors.FileTooLargeError):
        read_file(out.getvalue(), account, Format.ALIPAY, LIMITS)


def test_an_archive_of_many_files_or_none_is_refused() -> None:
    account, _ = samples()[Format.ALIPAY]
    for count in (0, 2, 40):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for number in range(count):
                archive.writestr(f"{number}.csv", b"1")
        with pytest.raises(errors.ArchiveError):
            read_file(out.getvalue(), account, Format.ALIPAY, LIMITS)


def test_an_xml_that_defines_entities_is_refused() -> None:
    bomb = '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]>\n'
    refused = refusal(Format.CAMT053, lambda text: bomb + text.partition("?>\n")[2])
    assert isinstance(refused, errors.LineError)


@pytest.mark.parametrize("format_", FORMATS)
def test_too_many_lines_or_bytes_are_refused(format_: Format) -> None:
    account, raw = samples()[format_]
    for limits in (Limits(bytes_max=200), Limits(lines_max=3)):
        with pytest.raises(errors.FileTooLargeError):
            read_file(raw, account, format_, limits)


def test_an_account_refuses_formats_of_others() -> None:
    account: Account = samples()[Format.ALIPAY][0]
    with pytest.raises(errors.WrongFormatError):
        read_file(b"x", account, Format.MT940, LIMITS)
