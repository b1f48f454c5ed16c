"""What people do with what does not fit: each with a reason, posted once, and audited."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select, text

from backend.identity.principal import Principal
from backend.reconciliation import errors
from backend.reconciliation.actions import close_case, match_case, split_line, take_case, unmatch
from backend.reconciliation.cases import candidates, case_of, lines_of_case, match_of_line, open_cases
from backend.reconciliation.lines import Format
from backend.reconciliation.tables import line_standing, reconciliation_case
from simulators.bank.month import ErrorKind
from tests.integration.reconciliation.conftest import NOW, Books, make_world


def month_with(books: Books, *kinds: ErrorKind, bank: bool = False, count: int = 1) -> None:
    errors_put_in = [] if bank else [("stripe", "bill", kind, count) for kind in kinds]
    world = make_world(
        channels=("stripe",),
        errors=errors_put_in,  # type: ignore[arg-type]
        bank_errors=[(kind, count) for kind in kinds] if bank else [],
    )
    books.receive("stripe", world.payments["stripe"])
    for file in world.files(Format.MT940):
        books.bring(file)
    books.look()


def only_case(books: Books, kind: str) -> int:
    with books.engine.connect() as connection:
        (case,) = [one for one in open_cases(connection) if one.kind == kind]
    return case.case_id


def account_fen(books: Books, code: str) -> int:
    with books.engine.connect() as connection:
        found = connection.scalar(
            text("SELECT coalesce(sum(debit_fen - credit_fen), 0) FROM posting WHERE account_code = :code"),
            {"code": code},
        )
    return int(found or 0)


@pytest.mark.parametrize("kind", ["shifted", "fee"])
def test_a_case_without_a_difference_is_matched_as_it_is_and_posts_the_fee_that_was_taken(
    books: Books, clerk: Principal, kind: ErrorKind
) -> None:
    month_with(books, kind)
    case_id = only_case(books, kind)
    with books.engine.begin() as connection:
        match_case(connection, case_id, reason="已与渠道核实", who=clerk, now=NOW)
    assert books.cases() == []
    assert account_fen(books, "1021.01") == 0
    books.look()
    assert books.cases() == []
    assert books.count("audit_record", "action = 'match_case' AND reason = '已与渠道核实'") == 1


@pytest.mark.parametrize("kind", ["missing", "extra", "amount", "doubled"])
def test_a_difference_is_refused_and_can_go_to_suspense(
    books: Books, clerk: Principal, kind: ErrorKind
) -> None:
    month_with(books, kind)
    case_id = only_case(books, kind)
    with pytest.raises(errors.NotEqualError), books.engine.begin() as connection:
        match_case(connection, case_id, reason="试一下", who=clerk, now=NOW)
    assert len(books.cases()) == 1
    with books.engine.begin() as connection:
        match_case(connection, case_id, suspense=True, reason="转待查", who=clerk, now=NOW)
    assert books.cases() == []
    # The channel has paid everything out: with suspense in the books as well, nothing is left on its account.
    assert account_fen(books, "1021.01") == 0
    assert account_fen(books, "2307.08") + account_fen(books, "1218.07") != 0
    books.look()
    assert books.cases() == []


@pytest.mark.parametrize("kind", ["missing", "extra", "amount", "doubled", "shifted", "fee"])
def test_a_case_of_the_bank_can_be_dealt_with(books: Books, clerk: Principal, kind: ErrorKind) -> None:
    month_with(books, kind, bank=True)
    case_id = only_case(books, kind)
    suspense = kind not in ("shifted", "fee")
    with books.engine.begin() as connection:
        match_case(connection, case_id, suspense=suspense, reason="已与银行核实", who=clerk, now=NOW)
    assert books.cases() == []
    with books.engine.connect() as connection:
        stated = connection.scalar(
            text(
                "SELECT amount_fen FROM statement_balance WHERE account_id = 'bank-main'"
                " ORDER BY on_day DESC LIMIT 1"
            )
        )
    assert account_fen(books, "1002") == stated - 500_000


def test_a_stray_line_and_a_missing_receipt_are_brought_together_by_a_person(
    books: Books, clerk: Principal
) -> None:
    """A payout without its number in the bank's text, paid under another name."""
    month_with(books, "missing", "extra", bank=True)
    missing, extra = only_case(books, "missing"), only_case(books, "extra")
    with books.engine.connect() as connection:
        entries = connection.scalars(
            text("SELECT entry_id FROM entry_standing WHERE case_id = :id"), {"id": missing}
        ).all()
    with books.engine.begin() as connection:
        match_case(
            connection, extra, more_entries=entries, suspense=True, reason="银行附言有误", who=clerk, now=NOW
        )
    assert books.cases() == []
    assert account_fen(books, "1021.09") == 0


