"""Receipts and refunds held against a channel's bill, its flow and its fees. Pure.

Everything about one payment is put together by its numbers, never by its amount; then amounts, fees and days
are compared. What comes out depends on the set of lines and entries, not on the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backend.reconciliation.accounts import AccountSettings
from backend.reconciliation.lines import Kind, Side
from backend.reconciliation.payout_rules import KIND_OF_PAYOUT, payouts_of
from backend.reconciliation.records import Case, CaseKind, Covered, Entry, Implied, Line, Match, Outcome

PROVIDER_FEE = "provider_fee"
# Which line tells of which entry.
KIND_OF_EVENT: Mapping[str, str] = {
    "payment": Kind.PAYMENT,
    "refund": Kind.REFUND,
    "refund_failed": Kind.REFUND_RETURNED,
    "dispute_opened": Kind.DISPUTE,
    "dispute_won": Kind.DISPUTE_RETURNED,
}
# Entries that stand beside another one of the same line.
BESIDE = (PROVIDER_FEE, "exchange_difference")
REFUND_TOLERANCE_FEN = 1
Shares = Callable[[Mapping[int, str]], Mapping[str, Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class Terms:
    """How this account is written and what was agreed.

    Attributes:
        fees_apart: fees are lines of their own (Alipay; WeChat where the flow is imported).
        fee_in_bill: the bill says the fee of each payment.
    """

    settings: AccountSettings
    has_flow: bool
    fees_apart: bool
    fee_in_bill: bool

    def effect_fen(self, line: Line) -> int:
        """What a line changed in the account."""
        if line.side == Side.BILL:
            return 0 if self.has_flow else line.net_fen
        return line.amount_fen

    def fee_fen(self, method: str, amount_fen: int) -> int | None:
        """The agreed fee; None where none was agreed."""
        rate = self.settings.rates.get(method)
        if rate is None:
            return None
        if amount_fen < 0:
            return -rate.fee_fen(-amount_fen) if self.settings.refund_returns_fee else 0
        return rate.fee_fen(amount_fen)


def terms_of(source: str, settings: AccountSettings) -> Terms:
    """By the kind of channel."""
    has_flow = source == "wechat" and settings.has_flow
    return Terms(
        settings, has_flow, fees_apart=source == "alipay" or has_flow, fee_in_bill=source != "alipay"
    )


@dataclass(slots=True)
class Bucket:
    """All about one payment or refund."""

    kind: str
    entries: list[Entry] = field(default_factory=list)
    bills: list[Line] = field(default_factory=list)
    flows: list[Line] = field(default_factory=list)
    fees: list[Line] = field(default_factory=list)

    @property
    def lines(self) -> list[Line]:
        """Of all sides."""
        return [*self.bills, *self.flows, *self.fees]

    def key(self) -> str:
        """Our own number where a line repeats it, because both bills of a doubled payment do."""
        lines = sorted(self.lines, key=lambda one: one.order)
        ours = next((one.our_ref for one in lines if one.our_ref), "")
        ref = self.entries[0].ref if self.entries else (lines[0].pay_ref or lines[0].external_id)
        return f"{self.kind}:{ours or ref}"


def keys_of_line(line: Line) -> list[str]:
    """Under which keys a match may be that this line belongs to."""
    kind = _kind(line)
    return [f"{kind}:{ref}" for ref in (line.our_ref, line.pay_ref or line.external_id) if ref]


def keys_of_entry(entry: Entry) -> list[str]:
    """The same for the other side."""
    return [] if entry.kind in BESIDE else [f"{_kind_of_entry(entry)}:{entry.ref}"]


def reconcile_channel(
    lines: Sequence[Line],
    entries: Sequence[Entry],
    terms: Terms,
    covered: Covered,
    shares: Shares,
    taken: frozenset[str] = frozenset(),
) -> Outcome:
    """Look at everything that is open in a channel's account.

    Args:
        shares: what of each payout belongs to which book, given the books of lines that match now.
        taken: keys that a person matched; a further line of one is a second line.
    """
    beside = {entry.ref: entry for entry in entries if entry.kind in BESIDE}
    matches: list[Match] = []
    cases: list[Case] = []
    for bucket in _buckets(lines, entries):
        outcome = _decide(bucket, terms, covered, beside, taken)
        matches += outcome.matches
        cases += outcome.cases
    book_of = {entry.entry_id: entry.book_id for entry in entries}
    books = {
        line_id: book_of[entry_id]
        for match in matches
        for line_id, entry_id in match.lines
        if entry_id in book_of
    }
    payouts = payouts_of(lines, entries, covered, shares(books))
    return Outcome((*matches, *payouts.matches), (*cases, *payouts.cases))


def _kind(line: Line) -> str:
    if line.side == Side.FEE:
        return Kind.PAYMENT if line.amount_fen <= 0 else Kind.REFUND
    return line.kind


def _kind_of_entry(entry: Entry) -> str:
    known = KIND_OF_EVENT.get(entry.kind) or KIND_OF_PAYOUT.get(entry.kind)
    return known or (Kind.PAYMENT if entry.amount_fen > 0 else Kind.REFUND)


def _buckets(lines: Iterable[Line], entries: Iterable[Entry]) -> Iterator[Bucket]:
    found: dict[tuple[str, str], Bucket] = {}
    for entry in entries:
        kind = _kind_of_entry(entry)
        if entry.kind not in BESIDE and entry.kind not in KIND_OF_PAYOUT:
            found.setdefault((kind, entry.ref), Bucket(kind)).entries.append(entry)
    buckets = dict(found)
    ours: dict[tuple[str, str], Bucket] = {}
    unknown: list[Line] = []
    for line in lines:
        if line.side == Side.PAYOUT:
            continue
        kind = _kind(line)
        bucket = found.get((kind, line.pay_ref)) or found.get((kind, line.our_ref))
        if bucket is None:
            unknown.append(line)
            continue
        _put(bucket, line)
        if line.our_ref:
            ours[kind, line.our_ref] = bucket
    for line in sorted(unknown, key=lambda one: one.order):
        kind = _kind(line)
        ref = (kind, line.pay_ref or line.external_id)
        bucket = ours.get((kind, line.our_ref)) or buckets.setdefault(ref, Bucket(kind))
        _put(bucket, line)
        if line.our_ref:
            ours.setdefault((kind, line.our_ref), bucket)
    yield from buckets.values()


def _put(bucket: Bucket, line: Line) -> None:
    if line.side == Side.BILL:
        bucket.bills.append(line)
    elif line.side == Side.FEE:
        bucket.fees.append(line)
    else:
        bucket.flows.append(line)


def _decide(
    bucket: Bucket, terms: Terms, covered: Covered, beside: Mapping[str, Entry], taken: frozenset[str]
) -> Outcome:
    key = bucket.key()
    if not bucket.entries:
        return _without_entry(key, bucket, terms, beside, taken)
    if len(bucket.entries) > 1:
        return Outcome((), (_case(key, CaseKind.AMBIGUOUS, bucket, terms, beside, "book"),))
    entry = bucket.entries[0]
    rest, doubles = _without_doubles(bucket, entry)
    cases = tuple(_doubled(f"{key}#{one[0].external_id}", bucket.kind, one, terms, beside) for one in doubles)
    wrong = _missing(rest, entry, terms, covered) or _wrong(rest, entry, terms, covered)
    if wrong is None:
        return Outcome((_match(key, rest, entry, terms, beside),), cases)
    kind, side = wrong
    # Without a side it only waits for a statement that is not there yet.
    return Outcome((), (_case(key, kind, rest, terms, beside, side), *cases) if side else cases)


def _without_entry(
    key: str, bucket: Bucket, terms: Terms, beside: Mapping[str, Entry], taken: frozenset[str]
) -> Outcome:
    if all(one.side == Side.BILL and one.kind == Kind.FEE for one in bucket.lines):
        return _fees_alone(bucket.bills, beside, terms)
    kind = CaseKind.OTHER if bucket.kind == Kind.OTHER else CaseKind.EXTRA
    return Outcome(
        (),
        (
            _case(
                key,
                CaseKind.DOUBLED if key in taken else kind,
                bucket,
                terms,
                beside,
                (bucket.bills or bucket.flows or bucket.fees)[0].side,
            ),
        ),
    )


def _without_doubles(bucket: Bucket, entry: Entry) -> tuple[Bucket, list[list[Line]]]:
    """One line of each side, and the others: the first in time of those with the right amount stays."""
    if max(len(bucket.bills), len(bucket.flows), len(bucket.fees)) <= 1:
        return bucket, []
    rest = Bucket(bucket.kind, bucket.entries)
    surplus: list[Line] = []
    for kept, lines in ((rest.bills, bucket.bills), (rest.flows, bucket.flows), (rest.fees, bucket.fees)):
        ordered = sorted(
            lines,
            key=lambda one: (
                one.side != Side.FEE and abs(one.amount_fen) != abs(entry.amount_fen),
                one.order,
            ),
        )
        kept.extend(ordered[:1])
        surplus.extend(ordered[1:])
    heads = [line for line in surplus if line.side != Side.FEE]
    fees = [line for line in surplus if line.side == Side.FEE]
    groups = [[head] for head in heads] or [[fee] for fee in fees]
    if heads:
        # The fees of a second line go with it.
        for place, fee in enumerate(fees):
            groups[min(place, len(groups) - 1)].append(fee)
    return rest, groups


def _missing(bucket: Bucket, entry: Entry, terms: Terms, covered: Covered) -> tuple[CaseKind, str] | None:
    """The side on which the line is missing, "" while it may still come; None where all are there."""
    wanted = [(Side.BILL, bucket.bills), *([(Side.FLOW, bucket.flows)] if terms.has_flow else [])]
    absent = [side for side, lines in wanted if not lines]
    if not absent:
        return None
    waits = any(not covered(side, entry.on) for side in absent)
    return CaseKind.MISSING, "" if waits else absent[0]


def _wrong(bucket: Bucket, entry: Entry, terms: Terms, covered: Covered) -> tuple[CaseKind, str] | None:
    bill = bucket.bills[0]
    flow = bucket.flows[0] if bucket.flows else None
    if bill.amount_fen != entry.amount_fen:
        return CaseKind.AMOUNT, bill.side
    if flow is not None and flow.amount_fen not in (entry.amount_fen, _flow_fen(bucket, bill)):
        return CaseKind.AMOUNT, flow.side
    fee = _wrong_fee(bucket, entry, terms, covered)
    if fee is not None:
        return CaseKind.FEE, fee
    for line in (bill, flow):
        if line is not None and line.value_on != entry.on:
            return CaseKind.SHIFTED, line.side
    return None


def _flow_fen(bucket: Bucket, bill: Line) -> int:
    """WeChat writes a refund as one movement, less the fee that comes back."""
    return bill.net_fen if bucket.kind != Kind.PAYMENT else bill.amount_fen


def _agreed(bucket: Bucket, entry: Entry, terms: Terms) -> int | None:
    """The fee by contract; what a dispute costs is the channel's word."""
    if bucket.kind not in (Kind.PAYMENT, Kind.REFUND):
        return None
    return terms.fee_fen(bucket.bills[0].method or entry.channel, entry.amount_fen)


