"""docs/vouchers.md against the software: the documented entry is the one that is built."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest

from backend.ledger.chart import Chart, Role, read_chart
from backend.ledger.rules import Dimensions, NewEntry, check
from backend.ledger.service import REVERSAL
from backend.rent import vouchers
from backend.rent.allocation import Due, OpenCharge, Part
from backend.rent.rules import ChargeLine, LineKind

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "vouchers.md"
MONTH, DAY = date(2026, 11, 1), date(2026, 11, 3)
CHART = Chart({role: account.code for account in read_chart() for role in [account.role] if role is not None})
NAMES = {account.code: account.name_zh for account in read_chart()}
ABOUT = Dimensions("pengjiang-1", None, UUID(int=1), "wechat_pay")
OCCASION = vouchers.Occasion("pengjiang-1", datetime(2026, 11, 3, tzinfo=UTC), DAY, "test", None)
CHARGE = OpenCharge(UUID(int=2), UUID(int=3), MONTH, DAY, {Due.RENT: 900, Due.PROPERTY_FEE: 70}, 0, 0)
PART = Part(CHARGE, 970, {Due.RENT: 900, Due.PROPERTY_FEE: 70})


def line(kind: LineKind, fen: int) -> ChargeLine:
    return ChargeLine(kind, MONTH, date(2026, 12, 1), fen, 0, kind.value)


def charge() -> tuple[NewEntry, Mapping[str, int]]:
    lines = [
        line(LineKind.RENT, 1000),
        line(LineKind.RELIEF, -300),
        line(LineKind.SUBSIDY, -20),
        line(LineKind.PROPERTY_FEE, 7),
    ]
    entry = vouchers.charge_entry(CHART, OCCASION, "key", MONTH, ABOUT, lines)
    assert entry is not None
    return entry, {"rent": 1000, "relief": 300, "subsidy": 20, "property_fee": 7}


def receipt() -> tuple[NewEntry, Mapping[str, int]]:
    entry = vouchers.receipt_entry(CHART, OCCASION, "stripe:pi_1", "stripe", "SJ-1", ABOUT, [PART], 5)
    return entry, {"amount": 975, "rent": 900, "property_fee": 70, "prepaid": 5}


def prepaid() -> tuple[NewEntry, Mapping[str, int]]:
    entry = vouchers.prepaid_entry(CHART, OCCASION, "key", ABOUT, PART)
    return entry, {"amount": 970, "rent": 900, "property_fee": 70}


EXAMPLES = {vouchers.RENT_CHARGED: charge, vouchers.RECEIPT: receipt, vouchers.PREPAID_USED: prepaid}


def documented() -> dict[str, list[tuple[str, str, str, str]]]:
    """The rows of each event's table: side, code, name, amount."""
    found: dict[str, list[tuple[str, str, str, str]]] = {}
    for text in DOCUMENT.read_text("utf-8").splitlines():
        if heading := re.match(r"## (\w+) · ", text):
            rows = found.setdefault(heading[1], [])
        elif row := re.match(r"\| ([借贷]) \| (\S+) \| (.+) \| (\w+) \|$", text):
            rows.append((row[1], row[2], row[3], row[4]))
    return found


def test_every_event_has_its_table_and_every_table_its_event() -> None:
    assert set(documented()) == {*EXAMPLES, REVERSAL}


@pytest.mark.parametrize("event", sorted(EXAMPLES))
def test_the_documented_entry_is_the_one_that_is_built(event: str) -> None:
    entry, amounts = EXAMPLES[event]()
    check(entry)
    assert entry.event_kind == event
    built = [
        ("借" if line.debit_fen else "贷", line.account_code, line.debit_fen + line.credit_fen)
        for line in entry.lines
    ]
    assert built == [(side, code, amounts[amount]) for side, code, _, amount in documented()[event]]


def test_the_document_names_the_accounts_as_the_chart_does() -> None:
    rows = [row for rows in documented().values() for row in rows]
    assert {(code, name) for _, code, name, _ in rows} <= set(NAMES.items())


def test_every_role_of_the_chart_is_used_by_a_documented_entry() -> None:
    used = {code for rows in documented().values() for _, code, _, _ in rows}
    assert used == {CHART.code(role) for role in Role}


def test_a_charge_of_nothing_but_nil_lines_has_no_entry() -> None:
    lines = [ChargeLine(LineKind.SUBSIDY, MONTH, DAY, 0, 500, "x")]
    assert vouchers.charge_entry(CHART, OCCASION, "key", MONTH, ABOUT, lines) is None


def test_units_come_from_the_charges_and_the_channel_from_the_payment() -> None:
    entry, _ = receipt()
    assert [line.about.unit_id for line in entry.lines] == [None, *[CHARGE.unit_id] * 6, None]
    assert {line.about.channel for line in entry.lines} == {"wechat_pay"}
    assert "SJ-1" in entry.summary_zh
    assert "微信支付" in entry.summary_zh
