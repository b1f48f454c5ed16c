"""The entries of money that goes back, as `docs/vouchers.md` lists them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from backend.ledger.chart import Chart, Role
from backend.ledger.rules import Dimensions, Line, NewEntry, credit, debit
from backend.ledger.vouchers import HELD_BY, Occasion, entry_of, paid, unpaid
from backend.rent.returns import Piece, Returned

REFUNDED = "refund"
REFUNDED_BY_TRANSFER = "refund_transfer"
REFUND_CAME_BACK = "refund_came_back"
DISPUTE_OPENED = "dispute_opened"
DISPUTE_WON = "dispute_won"
DISPUTE_LOST = "dispute_lost"
DEPOSIT_HELD = "deposit_held"
DEPOSIT_RELEASED = "deposit_released"
DEPOSIT_DAMAGE = "deposit_damage"
DEPOSIT_RETURNED = "deposit_returned"


def refund_entry(
    chart: Chart, occasion: Occasion, key: str, provider: str, about: Dimensions, returned: Returned
) -> NewEntry:
    """退款: through the channel, or by a transfer from the bank account where `provider` is `bank`."""
    lines = [
        *_taken_back(chart, about, returned),
        credit(chart.code(HELD_BY[provider]), returned.amount_fen, about),
    ]
    if provider == "bank":
        return entry_of(occasion, REFUNDED_BY_TRANSFER, key, "银行转账退款", lines)
    return entry_of(occasion, REFUNDED, key, "原路退款", lines)


def came_back_entry(
    chart: Chart, occasion: Occasion, key: str, about: Dimensions, over: Sequence[Piece]
) -> NewEntry:
    """退款退回转预收: what was paid meanwhile cannot be paid once more, so it is prepaid rent."""
    total = sum(piece.fen for piece in over)
    lines = [*_unpaid(chart, about, over), credit(chart.code(Role.PREPAID_RENT), total, about)]
    return entry_of(occasion, REFUND_CAME_BACK, key, "退款退回，转预收租金", lines)


def dispute_opened_entry(
    chart: Chart, occasion: Occasion, key: str, provider: str, about: Dimensions, amount_fen: int
) -> NewEntry:
    """拒付争议发生: the money is away until the case is decided."""
    lines = [
        debit(chart.code(Role.DISPUTED), amount_fen, about),
        credit(chart.code(HELD_BY[provider]), amount_fen, about),
    ]
    return entry_of(occasion, DISPUTE_OPENED, key, "拒付争议，款项被划走", lines)


def dispute_won_entry(
    chart: Chart, occasion: Occasion, key: str, provider: str, about: Dimensions, amount_fen: int
) -> NewEntry:
    """拒付争议胜诉: the money is given back."""
    lines = [
        debit(chart.code(HELD_BY[provider]), amount_fen, about),
        credit(chart.code(Role.DISPUTED), amount_fen, about),
    ]
    return entry_of(occasion, DISPUTE_WON, key, "拒付争议胜诉，款项退回", lines)


def dispute_lost_entry(
    chart: Chart, occasion: Occasion, key: str, about: Dimensions, returned: Returned
) -> NewEntry:
    """拒付争议败诉: what the payment had paid is owed again."""
    lines = [
        *_taken_back(chart, about, returned),
        credit(chart.code(Role.DISPUTED), returned.amount_fen, about),
    ]
    return entry_of(occasion, DISPUTE_LOST, key, "拒付争议败诉，所付款项恢复欠费", lines)


def deposit_held_entry(
    chart: Chart, occasion: Occasion, key: str, about: Dimensions, amount_fen: int
) -> NewEntry:
    """押金扣留: from hand-over until damage is settled."""
    lines = [
        debit(chart.code(Role.DEPOSIT), amount_fen, about),
        credit(chart.code(Role.DEPOSIT_HELD), amount_fen, about),
    ]
    return entry_of(occasion, DEPOSIT_HELD, key, "交房，押金扣留待结算", lines)


def deposit_released_entry(
    chart: Chart, occasion: Occasion, key: str, about: Dimensions, amount_fen: int
) -> NewEntry:
    """押金解除扣留: what is left is to be returned."""
    lines = [
        debit(chart.code(Role.DEPOSIT_HELD), amount_fen, about),
        credit(chart.code(Role.DEPOSIT), amount_fen, about),
    ]
    return entry_of(occasion, DEPOSIT_RELEASED, key, "押金结算完毕，解除扣留", lines)


def deposit_damage_entry(
    chart: Chart, occasion: Occasion, key: str, about: Dimensions, amount_fen: int
) -> NewEntry:
    """押金抵扣: the deposit that is held pays damage."""
    lines = [
        debit(chart.code(Role.DEPOSIT_HELD), amount_fen, about),
        *paid(chart, about, "damage", amount_fen),
    ]
    return entry_of(occasion, DEPOSIT_DAMAGE, key, "押金抵扣损坏赔偿", lines)


def deposit_returned_entry(
    chart: Chart, occasion: Occasion, transfer_ref: str, about: Dimensions, amount_fen: int
) -> NewEntry:
    """退还押金: by bank transfer."""
    lines = [
        debit(chart.code(Role.DEPOSIT), amount_fen, about),
        credit(chart.code(Role.BANK), amount_fen, about),
    ]
    return entry_of(occasion, DEPOSIT_RETURNED, transfer_ref, f"退还押金（转账 {transfer_ref}）", lines)


def _taken_back(chart: Chart, about: Dimensions, returned: Returned) -> Iterator[Line]:
    yield debit(chart.code(Role.PREPAID_RENT), returned.prepaid_fen, about)
    yield from _unpaid(chart, about, returned.pieces)


def _unpaid(chart: Chart, about: Dimensions, pieces: Iterable[Piece]) -> Iterator[Line]:
    for piece in pieces:
        yield from unpaid(chart, replace(about, unit_id=piece.unit_id), piece.due.value, piece.fen)
