"""What a person brings together: lines, entries, and what has to be posted so that both sides agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import Connection, text

from backend.identity.principal import Principal
from backend.ledger import service as ledger
from backend.ledger.books import CITY_BOOK
from backend.ledger.chart import Chart
from backend.ledger.rules import Dimensions
from backend.ledger.vouchers import Occasion
from backend.reconciliation import bank_rules, channel_rules, payout_rules
from backend.reconciliation.accounts import Account
from backend.reconciliation.cases import EntryView, LineView
from backend.reconciliation.keeping import late_ones_moved
from backend.reconciliation.lines import Kind, Side
from backend.reconciliation.records import Implied
from backend.reconciliation.vouchers import implied_entries, suspense_entry


@dataclass(slots=True)
class Joint:
    """Lines and entries of one account; `posted` are entries that the lines imply, by line."""

    connection: Connection
    account: Account
    book_id: str
    lines: list[LineView]
    entries: list[tuple[EntryView, str]]  # and its book
    posted: dict[int, int] = field(default_factory=dict)
    posted_fen: int = 0

    @property
    def on(self) -> date:
        """The day it is about."""
        return min([one.value_on for one in self.lines] or [one.on for one, _ in self.entries])

    @property
    def side(self) -> str:
        """The statement it is about."""
        return self.lines[0].side if self.lines else "book"

    @property
    def difference_fen(self) -> int:
        """What the statements say less what the books say, with what was posted."""
        said = sum(self._effect_fen(one) for one in self.lines)
        return said - sum(one.amount_fen for one, _ in self.entries) - self.posted_fen

    def entry_ids(self) -> set[int]:
        """Every entry, posted ones included."""
        return {one.entry_id for one, _ in self.entries} | set(self.posted.values())

    def entry_of_line(self) -> dict[int, int]:
        """Each line's entry: the one it implied, or else the first of ours, or what took the difference."""
        main = [one.entry_id for one, _ in self.entries if one.event_kind != channel_rules.PROVIDER_FEE]
        rest = sorted(self.posted.values())
        default = (main or rest or [0])[0]
        if not default:
            return {}
        own = {
            one.line_id: self.posted[one.line_id]
            for one in self.lines
            if one.line_id in self.posted and one.side != Side.BILL
        }
        return {one.line_id: own.get(one.line_id, default) for one in self.lines}

    def post_implied(self, chart: Chart, number: str, who: Principal, now: datetime) -> None:
        """Post fees, payouts, arrivals, charges and interest that the lines imply and nobody has posted.

        Args:
            number: stands in for that of a line where there is none; empty where nothing goes to suspense.
        """
        occasion = Occasion(CITY_BOOK, now, now.date(), who.actor, who.principal_id)
        for implied, effect_fen in self._implied(number):
            source = self.account.source
            entries = list(implied_entries(chart, occasion, source, implied, CITY_BOOK))
            moved = [one for _, one in late_ones_moved(self.connection, [(0, one) for one in entries])]
            for posted in ledger.post(self.connection, moved):
                self.posted.setdefault(implied.line_id, posted.entry_id)
            self.posted_fen += effect_fen

    def post_suspense(self, chart: Chart, number: str, who: Principal, now: datetime) -> None:
        """Post what is left over; under the number of the first line, or `number` where there is none."""
        fen = self.difference_fen
        occasion = Occasion(self.book_id, now, self.on, who.actor, who.principal_id)
        about = Dimensions(self.book_id if self.book_id != CITY_BOOK else None, None, None, None)
        key = self.lines[0].external_id if self.lines else number
        entry = suspense_entry(chart, occasion, self.account.source, key, about, fen)
        ((_, moved),) = late_ones_moved(self.connection, [(0, entry)])
        (posted,) = ledger.post(self.connection, [moved])
        self.posted[-1] = posted.entry_id
        self.posted_fen += fen

    def _effect_fen(self, line: LineView) -> int:
        terms = channel_rules.terms_of(self.account.source, self.account.settings)
        if line.side == Side.BILL:
            return 0 if terms.has_flow else line.amount_fen - line.fee_fen
        return line.amount_fen

    def _implied(self, number: str) -> list[tuple[Implied, int]]:
        """What is implied, with its effect on what is compared."""
        if self.account.is_bank:
            return [*self._arrived(number), *(one for line in self.lines for one in self._of_bank(line))]
        return [one for line in self.lines for one in self._of_channel(line)]

    def _arrived(self, number: str) -> list[tuple[Implied, int]]:
        payouts = [(one, book) for one, book in self.entries if one.event_kind == payout_rules.PAYOUT]
        if not payouts or not (self.lines or number):
            return []
        shares: dict[str, int] = {}
        for one, book in payouts:
            shares[book] = shares.get(book, 0) + one.amount_fen
        # The payouts themselves are counted already, so the arrival adds nothing to the comparison. One that
        # never came passes through the bank's account into suspense, so that it is no longer on its way.
        first = (self.lines[0].external_id, self.lines[0].line_id) if self.lines else (number, 0)
        return [(Implied(bank_rules.PAYOUT_ARRIVED, first[0], self.on, shares, first[1]), 0)]

    def _of_bank(self, line: LineView) -> list[tuple[Implied, int]]:
        kinds = {Kind.CHARGE: bank_rules.BANK_CHARGE, Kind.INTEREST: bank_rules.BANK_INTEREST}
        kind = kinds.get(Kind(line.kind))
        if kind is None or self.entries:
            return []
        shares = {self.book_id: abs(line.amount_fen)}
        return [(Implied(kind, line.external_id, line.value_on, shares, line.line_id), line.amount_fen)]

    def _of_channel(self, line: LineView) -> list[tuple[Implied, int]]:
        known = {one.event_key.partition(":")[2] for one, _ in self.entries}
        if line.external_id in known:
            return []
        if line.side == Side.PAYOUT and line.kind == Kind.PAYOUT and not self.entries:
            shares = {self.book_id: -line.amount_fen}
            implied = Implied(payout_rules.PAYOUT, line.external_id, line.value_on, shares, line.line_id)
            return [(implied, line.amount_fen)]
        fee_fen = self._fee_fen(line)
        if not fee_fen:
            return []
        implied = Implied(
            channel_rules.PROVIDER_FEE,
            line.external_id,
            line.value_on,
            {self.book_id: abs(fee_fen)},
            line.line_id,
            given_back=fee_fen < 0,
        )
        return [(implied, -fee_fen)]

    def _fee_fen(self, line: LineView) -> int:
        """The fee that this line carries: each fee is carried by one line only."""
        terms = channel_rules.terms_of(self.account.source, self.account.settings)
        if line.side == Side.FEE:
            return -line.amount_fen
        if line.side != Side.BILL or not terms.fee_in_bill:
            return 0
        # With a flow beside it, the bill only tells of what moves there.
        moved = any(one.side == Side.FLOW for one in self.lines)
        fees = any(one.side == Side.FEE for one in self.lines)
        return line.fee_fen if not terms.has_flow or (moved and not fees) else 0


