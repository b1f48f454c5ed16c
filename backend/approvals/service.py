"""Proposals and what becomes of them. Each function works in the caller's transaction.

    asked = propose(connection, "waiver", estate_id, f"charge:{one}", "减免…", payload, reason, who, now)
    approve(connection, asked.proposal_id, other, now)
    agreed = use(connection, asked.proposal_id, "waiver", now)  # in the transaction of the act itself

The checks here give a clear sentence early; PostgreSQL holds the same rules for everybody.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, insert, select, update

from backend.approvals.errors import (
    ApprovalMissingError,
    ApprovalUsedError,
    KindUnknownError,
    NoRightError,
    NotProposerError,
    ProposalChangedError,
    ProposalClosedError,
    ProposalUnknownError,
    ReasonMissingError,
    SecondPersonNeededError,
)
from backend.approvals.tables import approval_decision, approval_kind, approval_proposal, approval_use
from backend.identity.principal import ALL, Principal, Role
from backend.identity.tables import principal as principal_table

State = Literal["open", "approved", "declined", "withdrawn", "used"]
STATES_ZH: Mapping[State, str] = {
    "open": "待审批",
    "approved": "已同意，待办理",
    "declined": "未同意",
    "withdrawn": "已撤回",
    "used": "已同意并办理",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody asks for, and what another person said to it.

    Attributes:
        estate_id: None for the city's.
        subject: what it is about, for programs, such as `payment:…`.
        payload: what exactly is to be done; JSON.
        revision: counts its texts from 1.
        decided_by, decided_at, decision_reason: None while nobody has decided.
    """

    proposal_id: UUID
    kind: str
    kind_zh: str
    kind_en: str
    estate_id: str | None
    subject: str
    summary_zh: str
    payload: Mapping[str, Any]
    reason: str
    proposed_by: UUID
    proposed_at: datetime
    revision: int
    changed_at: datetime
    state: State
    decided_by: UUID | None
    decided_at: datetime | None
    decision_reason: str | None


def propose(
    connection: Connection,
    kind: str,
    estate_id: str | None,
    subject: str,
    summary_zh: str,
    payload: Mapping[str, Any],
    reason: str,
    principal: Principal,
    at: datetime,
    *,
    new_id: Callable[[], UUID] = uuid.uuid4,
) -> Proposal:
    """Ask for something that another person has to agree to.

    Raises:
        KindUnknownError, NoRightError, ReasonMissingError
    """
    rights = _rights(connection, kind)
    _check_right(principal, "approvals.propose", kind, rights.propose_roles, estate_id)
    _check_reason(reason)
    proposal_id = new_id()
    connection.execute(
        insert(approval_proposal).values(
            proposal_id=proposal_id,
            kind=kind,
            estate_id=estate_id,
            subject=subject,
            summary_zh=summary_zh,
            payload=dict(payload),
            reason=reason.strip(),
            proposed_by=principal.principal_id,
            proposed_at=at,
            revision=1,
            changed_at=at,
        )
    )
    return get(connection, proposal_id)


def change(
    connection: Connection,
    proposal_id: UUID,
    summary_zh: str,
    payload: Mapping[str, Any],
    reason: str,
    principal: Principal,
    at: datetime,
) -> Proposal:
    """Give a proposal another text; whoever read the old one has to read again.

    Raises:
        ProposalUnknownError, ProposalClosedError, NotProposerError, ReasonMissingError
    """
    found = _open_of(connection, proposal_id, principal)
    _check_reason(reason)
    _update(
        connection,
        proposal_id,
        summary_zh=summary_zh,
        payload=dict(payload),
        reason=reason.strip(),
        revision=found.revision + 1,
        changed_at=at,
    )
    return get(connection, proposal_id)


def withdraw(connection: Connection, proposal_id: UUID, principal: Principal, at: datetime) -> Proposal:
    """Take a proposal back before it is decided.

    Raises:
        ProposalUnknownError, ProposalClosedError, NotProposerError
    """
    _open_of(connection, proposal_id, principal)
    _update(connection, proposal_id, withdrawn_at=at)
    return get(connection, proposal_id)


