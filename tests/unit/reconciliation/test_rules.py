"""Matching as a pure function: examples an accountant can read, and the order that never matters."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from backend.reconciliation.accounts import AccountSettings, Rate, Words
from backend.reconciliation.bank_rules import Target, numbers_of, reconcile_bank, targets_of
from backend.reconciliation.channel_rules import reconcile_channel, terms_of
from backend.reconciliation.lines import Side
from backend.reconciliation.records import CaseKind, Entry, Line, Outcome

DAY = date(2026, 11, 3)
SETTINGS = AccountSettings(rates={"card": Rate(basis_points=100)}, words=Words(), charges_fen={"手续费": 100})
TERMS = terms_of("stripe", SETTINGS)
BOOK = "pengjiang-1"


def line(number: int, amount_fen: int, **facts: object) -> Line:
    values: dict[str, object] = {
        "line_id": number,
        "side": "bill",
        "kind": "payment",
        "external_id": f"t{number}",
        "amount_fen": amount_fen,
        "fee_fen": amount_fen // 100,
        "value_on": DAY,
        "second": number,
        "method": "card",
        "pay_ref": f"pi_{number}",
        "our_ref": "",
        "payout_ref": "",
        "book_ref": "",
        "payer": "",
        "note": "",
    }
    return Line(**{**values, **facts})  # type: ignore[arg-type]


def bank_line(number: int, amount_fen: int, on: date = DAY, **facts: object) -> Line:
    kind = {"side": "bank", "kind": "transfer", "fee_fen": 0, "method": "", "pay_ref": "", "value_on": on}
    return line(number, amount_fen, **{**kind, "external_id": f"B{number:06d}", **facts})


def receipt(number: int, amount_fen: int, on: date = DAY) -> Entry:
    return Entry(number, BOOK, "payment", f"pi_{number}", amount_fen, on, "card")


def payout(number: int, amount_fen: int, on: date = DAY) -> Entry:
    return Entry(number, BOOK, "payout", f"po_{number:06d}", amount_fen, on, "", "stripe")


def always(_: Side, __: date) -> bool:
    return True


def never(_: Side, __: date) -> bool:
    return False


def channel(lines: list[Line], entries: list[Entry], covered: object = always) -> Outcome:
    return reconcile_channel(lines, entries, TERMS, covered, lambda _: {})  # type: ignore[arg-type]


def bank(lines: list[Line], targets: list[Target], covered: object = always) -> Outcome:
    return reconcile_bank(lines, targets, SETTINGS, BOOK, covered)  # type: ignore[arg-type]


def kinds(outcome: Outcome) -> list[str]:
    return sorted(case.kind for case in outcome.cases)


def test_a_receipt_and_its_line_match_by_number_and_imply_the_fee() -> None:
    (match,) = channel([line(1, 10_000)], [receipt(1, 10_000)]).matches
    assert (match.rule, match.lines, match.entries) == ("provider_number", ((1, 1),), (1,))
    (fee,) = match.implied
    assert (fee.kind, fee.number, dict(fee.shares)) == ("provider_fee", "t1", {BOOK: 100})


def test_equal_amounts_alone_never_match() -> None:
    outcome = channel([line(2, 10_000)], [receipt(1, 10_000)])
    assert outcome.matches == ()
    assert kinds(outcome) == ["extra", "missing"]


def test_a_receipt_waits_while_its_bill_is_not_there() -> None:
    assert channel([], [receipt(1, 10_000)], never) == Outcome((), ())
    assert kinds(channel([], [receipt(1, 10_000)])) == ["missing"]


def test_a_fee_that_was_posted_before_is_not_implied_again() -> None:
    fee = Entry(9, BOOK, "provider_fee", "t1", -100, DAY)
    (match,) = channel([line(1, 10_000)], [receipt(1, 10_000), fee]).matches
    assert match.implied == ()
    assert match.entries == (1, 9)


def test_one_fen_more_of_fee_is_a_case_and_one_fen_more_of_money_is_another() -> None:
    assert kinds(channel([line(1, 10_000, fee_fen=101)], [receipt(1, 10_000)])) == ["fee"]
    (case,) = channel([line(1, 10_001, fee_fen=100)], [receipt(1, 10_000)]).cases
    assert (case.kind, case.difference_fen) == (CaseKind.AMOUNT, 1 - 100)


def test_of_two_lines_of_one_receipt_the_first_in_time_is_matched_and_the_other_is_the_case() -> None:
    second = line(2, 10_000, pay_ref="pi_1")
    outcome = channel([second, line(1, 10_000)], [receipt(1, 10_000)])
    assert [match.lines for match in outcome.matches] == [((1, 1),)]
    assert [(case.kind, case.lines) for case in outcome.cases] == [(CaseKind.DOUBLED, (2,))]


def test_a_payout_that_the_banks_text_names_matches_by_number() -> None:
    found = bank([bank_line(1, 500, note="STRIPE po_000007")], targets_of([payout(7, 500)], []))
    assert [(match.rule, match.entries) for match in found.matches] == [("payout_number", (7,))]
    assert found.matches[0].implied[0].kind == "payout_arrived"


def test_a_payout_in_several_books_arrives_as_one_line() -> None:
    parts = [payout(7, 300), Entry(8, "xinhui-1", "payout", "po_000007", 200, DAY, "", "stripe")]
    (match,) = bank([bank_line(1, 500, note="po_000007")], targets_of(parts, [])).matches
    assert dict(match.implied[0].shares) == {BOOK: 300, "xinhui-1": 200}
    assert match.entries == (7, 8)


def test_without_a_number_amount_day_and_payer_together_have_to_fit_one_of_each() -> None:
    named = bank_line(1, 500, payer="Stripe Payments")
    (match,) = bank([named], targets_of([payout(7, 500)], [])).matches
    assert (match.rule, match.fields) == ("amount_day_payer", ("amount_fen", "value_on", "payer"))
    stranger = bank([bank_line(1, 500, payer="某公司")], targets_of([payout(7, 500)], []))
    assert kinds(stranger) == ["extra", "missing"]
    both = bank([named, bank_line(2, 500, payer="STRIPE")], targets_of([payout(7, 500), payout(8, 500)], []))
    assert (both.matches, kinds(both)) == ((), ["ambiguous"])


def test_the_banks_charge_is_held_to_the_agreed_price() -> None:
    fine = bank([bank_line(1, -100, kind="charge", note="手续费 1")], [])
    assert [match.implied[0].kind for match in fine.matches] == ["bank_charge"]
    assert kinds(bank([bank_line(1, -101, kind="charge", note="手续费 1")], [])) == ["fee"]
    twice = [bank_line(n, -100, kind="charge", note="手续费 1") for n in (1, 2)]
    assert kinds(bank(twice, [])) == ["doubled"]


def test_numbers_are_found_in_the_middle_of_chinese_text() -> None:
    assert "po_1a2b3c" in numbers_of(bank_line(1, 1, note="渠道结算po_1a2b3c到账"))


receipts = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([10_000, 20_000]), st.integers(0, 2)),
    max_size=6,
    unique_by=lambda one: one[0],
)
bills = st.lists(
    st.tuples(st.integers(1, 8), st.sampled_from([10_000, 20_000]), st.integers(0, 2), st.integers(0, 1)),
    max_size=10,
)


@given(receipts, bills, st.randoms(use_true_random=False))
def test_the_outcome_of_a_channel_does_not_depend_on_any_order(
    ours: list[tuple[int, int, int]], theirs: list[tuple[int, int, int, int]], random: object
) -> None:
    entries = [receipt(number, fen, DAY + timedelta(days=day)) for number, fen, day in ours]
    lines = [
        line(
            place, fen, pay_ref=f"pi_{number}", value_on=DAY + timedelta(days=day), fee_fen=fen // 100 + wrong
        )
        for place, (number, fen, day, wrong) in enumerate(theirs, start=1)
    ]
    _same_in_any_order(lines, entries, random, channel)


transfers = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([500, 600]), st.integers(0, 2), st.booleans()), max_size=8
)
payouts = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([500, 600]), st.integers(0, 2)),
    max_size=5,
    unique_by=lambda one: one[0],
)


@given(payouts, transfers, st.randoms(use_true_random=False))
def test_the_outcome_of_a_bank_does_not_depend_on_any_order(
    ours: list[tuple[int, int, int]], theirs: list[tuple[int, int, int, bool]], random: object
) -> None:
    entries = [payout(number, fen, DAY + timedelta(days=day)) for number, fen, day in ours]
    lines = [
        bank_line(
            place,
            fen,
            DAY + timedelta(days=day),
            payer="STRIPE",
            note=f"po_{number:06d}" if named else "",
        )
        for place, (number, fen, day, named) in enumerate(theirs, start=1)
    ]
    _same_in_any_order(lines, entries, random, lambda some, parts: bank(some, targets_of(parts, [])))


def _same_in_any_order(lines, entries, random, decide) -> None:  # type: ignore[no-untyped-def]
    first = decide(lines, entries)
    mixed_lines, mixed_entries = list(lines), list(entries)
    random.shuffle(mixed_lines)
    random.shuffle(mixed_entries)
    second = decide(mixed_lines, mixed_entries)
    assert set(map(repr, first.matches)) == set(map(repr, second.matches))
    assert set(map(_case_of, first.cases)) == set(map(_case_of, second.cases))
    placed = [one for match in first.matches for one, _ in match.lines]
    placed += [one for case in first.cases for one in case.lines]
    assert sorted(placed) == sorted(one.line_id for one in lines)  # each line stands in exactly one place


def _case_of(case) -> str:  # type: ignore[no-untyped-def]
    return repr(
        (
            case.key,
            case.kind,
            case.side,
            case.on,
            case.difference_fen,
            sorted(case.lines),
            sorted(case.entries),
        )
    )
