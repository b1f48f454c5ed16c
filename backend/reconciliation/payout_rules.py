"""What a channel sends to the bank, held against our entries of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from backend.reconciliation.lines import Kind, Side
from backend.reconciliation.records import Case, CaseKind, Covered, Entry, Implied, Line, Match, Outcome

PAYOUT = "payout"
KIND_OF_PAYOUT: Mapping[str, str] = {PAYOUT: Kind.PAYOUT, "payout_failed": Kind.PAYOUT_RETURNED}


def payouts_of(
    lines: Iterable[Line],
    entries: Iterable[Entry],
    covered: Covered,
    shares: Mapping[str, Mapping[str, int]],
) -> Outcome:
    """What the channel sends to the bank: its word implies the entry; the bank confirms it later."""
    known: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        kind = KIND_OF_PAYOUT.get(entry.kind)
        if kind is not None:
            known.setdefault((kind, entry.ref), []).append(entry)
    matches: list[Match] = []
    cases: list[Case] = []
    for line in sorted(lines, key=lambda one: one.order):
        if line.side != Side.PAYOUT:
            continue
        posted = known.pop((line.kind, line.payout_ref), [])
        outcome = _payout(line, posted, shares.get(line.payout_ref, {}))
        (matches if isinstance(outcome, Match) else cases).append(outcome)  # type: ignore[arg-type]
    for (kind, ref), left in known.items():
        if covered(Side.PAYOUT, left[0].on):
            cases.append(_payout_case(f"{kind}:{ref}", CaseKind.MISSING, None, left))
    return Outcome(tuple(matches), tuple(cases))


def _payout(line: Line, posted: Sequence[Entry], shares: Mapping[str, int]) -> Match | Case:
    key = f"{line.kind}:{line.payout_ref or line.external_id}"
    if posted:
        if sum(one.amount_fen for one in posted) != line.amount_fen:
            return _payout_case(key, CaseKind.AMOUNT, line, posted)
        pair = ((line.line_id, posted[0].entry_id),)
        ids = tuple(one.entry_id for one in posted)
        return Match(key, "payout_number", ("payout_ref", "amount_fen"), pair, ids)
    if line.kind != Kind.PAYOUT:
        return _payout_case(key, CaseKind.EXTRA, line, posted)
    if sum(shares.values()) != -line.amount_fen or min(shares.values(), default=0) < 0:
        return _payout_case(key, CaseKind.AMOUNT, line, posted)
    parts = {book: fen for book, fen in shares.items() if fen}
    implied = Implied(PAYOUT, line.payout_ref, line.value_on, parts, line.line_id)
    return Match(key, "channel_says", ("payout_ref", "parts"), ((line.line_id, None),), (), (implied,))


def _payout_case(key: str, kind: CaseKind, line: Line | None, entries: Sequence[Entry]) -> Case:
    said_fen = line.amount_fen if line is not None else 0
    on: date = line.value_on if line is not None else entries[0].on
    return Case(
        key,
        kind,
        Side.PAYOUT,
        on,
        said_fen - sum(one.amount_fen for one in entries),
        (line.line_id,) if line is not None else (),
        tuple(one.entry_id for one in entries),
        entries[0].book_id if entries else None,
    )
