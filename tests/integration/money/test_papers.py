"""Receipts, their fiscal numbers, and the household's account on paper."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from uuid import UUID

import openpyxl
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from backend.documents.pdf import FONT_FOLDER
from backend.ledger.service import reverse
from backend.rent.account_book import account_book
from backend.rent.errors import HouseholdUnknownError, ReceiptUnknownError
from backend.rent.fiscal import keep_fiscal_receipts, numbers_of, token_of
from backend.rent.papers import Office as PaperOffice
from backend.rent.papers import receipt_pdf, statement_pdf, statement_workbook
from backend.rent.settings import RentSettings
from backend.rent.tables import payment

if TYPE_CHECKING:
    from tests.integration.money.conftest import Home, Office

RULES = RentSettings()
PAPERS = PaperOffice("示例中心", "示例窗口", "https://city.invalid", FONT_FOLDER)


def numbers(office: Office, payment_id: UUID) -> list[tuple[int, str | None]]:
    with office.engine.connect() as connection:
        return [(one.amount_fen, one.cancels) for one in numbers_of(connection, payment_id)]


def test_every_payment_gets_one_opaque_fiscal_number(office: Office, home: Home) -> None:
    first, second = office.take(home, 100_000), office.take(home, 5_000, "pi_2")
    assert keep_fiscal_receipts(office.engine, office.now, RULES) == 2
    assert keep_fiscal_receipts(office.engine, office.now, RULES) == 0
    with office.engine.connect() as connection:
        found = [one.number for taken in (first, second) for one in numbers_of(connection, taken.payment_id)]
    assert len(set(found)) == 2
    assert all(one.startswith("CS00") and str(home.household_id) not in one for one in found)


def test_a_reversed_payment_has_its_number_cancelled_by_a_red_one(office: Office, home: Home) -> None:
    taken = office.take(home, 100_000)
    keep_fiscal_receipts(office.engine, office.now, RULES)
    with office.engine.begin() as connection:
        entry_id = connection.execute(select(payment.c.entry_id)).scalar_one()
        reverse(
            connection,
            entry_id,
            reason="记错家庭",
            effective_on=office.now.date(),
            now=office.now,
            actor="test",
            principal_id=None,
        )
    assert keep_fiscal_receipts(office.engine, office.now, RULES) == 1
    (blue, _), (red, cancels) = numbers(office, taken.payment_id)
    assert (blue, red) == (100_000, -100_000)
    assert cancels is not None
    assert keep_fiscal_receipts(office.engine, office.now, RULES) == 0


def test_a_red_receipt_cancels_the_whole_of_one_and_once(office: Office, home: Home) -> None:
    office.take(home, 100_000)
    keep_fiscal_receipts(office.engine, office.now, RULES)
    insert = (
        "INSERT INTO fiscal_receipt SELECT '{}', payment_id, {}, number, '错', now() FROM fiscal_receipt"
        " WHERE cancels IS NULL"
    )

    def put(number: str, fen: int) -> None:
        with office.engine.begin() as connection:
            connection.execute(text(insert.format(number, fen)))

    with pytest.raises(IntegrityError, match="cancels the whole"):
        put("X1", -1)
    put("X2", -100_000)
    with pytest.raises(IntegrityError, match="cancels_key"):
        put("X3", -100_000)


def test_a_receipt_is_the_same_paper_each_time(office: Office, home: Home) -> None:
    office.charge("2026-10")
    office.charge("2026-11")
    taken = office.take(home, 250_000)
    keep_fiscal_receipts(office.engine, office.now, RULES)
    with office.engine.begin() as connection:
        made = [receipt_pdf(connection, taken.receipt_number, PAPERS, office.now) for _ in range(2)]
        assert made[0] == made[1]
        assert made[0].startswith(b"%PDF-")
        assert token_of(connection, taken.payment_id, office.now) == token_of(
            connection, taken.payment_id, office.now
        )
        with pytest.raises(ReceiptUnknownError):
            receipt_pdf(connection, "SJ20261103-999999", PAPERS, office.now)


def test_anybody_can_check_a_receipt_and_nobody_learns_whose_it_is(
    office: Office, home: Home, client: FlaskClient
) -> None:
    taken = office.take(home, 123_450)
    with office.engine.begin() as connection:
        token = token_of(connection, taken.payment_id, office.now)
    page = client.get(f"/r/{token}")
    said = page.get_data(as_text=True)
    assert page.status_code == 200
    for shown in (taken.receipt_number, "1,234.50", "2026年11月3日", "这张收据是真的"):
        assert shown in said
    for hidden in ("家庭", "示例小区", "A栋", str(home.household_id), "微信"):
        assert hidden not in said.partition("<main")[2]
    for wrong in ("x", token[:-1], token + "x", "%27%20OR%201=1", "y" * 300):
        assert client.get(f"/r/{wrong}").status_code == 404


def test_a_statement_adds_up_on_screen_paper_and_in_excel(office: Office, home: Home) -> None:
    office.charge("2026-10")
    office.take(home, 150_000)
    office.charge("2026-11")
    with office.engine.connect() as connection:
        book = account_book(connection, home.household_id)
        assert statement_pdf(connection, home.household_id, PAPERS, office.now).startswith(b"%PDF-")
        with pytest.raises(HouseholdUnknownError):
            account_book(connection, UUID(int=1))
    account = office.statement(home)
    assert book.balance_fen == account.total_owed_fen - account.prepaid_fen == 50_000
    assert [(one.charged_fen, one.paid_fen) for one in book.movements] == [
        (100_000, 0),
        (100_000, 0),
        (0, 150_000),
    ]
    assert book.movements[-1].balance_fen == book.balance_fen
    sheet = openpyxl.load_workbook(io.BytesIO(statement_workbook(book))).active
    assert sheet is not None
    rows = [row for row in sheet.iter_rows(values_only=True) if isinstance(row[2], int | float)]
    assert [row[4] for row in rows if row[4] is not None] == [1000, 2000, 500]
    assert rows[-1][2:4] == (2000, 1500)
