"""Payouts and our own payments held against a bank's lines. Pure.

First by number; then, where the bank's text has none, by amount, day and payer together, and only where that
fits one of each. Amount alone never matches anything: what is left after that is a case.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from backend.reconciliation.accounts import AccountSettings
from backend.reconciliation.lines import Kind, Side
from backend.reconciliation.records import Case, CaseKind, Covered, Entry, Implied, Line, Match, Outcome

PAYOUT_ARRIVED, BANK_CHARGE, BANK_INTEREST = "payout_arrived", "bank_charge", "bank_interest"
SHIFTED_DAYS_MAX = 3
T = TypeVar("T")
_NUMBER = re.compile(r"[0-9A-Za-z_-]{6,64}")


@dataclass(frozen=True, slots=True)
class Target:
    """What a bank line may be: a payout on its way (in one or several books), or an entry of ours."""

    ref: str
    amount_fen: int
    on: date
    entries: tuple[Entry, ...]
    source: str  # the channel of a payout; empty for an entry of ours

    @property
    def book_id(self) -> str:
        """The first book of it."""
        return self.entries[0].book_id


def targets_of(transit: Iterable[Entry], entries: Iterable[Entry]) -> list[Target]:
    """Payouts by number, and each entry of ours."""
    payouts: defaultdict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in transit:
        payouts[entry.source, entry.ref].append(entry)
    found = [
        Target(ref, sum(one.amount_fen for one in parts), parts[0].on, tuple(parts), source)
        for (source, ref), parts in payouts.items()
    ]
    return found + [Target(one.ref, one.amount_fen, one.on, (one,), "") for one in entries]


def keys_of_line(line: Line, settings: AccountSettings) -> list[str]:
    """Under which keys a match may be that this line belongs to."""
    keys = [f"ref:{number}" for number in numbers_of(line)]
    source = _source(line, settings)
    return [*keys, _amount_key(source, line.amount_fen, line.value_on)] if source else keys


def keys_of_target(target: Target) -> list[str]:
    """The same for the other side."""
    keys = [f"ref:{target.ref}"]
    if target.source:
        keys.append(_amount_key(target.source, target.amount_fen, target.on))
    return keys


def numbers_of(line: Line) -> list[str]:
    """Everything in a line that may be somebody's number, the surest first."""
    named = [one for one in (line.our_ref, line.pay_ref, line.external_id) if one]
    return [*named, *_NUMBER.findall(line.note)]


def reconcile_bank(
    lines: Sequence[Line],
    targets: Sequence[Target],
    settings: AccountSettings,
    book_id: str,
    covered: Covered,
    taken: frozenset[str] = frozenset(),
) -> Outcome:
    """Look at everything that is open in a bank account."""
    work = _Work(settings, book_id, covered, taken)
    by_ref: dict[str, Target] = {}
    for target in sorted(targets, key=lambda one: (one.on, one.entries[0].entry_id)):
        by_ref.setdefault(target.ref, target)
    named: defaultdict[str, list[Line]] = defaultdict(list)
    left: list[Line] = []
    for line in sorted(lines, key=lambda one: one.order):
        ref = next((number for number in numbers_of(line) if number in by_ref), None)
        if ref is not None:
            named[ref].append(line)
        elif line.kind in (Kind.CHARGE, Kind.INTEREST):
            work.own(line)
        else:
            left.append(line)
    for ref, found in named.items():
        work.named(by_ref[ref], found)
    open_targets = [one for one in targets if by_ref[one.ref] is not one or one.ref not in named]
    work.by_amount(open_targets, left)
    return Outcome(tuple(work.matches), tuple(work.cases))


