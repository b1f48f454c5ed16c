"""Receipts, statements and demands on paper, and the page on which anybody can check a receipt."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

from flask import Blueprint, Response, render_template
from sqlalchemy import Connection, select

from backend.identity.principal import Role
from backend.identity.web import required_principal, requires
from backend.registry.rules import local_day
from backend.rent.account_book import AccountBook, account_book
from backend.rent.dunning_tables import dunning_case
from backend.rent.errors import DemandUnknownError, HouseholdUnknownError, ReceiptUnknownError
from backend.rent.fiscal import left_of, payment_of_token
from backend.rent.papers import Office, demand_pdf, receipt_pdf, statement_pdf, statement_workbook
from backend.rent.service import household_of
from backend.rent.tables import payment
from backend.services import services
from backend.web.looking import look_at_account

ROLES: tuple[Role, ...] = ("finance", "supervisor")
PDF = "application/pdf"
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

blueprint = Blueprint("papers", __name__)


@blueprint.get("/r/<token>")
def verify(token: str) -> tuple[str, int]:
    """Whether a receipt is one: its number, amount and day, and nothing of whom it is."""
    with services().engine.connect() as connection:
        payment_id = payment_of_token(connection, token) if len(token) < 100 else None
        if payment_id is None:
            return render_template("receipt_check.html", found=None), 404
        row = connection.execute(select(payment).where(payment.c.payment_id == payment_id)).one()
        left_fen = left_of(connection, [payment_id])[payment_id]
    return render_template("receipt_check.html", found=row, left_fen=left_fen), 200


@blueprint.get("/my/receipts/<number>.pdf")
@requires("tenant")
def my_receipt(number: str) -> Response:
    """The receipt of a payment of one's own household."""
    now = datetime.now(UTC)
    with services().engine.begin() as connection:
        mine = _my_household(connection, now)
        if _household_of_receipt(connection, number) != mine:
            raise ReceiptUnknownError
        return _file(receipt_pdf(connection, number, _office(), now), PDF, f"{number}.pdf")


@blueprint.get("/my/statement")
@requires("tenant")
def my_statement() -> str:
    """Everything that one's household was ever charged and has paid."""
    with services().engine.connect() as connection:
        book = account_book(connection, _my_household(connection, datetime.now(UTC)))
    return render_template("statement.html", book=book, desk=False)


@blueprint.get("/my/statement.pdf")
@requires("tenant")
def my_statement_pdf() -> Response:
    """The same on paper."""
    now = datetime.now(UTC)
    with services().engine.connect() as connection:
        made = statement_pdf(connection, _my_household(connection, now), _office(), now)
    return _file(made, PDF, "statement.pdf")


@blueprint.get("/my/statement.xlsx")
@requires("tenant")
def my_statement_workbook() -> Response:
    """The same for Excel."""
    with services().engine.connect() as connection:
        book = account_book(connection, _my_household(connection, datetime.now(UTC)))
    return _file(statement_workbook(book), EXCEL, "statement.xlsx")


@blueprint.get("/finance/receipts/<number>.pdf")
@requires(*ROLES)
def receipt(number: str) -> Response:
    """A receipt at the desk; the look at a household's account is recorded."""
    now = datetime.now(UTC)
    with services().engine.begin() as connection:
        _may_look(connection, _household_of_receipt(connection, number), f"receipt={number}", now)
        return _file(receipt_pdf(connection, number, _office(), now), PDF, f"{number}.pdf")


@blueprint.get("/finance/households/<uuid:household_id>/statement")
@requires(*ROLES)
def statement(household_id: UUID) -> str:
    """A household's account at the desk; the look is recorded."""
    return render_template("statement.html", book=_book(household_id), desk=True)


@blueprint.get("/finance/households/<uuid:household_id>/statement.pdf")
@requires(*ROLES)
def statement_paper(household_id: UUID) -> Response:
    """The same on paper."""
    now = datetime.now(UTC)
    with services().engine.begin() as connection:
        _may_look(connection, household_id, "statement.pdf", now)
        return _file(statement_pdf(connection, household_id, _office(), now), PDF, "statement.pdf")


@blueprint.get("/finance/households/<uuid:household_id>/statement.xlsx")
@requires(*ROLES)
def statement_excel(household_id: UUID) -> Response:
    """The same for Excel."""
    return _file(statement_workbook(_book(household_id)), EXCEL, "statement.xlsx")


@blueprint.get("/finance/demands/<uuid:case_id>.pdf")
@requires(*ROLES)
def demand(case_id: UUID) -> Response:
    """The written demand of a case."""
    now = datetime.now(UTC)
    with services().engine.begin() as connection:
        owner = connection.execute(
            select(dunning_case.c.household_id).where(dunning_case.c.case_id == case_id)
        ).scalar_one_or_none()
        if owner is None:
            raise DemandUnknownError
        _may_look(connection, owner, f"demand={case_id}", now)
        return _file(demand_pdf(connection, case_id, _office()), PDF, "demand.pdf")


def _book(household_id: UUID) -> AccountBook:
    with services().engine.begin() as connection:
        _may_look(connection, household_id, "statement", datetime.now(UTC))
        return account_book(connection, household_id)


def _my_household(connection: Connection, now: datetime) -> UUID:
    who = required_principal()
    on: date = local_day(now)
    found = household_of(connection, who.person_id, on) if who.person_id is not None else None
    if found is None:
        raise HouseholdUnknownError
    return found


def _household_of_receipt(connection: Connection, number: str) -> UUID:
    found: UUID | None = connection.execute(
        select(payment.c.household_id).where(payment.c.receipt_number == number)
    ).scalar_one_or_none()
    if found is None:
        raise ReceiptUnknownError
    return found


def _may_look(connection: Connection, household_id: UUID, detail: str, now: datetime) -> None:
    who = required_principal()
    look_at_account(connection, household_id, who, "finance.look_at_account", ROLES, detail, now)


def _office() -> Office:
    settings = services().settings
    return Office(
        settings.dunning.issuer_zh,
        settings.dunning.contact_zh,
        settings.serve.public_url.rstrip("/"),
        Path(settings.documents.font_folder),
    )


def _file(body: bytes, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "private, no-store"}
    return Response(body, mimetype=kind, headers=headers)