def _wrong_fee(bucket: Bucket, entry: Entry, terms: Terms, covered: Covered) -> str | None:
    """The side whose fee is not the agreed one; "" while the fee's line may still come."""
    bill = bucket.bills[0]
    agreed = _agreed(bucket, entry, terms)
    tolerance = 0 if bucket.kind == Kind.PAYMENT else REFUND_TOLERANCE_FEN
    taken = -bucket.fees[0].amount_fen if bucket.fees else 0
    if agreed is None:
        agreed = bill.fee_fen if terms.fee_in_bill else taken
    if terms.fee_in_bill and abs(bill.fee_fen - agreed) > tolerance:
        return bill.side
    # A refund's fee is inside its one movement.
    apart = terms.fees_apart and not (terms.has_flow and bucket.kind != Kind.PAYMENT)
    if apart and abs(taken - agreed) > tolerance:
        return Side.FEE if bucket.fees or covered(Side.FEE, entry.on) else ""
    return None


def _match(key: str, bucket: Bucket, entry: Entry, terms: Terms, beside: Mapping[str, Entry]) -> Match:
    bill = bucket.bills[0]
    carrier = bucket.fees[0] if bucket.fees else bill
    fee_fen = -carrier.amount_fen if carrier.side == Side.FEE else bill.fee_fen
    fee_entry = beside.get(carrier.external_id)
    implied: tuple[Implied, ...] = ()
    if fee_fen and fee_entry is None:
        implied = (
            Implied(
                PROVIDER_FEE,
                carrier.external_id,
                carrier.value_on,
                {entry.book_id: abs(fee_fen)},
                carrier.line_id,
                given_back=fee_fen < 0,
                channel=entry.channel or bill.method,
            ),
        )
    named = "pay_ref" if entry.ref == bill.pay_ref else "our_ref"
    fields = [named, "amount_fen", "value_on"]
    if _agreed(bucket, entry, terms) is not None:
        fields.append("fee_fen")
    of_fee = fee_entry.entry_id if fee_entry is not None else None
    return Match(
        key,
        "provider_number" if named == "pay_ref" else "our_number",
        tuple(fields),
        (
            *((one.line_id, entry.entry_id) for one in (*bucket.bills, *bucket.flows)),
            *((one.line_id, of_fee) for one in bucket.fees),
        ),
        (entry.entry_id, *([fee_entry.entry_id] if fee_entry is not None else [])),
        implied,
    )


