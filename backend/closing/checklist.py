"""What has to be done before a month is closed: each point with its number, and where to do it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from backend.closing.book_reading import read_accounts, read_assertions
from backend.closing.records import Assertion, Month, yuan
from backend.closing.verify_pack import STATED_ROLES
from backend.reconciliation.shares import SharedState, shared_states
from backend.registry.rules import local_day

# Of statements that disagree, the first ones say enough.
DIFFERING_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the checklist.

    Attributes:
        name: for programs, and to close despite it.
        open: how much of it is missing; nought when it is done.
        detail: what exactly, for people; ids and days only.
        may_wait: whether a person may close despite it, with a reason that is kept.
    """

    name: str
    zh: str
    en: str
    open: int
    detail: str = ""
    may_wait: bool = False

    @property
    def done(self) -> bool:
        """Nothing is missing."""
        return self.open == 0


def checklist(connection: Connection, book_id: str, month: Month, now: datetime) -> list[Point]:
    """Every point, done or not, in the order in which they are usually worked off."""
    values = {"book": book_id, "from_on": month.from_on, "to_on": month.to_on}
    return [
        _over(month, now),
        _previous(connection, values),
        *(_counted(connection, values, *point) for point in _COUNTED),
        *_statements(connection, book_id, month),
    ]


def missing(points: list[Point], despite: frozenset[str] = frozenset()) -> list[Point]:
    """What keeps the month from being closed."""
    return [point for point in points if not point.done and not (point.may_wait and point.name in despite)]


def _over(month: Month, now: datetime) -> Point:
    over = local_day(now) >= month.to_on
    return Point("month_over", "本月已结束", "The month is over", 0 if over else 1, f"{month.to_on} 起可结账")


def _previous(connection: Connection, values: Mapping[str, Any]) -> Point:
    """Months are closed one after the other, from the first that has an entry."""
    open_from: date | None = connection.execute(
        text("SELECT nullif(period_open_from(:book), '-infinity')"), values
    ).scalar_one()
    if open_from is None:
        open_from = connection.execute(
            text("""
                SELECT min(date_trunc('month', effective_on)::date) FROM journal_entry
                WHERE book_id = :book AND effective_on < :to_on
            """),
            values,
        ).scalar_one()
    late = open_from is not None and open_from < values["from_on"]
    detail = f"{open_from:%Y-%m} 还没有结账" if late else ""
    return Point("previous_month", "上月已结账", "The month before is closed", int(late), detail)


def _counted(
    connection: Connection,
    values: Mapping[str, Any],
    name: str,
    zh: str,
    en: str,
    sql: str,
    describe: Callable[[str], str],
    may_wait: bool,
) -> Point:
    row = connection.execute(text(sql), values).one()
    return Point(name, zh, en, int(row[0]), describe(str(row[1])) if row[0] and row[1] else "", may_wait)


def _statements(connection: Connection, book_id: str, month: Month) -> list[Point]:
    """What the other side states: all of it is there, and it is what the books hold."""
    assertions = read_assertions(connection, book_id, month)
    shared = shared_states(connection, book_id, month.last_on)
    said = {a.account_code for a in assertions if a.on == month.last_on}
    return [
        _all_state(connection, book_id, month, said | {one.account_code for one in shared}),
        _agree(connection, book_id, month, assertions),
        _shared_agree(shared),
    ]


def _shared_agree(shared: Sequence[SharedState]) -> Point:
    """What an account held that books share is what they hold together, at the end of the month."""
    differing = [
        f"{one.name_zh} 对账单 {yuan(one.stated_fen)} 元，各账簿合计"
        f" {yuan(one.stated_fen - one.difference_fen)} 元，差 {yuan(one.difference_fen)} 元"
        for one in shared
        if one.difference_fen
    ]
    return Point(
        "shared_accounts",
        "共用账户的余额与各账簿合计一致",
        "What is stated for an account that books share is what they hold together",
        len(differing),
        "；".join(differing),
        may_wait=True,
    )


def _all_state(connection: Connection, book_id: str, month: Month, said: Collection[str]) -> Point:
    """The balance at the end of the month, for each account that holds money with somebody."""
    held = connection.execute(
        text("""
            SELECT account_code FROM account_day JOIN account USING (account_code)
            WHERE book_id = :book AND effective_on < :to_on AND role = ANY(:roles)
            GROUP BY account_code
            HAVING sum(debit_fen - credit_fen) FILTER (WHERE effective_on < :from_on) <> 0
                OR bool_or(effective_on >= :from_on)
            ORDER BY account_code
        """),
        {"book": book_id, "from_on": month.from_on, "to_on": month.to_on, "roles": list(STATED_ROLES)},
    ).scalars()
    lacking = [code for code in held if code not in said]
    return Point(
        "statements",
        "月末对账单余额齐全",
        "Every bank and channel states its balance at the end of the month",
        len(lacking),
        "缺科目 " + "、".join(lacking) if lacking else "",
    )


