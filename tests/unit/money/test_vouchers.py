"""docs/vouchers.md against the software: the documented entry is the one that is built."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from backend.ledger import vouchers as common
from backend.ledger.chart import Role
from backend.ledger.rules import Dimensions, NewEntry, credit, debit
from backend.ledger.service import REVERSAL
from backend.rent import vouchers
from backend.rent.allocation import Due, OpenCharge, Part
from backend.rent.rules import ChargeLine, LineKind
from tests.unit.money.voucher_page import CHANNEL, CHART, NAMES, documented, hold, holders

MONTH, DAY = date(2026, 11, 1), date(2026, 11, 3)
ABOUT = Dimensions("pengjiang-1", None, UUID(int=1), "wechat_pay")
OCCASION = common.Occasion("pengjiang-1", datetime(2026, 11, 3, tzinfo=UTC), DAY, "test", None)
CHARGE = OpenCharge(UUID(int=2), UUID(int=3), MONTH, DAY, {Due.RENT: 900, Due.PROPERTY_FEE: 70}, 0)
PART = Part(CHARGE, 970, {Due.RENT: 900, Due.PROPERTY_FEE: 70})
PROPOSAL = UUID(int=9)
# Different amounts, so that no two rows can be exchanged unseen.
EACH_DUE = {word: 1000 + 7**place for place, word in enumerate(common.DUES)}


def line(kind: LineKind, fen: int) -> ChargeLine:
    return ChargeLine(kind, MONTH, date(2026, 12, 1), fen, 0, kind.value)


def receipt(provider: str = "stripe") -> NewEntry:
    return vouchers.receipt_entry(CHART, OCCASION, f"{provider}:1", provider, "SJ-1", ABOUT, [PART], 5)


def test_a_charge_is_as_documented() -> None:
    lines = [
        line(LineKind.RENT, 1000),
        line(LineKind.RELIEF, -300),
        line(LineKind.SUBSIDY, -20),
        line(LineKind.PROPERTY_FEE, 7),
        line(LineKind.LATE_FEE, 11),
        line(LineKind.WATER, 13),
        line(LineKind.ELECTRICITY, 17),
        line(LineKind.GAS, 19),
        line(LineKind.DEPOSIT, 23),
        line(LineKind.DAMAGE, 29),
    ]
    entry = vouchers.charge_entry(CHART, OCCASION, "key", "应收", ABOUT, lines)
    assert entry is not None
    hold(
        entry,
        {
            "rent": 1000,
            "relief": 300,
            "subsidy": 20,
            "property_fee": 7,
            "late_fee": 11,
            "utilities": 13 + 17 + 19,
            "deposit": 23,
            "damage": 29,
        },
    )


def test_a_relief_and_a_subsidy_that_ended_retroactively_are_taken_back_as_documented() -> None:
    lines = [line(LineKind.RELIEF, 300), line(LineKind.SUBSIDY, 20)]
    entry = vouchers.charge_entry(CHART, OCCASION, "key", "更正", ABOUT, lines)
    assert entry is not None
    hold(entry, {"relief_back": 300, "subsidy_back": 20})


@pytest.mark.parametrize("kind", sorted(set(LineKind)))
def test_a_line_and_its_correction_leave_nothing(kind: LineKind) -> None:
    there, back = (vouchers.charge_line(CHART, ABOUT, line(kind, fen)) for fen in (500, -500))
    sums: dict[str, int] = {}
    for one in (*there, *back):
        sums[one.account_code] = sums.get(one.account_code, 0) + one.debit_fen - one.credit_fen
    assert set(sums.values()) == {0}


@pytest.mark.parametrize("provider", sorted(common.HELD_BY))
def test_a_receipt_is_as_documented_wherever_the_money_is(provider: str) -> None:
    hold(receipt(provider), {"amount": 975, "rent": 900, "property_fee": 70, "prepaid": 5}, provider)


def test_prepaid_rent_is_used_as_documented() -> None:
    entry = vouchers.prepaid_entry(CHART, OCCASION, "key", ABOUT, PART)
    hold(entry, {"amount": 970, "rent": 900, "property_fee": 70})


def test_what_is_paid_is_unpaid_by_its_mirror() -> None:
    for word in common.DUES:
        lines = common.paid(CHART, ABOUT, word, 5)
        assert common.unpaid(CHART, ABOUT, word, 5) == tuple(one.mirrored() for one in lines)


def test_a_write_off_and_its_recovery_are_as_documented() -> None:
    dues = [(ABOUT, word, fen) for word, fen in EACH_DUE.items()]
    hold(common.write_off_entry(CHART, OCCASION, PROPOSAL, dues), EACH_DUE)
    recovery = common.recovery_entry(CHART, OCCASION, PROPOSAL, "SJ-2", dues)
    assert recovery.event_key == f"{PROPOSAL}:SJ-2"
    hold(recovery, EACH_DUE)


def test_a_remittance_is_as_documented_and_found_by_its_number() -> None:
    parts = {"rent": 1000, "late_fee": 30, "damage": 200, "interest": 4}
    entry = common.remittance_entry(CHART, OCCASION, "JK-0001", ABOUT, parts)
    assert entry.event_key == "JK-0001"
    hold(entry, {**parts, "amount": 1234})


def test_what_was_collected_for_companies_is_paid_on_as_documented() -> None:
    parts = {"property_fee": 70, "utilities": 9}
    hold(common.paid_on_entry(CHART, OCCASION, "FK-1", ABOUT, parts), {**parts, "amount": 79})


def test_money_of_the_subsidy_fund_is_as_documented() -> None:
    hold(common.subsidy_received_entry(CHART, OCCASION, "B-1", ABOUT, 20), {"amount": 20})


@pytest.mark.parametrize("kind", common.PAIR_KINDS)
def test_an_entry_between_two_accounts_is_as_documented(kind: str) -> None:
    hold(common.pair_entry(CHART, OCCASION, kind, "B-1", ABOUT, 5, "wechat"), {"amount": 5}, "wechat")


def test_a_manual_entry_has_the_rows_that_were_agreed_on_and_no_table() -> None:
    lines = [debit("1001", 5), debit("1002", 0), credit("1002", 5)]
    entry = common.manual_entry(OCCASION, PROPOSAL, "更正", lines)
    assert entry.lines == (lines[0], lines[2])
    assert (entry.event_kind, entry.event_key) == (common.MANUAL, str(PROPOSAL))
    assert documented()[common.MANUAL] == documented()[REVERSAL] == []


def test_every_kind_of_the_builders_here_has_its_place_on_the_page() -> None:
    kinds = {
        *common.PAIR_KINDS, common.WRITTEN_OFF, common.RECOVERED, common.REMITTED, common.PAID_ON,
        common.SUBSIDY_RECEIVED, common.MANUAL, REVERSAL, vouchers.RENT_CHARGED, vouchers.RECEIPT,
        vouchers.PREPAID_USED,
    }  # fmt: skip
    assert kinds <= set(documented())


def test_the_two_sides_of_every_table_can_agree() -> None:
    for kind, rows in documented().items():
        assert {row.side for row in rows} in ({"借", "贷"}, set()), kind


def test_the_document_names_the_accounts_as_the_chart_does() -> None:
    rows = {(row.code, row.name) for rows in documented().values() for row in rows if row.code != CHANNEL}
    assert rows <= set(NAMES.items())
    assert set(holders().values()) <= set(NAMES.items())


def test_the_document_puts_the_money_where_the_software_does() -> None:
    assert {who: CHART.code(role) for who, role in common.HELD_BY.items()} == {
        who: code for who, (code, _) in holders().items()
    }


def test_every_role_of_the_chart_is_used_by_a_documented_entry() -> None:
    used = {row.code for rows in documented().values() for row in rows} | {c for c, _ in holders().values()}
    assert used - {CHANNEL} == {CHART.code(role) for role in Role}


def test_a_waiver_is_as_documented() -> None:
    dues = [(ABOUT, word, fen) for word, fen in EACH_DUE.items()]
    entry = vouchers.waiver_entry(CHART, OCCASION, PROPOSAL, dues)
    assert entry.event_key == str(PROPOSAL)
    hold(entry, EACH_DUE)


def test_a_charge_of_nothing_but_nil_lines_has_no_entry() -> None:
    lines = [ChargeLine(LineKind.SUBSIDY, MONTH, DAY, 0, 500, "x")]
    assert vouchers.charge_entry(CHART, OCCASION, "key", "应收", ABOUT, lines) is None


def test_units_come_from_the_charges_and_the_channel_from_the_payment() -> None:
    entry = receipt()
    assert [line.about.unit_id for line in entry.lines] == [None, *[CHARGE.unit_id] * 6, None]
    assert {line.about.channel for line in entry.lines} == {"wechat_pay"}
    assert "SJ-1" in entry.summary_zh
    assert "微信支付" in entry.summary_zh
