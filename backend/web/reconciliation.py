"""Finance: statements in, days and their state, open cases, and what to do with one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, text

from backend.errors import ExplainedError
from backend.identity.errors import NotAllowedError
from backend.identity.principal import ALL, Principal, Role
from backend.identity.service import audit, check_role
from backend.identity.web import required_principal, requires
from backend.ledger.books import CITY_BOOK
from backend.reconciliation import actions
from backend.reconciliation import words as case_words
from backend.reconciliation.accounts import Account, account_of, accounts_of
from backend.reconciliation.cases import (
    CaseView,
    candidates,
    case_of,
    entries_of_case,
    lines_of_case,
    match_of_line,
    open_cases,
)
from backend.reconciliation.commands import limits_of
from backend.reconciliation.dayend import days_of
from backend.reconciliation.errors import NotMatchableError, WrongFormatError
from backend.reconciliation.files import Imported, import_file
from backend.reconciliation.lines import Format
from backend.reconciliation.records import CaseKind
from backend.reconciliation.run import RunResult, around, run_account
from backend.reconciliation.shares import book_shares, stated_on
from backend.services import services
from backend.web import words
from backend.web.amounts import read_yuan
from backend.web.estates import estates_of, scope_of
from backend.web.finance import CITY_ZH, read_day

ROLES: tuple[Role, ...] = ("finance", "supervisor")
DAYS_SHOWN = 10
CASES_SHOWN = 100
PART_FEN_MAX = 1_000_000_000

blueprint = Blueprint("reconciliation", __name__, url_prefix="/finance/reconciliation")


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """Statements to bring in, the days and their state, and what is open."""
    return _index(None)


@blueprint.post("/files")
@requires("finance")
def upload() -> ResponseReturnValue:
    """Bring a statement in, or only show what it would do; a file with a fault is refused whole."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    file = request.files.get("file")
    dry = sent.get("what") != "import"
    rules = services().settings.reconciliation
    try:
        with services().engine.connect() as connection, connection.begin() as transaction:
            account = account_of(connection, sent.get("account", ""))
            _check(who, "reconciliation.upload", account.book_id, "finance")
            done = import_file(
                connection,
                account,
                _format(account, sent.get("format", "")),
                (file.filename if file is not None else None) or "-",
                file.read() if file is not None else b"",
                principal_id=who.principal_id,
                now=now,
                limits=limits_of(rules),
                days=_days(sent.get("from_on", ""), sent.get("to_on", "")),
            )
            result = run_account(connection, account, around(done.from_on, done.to_on), now)
            if dry:
                transaction.rollback()
            elif done.is_new:
                _audit_file(connection, who, account, done, now)
    except ExplainedError as refused:
        return _index(None, refused=refused), 422
    return _index((account, done, result, dry))


@blueprint.get("/cases/<int:case_id>")
@requires(*ROLES)
def case(case_id: int) -> str:
    """One case: what each side says, what may belong to it, and what can be done."""
    return _case(case_id, None)


@blueprint.post("/cases/<int:case_id>")
@requires("finance")
def act(case_id: int) -> ResponseReturnValue:
    """Do something with a case; always with a reason."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    reason = sent.get("reason", "")
    try:
        with services().engine.begin() as connection:
            seen = case_of(connection, case_id)
            _check(who, "reconciliation.act", seen.book_id, "finance")
            match sent.get("what"):
                case "take":
                    actions.take_case(connection, case_id, who=who, now=now)
                case "close":
                    actions.close_case(connection, case_id, reason=reason, who=who, now=now)
                case "split":
                    line_id = _number(sent.get("line", ""))
                    fens = {one.line_id: one.amount_fen for one in lines_of_case(connection, case_id)}
                    parts = _parts(sent.get("parts", ""), fens.get(line_id, 0))
                    actions.split_line(connection, line_id, parts, reason=reason, who=who, now=now)
                case what:
                    actions.match_case(
                        connection,
                        case_id,
                        more_lines=[_number(one) for one in sent.getlist("lines")],
                        more_entries=[_number(one) for one in sent.getlist("entries")],
                        suspense=what == "suspense",
                        reason=reason,
                        who=who,
                        now=now,
                    )
    except ExplainedError as refused:
        return _case(case_id, refused), 409
    return redirect(url_for("reconciliation.case", case_id=case_id), 303)


@blueprint.get("/lines")
@requires(*ROLES)
def line() -> ResponseReturnValue:
    """How a line came to its entry, found by its own number or by the payment's."""
    return _line(request.args.get("number", "").strip()[:100], None)