def joint_of(
    connection: Connection,
    account: Account,
    line_ids: Sequence[int],
    entry_ids: Sequence[int],
    book_id: str,
) -> Joint:
    """Read lines and entries, in the order of their time."""
    lines = connection.execute(
        text(
            "SELECT line.line_id, line.side, line.kind, line.external_id, line.amount_fen, line.fee_fen,"
            " line.value_on, line.pay_ref, line.our_ref, line.payer, line.note, file.name, line.line_no"
            " FROM statement_line AS line JOIN statement_file AS file USING (file_id)"
            " WHERE line_id = ANY(:ids) ORDER BY line.value_on, line.line_id"
        ),
        {"ids": list(line_ids)},
    )
    entries = connection.execute(
        text(
            "SELECT entry.entry_id, entry.event_kind, entry.event_key, entry.summary_zh, entry.effective_on,"
            " sum(posting.debit_fen - posting.credit_fen)::bigint AS fen, entry.book_id"
            " FROM journal_entry AS entry JOIN posting USING (entry_id)"
            " WHERE entry.entry_id = ANY(:ids) AND (posting.account_code = :code"
            "  OR (:is_bank AND entry.event_kind = 'payout' AND posting.debit_fen > 0))"
            " GROUP BY entry.entry_id ORDER BY entry.effective_on, entry.entry_id"
        ),
        {"ids": list(entry_ids), "code": account.account_code, "is_bank": account.is_bank},
    )
    found = [(EntryView(*tuple(row)[:6]), str(row.book_id)) for row in entries]
    return Joint(
        connection,
        account,
        found[0][1] if found else book_id,
        [LineView(*row) for row in lines],
        found,
    )