def test_the_suggestion_names_what_would_even_a_case_out(books: Books, clerk: Principal) -> None:
    """The channel names another payment than we do: the two cases are each other's suggestion."""
    world = make_world(channels=("stripe",))
    month = world.months["stripe"]
    wrong = month.payouts[0].items[0]
    renamed = replace(wrong, ref="pi_of_nobody_here")
    first = replace(month.payouts[0], items=(renamed, *month.payouts[0].items[1:]))
    books.receive("stripe", world.payments["stripe"])
    books.fetch(replace(month, payouts=(first, *month.payouts[1:])))
    books.bring(world.bank_file(Format.MT940))
    books.look()
    with books.engine.connect() as connection:
        found = {one.kind: one for one in open_cases(connection)}
        assert set(found) == {"missing", "extra"}
        ours, theirs = found["missing"], found["extra"]
        lines, entries = candidates(connection, ours, [])
        assert ([one.pay_ref for one in lines], entries) == (["pi_of_nobody_here"], [])
        lines, entries = candidates(connection, theirs, lines)
        assert (lines, [one.event_key for one in entries]) == ([], [f"stripe:{wrong.ref}"])


def test_a_case_that_nothing_evens_out_has_no_suggestion(books: Books, clerk: Principal) -> None:
    month_with(books, "missing", bank=True)
    with books.engine.connect() as connection:
        case = case_of(connection, only_case(books, "missing"))
        assert candidates(connection, case, []) == ([], [])


def test_an_unmatched_line_is_a_case_that_the_software_leaves_alone(books: Books, clerk: Principal) -> None:
    month_with(books)
    line_id = books.lines("bill")[3]
    with books.engine.connect() as connection:
        match = match_of_line(connection, line_id)
    assert match is not None
    assert match.rule == "provider_number"
    assert match.fields == ("pay_ref", "amount_fen", "value_on", "fee_fen")
    with books.engine.begin() as connection:
        case_id = unmatch(connection, match.match_id, reason="认错了户", who=clerk, now=NOW)
    books.look()
    assert [case[0] for case in books.cases()] == ["other"]
    with books.engine.begin() as connection:
        assert (
            connection.scalar(select(line_standing.c.case_id).where(line_standing.c.line_id == line_id))
            == case_id
        )
        with pytest.raises(errors.NotMatchableError):
            unmatch(connection, match.match_id, reason="再一次", who=clerk, now=NOW)
        match_case(connection, case_id, reason="又核实无误", who=clerk, now=NOW)
    assert books.cases() == []
    assert books.count("reconciliation_match", "undone_reason = '认错了户'") == 1


def test_a_split_line_becomes_parts_that_add_up_and_are_matched_one_by_one(
    books: Books, clerk: Principal
) -> None:
    month_with(books, "extra", bank=True)
    case_id = only_case(books, "extra")
    with books.engine.connect() as connection:
        (line,) = lines_of_case(connection, case_id)
    for wrong in ([line.amount_fen], [1, line.amount_fen], [line.amount_fen, 0]):
        with pytest.raises(errors.SplitError), books.engine.begin() as connection:
            split_line(connection, line.line_id, wrong, reason="两户合缴", who=clerk, now=NOW)
    with books.engine.begin() as connection:
        cases = split_line(
            connection, line.line_id, [100, line.amount_fen - 100], reason="两户合缴", who=clerk, now=NOW
        )
    books.look()
    assert [one[0] for one in books.cases()] == ["extra", "extra"]
    with books.engine.begin() as connection:
        for one in cases:
            match_case(connection, one, suspense=True, reason="转待查", who=clerk, now=NOW)
    assert books.cases() == []
    assert books.count("line_standing", "split_at IS NOT NULL") == 1


