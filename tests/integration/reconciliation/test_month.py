"""A simulated month with errors: each is one case of its kind, and nothing else is a case."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import text

from backend.reconciliation.lines import Format
from simulators.bank.month import ERROR_KINDS, Channel, Stage
from tests.integration.reconciliation.conftest import ACCOUNTS, Books, World, make_world

SOURCES: tuple[tuple[Channel, Stage], ...] = (
    ("stripe", "bill"),
    ("wechat", "bill"),
    ("wechat", "flow"),
    ("alipay", "bill"),
)


def bring_all(books: Books, world: World, bank_format: Format = Format.CAMT053) -> None:
    for channel, payments in world.payments.items():
        books.receive(channel, payments)
    for file in world.files(bank_format):
        books.bring(file)
    books.look()


@pytest.mark.parametrize("bank_format", [Format.CAMT053, Format.MT940, Format.BANK_CSV])
@pytest.mark.parametrize("named", [True, False], ids=["payouts named", "payouts unnamed"])
def test_a_month_without_errors_leaves_no_case_and_no_line(
    books: Books, bank_format: Format, named: bool
) -> None:
    bring_all(books, make_world(named=named), bank_format)
    assert books.cases() == []
    assert books.count("statement_line") == books.count("line_standing", "match_id IS NOT NULL")
    assert books.count("entry_standing", "case_id IS NOT NULL") == 0


def test_after_a_month_the_accounts_hold_what_the_statements_say(books: Books) -> None:
    """Everything was paid out and arrived: the channels are empty, and the bank is where its statement is."""
    bring_all(books, make_world())
    with books.engine.connect() as connection:
        balances = dict(
            connection.execute(
                text(
                    "SELECT account_code, sum(debit_fen - credit_fen)::bigint FROM posting"
                    " WHERE account_code LIKE '10%' GROUP BY account_code"
                )
            ).all()
        )
        stated = dict(
            connection.execute(
                text(
                    "SELECT DISTINCT ON (account_id) account_id, amount_fen FROM statement_balance"
                    " ORDER BY account_id, on_day DESC"
                )
            ).all()
        )
    opening_fen = 500_000  # which the bank held before our first entry
    assert balances["1002"] == stated["bank-main"] - opening_fen
    assert balances["1021.02"] == stated["wechat-main"]
    assert balances["1021.03"] == stated["alipay-main"]
    assert balances["1021.01"] == balances["1021.09"] == 0


@pytest.mark.parametrize(("channel", "stage"), SOURCES, ids=["-".join(one) for one in SOURCES])
def test_each_error_of_a_channel_is_one_case_of_its_kind(
    books: Books, channel: Channel, stage: Stage
) -> None:
    world = make_world(
        channels=(channel,), count=150, errors=[(channel, stage, kind, 3) for kind in ERROR_KINDS]
    )
    bring_all(books, world)
    side = "fee" if channel == "alipay" else stage
    expected = Counter({(kind, stage): 3 for kind in ERROR_KINDS})
    if side == "fee" or stage == "flow":  # there the fee has a line of its own
        del expected["fee", stage]
        expected["fee", "fee"] = 3
    account = ACCOUNTS[channel].account_id
    assert Counter(books.cases()) == Counter(
        {(kind, where, account): n for (kind, where), n in expected.items()}
    )
    assert books.count("statement_line") == books.count("line_standing")


def test_each_error_of_what_stripes_api_tells_is_one_case_of_its_kind(books: Books) -> None:
    world = make_world(
        channels=("stripe",), count=150, errors=[("stripe", "bill", kind, 3) for kind in ERROR_KINDS]
    )
    books.receive("stripe", world.payments["stripe"])
    books.fetch(world.months["stripe"])
    books.bring(world.bank_file(Format.CAMT053))
    books.look()
    account = ACCOUNTS["stripe"].account_id
    assert Counter(books.cases()) == Counter({(kind, "bill", account): 3 for kind in ERROR_KINDS})
    assert books.count("statement_line") == books.count("line_standing")
    assert books.fetch(world.months["stripe"]).new_line_count == 0


@pytest.mark.parametrize("bank_format", [Format.CAMT053, Format.MT940, Format.BANK_CSV])
@pytest.mark.parametrize("named", [True, False], ids=["payouts named", "payouts unnamed"])
def test_each_error_of_the_bank_is_one_case_of_its_kind(
    books: Books, bank_format: Format, named: bool
) -> None:
    world = make_world(channels=("stripe",), bank_errors=[(kind, 3) for kind in ERROR_KINDS], named=named)
    bring_all(books, world, bank_format)
    assert Counter(books.cases()) == Counter({(kind, "bank", "bank-main"): 3 for kind in ERROR_KINDS})
    assert books.count("statement_line") == books.count("line_standing")


def test_each_case_is_about_the_payment_in_which_the_error_was_put(books: Books) -> None:
    world = make_world(
        channels=("stripe",), count=150, errors=[("stripe", "bill", kind, 3) for kind in ERROR_KINDS]
    )
    bring_all(books, world)
    with books.engine.connect() as connection:
        found = connection.execute(
            text(
                "SELECT open.kind, coalesce("
                " (SELECT line.pay_ref FROM line_standing JOIN statement_line AS line USING (line_id)"
                "  WHERE case_id = open.case_id AND line.side = 'bill' LIMIT 1),"
                " (SELECT split_part(entry.event_key, ':', 2) FROM entry_standing"
                "  JOIN journal_entry AS entry USING (entry_id) WHERE case_id = open.case_id LIMIT 1)) AS ref"
                " FROM reconciliation_case AS open"
            )
        ).all()
    assert {tuple(row) for row in found} == {(error.kind, error.ref) for error in world.errors}


def test_errors_everywhere_at_once_are_still_one_case_each(books: Books) -> None:
    world = make_world(
        count=150,
        errors=[(channel, stage, kind, 3) for channel, stage in SOURCES for kind in ERROR_KINDS],
        bank_errors=[(kind, 3) for kind in ERROR_KINDS],
    )
    bring_all(books, world)
    assert len(books.cases()) == len(world.errors) == 3 * 6 * 5
    assert Counter(kind for kind, _, _ in books.cases()) == Counter(dict.fromkeys(ERROR_KINDS, 15))
    assert books.count("statement_line") == books.count("line_standing")
