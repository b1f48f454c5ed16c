"""A monthly run between two people: one has seen it and asks, another agrees, the worker charges.

What was agreed on is known by its seal. Before the first charge, and again whenever an interrupted run goes
on, what is charged already and what is still to be charged must together give that seal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Connection, Engine, Row, insert, select, update

from backend.approvals import service as approvals
from backend.approvals.service import Proposal
from backend.approvals.tables import approval_decision, approval_proposal, approval_use
from backend.identity.principal import Principal
from backend.ledger import books
from backend.rent.errors import NothingToChargeError, RunChangedError, RunUnknownError
from backend.rent.monthly import Batch
from backend.rent.preview import Preview, preview, seal_of_charged, seal_text
from backend.rent.rules import read_month
from backend.rent.settings import RentSettings
from backend.rent.tables import rent_run
from backend.rent.tenancies import estate_ids, next_tenancies, read_prices

KIND = "rent_run"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunView:
    """A run that was agreed on, and how far it has come."""

    run_id: UUID
    estate_id: str | None
    month: date
    planned: int
    charged: int
    nothing_due: int
    unpriced: int
    amount_fen: int
    prepaid_used_fen: int
    started_at: datetime
    finished_at: datetime | None


def subject_of(estate_id: str | None, month: date) -> str:
    """What the proposal is about."""
    return f"rent_run:{estate_id or 'all'}:{month:%Y-%m}"


def propose_run(
    connection: Connection, seen: Preview, reason: str, principal: Principal, now: datetime
) -> Proposal:
    """Ask for the run of which this is the preview.

    Raises:
        NothingToChargeError: nobody would be charged.
        NoRightError, ReasonMissingError: as with every proposal.
    """
    if not seen.charges:
        raise NothingToChargeError(seen.month)
    where = seen.estate_id or "全部小区"
    yuan, fen = divmod(seen.amount_fen, 100)
    return approvals.propose(
        connection,
        KIND,
        seen.estate_id,
        subject_of(seen.estate_id, seen.month),
        f"{seen.month:%Y年%m月} {where} 计租 {len(seen.charges)} 户，合计 ¥{yuan:,}.{fen:02d}",
        {
            "month": f"{seen.month:%Y-%m}",
            "charges": len(seen.charges),
            "already": seen.already,
            "amount_fen": seen.amount_fen,
            "seal": seen.seal,
        },
        reason,
        principal,
        now,
    )


def begin_run(connection: Connection, run_id: UUID, now: datetime, rules: RentSettings) -> RunView:
    """Take up what was agreed on, in the transaction that keeps it from being taken up again.

    Raises:
        ApprovalMissingError, ApprovalUsedError, ProposalUnknownError
        RunChangedError: what would be charged now is not what was agreed on.
    """
    agreed = approvals.use(connection, run_id, KIND, now)
    month = read_month(agreed.payload["month"])
    books.open_books(connection, now)
    estates = estate_ids(connection, agreed.estate_id)
    if _seal_now(connection, agreed.estate_id, month, rules) != agreed.payload["seal"]:
        raise RunChangedError(month)
    connection.execute(
        insert(rent_run).values(
            run_id=run_id,
            estate_id=agreed.estate_id,
            month=month,
            principal_id=agreed.decided_by,
            planned=agreed.payload["charges"],
            started_at=now,
            next_estate_id=estates[0],
        )
    )
    return run_of(connection, run_id)


def step(engine: Engine, run_id: UUID, now: datetime, rules: RentSettings) -> int:
    """Charge the next batch of a run that was begun; returns how many tenancies were looked at.

    0 when the run is finished. Each batch and the place where the next one begins are one transaction, so a
    run goes on where it was interrupted, and two who step at the same time take turns.
    """
    with engine.begin() as connection:
        row = connection.execute(
            select(rent_run).where(rent_run.c.run_id == run_id).with_for_update()
        ).one_or_none()
        if row is None:
            raise RunUnknownError
        return 0 if row.finished_at is not None else _batch(connection, row, now, rules)


def post_run(
    engine: Engine,
    run_id: UUID,
    now: datetime,
    rules: RentSettings,
    progress: Callable[[int], None] = lambda _done: None,
) -> RunView:
    """Begin a run, or go on with it, until it is finished.

    Raises:
        RunChangedError and those of `begin_run`.
    """
    with engine.begin() as connection:
        known = connection.execute(select(rent_run.c.run_id).where(rent_run.c.run_id == run_id)).first()
        if known is None:
            begin_run(connection, run_id, now, rules)
        else:
            check_unchanged(connection, run_id, rules)
    while done := step(engine, run_id, now, rules):
        progress(done)
    with engine.connect() as connection:
        return run_of(connection, run_id)


def post_agreed(engine: Engine, now: datetime, rules: RentSettings) -> int:
    """The worker's share: one batch of the oldest run that was agreed on; 0 when there is none.

    A run that is not what was agreed on any more is left alone; its page says so.
    """
    with engine.connect() as connection:
        begun = connection.execute(
            select(rent_run.c.run_id).where(rent_run.c.finished_at.is_(None)).order_by(rent_run.c.started_at)
        ).scalars()
        run_id = next(iter(begun), None)
        waiting = list(connection.execute(_agreed()).scalars()) if run_id is None else []
    for proposal_id in waiting:
        try:
            with engine.begin() as connection:
                begin_run(connection, proposal_id, now, rules)
        except RunChangedError:
            log.warning("rent_run_changed", run_id=str(proposal_id))
        else:
            run_id = proposal_id
            break
    return step(engine, run_id, now, rules) or 1 if run_id is not None else 0


def check_unchanged(connection: Connection, run_id: UUID, rules: RentSettings) -> None:
    """Refuse to go on with a run whose facts have changed since it was agreed on.

    Raises:
        RunUnknownError, RunChangedError
    """
    run = run_of(connection, run_id)
    agreed = approvals.get(connection, run_id)
    if run.finished_at is None:
        estates = estate_ids(connection, run.estate_id)
        sealed, count = seal_of_charged(connection, estates, run.month)
        rest = int(_seal_now(connection, run.estate_id, run.month, rules), 16)
        # What others had charged before is no part of what was agreed on.
        if count == run.charged and seal_text(sealed + rest) != agreed.payload["seal"]:
            raise RunChangedError(run.month)


def run_of(connection: Connection, run_id: UUID) -> RunView:
    """One run.

    Raises:
        RunUnknownError
    """
    row = connection.execute(select(rent_run).where(rent_run.c.run_id == run_id)).one_or_none()
    if row is None:
        raise RunUnknownError
    return RunView(
        row.run_id,
        row.estate_id,
        row.month,
        row.planned,
        row.charged,
        row.nothing_due,
        row.unpriced,
        row.amount_fen,
        row.prepaid_used_fen,
        row.started_at,
        row.finished_at,
    )


def _batch(connection: Connection, row: Row[Any], now: datetime, rules: RentSettings) -> int:
    tenancies = next_tenancies(
        connection, row.next_estate_id, row.month, row.after_tenancy_id, rules.batch_size
    )
    if not tenancies:
        return _next_estate(connection, row, now)
    batch = Batch(
        connection, row.next_estate_id, row.month, row.principal_id, now, rules, read_prices(connection)
    )
    made = batch.charge(tenancies)
    connection.execute(
        update(rent_run)
        .where(rent_run.c.run_id == row.run_id)
        .values(
            after_tenancy_id=tenancies[-1].tenancy_id,
            charged=row.charged + len(made),
            nothing_due=row.nothing_due + batch.nothing_due,
            unpriced=row.unpriced + batch.unpriced,
            amount_fen=row.amount_fen + sum(charge.amount_fen for charge in made),
            prepaid_used_fen=row.prepaid_used_fen + batch.prepaid_used_fen,
        )
    )
    return len(tenancies)


def _next_estate(connection: Connection, row: Row[Any], now: datetime) -> int:
    later = [one for one in estate_ids(connection, row.estate_id) if one > row.next_estate_id]
    values: dict[str, Any] = {"after_tenancy_id": None}
    values |= {"next_estate_id": later[0]} if later else {"next_estate_id": None, "finished_at": now}
    connection.execute(update(rent_run).where(rent_run.c.run_id == row.run_id).values(**values))
    return 1 if later else 0


def _seal_now(connection: Connection, estate_id: str | None, month: date, rules: RentSettings) -> str:
    return preview(connection, estate_id, month, rules).seal


def _agreed() -> Any:
    """Runs that were agreed on and not begun, oldest first."""
    return (
        select(approval_proposal.c.proposal_id)
        .join(approval_decision, approval_decision.c.proposal_id == approval_proposal.c.proposal_id)
        .outerjoin(approval_use, approval_use.c.proposal_id == approval_proposal.c.proposal_id)
        .where(
            approval_proposal.c.kind == KIND,
            approval_decision.c.verdict == "approved",
            approval_use.c.proposal_id.is_(None),
        )
        .order_by(approval_decision.c.decided_at)
    )
