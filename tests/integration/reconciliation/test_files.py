"""Files go in whole, once, in any order; what does not fit its neighbours is refused and leaves nothing."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

import psycopg
import pytest
from sqlalchemy import text

from backend.reconciliation import errors
from backend.reconciliation.balances import statement_balances
from backend.reconciliation.lines import Format
from simulators.bank import bank_files
from simulators.bank.month import ERROR_KINDS, BankLine
from tests.integration.reconciliation.conftest import BANK, STRIPE, Books, File, World, make_world
from tests.unit.reconciliation.sample import BANK_NO, BOOK

TABLES = (
    "statement_file",
    "statement_line",
    "statement_balance",
    "reconciliation_match",
    "reconciliation_case",
)


def counts(books: Books) -> dict[str, int]:
    return {name: books.count(name) for name in (*TABLES, "line_standing", "entry_standing", "journal_entry")}


def day_file(day: date, opening_fen: int, fen: int = 100_00, format_: Format = Format.MT940) -> File:
    line = BankLine(f"B{day:%Y%m%d}1", day, fen, "", "某公司", "来账")
    return BANK, format_, bank_files.mt940([line], BANK_NO, opening_fen, day, day + timedelta(days=1))


def test_the_same_files_a_second_time_change_nothing(books: Books) -> None:
    world = make_world(errors=[("stripe", "bill", kind, 1) for kind in ERROR_KINDS])
    for channel, payments in world.payments.items():
        books.receive(channel, payments)
    for file in world.files():
        assert books.bring(file).is_new
    books.look()
    before, standing = counts(books), books.standing()
    for file in world.files():
        assert not books.bring(file).is_new
    books.look()
    assert counts(books) == before
    assert books.standing() == standing
    assert [one.new_matches + one.undone_matches + one.new_cases for one in books.results[-4:]] == [0] * 4


def test_the_same_lines_in_another_file_are_known(books: Books) -> None:
    world = make_world(channels=("stripe",))
    books.bring(world.bank_file(Format.CAMT053))
    again = books.bring(world.bank_file(Format.MT940))
    assert (again.is_new, again.new_line_count) == (True, 0)
    assert again.line_count > 0


def test_a_known_line_with_other_figures_is_refused_and_nothing_of_its_file_stays(books: Books) -> None:
    world = make_world(channels=("stripe",))
    account, format_, raw = world.bank_file(Format.BANK_CSV)
    books.bring((account, format_, raw))
    before = counts(books)
    text_ = raw.decode("gb18030").splitlines(keepends=True)
    cells = text_[-1].split(",")
    cells[3], cells[4] = ("", "1.01") if cells[4] else ("1.01", "")
    previous = text_[-2].split(",")[5]
    cells[5] = f"{(round(float(previous) * 100) + (-101 if cells[4] else 101)) / 100:.2f}"
    with pytest.raises(errors.FileRefusedError) as refused:
        books.bring((account, format_, "".join([*text_[:-1], ",".join(cells)]).encode("gb18030")))
    assert isinstance(refused.value, errors.LineChangedError | errors.OpeningBalanceError)
    assert counts(books) == before


def test_a_statement_that_does_not_begin_where_the_last_one_ended_is_refused(books: Books) -> None:
    monday = date(2026, 11, 2)
    books.bring(day_file(monday, 1_000_00), None)
    before = counts(books)
    with pytest.raises(errors.OpeningBalanceError) as refused:
        books.bring(day_file(monday + timedelta(days=1), 1_100_01), None)
    assert "1100.01" in refused.value.zh
    assert counts(books) == before
    books.bring(day_file(monday + timedelta(days=1), 1_100_00), None)


def test_a_statement_that_fills_a_gap_is_held_against_both_neighbours(books: Books) -> None:
    monday = date(2026, 11, 2)
    books.bring(day_file(monday, 1_000_00), None)
    books.bring(day_file(monday + timedelta(days=2), 1_300_00), None)
    with pytest.raises(errors.OpeningBalanceError):
        books.bring(day_file(monday + timedelta(days=1), 1_100_00, 100_00), None)
    assert books.bring(day_file(monday + timedelta(days=1), 1_100_00, 200_00), None).is_new


def test_a_report_that_names_books_of_somebody_else_is_refused(books: Books) -> None:
    world = make_world(channels=("stripe",))
    (file,) = [one for one in world.files() if one[1] is Format.STRIPE_REPORT]
    before = counts(books)
    with pytest.raises(errors.OtherAccountError) as refused:
        books.bring((STRIPE, file[1], file[2].replace(BOOK.encode(), b"elsewhere-9", 1)))
    assert refused.value.line_no == 2
    assert counts(books) == before


def test_closing_balances_are_facts_of_the_book_with_the_file_that_says_so(books: Books) -> None:
    monday = date(2026, 11, 2)
    books.bring(day_file(monday, 1_000_00), None)
    with books.engine.connect() as connection:
        (found,) = statement_balances(connection, BOOK, monday, monday + timedelta(days=9))
    assert (found.account_code, found.on, found.amount_fen, found.source) == (
        "1002",
        monday,
        1_100_00,
        "bank",
    )
    assert len(found.file_sha256) == 32


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE statement_line SET amount_fen = 1",
        "DELETE FROM statement_line",
        "TRUNCATE statement_line CASCADE",
        "UPDATE statement_file SET name = 'x'",
        "UPDATE statement_balance SET amount_fen = 1",
        "DELETE FROM statement_balance",
    ],
)
@pytest.mark.parametrize("role", ["app_url", "owner_url"])
def test_what_the_other_side_said_is_never_changed(
    books: Books, database: object, role: str, statement: str
) -> None:
    books.bring(day_file(date(2026, 11, 2), 1_000_00), None)
    with psycopg.connect(getattr(database, role)) as connection, pytest.raises(psycopg.Error):
        connection.execute(statement)


def test_postgresql_keeps_a_line_from_standing_in_two_places(books: Books) -> None:
    world = make_world(channels=("stripe",), errors=[("stripe", "bill", "extra", 1)])
    books.receive("stripe", world.payments["stripe"])
    for file in world.files():
        books.bring(file)
    books.look()
    for wrong in (
        "UPDATE line_standing SET case_id = (SELECT max(case_id) FROM reconciliation_case)",
        "UPDATE line_standing SET entry_id = NULL WHERE match_id > 0",
        "INSERT INTO line_standing (line_id, split_at) SELECT line_id, now() FROM line_standing LIMIT 1",
    ):
        with pytest.raises(Exception, match="line_standing"), books.engine.begin() as connection:
            connection.execute(text(wrong))


def steps_of(world: World) -> list[tuple[str, object]]:
    """Everything that can happen in any order: receipts in parts, files, looks at accounts."""
    steps: list[tuple[str, object]] = [("file", file) for file in world.files()]
    for channel, payments in world.payments.items():
        steps += [("receipts", (channel, payments[part::3])) for part in range(3)]
    return [*steps, ("look", None), ("look", None), ("look", None)]


WORLD = make_world(
    channels=("stripe", "wechat"),
    count=36,
    days=6,
    errors=[
        *(("stripe", "bill", kind, 1) for kind in ERROR_KINDS),
        *(("wechat", "bill", kind, 1) for kind in ERROR_KINDS),
    ],
    bank_errors=[("missing", 1), ("extra", 1), ("amount", 1)],
    seed=11,
)


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_files_receipts_and_looks_ends_in_the_same_matches_and_cases(
    books: Books, seed: int, expected: list[tuple[object, object]]
) -> None:
    steps = steps_of(WORLD)
    if expected:
        Random(seed).shuffle(steps)
    for what, value in steps:
        if what == "file":
            books.bring(value)  # type: ignore[arg-type]
        elif what == "receipts":
            books.receive(*value)  # type: ignore[misc]
        else:
            books.look()
    books.look()
    found = (books.cases(), books.standing())
    expected.append(found)
    assert found == expected[0]
    assert len(books.cases()) == 15


@pytest.fixture(scope="module")
def expected() -> list[tuple[object, object]]:
    """What each order ended in; the first is files, then receipts, then looks."""
    return []