def _doubled(key: str, kind: str, lines: Sequence[Line], terms: Terms, beside: Mapping[str, Entry]) -> Case:
    part = Bucket(kind)
    for line in lines:
        _put(part, line)
    return _case(key, CaseKind.DOUBLED, part, terms, beside, lines[0].side)


def _fees_alone(lines: Sequence[Line], beside: Mapping[str, Entry], terms: Terms) -> Outcome:
    """What the channel takes for itself, apart from any payment: nobody agreed to it beforehand."""
    matches, cases = [], []
    for line in lines:
        entry = beside.get(line.external_id)
        key = f"{Kind.FEE}:{line.external_id}"
        if entry is not None and entry.amount_fen == line.net_fen:
            pair = ((line.line_id, entry.entry_id),)
            matches.append(Match(key, "line_number", ("external_id", "amount_fen"), pair, (entry.entry_id,)))
        else:
            bucket = Bucket(Kind.FEE, bills=[line])
            cases.append(_case(key, CaseKind.FEE, bucket, terms, beside, line.side))
    return Outcome(tuple(matches), tuple(cases))


def _case(
    key: str, kind: CaseKind, bucket: Bucket, terms: Terms, beside: Mapping[str, Entry], side: str
) -> Case:
    numbers = sorted({one.external_id for one in bucket.lines})
    near = [beside[number] for number in numbers if number in beside]
    entries = [*bucket.entries, *near]
    said = sum(terms.effect_fen(one) for one in bucket.lines)
    book = next((one.book_id for one in entries), None) or next(
        (one.book_ref for one in bucket.lines if one.book_ref), None
    )
    days = [one.value_on for one in bucket.lines] or [one.on for one in entries]
    return Case(
        key,
        kind,
        side,
        min(days),
        said - sum(one.amount_fen for one in entries),
        tuple(one.line_id for one in bucket.lines),
        tuple(one.entry_id for one in entries),
        book,
    )