def _agree(connection: Connection, book_id: str, month: Month, assertions: Sequence[Assertion]) -> Point:
    """Each stated balance is that of the books at the end of its day."""
    rows = connection.execute(
        text("""
            SELECT account_code, greatest(effective_on, CAST(:before AS date)) AS on_day,
                   sum(debit_fen - credit_fen)::bigint AS fen
            FROM account_day
            WHERE book_id = :book AND effective_on < :to_on AND account_code = ANY(:codes)
            GROUP BY account_code, on_day
        """),
        {
            "book": book_id,
            "before": month.before.last_on,
            "to_on": month.to_on,
            "codes": sorted({a.account_code for a in assertions}),
        },
    ).all()
    names = {account.code: account.name_zh for account in read_accounts(connection)}
    differing = []
    for one in assertions:
        held = sum(r.fen for r in rows if r.account_code == one.account_code and r.on_day <= one.on)
        if held != one.balance_fen:
            differing.append(
                f"{one.on} {one.account_code} {names[one.account_code]} 对账单 {yuan(one.balance_fen)} 元，"
                f"账面 {yuan(held)} 元，差 {yuan(one.balance_fen - held)} 元"
            )
    return Point(
        "balances",
        "对账单余额与账面一致",
        "What every statement says is what the books hold",
        len(differing),
        "；".join(differing[:DIFFERING_SHOWN]),
    )


def _as_days(found: str) -> str:
    return f"最早 {found}"


def _as_it_is(found: str) -> str:
    return found


_COUNTED: tuple[tuple[str, str, str, str, Callable[[str], str], bool], ...] = (
    (
        "unsealed",
        "凭证已全部编号入链",
        "Every entry is sealed",
        "SELECT count(*), NULL FROM unsealed_entries() WHERE book_id = :book",
        _as_it_is,
        True,
    ),
    (
        "charges",
        "本月租金已全部计收",
        "Every tenancy is charged for the month",
        """
        SELECT count(*), string_agg(household.ref, '、' ORDER BY household.ref)
        FROM book
        JOIN unit ON unit.estate_id = book.estate_id
        JOIN tenancy USING (unit_id)
        JOIN household USING (household_id)
        WHERE book.book_id = :book AND tenancy.monthly_rent_fen > 0 AND tenancy.from_on < :to_on
          AND (tenancy.to_on IS NULL OR tenancy.to_on > :from_on)
          AND NOT EXISTS (SELECT FROM rent_charge WHERE rent_charge.tenancy_id = tenancy.tenancy_id
                          AND rent_charge.month = :from_on)
        """,
        lambda found: found[:200],
        True,
    ),
    (
        "notices",
        "支付通知已全部处理",
        "Every notice of a channel is settled",
        """
        SELECT count(*), min((received_at AT TIME ZONE 'Asia/Shanghai')::date)::text
        FROM provider_notice
        WHERE state IN ('waiting', 'parked') AND (received_at AT TIME ZONE 'Asia/Shanghai')::date < :to_on
        """,
        _as_days,
        True,
    ),
    (
        "days",
        "每天都已对账",
        "Every day is reconciled",
        """
        SELECT count(*), min(day)::text FROM (
            SELECT day::date FROM statement_account AS account,
                generate_series(greatest(CAST(:from_on AS date), account.since_on),
                                CAST(:to_on AS date) - 1, interval '1 day') AS day
            WHERE account.book_id = :book
              AND NOT EXISTS (SELECT FROM reconciliation_day AS done
                              WHERE done.account_id = account.account_id AND done.book_id = :book
                                AND done.on_day = day::date AND done.state = 'clean')
            UNION ALL
            SELECT on_day FROM reconciliation_day JOIN statement_account AS account USING (account_id)
            WHERE account.book_id IS NULL AND reconciliation_day.book_id = :book AND state <> 'clean'
              AND on_day >= :from_on AND on_day < :to_on
        ) AS open_days
        """,
        _as_days,
        True,
    ),
    (
        "cases",
        "对账差异已全部处理",
        "No difference of the reconciliation is open",
        """
        SELECT count(*), min(on_day)::text FROM reconciliation_case
        WHERE book_id = :book AND closed_at IS NULL AND on_day < :to_on
        """,
        _as_days,
        True,
    ),
    (
        "suspense",
        "待查款项已清",
        "Nothing is in suspense",
        """
        SELECT count(*), string_agg(account_code, '、' ORDER BY account_code) FROM (
            SELECT account_code FROM account_day JOIN account USING (account_code)
            WHERE book_id = :book AND effective_on < :to_on
              AND role IN ('suspense_received', 'suspense_paid')
            GROUP BY account_code HAVING sum(debit_fen - credit_fen) <> 0
        ) AS held
        """,
        lambda found: f"科目 {found} 有余额",
        True,
    ),
)