def test_postgresql_refuses_parts_that_are_not_the_line(books: Books, clerk: Principal) -> None:
    month_with(books, "extra", bank=True)
    with pytest.raises(Exception, match="parts"), books.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO statement_line (file_id, account_id, side, kind, external_id, line_no,"
                " amount_fen, fee_fen, value_on, method, pay_ref, our_ref, payout_ref, book_ref, payer,"
                " note, split_of)"
                " SELECT file_id, account_id, side, kind, external_id || '#1', line_no, amount_fen - 1,"
                " fee_fen, value_on, '', '', '', '', '', '', '', line_id"
                " FROM statement_line WHERE side = 'bank' LIMIT 1"
            )
        )


def test_a_case_is_closed_only_where_no_money_is_unexplained(books: Books, clerk: Principal) -> None:
    world = make_world(channels=("wechat",), errors=[("wechat", "bill", "extra", 1)])
    books.receive("wechat", world.payments["wechat"])
    for file in world.files():
        books.bring(file)
    books.look()
    case_id = only_case(books, "extra")  # the order bill has it, the account never moved
    with books.engine.begin() as connection:
        close_case(connection, case_id, reason="渠道确认为测试单", who=clerk, now=NOW)
    books.look()
    assert books.cases() == []
    with pytest.raises(errors.CaseClosedError), books.engine.begin() as connection:
        close_case(connection, case_id, reason="再关一次", who=clerk, now=NOW)


def test_closing_a_case_with_a_difference_or_without_a_reason_is_refused(
    books: Books, clerk: Principal
) -> None:
    month_with(books, "extra")
    case_id = only_case(books, "extra")
    with pytest.raises(errors.NotEqualError), books.engine.begin() as connection:
        close_case(connection, case_id, reason="算了", who=clerk, now=NOW)
    with pytest.raises(errors.ReasonMissingError), books.engine.begin() as connection:
        match_case(connection, case_id, suspense=True, reason="  ", who=clerk, now=NOW)
    with pytest.raises(errors.UnknownCaseError), books.engine.begin() as connection:
        take_case(connection, case_id + 99, who=clerk, now=NOW)


def test_a_case_has_an_owner_an_age_and_keeps_both_through_further_looks(
    books: Books, clerk: Principal
) -> None:
    month_with(books, "extra")
    case_id = only_case(books, "extra")
    with books.engine.begin() as connection:
        take_case(connection, case_id, who=clerk, now=NOW)
    books.look()
    with books.engine.connect() as connection:
        case = case_of(connection, case_id)
        row = connection.execute(
            select(reconciliation_case).where(reconciliation_case.c.case_id == case_id)
        ).one()
    assert (case.owner, case.age_days(NOW), row.opened_at) == ("示例会计", 0, NOW)


def test_somebody_elses_line_cannot_be_matched(books: Books, clerk: Principal) -> None:
    month_with(books, "extra")
    case_id = only_case(books, "extra")
    matched = books.lines("bill")[0]
    with pytest.raises(errors.NotMatchableError), books.engine.begin() as connection:
        match_case(
            connection, case_id, more_lines=[matched], suspense=True, reason="一起", who=clerk, now=NOW
        )
    with pytest.raises(errors.NotMatchableError), books.engine.begin() as connection:
        match_case(
            connection,
            case_id,
            more_lines=books.lines("bank")[:1],
            suspense=True,
            reason="一起",
            who=clerk,
            now=NOW,
        )
