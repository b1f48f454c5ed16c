"""Finance: the reports as pages and downloads; each figure leads to the rows that it is made of."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from flask import Blueprint, Response, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, select
from werkzeug.exceptions import NotFound

from backend.api.errors import status_of
from backend.closing.report_specs import REPORTS
from backend.closing.reports import ReportSpec, read_page, sheet_of
from backend.documents.columns import Sheet
from backend.documents.csv_file import csv_lines
from backend.documents.workbook import write_workbook
from backend.identity.principal import ALL, Role
from backend.identity.service import audit
from backend.identity.web import required_principal, requires
from backend.ledger.books import CITY_BOOK
from backend.ledger.errors import AccountCodeError, DayMissingError, DaysBackwardsError, DayUnreadableError
from backend.ledger.tables import account
from backend.registry.tables import household
from backend.services import services
from backend.web import words
from backend.web.estates import estates_of, scope_of
from backend.web.finance import CITY_ZH, read_sheet
from backend.web.report_view import Asked, form_of, link_of, read_asked, table_of

ROLES: tuple[Role, ...] = ("finance", "supervisor")
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

UNREADABLE = (DayMissingError, DayUnreadableError, DaysBackwardsError, AccountCodeError)

blueprint = Blueprint("reports", __name__, url_prefix="/finance/reports")


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """Which reports there are."""
    return render_template("reports.html", reports=[one for one in REPORTS.values() if not one.inner])


@blueprint.get("/<name>")
@requires(*ROLES)
def report(name: str) -> ResponseReturnValue:
    """One part of a report; sums and count are of all of it. Days that cannot be read stay in the form."""
    spec, now = _spec(name), datetime.now(UTC)
    today = words.today(now)
    with services().engine.begin() as connection:
        books = _books(connection)
        try:
            asked = _asked(connection, spec, books, now)
        except UNREADABLE as refused:
            form = form_of(name, spec.period, request.args, None, today)
            said = render_template("report.html", spec=spec, books=books, form=form, refused=refused, now=now)
            return said, status_of(refused)
        page = read_page(connection, spec, asked.query, read_sheet(request.args.get("sheet")))
        about_zh = _about(connection, asked)
    return render_template(
        "report.html",
        spec=spec,
        table=table_of(page, asked),
        page=page,
        asked=asked,
        form=form_of(name, spec.period, request.args, asked, today),
        books=books,
        about_zh=about_zh,
        sheet_before=link_of(name, asked, sheet=page.sheet - 1) if page.sheet > 1 else None,
        sheet_after=link_of(name, asked, sheet=page.sheet + 1) if page.sheet < page.sheets else None,
        excel=url_for("reports.excel", name=name, **asked.arguments()),
        csv=url_for("reports.csv_file", name=name, **asked.arguments()),
        now=now,
    )


@blueprint.get("/<name>.csv")
@requires(*ROLES)
def csv_file(name: str) -> Response:
    """The whole report as CSV; its rows pass through and are never held."""
    spec, asked = _for_download(name)
    return Response(_csv(spec, asked), mimetype="text/csv", headers=_headers(spec, asked, "csv"))


@blueprint.get("/<name>.xlsx")
@requires(*ROLES)
def excel(name: str) -> Response:
    """The whole report as a workbook; its rows go through a file, not through memory."""
    spec, asked = _for_download(name)
    with tempfile.TemporaryDirectory(prefix="estate-report-") as folder:
        path = Path(folder) / "report.xlsx"
        with services().engine.connect() as connection:
            write_workbook(path, [_sheet(connection, spec, asked)])
        # Readable until it is closed, also after its name is gone.
        opened = path.open("rb")
    answer = send_file(opened, mimetype=EXCEL)
    answer.headers.update(_headers(spec, asked, "xlsx"))
    return answer


def _csv(spec: ReportSpec, asked: Asked) -> Iterator[str]:
    engine = services().engine

    # The application's context is gone when the rows are sent.
    def lines() -> Iterator[str]:
        with engine.connect() as connection:
            yield from csv_lines(_sheet(connection, spec, asked))

    return lines()


def _sheet(connection: Connection, spec: ReportSpec, asked: Asked) -> Sheet:
    """The whole report under its name and its days."""
    return sheet_of(connection, spec, asked.query, (spec.title_zh, asked.when_zh))


def _for_download(name: str) -> tuple[ReportSpec, Asked]:
    spec, now = _spec(name), datetime.now(UTC)
    with services().engine.begin() as connection:
        return spec, _asked(connection, spec, _books(connection), now)


def _headers(spec: ReportSpec, asked: Asked, kind: str) -> dict[str, str]:
    return {
        "Content-Disposition": f'attachment; filename="{asked.file_name(spec.name, kind)}"',
        "Cache-Control": "private, no-store",
    }


def _spec(name: str) -> ReportSpec:
    if name not in REPORTS:
        raise NotFound
    return REPORTS[name]


def _books(connection: Connection) -> dict[str, str]:
    """The books that somebody may look into, with their names; the city's is nobody's estate."""
    who = required_principal()
    books = {one.estate_id: one.name_zh for one in estates_of(connection, who, ROLES)}
    return {**books, CITY_BOOK: CITY_ZH} if scope_of(who, ROLES) is ALL else books


def _asked(connection: Connection, spec: ReportSpec, books: Mapping[str, str], now: datetime) -> Asked:
    """What the address asks for; a look into one household's account is recorded."""
    who = required_principal()
    asked = read_asked(request.args, spec.period, books, who, words.today(now), ROLES)
    if asked.query.household is not None:
        estate_id = connection.execute(
            select(household.c.estate_id).where(household.c.household_id == asked.query.household)
        ).scalar_one_or_none()
        if estate_id is None or estate_id not in books:
            raise NotFound
        audit(
            connection,
            who,
            "look_at_account",
            "done",
            "household",
            str(asked.query.household),
            estate_id,
            "report",
            now,
        )
    return asked


def _about(connection: Connection, asked: Asked) -> str:
    """The account or the household that a report is narrowed to."""
    if asked.query.account is not None:
        name = connection.execute(
            select(account.c.name_zh).where(account.c.account_code == asked.query.account)
        ).scalar_one_or_none()
        return f"科目 {asked.query.account} {name or ''}".strip()
    if asked.query.household is not None:
        ref = connection.execute(
            select(household.c.ref).where(household.c.household_id == asked.query.household)
        ).scalar_one()
        return f"户号 {ref}"
    return f"费用月份 {asked.query.charge_month:%Y-%m}" if asked.query.charge_month else ""