def approve(
    connection: Connection,
    proposal_id: UUID,
    principal: Principal,
    at: datetime,
    *,
    revision: int | None = None,
    note: str = "",
) -> Proposal:
    """Agree to a proposal.

    Args:
        revision: of the text that was read, where time passed since; None for the one that stands.
    Raises:
        ProposalUnknownError, ProposalClosedError, ProposalChangedError, SecondPersonNeededError, NoRightError
    """
    return _decide(connection, proposal_id, revision, "approved", principal, at, note)


def decline(
    connection: Connection,
    proposal_id: UUID,
    principal: Principal,
    at: datetime,
    reason: str,
    *,
    revision: int | None = None,
) -> Proposal:
    """Say no to a proposal, with a reason.

    Raises:
        ReasonMissingError and those of `approve`.
    """
    _check_reason(reason)
    return _decide(connection, proposal_id, revision, "declined", principal, at, reason)


def use(connection: Connection, proposal_id: UUID, kind: str, at: datetime) -> Proposal:
    """Mark an approval as carried out; call it in the transaction of the act, and act on what it returns.

    Raises:
        ProposalUnknownError
        ApprovalMissingError: nobody agreed, or to something of another kind.
        ApprovalUsedError: it was carried out before, perhaps a moment ago by another process.
    """
    # Locked: of two who carry it out at the same moment, the second one finds it used.
    locked = select(approval_proposal.c.proposal_id).where(approval_proposal.c.proposal_id == proposal_id)
    connection.execute(locked.with_for_update())
    found = get(connection, proposal_id)
    if found.state == "used":
        raise ApprovalUsedError(proposal_id)
    if found.state != "approved" or found.kind != kind:
        raise ApprovalMissingError(proposal_id, kind)
    connection.execute(insert(approval_use).values(proposal_id=proposal_id, kind=kind, used_at=at))
    return get(connection, proposal_id)


def get(connection: Connection, proposal_id: UUID) -> Proposal:
    """One proposal.

    Raises:
        ProposalUnknownError
    """
    row = connection.execute(_proposals(approval_proposal.c.proposal_id == proposal_id)).one_or_none()
    if row is None:
        raise ProposalUnknownError(proposal_id)
    return _proposal(row)


def about(connection: Connection, subject: str) -> list[Proposal]:
    """All proposals about something, the newest first."""
    rows = connection.execute(_proposals(approval_proposal.c.subject == subject))
    return [_proposal(row) for row in rows]


def proposals_for(connection: Connection, principal: Principal, *, only_open: bool = True) -> list[Proposal]:
    """What the principal may decide on or has proposed, the newest first."""
    rights = connection.execute(select(approval_kind)).all()
    mine: ColumnElement[bool] = approval_proposal.c.proposed_by == principal.principal_id
    for row in rights:
        mine |= _in_scope(principal, row.kind, row.approve_roles)
    rows = connection.execute(_proposals(mine).limit(500)).all()
    found = [_proposal(row) for row in rows]
    return [one for one in found if one.state in ("open", "approved") or not only_open]


def may_decide(connection: Connection, proposal: Proposal, principal: Principal) -> bool:
    """Whether this person could decide on it now."""
    roles = _rights(connection, proposal.kind).approve_roles
    return (
        proposal.state == "open"
        and proposal.proposed_by != principal.principal_id
        and _holds(principal, roles, proposal.estate_id)
    )


def _decide(
    connection: Connection,
    proposal_id: UUID,
    revision: int | None,
    verdict: str,
    principal: Principal,
    at: datetime,
    reason: str,
) -> Proposal:
    found = get(connection, proposal_id)
    _check_open(found)
    if revision not in (None, found.revision) or at < found.changed_at:
        raise ProposalChangedError(proposal_id)
    if same_person(connection, found.proposed_by, principal):
        raise SecondPersonNeededError(principal.actor, proposal_id, found.estate_id)
    roles = _rights(connection, found.kind).approve_roles
    _check_right(principal, "approvals.decide", found.kind, roles, found.estate_id)
    connection.execute(
        insert(approval_decision).values(
            proposal_id=proposal_id,
            revision=found.revision,
            verdict=verdict,
            decided_by=principal.principal_id,
            decided_at=at,
            reason=reason.strip(),
        )
    )
    return get(connection, proposal_id)