@blueprint.post("/lines/<int:line_id>")
@requires("finance")
def undo(line_id: int) -> ResponseReturnValue:
    """Take a match apart, with a reason."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    number = sent.get("number", "")
    try:
        with services().engine.begin() as connection:
            match = match_of_line(connection, line_id)
            if match is None:
                raise NotMatchableError(number)
            account = account_of(connection, match.account_id)
            _check(who, "reconciliation.unmatch", account.book_id, "finance")
            case_id = actions.unmatch(
                connection, match.match_id, reason=sent.get("reason", ""), who=who, now=now
            )
    except ExplainedError as refused:
        return _line(number, refused), 409
    return redirect(url_for("reconciliation.case", case_id=case_id), 303)


def _index(
    done: tuple[Account, Imported, RunResult, bool] | None, refused: ExplainedError | None = None
) -> str:
    who, now = required_principal(), datetime.now(UTC)
    today = words.today(now)
    with services().engine.connect() as connection:
        books = _books(connection, who)
        accounts = [
            one
            for one in accounts_of(connection)
            if books is None or (one.book_id is not None and one.book_id in books)
        ]
        days = days_of(connection, books, today - timedelta(days=DAYS_SHOWN), today)
        cases = open_cases(connection, books)
        names = {one.estate_id: one.name_zh for one in estates_of(connection, who, ROLES)}
    return render_template(
        "reconciliation.html",
        done=done,
        refused=refused,
        accounts=accounts,
        account_zh={one.account_id: one.name_zh for one in accounts},
        days=days,
        cases=cases[:CASES_SHOWN],
        case_count=len(cases),
        names={**names, CITY_BOOK: "市级账簿"},
        may_act=any(who.may("finance", one.book_id or CITY_BOOK) for one in accounts),
        table=case_words,
        both=case_words.both,
        now=now,
        file_mib=services().settings.reconciliation.file_mib_max,
    )


def _case(case_id: int, refused: ExplainedError | None) -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        seen: CaseView = case_of(connection, case_id)
        _check(who, "reconciliation.case", seen.book_id, *ROLES)
        lines = lines_of_case(connection, case_id)
        entries = entries_of_case(connection, case_id)
        more_lines, more_entries = candidates(connection, seen, lines)
        about_balance = seen.kind == CaseKind.BALANCE
        code = account_of(connection, seen.account_id).account_code
        shares = book_shares(connection, code, seen.on) if about_balance else []
        stated_fen = stated_on(connection, seen.account_id, seen.on) if about_balance else None
        names = {CITY_BOOK: CITY_ZH} | {
            one.estate_id: one.name_zh for one in estates_of(connection, who, ROLES)
        }
    return render_template(
        "reconciliation_case.html",
        case=seen,
        lines=lines,
        entries=entries,
        more_lines=more_lines,
        more_entries=more_entries,
        about_balance=about_balance,
        account_code=code,
        shares=shares,
        names=names,
        stated_fen=stated_fen,
        refused=refused,
        may_act=who.may("finance", seen.book_id) and seen.closed_at is None,
        table=case_words,
        both=case_words.both,
        now=now,
    )


def _line(number: str, refused: ExplainedError | None) -> str:
    who = required_principal()
    found = []
    with services().engine.connect() as connection:
        books = _books(connection, who)
        for row in connection.execute(_FIND, {"number": number}) if number else ():
            if books is None or row.book_id in books:
                found.append((row, match_of_line(connection, row.line_id)))
    return render_template(
        "reconciliation_line.html",
        number=number,
        found=found,
        refused=refused,
        may_act=who.holds("finance"),
        table=case_words,
        both=case_words.both,
    )


_FIND = text(
    "SELECT line.*, account.book_id, account.name_zh AS account_zh, stands.case_id"
    " FROM statement_account AS account JOIN statement_line AS line USING (account_id)"
    " LEFT JOIN line_standing AS stands USING (line_id) WHERE line.external_id = :number"
    " ORDER BY line_id LIMIT 20"
)


def _books(connection: Connection, who: Principal) -> list[str] | None:
    """The books that somebody sees; None is all, the city's included."""
    if scope_of(who, ROLES) is ALL:
        return None
    return [one.estate_id for one in estates_of(connection, who, ROLES)]


def _check(who: Principal, action: str, book_id: str | None, *roles: Role) -> None:
    """What belongs to no estate is for those who are there for all."""
    if book_id is not None and book_id != CITY_BOOK:
        check_role(who, action, book_id, *roles)
    elif scope_of(who, roles) is not ALL:
        raise NotAllowedError(who.actor, action, roles, None)


def _format(account: Account, name: str) -> Format:
    if name not in set(Format):
        raise WrongFormatError(account.account_id, name[:40])
    return Format(name)


def _days(first: str, last: str) -> tuple[date, date] | None:
    from_on, to_on = read_day(first), read_day(last)
    if from_on is None or to_on is None or to_on < from_on:
        return None
    return from_on, to_on + timedelta(days=1)


def _number(typed: str) -> int:
    if not (typed.isascii() and typed.isdecimal() and len(typed) < 19):
        raise NotMatchableError(typed[:20])
    return int(typed)


def _parts(typed: str, whole_fen: int) -> Sequence[int]:
    """Amounts in yuan, one a line or between blanks; they have the sign of the whole."""
    sign = -1 if whole_fen < 0 else 1
    return [
        sign * read_yuan(one, PART_FEN_MAX) for one in typed.replace("，", " ").replace("\n", " ").split()
    ]


def _audit_file(
    connection: Connection, who: Principal, account: Account, done: Imported, now: datetime
) -> None:
    audit(
        connection,
        who,
        "import_statement",
        "done",
        "statement_file",
        str(done.file_id),
        account.book_id if account.book_id != CITY_BOOK else None,
        account.account_id,
        now,
    )
