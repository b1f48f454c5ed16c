"""Money that arrived: one payment, one entry, one receipt, however often it is told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, Connection, Uuid, bindparam, insert, select, text

from backend.db.arrays import among
from backend.ledger import books, periods, service
from backend.ledger.rules import Dimensions, NewEntry
from backend.ledger.vouchers import Occasion
from backend.registry.rules import local_day
from backend.rent import vouchers
from backend.rent.allocation import Due, OpenCharge, Part, allocate
from backend.rent.errors import AmountNotPositiveError
from backend.rent.recoveries import GivenUp, after, bring_back, given_up, share_out
from backend.rent.statement import open_charges, prepaid_payments
from backend.rent.tables import payment, payment_allocation

# Any number of ours: the second half of the key is the household.
ACCOUNT_LOCK = 7_205_302


@dataclass(frozen=True, slots=True)
class NewPayment:
    """Money that a provider says was paid for a household.

    Attributes:
        provider, provider_ref: the provider and its own number of this payment; unique together.
        channel: how it was paid ('wechat_pay', 'alipay', 'card').
        paid_at: when, UTC.
        charge_ids: what it is for, if the payer chose; paid before anything else.
    """

    estate_id: str
    household_id: UUID
    provider: str
    provider_ref: str
    channel: str
    amount_fen: int
    paid_at: datetime
    charge_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class PaymentTaken:
    """A payment that is in the books; `is_new` if this call put it there."""

    payment_id: UUID
    receipt_number: str
    is_new: bool


def take_payment(connection: Connection, given: NewPayment, *, actor: str, now: datetime) -> PaymentTaken:
    """Book a payment; see `take_payments`."""
    return take_payments(connection, [given], actor=actor, now=now)[0]


def take_payments(
    connection: Connection, given: Sequence[NewPayment], *, actor: str, now: datetime
) -> list[PaymentTaken]:
    """Book payments: the chosen charges first, then the oldest; what is over becomes prepaid rent.

    Before it does, it brings back what was written off of the household.

    The households' accounts are locked until the transaction ends, so that two payments do not pay the same
    charge. The unique indexes on the provider's reference and on the business event decide what was taken
    before, also between writers that did not meet at that lock.

    Returns:
        One for each, in their order.
    Raises:
        AmountNotPositiveError: nothing was paid; none of them is booked.
    """
    for one in given:
        if one.amount_fen <= 0:
            raise AmountNotPositiveError(one.amount_fen)
    if not given:
        return []
    lock_accounts(connection, [one.household_id for one in given])
    known = _taken_before(connection, given)
    new = list({_reference(one): one for one in given if _reference(one) not in known}.values())
    taken = _book(connection, new, actor, now) if new else {}
    return [known.get(_reference(one)) or taken[_reference(one)] for one in given]


def _reference(given: NewPayment) -> tuple[str, str]:
    return given.provider, given.provider_ref


def _taken_before(connection: Connection, given: Sequence[NewPayment]) -> dict[tuple[str, str], PaymentTaken]:
    rows = connection.execute(
        select(
            payment.c.provider, payment.c.provider_ref, payment.c.payment_id, payment.c.receipt_number
        ).where(
            among(payment.c.provider_ref, {one.provider_ref for one in given}),
            among(payment.c.provider, {one.provider for one in given}),
        )
    )
    return {
        (row.provider, row.provider_ref): PaymentTaken(row.payment_id, row.receipt_number, is_new=False)
        for row in rows
    }


def _book(
    connection: Connection, given: Sequence[NewPayment], actor: str, now: datetime
) -> dict[tuple[str, str], PaymentTaken]:
    """Entries, payments and allocations of payments that are new; one statement for all of a kind."""
    chart = books.chart_of(connection, now)
    book_ids = {one: books.book_of(connection, one, now) for one in {g.estate_id for g in given}}
    first_open = {book_id: periods.open_from(connection, book_id) for book_id in book_ids.values()}
    households = list({one.household_id for one in given})
    charges = open_charges(connection, households)
    written_off = _by_household(given_up(connection, households=households))
    serials = connection.execute(_SERIALS, {"many": len(given)}).scalars().all()
    entries: list[NewEntry] = []
    kept: list[tuple[UUID, Part]] = []
    rows: list[dict[str, object]] = []
    for one, serial in zip(given, serials, strict=True):
        parts, prepaid_fen = allocate(one.amount_fen, charges[one.household_id], one.charge_ids)
        charges[one.household_id] = _after(charges[one.household_id], parts)
        paid_on, payment_id = local_day(one.paid_at), uuid4()
        number = f"SJ{paid_on:%Y%m%d}-{serial:06d}"
        book_id = book_ids[one.estate_id]
        # What is told of after its month was locked counts for the first open day; it is dated as paid.
        counts_on = max(paid_on, first_open[book_id] or paid_on)
        occasion = Occasion(book_id, now, counts_on, actor, None)
        if prepaid_fen and (off := written_off.get(one.household_id)):
            shares = share_out(prepaid_fen, off)
            parts += tuple(bring_back(connection, shares, number, occasion))
            prepaid_fen -= sum(fen for _, fen in shares)
            written_off[one.household_id] = after(off, shares)
        entries.append(
            vouchers.receipt_entry(
                chart,
                occasion,
                f"{one.provider}:{one.provider_ref}",
                one.provider,
                number,
                Dimensions(one.estate_id, None, one.household_id, one.channel),
                parts,
                prepaid_fen,
            )
        )
        kept += [(payment_id, part) for part in parts]
        rows.append(_row(one, payment_id, number, now))
    posted = service.post(connection, entries)
    connection.execute(
        insert(payment),
        [{**row, "entry_id": entry.entry_id} for row, entry in zip(rows, posted, strict=True)],
    )
    _keep(connection, kept, from_prepaid=False, now=now)
    return {
        _reference(one): PaymentTaken(row["payment_id"], row["receipt_number"], is_new=True)  # type: ignore[arg-type]
        for one, row in zip(given, rows, strict=True)
    }


def _by_household(given: Sequence[GivenUp]) -> dict[UUID, list[GivenUp]]:
    found: dict[UUID, list[GivenUp]] = {}
    for one in given:
        found.setdefault(one.household_id, []).append(one)
    return found


_SERIALS = text("SELECT nextval('receipt_serial') FROM generate_series(1, :many)")


def _row(given: NewPayment, payment_id: UUID, number: str, now: datetime) -> dict[str, object]:
    return {
        "payment_id": payment_id,
        "receipt_number": number,
        "estate_id": given.estate_id,
        "household_id": given.household_id,
        "provider": given.provider,
        "provider_ref": given.provider_ref,
        "channel": given.channel,
        "amount_fen": given.amount_fen,
        "paid_at": given.paid_at,
        "recorded_at": now,
    }


def _after(charges: Sequence[OpenCharge], parts: Sequence[Part]) -> list[OpenCharge]:
    """The charges when these parts of them are paid."""
    paid = {part.charge.charge_id: part.split for part in parts}
    return [
        charge.after(paid[charge.charge_id]) if charge.charge_id in paid else charge for charge in charges
    ]


def keep_from_deposit(
    connection: Connection,
    estate_id: str,
    household_id: UUID,
    charge_id: UUID,
    key: str,
    entry_id: int,
    amount_fen: int,
    now: datetime,
) -> None:
    """A charge of damage that the deposit paid: it has a receipt like any other payment.

    Args:
        key, entry_id: of the entry that is posted already.
    """
    payment_id = uuid4()
    serial = connection.execute(_SERIALS, {"many": 1}).scalar_one()
    connection.execute(
        insert(payment).values(
            payment_id=payment_id,
            receipt_number=f"SJ{local_day(now):%Y%m%d}-{serial:06d}",
            entry_id=entry_id,
            estate_id=estate_id,
            household_id=household_id,
            provider="deposit",
            provider_ref=key,
            channel="deposit",
            amount_fen=amount_fen,
            paid_at=now,
            recorded_at=now,
        )
    )
    connection.execute(
        insert(payment_allocation).values(
            payment_id=payment_id,
            charge_id=charge_id,
            allocation_no=1,
            due=Due.DAMAGE.value,
            amount_fen=amount_fen,
            from_prepaid=False,
            allocated_at=now,
        )
    )


def use_prepaid(
    connection: Connection,
    household_ids: Sequence[UUID],
    *,
    actor: str,
    principal_id: UUID | None,
    now: datetime,
) -> int:
    """Pay open charges with what these households paid in advance; returns the sum in fen.

    An entry for each payment and charge; running it again finds nothing left to use.
    """
    if not prepaid_payments(connection, household_ids):
        return 0
    lock_accounts(connection, household_ids)
    chart = books.chart_of(connection, now)
    charges = open_charges(connection, household_ids)
    kept: list[tuple[UUID, Part]] = []
    entries: list[NewEntry] = []
    for row, left_fen in prepaid_payments(connection, household_ids):
        parts, _ = allocate(left_fen, charges[row.household_id])
        occasion = Occasion(
            books.book_of(connection, row.estate_id, now), now, local_day(now), actor, principal_id
        )
        about = Dimensions(row.estate_id, None, row.household_id, row.channel)
        for part in parts:
            key = f"{row.payment_id}:{part.charge.charge_id}:{part.charge.allocations + 1}"
            entries.append(vouchers.prepaid_entry(chart, occasion, key, about, part))
            kept.append((row.payment_id, part))
        charges[row.household_id] = _after(charges[row.household_id], parts)
    service.post(connection, entries)
    _keep(connection, kept, from_prepaid=True, now=now)
    return sum(part.amount_fen for _, part in kept)


def lock_accounts(connection: Connection, household_ids: Sequence[UUID]) -> None:
    """Let nobody else allocate for these households until the transaction ends; always in the same order."""
    connection.execute(_LOCK, {"household_ids": list(household_ids)})


_LOCK = text("""
    WITH one AS MATERIALIZED (
        SELECT DISTINCT hashtext(one_id::text) AS hash FROM unnest(:household_ids) AS one_id ORDER BY 1
    )
    SELECT pg_advisory_xact_lock(:lock, hash) FROM one
""").bindparams(bindparam("household_ids", type_=ARRAY(Uuid)), lock=ACCOUNT_LOCK)


def _keep(
    connection: Connection, parts: list[tuple[UUID, Part]], *, from_prepaid: bool, now: datetime
) -> None:
    if parts:
        connection.execute(
            insert(payment_allocation),
            [
                {
                    "payment_id": payment_id,
                    "charge_id": part.charge.charge_id,
                    "allocation_no": number,
                    "due": due.value,
                    "amount_fen": amount_fen,
                    "from_prepaid": from_prepaid,
                    "allocated_at": now,
                }
                for payment_id, part in parts
                for number, (due, amount_fen) in enumerate(
                    part.split.items(), start=part.charge.allocations + 1
                )
            ],
        )
