"""Finance: closing a month. What is missing and where to mend it, the close, the packs, reopening."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Blueprint, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection
from werkzeug.exceptions import NotFound

from backend.approvals import service as approvals
from backend.closing.records import Month
from backend.closing.reopening import propose_reopening
from backend.closing.requests import last_request, request_close
from backend.closing.service import closes, lock_of, open_points, pack_name
from backend.closing.signing import CLOSER, REVIEWER, Signature, next_line, sheet_of, sign, signatures_of
from backend.errors import ExplainedError
from backend.identity.errors import RefusedError
from backend.identity.principal import ALL, Principal, Role
from backend.identity.service import check_role
from backend.identity.web import required_principal, requires
from backend.ledger.books import CITY_BOOK
from backend.ledger.periods import changes, unlock_subject
from backend.services import services
from backend.web import words
from backend.web.estates import estates_of, scope_of
from backend.web.finance import CITY_ZH
from backend.web.report_view import read_month

ROLES: tuple[Role, ...] = ("finance", "supervisor")

# Where each point of the checklist is put right, and with which words of the address.
MENDED_AT: Mapping[str, tuple[str, bool]] = {
    "previous_month": ("closing.index", True),
    "charges": ("rent_runs.index", False),
    "notices": ("money.index", False),
    "days": ("reconciliation.index", False),
    "cases": ("reconciliation.index", False),
    "suspense": ("reports.report", True),
    "statements": ("reconciliation.index", False),
    "shared_accounts": ("reconciliation.index", False),
    "balances": ("reconciliation.index", False),
}

blueprint = Blueprint("closing", __name__, url_prefix="/finance/closing")


@dataclass(frozen=True, slots=True)
class ClosedRow:
    """A close as the list shows it.

    Attributes:
        on_file: its pack can be fetched here.
        signatures: under its sheet, by line.
    """

    close: Any
    on_file: bool
    signatures: Mapping[str, Signature]


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """One month of one book, and what was closed before."""
    return _index(request.args, None)


@blueprint.post("")
@requires("finance")
def close() -> ResponseReturnValue:
    """Ask the worker to close the month; refused at once with what is missing."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    book, month = _asked(who, sent)
    despite, reason = sent.getlist("despite"), sent.get("reason", "")
    try:
        with services().engine.begin() as connection:
            request_close(connection, book, month, who, now, despite, reason)
    except RefusedError:
        raise  # For the audit log.
    except ExplainedError as refused:
        return _index(sent, refused), 409
    return redirect(url_for("closing.index", book=book, month=str(month)), 303)


@blueprint.post("/signature")
@requires("finance")
def signature() -> ResponseReturnValue:
    """Sign the close sheet: what was shown is what is signed."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    book, month = _asked(who, sent)
    head, manifest = sent.get("head", ""), sent.get("manifest", "")
    try:
        with services().engine.begin() as connection:
            sign(connection, book, month, head, who, now, manifest)
    except RefusedError:
        raise  # For the audit log.
    except ExplainedError as refused:
        return _index(sent, refused), 409
    return redirect(url_for("closing.index", book=book, month=str(month)), 303)


@blueprint.post("/reopening")
@requires("finance")
def reopen() -> ResponseReturnValue:
    """Ask for a closed month to be opened again; another person agrees."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    book, month = _asked(who, sent)
    try:
        with services().engine.begin() as connection:
            asked = propose_reopening(connection, book, month, sent.get("reason", ""), who, now)
    except RefusedError:
        raise  # For the audit log.
    except ExplainedError as refused:
        return _index(sent, refused), 409
    return redirect(url_for("approvals.proposal", proposal_id=asked.proposal_id), 303)


@blueprint.get("/packs/<book>/<month>/<int:revision>")
@requires(*ROLES)
def pack(book: str, month: str, revision: int) -> ResponseReturnValue:
    """The pack of a close, as it was filed."""
    who, asked = required_principal(), read_month(month)
    with services().engine.connect() as connection:
        if book not in _books(connection, who):
            check_role(who, "finance.closing", book, *ROLES)
            raise NotFound
        known = {(one.month, one.revision) for one in closes(connection, [book])}
    if asked is None or (asked.from_on, revision) not in known:
        raise NotFound
    path = _pack_path(book, asked, revision)
    if not path.is_file():
        raise NotFound
    answer = send_file(path, mimetype="application/zip", as_attachment=True, download_name=path.name)
    answer.headers["Cache-Control"] = "private, no-store"
    return answer


def _index(arguments: Mapping[str, str], refused: ExplainedError | None) -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        books = _books(connection, who)
        book, month = _asked(who, arguments, books, now)
        lock = lock_of(connection, book, month)
        closed = closes(connection, [book])
        signed = signatures_of(connection, [one.close_id for one in closed])
        rows = [
            ClosedRow(
                one, _pack_path(book, Month(one.month), one.revision).is_file(), signed.get(one.close_id, {})
            )
            for one in closed
        ]
        sheet = sheet_of(connection, book, month)
        reopenings = approvals.about(connection, unlock_subject(book, month.from_on))
        return render_template(
            "closing.html",
            books=books,
            book=book,
            month=month,
            lock=lock,
            points=open_points(connection, book, month, now),
            links={name: _link(name, book, month) for name in MENDED_AT},
            asked=last_request(connection, book, month),
            sheet=sheet,
            my_line=next_line(sheet, who) if sheet else None,
            lines=((CLOSER, "结账人", "Closed by"), (REVIEWER, "复核人", "Reviewed by")),
            on_file=any(row.on_file for row in rows if sheet and row.close.close_id == sheet.close_id),
            closed=rows,
            now=now,
            changes=[one for one in changes(connection, book) if one.change == "unlock"],
            waiting=next((one for one in reopenings if one.state == "open"), None),
            may_act=who.may("finance", book) if book != CITY_BOOK else who.estates("finance") is ALL,
            refused=refused,
        )


def _asked(
    who: Principal,
    arguments: Mapping[str, str],
    books: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> tuple[str, Month]:
    """The book and the month that are asked for; the first book and last month where nothing is said."""
    if books is None:
        with services().engine.connect() as connection:
            books = _books(connection, who)
    book = arguments.get("book", "") or next(iter(books), "")
    if book not in books:
        check_role(who, "finance.closing", book, *ROLES)
        raise NotFound
    today = words.today(now or datetime.now(UTC))
    return book, read_month(arguments.get("month", "")) or Month(today.replace(day=1)).before


def _link(name: str, book: str, month: Month) -> str:
    endpoint, with_book = MENDED_AT[name]
    if endpoint == "closing.index":
        return url_for(endpoint, book=book, month=str(month.before))
    if endpoint == "reports.report":
        return url_for(endpoint, name="trial_balance", book=book, month=str(month))
    return url_for(endpoint, estate=book) if with_book else url_for(endpoint)


def _books(connection: Connection, who: Principal) -> dict[str, str]:
    books = {one.estate_id: one.name_zh for one in estates_of(connection, who, ROLES)}
    return {**books, CITY_BOOK: CITY_ZH} if scope_of(who, ROLES) is ALL else books


def _pack_path(book: str, month: Month, revision: int) -> Path:
    return Path(services().settings.closing.packs_folder).resolve() / pack_name(book, month, revision)
