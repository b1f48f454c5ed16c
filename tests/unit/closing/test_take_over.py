"""The old system's file: what is read of it, what is refused, and the entries that follow from it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.closing.take_over_file import HELD, ITEMS, OWED, pattern, read_old_books
from backend.closing.take_over_rules import HomeFact, Plan, plan_of, unit_name
from backend.closing.take_over_vouchers import opening_arrears_entry, opening_balance_entry
from backend.documents.workbook import workbook_bytes
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import Occasion
from tests.unit.closing.old_books import Evening
from tests.unit.money.voucher_page import CHART, hold

MONTH = date(2026, 12, 1)
OCCASION = Occasion("lianhu-1", datetime(2026, 12, 1, 2, 0, tzinfo=UTC), MONTH, "test", None)
NAMESPACE = UUID(int=7)


def home(
    number: int, unit: str = "", from_on: date = date(2020, 1, 1), to_on: date | None = None
) -> HomeFact:
    unit = unit or f"A栋{number:04d}"
    return HomeFact(
        uuid5(NAMESPACE, f"household{number}"),
        uuid5(NAMESPACE, f"tenancy{number}{unit}"),
        uuid5(NAMESPACE, unit),
        frozenset({unit_name(unit)}),
        from_on,
        to_on,
    )


HOMES = {f"H{number}": [home(number)] for number in range(1, 9)}
GOOD = Evening(
    arrears=[
        ("H1", "", "2026-10", "", "租金", 38_640),
        ("H1", "", "2026-11", "2026-11-20", "租金", 38_640),
        ("H1", "", "2026-11", "", "水费", 1_250),
    ],
    prepaid=[("H2", 20_000)],
    deposits=[("H1", "A栋 0001", 100_000), ("H3", "", 90_000)],
    money={"待缴租金": 300_000, "待付物业费": 4_000, "库存现金": 1_234, "微信支付在途": 50_000},
)


def plan(evening: Evening, homes: dict[str, list[HomeFact]] | None = None) -> Plan:
    found, faults = plan_of(read_old_books(evening.workbook()), homes or HOMES, MONTH, 15)
    assert faults == []
    return found


def faults_of(evening: Evening, homes: dict[str, list[HomeFact]] | None = None) -> list[tuple[str, str]]:
    _, faults = plan_of(read_old_books(evening.workbook()), homes or HOMES, MONTH, 15)
    return [(one.place, one.zh) for one in faults]


def test_a_file_is_read_by_month_household_and_money() -> None:
    found = plan(GOOD)
    assert [(one.month, one.due_on, one.fen) for one in found.arrears] == [
        (date(2026, 10, 1), date(2026, 10, 15), 38_640),
        (date(2026, 11, 1), date(2026, 11, 15), 39_890),
    ]
    assert found.figures == {
        "arrears_fen": 78_530,
        "arrears_charges": 2,
        "prepaid_fen": 20_000,
        "prepaid_households": 1,
        "deposits_fen": 190_000,
        "deposits": 2,
        "bank_fen": 462_766,
        "cash_fen": 1_234,
        "property_fee_unpaid_fen": 4_000,
        "rent_unremitted_fen": 300_000,
        "wechat_fen": 50_000,
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_csv_says_the_same_as_excel(encoding: str) -> None:
    read = read_old_books(GOOD.csv(encoding))
    found, faults = plan_of(read, HOMES, MONTH, 15)
    assert faults == []
    assert found == plan(GOOD)


def test_the_pattern_is_read_as_nothing() -> None:
    found, faults = plan_of(read_old_books(workbook_bytes(pattern())), HOMES, MONTH, 15)
    assert faults == []
    assert (found.arrears, found.prepaid, found.deposits) == ((), (), ())
    assert not any(found.money.values())


@pytest.mark.parametrize(
    ("spoil", "place", "said"),
    [
        ({"arrears": [("H9", "", "2026-10", "", "租金", 1)]}, "欠费 第 2 行「家庭编号」", "没有这户"),
        ({"arrears": [("", "", "2026-10", "", "租金", 1)]}, "欠费 第 2 行「家庭编号」", "不能为空"),
        ({"arrears": [("H1", "", "2026-13", "", "租金", 1)]}, "欠费 第 2 行「费用月份」", "应为月份"),
        ({"arrears": [("H1", "", "2026-12", "", "租金", 1)]}, "欠费 第 2 行「费用月份」", "由本系统计租"),
        ({"arrears": [("H1", "", "2026-10", "2026-09-30", "租金", 1)]}, "欠费 第 2 行「到期日」", "早于"),
        ({"arrears": [("H1", "", "2026-10", "", "车费", 1)]}, "欠费 第 2 行「欠费项目」", "应为其中之一"),
        ({"arrears": [("H1", "", "2026-10", "", "租金", 0)]}, "欠费 第 2 行「欠费金额（元）」", "大于零"),
        ({"arrears": [("H1", "B栋 1", "2026-10", "", "租金", 1)]}, "欠费 第 2 行「房源」", "没有租过"),
        ({"arrears": [("H1", "", "2026-10", "", "租金", 1)] * 2}, "欠费 第 3 行", "重复"),
        ({"prepaid": [("H1", 1), ("H1", 1)]}, "预收 第 3 行", "重复"),
        ({"deposits": [("H1", "", 1), ("H1", "", 1)]}, "押金 第 3 行", "重复"),
        ({"totals": {"欠费": (1, 0)}}, "合计 第 2 行「欠费」", "原系统 1 笔，表中 0 笔"),
        ({"totals": {"欠费": (0, 1)}}, "合计 第 2 行「欠费」", "差 0.01 元"),
        ({"totals": {"银行对账单余额": (None, 7)}}, "合计 第 7 行「银行对账单余额」", "差 0.07 元"),
        ({"money": {"待缴租金": 5, "银行存款": 4}}, "资金", "两边不等"),
    ],
)
def test_what_is_wrong_is_told_by_sheet_row_and_column(
    spoil: dict[str, object], place: str, said: str
) -> None:
    found = faults_of(Evening(**spoil))  # type: ignore[arg-type]
    assert any(where == place and said in words for where, words in found), found


def test_a_household_with_two_tenancies_is_told_by_month_or_by_unit() -> None:
    old, new = home(1, "A栋1", to_on=date(2026, 6, 1)), home(1, "A栋2", date(2026, 6, 1))
    homes = {"H1": [old, new]}
    both = Evening(
        arrears=[
            ("H1", "", "2026-03", "", "租金", 1),
            ("H1", "", "2026-09", "", "租金", 2),
            ("H1", "a栋-1", "2026-10", "", "损坏赔偿", 3),
        ],
        deposits=[("H1", "", 5)],
    )
    found = plan(both, homes)
    assert [one.home for one in found.arrears] == [old, new, old]
    assert [one for one, _ in found.deposits] == [new]
    overlapping = {"H1": [home(1, "A栋1"), home(1, "A栋2")]}
    assert ("欠费 第 2 行「房源」", "这户有多份租约，请填房源") in faults_of(both, overlapping)


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04 broken", b"\x00\x01", "没有表头".encode()])
def test_what_is_no_table_is_one_fault(body: bytes) -> None:
    assert read_old_books(body).faults


def test_a_missing_sheet_is_a_fault() -> None:
    sheets = [one for one in pattern() if one.name != "押金"]
    assert "押金" in [one.place for one in read_old_books(workbook_bytes(sheets)).faults]


def test_an_unknown_part_of_a_csv_is_a_fault() -> None:
    body = GOOD.csv().decode("utf-8-sig").replace("预收,", "预付,", 1).encode()
    assert [one.place for one in read_old_books(body).faults] == ["CSV 第 5 行「表」"]


def test_each_opening_entry_is_the_documented_one() -> None:
    about = Dimensions("lianhu-1", UUID(int=1), UUID(int=2), None)
    items = [(kind, place) for place, kind in enumerate(ITEMS.values(), 1)]
    entry = opening_arrears_entry(CHART, OCCASION, UUID(int=3), date(2026, 10, 1), about, items)
    dues = {"rent": 1, "late_fee": 2, "property_fee": 3, "utilities": 4 + 5 + 6, "deposit": 7, "damage": 8}
    hold(entry, dues)
    amounts = {word: place for place, word in enumerate((*HELD.values(), *OWED.values()), 1)}
    held, owed = sum(range(1, 6)), sum(range(6, 11))
    entry = opening_balance_entry(CHART, OCCASION, "x:0", "期初", about, amounts)
    hold(entry, {**amounts, "money": held, "owed": owed})


months = st.integers(1, 11).map(lambda month: f"2026-{month:02d}")
fens = st.integers(1, 10**9)
households = st.sampled_from(sorted(HOMES))


@st.composite
def evenings(draw: st.DrawFn) -> Evening:
    """Any well-formed last evening."""
    keys = st.tuples(households, months, st.sampled_from(sorted(ITEMS)))
    arrears = draw(st.dictionaries(keys, fens, max_size=12))
    return Evening(
        [(ref, "", month, "", item, fen) for (ref, month, item), fen in arrears.items()],
        list(draw(st.dictionaries(households, fens, max_size=8)).items()),
        [(ref, "", fen) for ref, fen in draw(st.dictionaries(households, fens, max_size=8)).items()],
        draw(st.dictionaries(st.sampled_from(sorted(OWED)), fens)),
    )


def entries_of(found: Plan) -> list[NewEntry]:
    """The entries that the service posts, without a database."""
    about = Dimensions("lianhu-1")
    made = [
        opening_arrears_entry(CHART, OCCASION, one.home.tenancy_id, one.month, about, one.items)
        for one in found.arrears
    ]
    rest = [{"prepaid": fen} for _, fen in found.prepaid] + [{"deposit": fen} for _, fen in found.deposits]
    made += [
        opening_balance_entry(CHART, OCCASION, f"x:{number}", "期初", about, amounts)
        for number, amounts in enumerate([dict(found.money), *rest])
    ]
    return [entry for entry in made if entry.lines]


@given(evenings(), st.booleans())
def test_the_entries_of_any_file_agree_with_its_totals(evening: Evening, as_csv: bool) -> None:
    body = evening.csv() if as_csv else evening.workbook()
    found, faults = plan_of(read_old_books(body), HOMES, MONTH, 15)
    assert faults == []
    balances: Counter[str] = Counter()
    for entry in entries_of(found):
        assert sum(line.debit_fen for line in entry.lines) == entry.total_fen
        assert sum(line.credit_fen for line in entry.lines) == entry.total_fen
        for line in entry.lines:
            balances[line.account_code] += line.debit_fen - line.credit_fen
    totals = {name: fen for name, (_, fen) in evening.all_totals().items()}
    receivables = sum(fen for code, fen in balances.items() if code.startswith(("1212", "1218")))
    assert receivables == totals["欠费"]
    assert -balances["2305.01"] == totals["预收"]
    assert -balances["2307.06"] == totals["押金"]
    assert balances["1002"] == totals["银行对账单余额"]
    assert balances["3001.01"] == 0
    assert sum(balances.values()) == 0


@given(evenings(), st.data())
def test_a_file_whose_totals_are_a_fen_off_is_refused(evening: Evening, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(evening.all_totals())))
    count, fen = evening.all_totals()[name]
    evening.totals[name] = (count, fen + 1)
    _, faults = plan_of(read_old_books(evening.csv()), HOMES, MONTH, 15)
    assert [one.column for one in faults] == [name]