class _Work:
    """One look: collects matches and cases."""

    def __init__(
        self, settings: AccountSettings, book_id: str, covered: Covered, taken: frozenset[str]
    ) -> None:
        self.matches: list[Match] = []
        self.cases: list[Case] = []
        self._settings, self._book_id, self._covered, self._taken = settings, book_id, covered, taken
        self._charges: set[tuple[date, str]] = set()

    def named(self, target: Target, lines: Sequence[Line]) -> None:
        """Lines that name their target: the first of the right amount is it, the others are too many."""
        key = f"ref:{target.ref}"
        ordered = sorted(lines, key=lambda one: (one.amount_fen != target.amount_fen, one.order))
        line = ordered[0]
        for second in ordered[1:]:
            self._case(f"{key}#{second.external_id}", CaseKind.DOUBLED, [second], [])
        if line.amount_fen != target.amount_fen:
            self._case(key, CaseKind.AMOUNT, [line], [target])
        elif line.value_on != target.on:
            self._case(key, CaseKind.SHIFTED, [line], [target])
        else:
            rule = "payout_number" if target.source else "entry_number"
            self._match(key, rule, ("number", "amount_fen", "value_on"), line, target)

    def own(self, line: Line) -> None:
        """The bank's own doings: charges by the agreed price, interest as it says."""
        key = f"own:{line.external_id}"
        event = BANK_CHARGE if line.kind == Kind.CHARGE else BANK_INTEREST
        if line.kind == Kind.CHARGE:
            if (
                line.value_on,
                line.note,
            ) in self._charges or f"charge:{line.value_on}:{line.note}" in self._taken:
                self._case(key, CaseKind.DOUBLED, [line], [])
                return
            self._charges.add((line.value_on, line.note))
            prices = [fen for word, fen in self._settings.charges_fen.items() if word in line.note]
            if -line.amount_fen not in prices:
                self._case(key, CaseKind.FEE, [line], [])
                return
        implied = Implied(
            event, line.external_id, line.value_on, {self._book_id: abs(line.amount_fen)}, line.line_id
        )
        rule = "agreed_price" if line.kind == Kind.CHARGE else "bank_says"
        self.matches.append(Match(key, rule, ("note", "amount_fen"), ((line.line_id, None),), (), (implied,)))

    def by_amount(self, targets: Sequence[Target], lines: Sequence[Line]) -> None:
        """What no number brought together."""
        payouts = sorted(
            (one for one in targets if one.source), key=lambda one: (one.on, one.entries[0].entry_id)
        )
        sources = {line.line_id: _source(line, self._settings) for line in lines}
        credits = [line for line in lines if sources[line.line_id] and line.amount_fen > 0]
        payouts, credits = self._same_day(payouts, credits, sources)
        payouts, credits = self._pairs(
            payouts, credits, CaseKind.SHIFTED,
            lambda one: (one.source, one.amount_fen),
            lambda one: (sources[one.line_id], one.amount_fen),
            SHIFTED_DAYS_MAX,
        )  # fmt: skip
        payouts, credits = self._pairs(
            payouts, credits, CaseKind.AMOUNT,
            lambda one: (one.source, one.on),
            lambda one: (sources[one.line_id], one.value_on),
            0,
        )  # fmt: skip
        left = {line.line_id for line in credits}
        for line in lines:
            if line.line_id in left or not (sources[line.line_id] and line.amount_fen > 0):
                self._case(f"line:{line.external_id}", CaseKind.EXTRA, [line], [])
        for target in (*payouts, *(one for one in targets if not one.source)):
            if self._covered(Side.BANK, target.on):
                entry_id = target.entries[0].entry_id
                self._case(f"entry:{entry_id}", CaseKind.MISSING, [], [target])

    def _same_day(
        self, payouts: Sequence[Target], credits: Sequence[Line], sources: Mapping[int, str]
    ) -> tuple[list[Target], list[Line]]:
        ours = _grouped(payouts, lambda one: _amount_key(one.source, one.amount_fen, one.on))
        theirs = _grouped(
            credits, lambda one: _amount_key(sources[one.line_id], one.amount_fen, one.value_on)
        )
        for key in ours.keys() & theirs.keys():
            here, there = ours[key], theirs[key]
            if len(here) == len(there) == 1:
                fields = ("amount_fen", "value_on", "payer")
                self._match(str(key), "amount_day_payer", fields, there[0], here[0])
            else:
                kind = CaseKind.DOUBLED if len(there) > len(here) == 1 else CaseKind.AMBIGUOUS
                self._case(str(key), kind, there, here)
        return (
            [one for group, found in ours.items() if group not in theirs for one in found],
            [one for group, found in theirs.items() if group not in ours for one in found],
        )

    def _pairs(
        self,
        payouts: Sequence[Target],
        credits: Sequence[Line],
        kind: CaseKind,
        of_target: Callable[[Target], Hashable],
        of_line: Callable[[Line], Hashable],
        days_max: int,
    ) -> tuple[list[Target], list[Line]]:
        """Cases of those that have exactly one of each in a group, at most so many days apart."""
        ours, theirs = _grouped(payouts, of_target), _grouped(credits, of_line)
        done: set[int] = set()
        for group in ours.keys() & theirs.keys():
            here, there = ours[group], theirs[group]
            near = len(here) == len(there) == 1 and abs((here[0].on - there[0].value_on).days) <= days_max
            if near:
                self._case(f"line:{there[0].external_id}", kind, there, here)
                done |= {id(here[0]), id(there[0])}
        return [one for one in payouts if id(one) not in done], [
            one for one in credits if id(one) not in done
        ]

    def _match(self, key: str, rule: str, fields: tuple[str, ...], line: Line, target: Target) -> None:
        if not target.source:
            entry_id = target.entries[0].entry_id
            self.matches.append(Match(key, rule, fields, ((line.line_id, entry_id),), (entry_id,)))
            return
        shares = {one.book_id: one.amount_fen for one in target.entries}
        implied = Implied(PAYOUT_ARRIVED, line.external_id, line.value_on, shares, line.line_id)
        ids = tuple(one.entry_id for one in target.entries)
        self.matches.append(Match(key, rule, fields, ((line.line_id, None),), ids, (implied,)))

    def _case(self, key: str, kind: CaseKind, lines: Sequence[Line], targets: Sequence[Target]) -> None:
        if kind is CaseKind.EXTRA and any(f"ref:{number}" in self._taken for number in numbers_of(lines[0])):
            kind = CaseKind.DOUBLED
        days = [one.value_on for one in lines] or [one.on for one in targets]
        self.cases.append(
            Case(
                key,
                kind,
                Side.BANK,
                min(days),
                sum(one.amount_fen for one in lines) - sum(one.amount_fen for one in targets),
                tuple(one.line_id for one in lines),
                tuple(entry.entry_id for one in targets for entry in one.entries),
                targets[0].book_id if targets else self._book_id,
            )
        )


def _grouped(values: Iterable[T], key: Callable[[T], Hashable]) -> dict[Hashable, list[T]]:
    found: defaultdict[Hashable, list[T]] = defaultdict(list)
    for value in values:
        found[key(value)].append(value)
    return found


def _amount_key(source: str, amount_fen: int, on: date) -> str:
    return f"amount:{source}:{amount_fen}:{on}"


def _source(line: Line, settings: AccountSettings) -> str:
    """The channel that the line's payer or text names; empty where it names none."""
    text = f"{line.payer} {line.note}".upper()
    for source, names in settings.words.channels.items():
        if any(name.upper() in text for name in names):
            return source
    return ""