def same_person(connection: Connection, other: UUID, principal: Principal) -> bool:
    """Whether another login is the principal's own, or of the same natural person."""
    if other == principal.principal_id:
        return True
    person = select(principal_table.c.person_id).where(principal_table.c.principal_id == other)
    return principal.person_id is not None and connection.scalar(person) == principal.person_id


def _open_of(connection: Connection, proposal_id: UUID, principal: Principal) -> Proposal:
    found = get(connection, proposal_id)
    if found.proposed_by != principal.principal_id:
        raise NotProposerError(principal.actor, proposal_id, found.estate_id)
    _check_open(found)
    return found


def _check_open(found: Proposal) -> None:
    if found.state != "open":
        raise ProposalClosedError(found.proposal_id, STATES_ZH[found.state], found.state)


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise ReasonMissingError


def check_signer(
    connection: Connection, principal: Principal, kind: str, estate_id: str | None, *, first: bool
) -> None:
    """Let only those sign who have the right: the first as who may propose, the second as who may approve.

    Raises:
        KindUnknownError, NoRightError
    """
    rights = _rights(connection, kind)
    roles = rights.propose_roles if first else rights.approve_roles
    _check_right(principal, "approvals.sign", kind, roles, estate_id)


def _check_right(
    principal: Principal, action: str, kind: str, roles: list[Role], estate_id: str | None
) -> None:
    if not _holds(principal, roles, estate_id):
        raise NoRightError(principal.actor, action, kind, roles, estate_id)


def _holds(principal: Principal, roles: list[Role], estate_id: str | None) -> bool:
    if estate_id is None:
        return any(principal.estates(role) is ALL for role in roles)
    return any(principal.may(role, estate_id) for role in roles)


def _in_scope(principal: Principal, kind: str, roles: list[Role]) -> ColumnElement[bool]:
    of_kind = approval_proposal.c.kind == kind
    scopes = [principal.estates(role) for role in roles]
    if ALL in scopes:
        return of_kind
    estates = {estate for scope in scopes if isinstance(scope, frozenset) for estate in scope}
    return of_kind & approval_proposal.c.estate_id.in_(estates)


def _rights(connection: Connection, kind: str) -> Row[Any]:
    row = connection.execute(select(approval_kind).where(approval_kind.c.kind == kind)).one_or_none()
    if row is None:
        raise KindUnknownError(kind)
    return row


def _update(connection: Connection, proposal_id: UUID, **values: object) -> None:
    connection.execute(
        update(approval_proposal).where(approval_proposal.c.proposal_id == proposal_id).values(**values)
    )


def _proposals(*conditions: ColumnElement[bool]) -> Select[Any]:
    return (
        select(
            approval_proposal,
            approval_kind.c.name_zh,
            approval_kind.c.name_en,
            approval_decision.c.verdict,
            approval_decision.c.decided_by,
            approval_decision.c.decided_at,
            approval_decision.c.reason.label("decision_reason"),
            approval_use.c.used_at,
        )
        .join(approval_kind, approval_kind.c.kind == approval_proposal.c.kind)
        .outerjoin(approval_decision, approval_decision.c.proposal_id == approval_proposal.c.proposal_id)
        .outerjoin(approval_use, approval_use.c.proposal_id == approval_proposal.c.proposal_id)
        .where(*conditions)
        .order_by(approval_proposal.c.proposed_at.desc(), approval_proposal.c.proposal_id)
    )


def _proposal(row: Row[Any]) -> Proposal:
    return Proposal(
        proposal_id=row.proposal_id,
        kind=row.kind,
        kind_zh=row.name_zh,
        kind_en=row.name_en,
        estate_id=row.estate_id,
        subject=row.subject,
        summary_zh=row.summary_zh,
        payload=row.payload,
        reason=row.reason,
        proposed_by=row.proposed_by,
        proposed_at=row.proposed_at,
        revision=row.revision,
        changed_at=row.changed_at,
        state=_state(row),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason,
    )


def _state(row: Row[Any]) -> State:
    if row.withdrawn_at is not None:
        return "withdrawn"
    if row.verdict is None:
        return "open"
    if row.used_at is not None:
        return "used"
    return "approved" if row.verdict == "approved" else "declined"
