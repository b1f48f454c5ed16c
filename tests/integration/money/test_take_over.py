"""Taking over an estate's old books: by two people, once, whole, and everything in it goes on from there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest

from backend.approvals import service as approvals
from backend.approvals.errors import ApprovalMissingError, ApprovalUsedError, SecondPersonNeededError
from backend.closing.errors import BookUnknownError
from backend.closing.take_over import Asked, post_agreed, propose_take_over, taken_over, try_out
from backend.closing.take_over_errors import (
    EstateInUseError,
    TakeOverDoneError,
    TakeOverFaultsError,
    TakeOverMonthError,
)
from backend.closing.take_over_vouchers import opening_balance_entry
from backend.identity.errors import NotAllowedError
from backend.ledger import books, service
from backend.ledger.errors import NotApprovedError
from backend.ledger.rules import Dimensions
from backend.ledger.service import entries_of_day
from backend.ledger.vouchers import Occasion, remittance_entry
from backend.payments import deposits, refunds
from backend.payments.counter_adapter import CounterProvider
from backend.payments.port import Method
from backend.payments.providers import Providers
from backend.payments.settings import PaymentRules
from backend.rent.account_book import account_book
from backend.rent.dunning import arrears_of
from backend.rent.service import read_month, reassess, run_month
from backend.rent.settings import LateFeeRule, RentSettings
from backend.rent.statement import open_charges
from tests.unit.closing.old_books import Evening

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.identity.principal import Principal
    from tests.integration.conftest import Database
    from tests.integration.money.conftest import Home, Office

RULES = RentSettings()
BOOK = "pengjiang-1"
NOVEMBER = date(2026, 11, 1)


def ref_of(office: Office, home: Home) -> str:
    found: str = office.row("household", household_id=home.household_id).ref
    return found


@pytest.fixture
def homes(office: Office) -> list[Home]:
    return [office.move_in() for _ in range(3)]


@pytest.fixture
def evening(office: Office, homes: Sequence[Home]) -> Evening:
    """Two months behind, one paid ahead, two deposits, and rent that is not remitted yet."""
    first, second, third = (ref_of(office, home) for home in homes)
    return Evening(
        arrears=[
            (first, "", "2026-08", "", "租金", 60_000),
            (first, "", "2026-09", "2026-09-20", "租金", 100_000),
            (first, "", "2026-09", "2026-09-20", "滞纳金", 1_500),
        ],
        prepaid=[(second, 130_000)],
        deposits=[(first, "", 200_000), (third, "", 150_000)],
        money={"待缴租金": 300_000, "库存现金": 20_000, "待付物业费": 7_000},
    )


@pytest.fixture
def two(office: Office) -> tuple[Principal, Principal]:
    return office.clerk(), office.clerk()


def propose(
    office: Office, body: bytes, who: Principal, month: date = NOVEMBER, book_id: str = BOOK
) -> Asked:
    with office.engine.begin() as connection:
        return propose_take_over(
            connection, book_id, month, "期初.xlsx", body, "上线", who, office.now, RULES
        )


def agree(office: Office, proposal_id: UUID, who: Principal) -> None:
    with office.engine.begin() as connection:
        approvals.approve(connection, proposal_id, who, office.now)


def post(office: Office, proposal_id: UUID, who: Principal) -> None:
    with office.engine.begin() as connection:
        post_agreed(connection, proposal_id, who, office.now)


def take_over(office: Office, evening: Evening, two: tuple[Principal, Principal]) -> UUID:
    asked = propose(office, evening.workbook(), two[0])
    agree(office, asked.proposal.proposal_id, two[1])
    post(office, asked.proposal.proposal_id, two[1])
    return asked.proposal.proposal_id


def written(office: Office) -> dict[str, int]:
    return {
        table: office.count(table)
        for table in ("journal_entry", "posting", "rent_charge", "payment", "payment_allocation", "take_over")
    }


def test_the_trial_balance_is_the_old_systems_and_statements_show_the_months(
    office: Office,
    homes: list[Home],
    evening: Evening,
    two: tuple[Principal, Principal],
    table: Callable[[str], str],
) -> None:
    take_over(office, evening, two)
    assert office.balances() == table("""
        1001     库存现金                          借    200.00
        1002     银行存款                          借  7,670.00
        1212.01  应收账款—租金                     借  1,600.00
        1212.02  应收账款—滞纳金                   借     15.00
        2103.01  应缴财政款—租金（应收未收）       贷  1,600.00
        2103.02  应缴财政款—租金（已收待缴）       贷  3,000.00
        2103.03  应缴财政款—滞纳金（应收未收）     贷     15.00
        2305.01  预收账款—预收租金                 贷  1,300.00
        2307.02  其他应付款—代收物业费（已收待付） 贷     70.00
        2307.06  其他应付款—押金                   贷  3,500.00
        3001.01  累计盈余—期初余额过渡             平      0.00
    """)
    behind = office.statement(homes[0])
    assert [(one.month, one.due_on, one.left_fen) for one in behind.unpaid] == [
        (date(2026, 8, 1), date(2026, 8, 15), 60_000),
        (date(2026, 9, 1), date(2026, 9, 20), 101_500),
    ]
    assert office.statement(homes[1]).prepaid_fen == 130_000
    with office.engine.connect() as connection:
        book = account_book(connection, homes[0].household_id)
        assert book.balance_fen == 161_500
        assert "2026年09月 期初欠费：滞纳金" in [one.words_zh for one in book.movements]
        entries = entries_of_day(connection, [BOOK], NOVEMBER)
        # Dunning counts what was owed before: two months in a row, as the law counts them.
        arrears = arrears_of(
            open_charges(connection, [homes[0].household_id])[homes[0].household_id], office.now.date()
        )
    assert {one.event_kind for one in entries} == {"opening_arrears", "opening_balance"}
    assert {one.principal_id for one in entries} == {two[1].principal_id}
    assert arrears is not None
    assert (arrears.counters.in_a_row, arrears.counters.cumulative) == (2, 2)


def test_an_old_arrear_is_paid_oldest_first(
    office: Office, homes: list[Home], evening: Evening, two: tuple[Principal, Principal]
) -> None:
    take_over(office, evening, two)
    office.take(homes[0], 100_000)
    assert [(one.month, one.left_fen) for one in office.statement(homes[0]).unpaid] == [
        (date(2026, 9, 1), 61_500)
    ]
    office.take(homes[0], 61_500, "pi_2")
    assert office.statement(homes[0]).total_owed_fen == 0
    assert "1212.01 应收账款—租金 平 0.00" in office.balances()


def test_prepaid_rent_is_used_by_the_next_run_and_no_run_charges_the_old_months(
    office: Office, homes: list[Home], evening: Evening, two: tuple[Principal, Principal]
) -> None:
    take_over(office, evening, two)
    assert office.charge("2026-10").charged == 0
    result = office.charge("2026-11")
    assert (result.charged, result.prepaid_used_fen) == (3, 100_000)
    assert office.statement(homes[1]).prepaid_fen == 30_000
    assert office.statement(homes[1]).total_owed_fen == 0
    with office.engine.begin() as connection:
        clerk = two[0]
        # What was taken over is not assessed again: it is what was left of those months, not their rent.
        assert reassess(connection, homes[0].tenancy_id, date(2026, 1, 1), clerk, office.now, RULES) == []


def test_late_fees_begin_where_the_old_system_ended(
    office: Office, homes: list[Home], evening: Evening, two: tuple[Principal, Principal]
) -> None:
    take_over(office, evening, two)
    rules = RentSettings(late_fee=LateFeeRule(daily_ppm=500))
    run_month(office.engine, None, read_month("2026-11"), None, office.now, rules)
    assert [one.left_fen for one in office.statement(homes[0]).unpaid] == [60_000, 101_500, 100_000]
    december = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)
    run_month(office.engine, None, read_month("2026-12"), None, december, rules)
    lines = office.statement(homes[0]).unpaid[-1].lines
    # November's 30 days at 0.5 per mille of 600.00 and 1,000.00, and 15 of them for November's own rent.
    assert [one.amount_fen for one in lines if one.kind == "late_fee"] == [900, 1_500, 750]


def test_a_deposit_that_was_taken_over_is_returned(
    office: Office, homes: list[Home], evening: Evening, two: tuple[Principal, Principal]
) -> None:
    take_over(office, evening, two)
    tenancy_id = homes[2].tenancy_id
    with office.engine.begin() as connection:
        assert deposits.held_fen(connection, tenancy_id) == 150_000
        deposits.open_settlement(connection, tenancy_id, office.now.date(), two[0], office.now)
        deposits.settle_deposit(connection, tenancy_id, two[0], office.now, PaymentRules())
        payee = refunds.Payee("示例收款人", "示例银行 000000")
        asked = deposits.propose_return(connection, tenancy_id, payee, "退房", two[0], office.now)
        approvals.approve(connection, asked, two[1], office.now)
        deposits.return_deposit(connection, asked, "T-1", two[0], office.now)
    assert "2307.06 其他应付款—押金 贷 2,000.00" in office.balances()
    assert "1002 银行存款 借 6,170.00" in office.balances()


def test_prepaid_rent_that_was_taken_over_is_paid_out_by_transfer(
    office: Office, homes: list[Home], evening: Evening, two: tuple[Principal, Principal]
) -> None:
    take_over(office, evening, two)
    counter = CounterProvider(office.engine, Method.BANK_TRANSFER)
    providers = Providers({counter.name: counter})
    paid = office.row("payment", household_id=homes[1].household_id)
    with office.engine.begin() as connection:
        refund_id = refunds.propose_refund(
            connection,
            providers,
            paid.payment_id,
            130_000,
            "退租",
            two[0],
            office.now,
            refunds.Payee("示例收款人", "示例银行 000000"),
        )
    agree(office, office.row("refund", refund_id=refund_id).proposal_id, two[1])
    refunds.carry_out(office.engine, providers, refund_id, office.now)
    refunds.transferred(office.engine, providers, refund_id, "T-2", two[0], office.now)
    assert "2305.01 预收账款—预收租金 平 0.00" in office.balances()
    assert "1002 银行存款 借 6,370.00" in office.balances()


def test_what_was_not_remitted_is_remitted(
    office: Office, homes: list[Home], evening: Evening, two: tuple[Principal, Principal]
) -> None:
    assert len(homes) == 3
    take_over(office, evening, two)
    with office.engine.begin() as connection:
        occasion = Occasion(BOOK, office.now, office.now.date(), "test", two[0].principal_id)
        chart = books.chart_of(connection, office.now)
        entry = remittance_entry(chart, occasion, "JK-1", Dimensions(BOOK), {"rent": 300_000})
        service.post(connection, [entry])
    assert "2103.02 应缴财政款—租金（已收待缴） 平 0.00" in office.balances()


def test_the_same_file_twice_and_any_other_file_change_nothing(
    office: Office, homes: list[Home], evening: Evening, two: tuple[Principal, Principal]
) -> None:
    body = evening.workbook()
    first = propose(office, body, two[0])
    again = propose(office, body, two[1])
    assert (first.is_new, again.is_new) == (True, False)
    assert again.proposal.proposal_id == first.proposal.proposal_id
    agree(office, first.proposal.proposal_id, two[1])
    post(office, first.proposal.proposal_id, two[1])
    before = written(office)
    assert propose(office, body, two[0]).proposal.state == "used"
    with pytest.raises(ApprovalUsedError):
        post(office, first.proposal.proposal_id, two[1])
    evening.prepaid = [(ref_of(office, homes[1]), 1)]
    with pytest.raises(TakeOverDoneError):
        propose(office, evening.workbook(), two[0])
    assert written(office) == before


def test_of_two_approved_files_one_is_posted_also_at_the_same_moment(
    office: Office, evening: Evening, two: tuple[Principal, Principal]
) -> None:
    other = Evening(evening.arrears, evening.prepaid, [], {})
    asked = [propose(office, one.workbook(), two[0]).proposal.proposal_id for one in (evening, other)]
    for one in asked:
        agree(office, one, two[1])
    outcomes: list[str] = []
    ready = threading.Barrier(2)

    def run(proposal_id: UUID) -> None:
        ready.wait(10)
        try:
            post(office, proposal_id, two[1])
            outcomes.append("posted")
        except TakeOverDoneError:
            outcomes.append("refused")

    threads = [threading.Thread(target=run, args=(one,)) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["posted", "refused"]
    assert office.count("take_over") == 1


def test_an_estate_with_charges_or_payments_is_not_taken_over(
    office: Office, homes: list[Home], evening: Evening, two: tuple[Principal, Principal]
) -> None:
    asked = propose(office, evening.workbook(), two[0]).proposal.proposal_id
    agree(office, asked, two[1])
    office.take(homes[0], 100)
    with pytest.raises(EstateInUseError):
        post(office, asked, two[1])
    office.charge("2026-11")
    evening.prepaid = []
    with pytest.raises(EstateInUseError):
        propose(office, evening.workbook(), two[0])


def test_nobody_takes_over_alone(
    office: Office, homes: list[Home], evening: Evening, two: tuple[Principal, Principal]
) -> None:
    with pytest.raises(NotAllowedError):
        propose(office, evening.workbook(), homes[0].tenant)
    asked = propose(office, evening.workbook(), two[0]).proposal.proposal_id
    with pytest.raises(ApprovalMissingError):
        post(office, asked, two[0])
    with pytest.raises(SecondPersonNeededError):
        agree(office, asked, two[0])
    assert written(office) == dict.fromkeys(written(office), 0)


def test_a_faulty_file_is_refused_whole(
    office: Office, evening: Evening, two: tuple[Principal, Principal]
) -> None:
    evening.arrears.append(("没有这户", "", "2026-10", "", "租金", 1))
    with pytest.raises(TakeOverFaultsError) as refused:
        propose(office, evening.workbook(), two[0])
    assert [one.place for one in refused.value.faults] == ["欠费 第 5 行「家庭编号」"]
    with pytest.raises(TakeOverMonthError):
        propose(office, evening.workbook(), two[0], date(2026, 12, 1))
    for book_id in ("city", "nowhere"):
        with pytest.raises(BookUnknownError):
            propose(office, evening.workbook(), two[0], book_id=book_id)
    assert office.count("take_over_file") == 0
    assert office.count("approval_proposal") == 0


def test_what_changed_after_the_approval_is_not_posted(
    office: Office,
    homes: list[Home],
    evening: Evening,
    two: tuple[Principal, Principal],
    database: Database,
) -> None:
    asked = propose(office, evening.workbook(), two[0]).proposal.proposal_id
    agree(office, asked, two[1])
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(
            "UPDATE household SET ref = 'renamed' WHERE household_id = %s", [homes[0].household_id]
        )
    with pytest.raises(TakeOverFaultsError):
        post(office, asked, two[1])
    assert written(office) == dict.fromkeys(written(office), 0)


def test_a_dry_run_writes_nothing(office: Office, homes: list[Home], evening: Evening) -> None:
    with office.engine.connect() as connection:
        trial = try_out(connection, BOOK, NOVEMBER, evening.csv("gb18030"), office.now, RULES)
        assert taken_over(connection, BOOK) is None
    assert (trial.faults, len(trial.plan.deposits), len(homes)) == ((), 2, 3)
    assert office.count("take_over_file") == 0


def test_raw_sql_cannot_take_over_by_itself(
    office: Office, evening: Evening, two: tuple[Principal, Principal], database: Database
) -> None:
    asked = propose(office, evening.workbook(), two[0]).proposal.proposal_id
    file_id = office.row("take_over_file", estate_id=BOOK).file_id
    insert_row = (
        f"INSERT INTO take_over (estate_id, file_id, month, proposal_id, posted_at)"
        f" VALUES ('{BOOK}', '{file_id}', '2026-11-01', '{asked}', now())"
    )
    opening = (
        "WITH entry AS (INSERT INTO journal_entry (book_id, event_kind, event_key, effective_on, posted_at,"
        " line_count, total_fen, summary_zh, actor) VALUES"
        f" ('{BOOK}', 'opening_balance', 'x:1', '2026-11-01', now(), 2, 5, 'x', 'x') RETURNING entry_id)"
        " INSERT INTO posting (entry_id, line_no, account_code, debit_fen, credit_fen)"
        " SELECT entry_id, 1, '1002', 5, 0 FROM entry"
        " UNION ALL SELECT entry_id, 2, '3001.01', 0, 5 FROM entry"
    )
    old_month = (
        "INSERT INTO rent_charge (charge_id, estate_id, household_id, tenancy_id, unit_id, month, revision,"
        " due_on, amount_fen, charged_at) SELECT gen_random_uuid(), estate_id, household_id, tenancy_id,"
        " unit_id, '2026-07-01', 0, due_on, 1, charged_at FROM rent_charge LIMIT 1"
    )
    urls = (database.app_url, database.owner_url)
    for url in urls:
        for statement, constraint in (
            (insert_row, "take_over_is_approved"),
            (opening, "journal_entry_is_approved"),
        ):
            with psycopg.connect(url) as connection, pytest.raises(psycopg.Error) as refused:
                connection.execute(statement)
            assert refused.value.diag.constraint_name == constraint
    agree(office, asked, two[1])
    post(office, asked, two[1])
    for url in urls:
        for statement in (
            "UPDATE take_over SET month = '2026-01-01'",
            "DELETE FROM take_over_file",
            "TRUNCATE take_over",
            opening,
            old_month,
        ):
            with psycopg.connect(url) as connection, pytest.raises(psycopg.Error):
                connection.execute(statement)


def test_an_opening_entry_without_a_take_over_is_a_sentence(office: Office) -> None:
    with office.engine.begin() as connection:
        occasion = Occasion(BOOK, office.now, NOVEMBER, "test", None)
        chart = books.chart_of(connection, office.now)
        entry = opening_balance_entry(chart, occasion, "x:0", "期初", Dimensions(BOOK), {"bank": 1})
        with pytest.raises(NotApprovedError):
            service.post(connection, [entry])
