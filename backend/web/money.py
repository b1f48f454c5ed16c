"""Finance: refunds, disputes, deposits, and the notices that wait for a person."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, Row, select

from backend.api.errors import status_of
from backend.approvals import service as approvals
from backend.errors import ExplainedError
from backend.identity.errors import NotAllowedError
from backend.identity.principal import ALL, Principal, Role
from backend.identity.service import check_role
from backend.identity.web import required_principal, requires
from backend.payments import deposits, disputes, refunds
from backend.payments.errors import DepositNotHeldError, PaymentUnknownError
from backend.payments.notices import put_aside
from backend.payments.providers import current_providers
from backend.payments.service import replay_notice
from backend.registry.people import tenant_of
from backend.rent.tables import payment as payments
from backend.retention.evidence import BYTES_MAX, Kind, add_evidence
from backend.services import services
from backend.web import money_view
from backend.web.amounts import read_yuan
from backend.web.estates import estates_of, scope_of

ROLES: tuple[Role, ...] = ("finance",)
FORM_ROOM = 64 * 1024

blueprint = Blueprint("money", __name__, url_prefix="/finance/money")


@blueprint.url_value_preprocessor
def let_evidence_in(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Evidence may be larger than any other form; said before anything reads the request."""
    if endpoint in {"money.ask_deduction", "money.answer"}:
        request.max_content_length = BYTES_MAX + FORM_ROOM


@blueprint.get("")
@requires(*ROLES)
def index() -> str:
    """Everything that waits for somebody, and the latest of the rest."""
    return _index(None)


@blueprint.get("/payments/<uuid:payment_id>")
@requires(*ROLES)
def payment(payment_id: UUID) -> ResponseReturnValue:
    """One payment, and the form to ask for a refund of it."""
    return _payment(payment_id, None)


@blueprint.post("/payments/<uuid:payment_id>/refunds")
@requires(*ROLES)
def ask_refund(payment_id: UUID) -> ResponseReturnValue:
    """Ask for a refund; another person decides."""
    who, now, sent = required_principal(), datetime.now(UTC), request.form
    payee = refunds.Payee(sent.get("payee", "")[:60], sent.get("account", "")[:80])
    try:
        with services().engine.begin() as connection:
            paid = _paid(connection, payment_id)
            refunds.propose_refund(
                connection,
                current_providers(),
                payment_id,
                read_yuan(sent.get("yuan", ""), paid.amount_fen),
                sent.get("reason", "")[:200],
                who,
                now,
                payee,
            )
    except ExplainedError as refused:
        return _payment(payment_id, refused), status_of(refused)
    return _done("退款申请已提交，请另一位同事审批。 Asked for; a colleague has to approve it.")


@blueprint.post("/proposals/<uuid:proposal_id>/<any(approve,decline):verdict>")
@requires(*ROLES)
def decide(proposal_id: UUID, verdict: str) -> ResponseReturnValue:
    """Agree or not to what a colleague asked for; a refund through a channel is carried out at once."""

    def act(connection: Connection, who: Principal, now: datetime) -> None:
        if verdict == "approve":
            approvals.approve(connection, proposal_id, who, now)
        else:
            approvals.decline(connection, proposal_id, who, now, request.form.get("reason", "")[:200])

    return _act(act, "已记录您的审批。 Your decision is noted.")


@blueprint.post("/refunds/<uuid:refund_id>/carry-out")
@requires(*ROLES)
def carry_out(refund_id: UUID) -> ResponseReturnValue:
    """Do what was agreed on."""
    try:
        refunds.carry_out(services().engine, current_providers(), refund_id, datetime.now(UTC))
    except ExplainedError as refused:
        return _index(refused), status_of(refused)
    return _done("已办理。 Carried out.")


@blueprint.post("/refunds/<uuid:refund_id>/transferred")
@requires(*ROLES)
def transferred(refund_id: UUID) -> ResponseReturnValue:
    """The bank was told to transfer a refund."""
    try:
        refunds.transferred(
            services().engine,
            current_providers(),
            refund_id,
            request.form.get("slip", "")[:60],
            required_principal(),
            datetime.now(UTC),
        )
    except ExplainedError as refused:
        return _index(refused), status_of(refused)
    return _done("转账退款已入账。 Booked.")


@blueprint.post("/disputes/<uuid:dispute_id>/answer")
@requires(*ROLES)
def answer(dispute_id: UUID) -> ResponseReturnValue:
    """Hand in what speaks for us, or accept."""
    who, now, parts, sent = required_principal(), datetime.now(UTC), services(), request.form
    try:
        if sent.get("accept") == "yes":
            disputes.accept(parts.engine, current_providers(), dispute_id, who, now)
        else:
            facts, paper = sent.get("evidence", "")[:5000], _paper(dispute_id, who, now)
            disputes.answer(parts.engine, current_providers(), dispute_id, facts, who, now, paper)
    except ExplainedError as refused:
        return _index(refused), status_of(refused)
    return _done("已提交给支付渠道。 Handed in.")


@blueprint.post("/deposits")
@requires(*ROLES)
def hold() -> ResponseReturnValue:
    """At hand-over: the deposit of a tenancy is held back."""

    def act(connection: Connection, who: Principal, now: datetime) -> None:
        tenancy_id = _uuid(request.form.get("tenancy", ""))
        day = _day(request.form.get("day", ""))
        if tenancy_id is None or day is None:
            raise DepositNotHeldError
        deposits.open_settlement(connection, tenancy_id, day, who, now)

    return _act(act, "押金已扣留待结算。 The deposit is held.")


@blueprint.post("/deposits/<uuid:tenancy_id>/deductions")
@requires(*ROLES)
def ask_deduction(tenancy_id: UUID) -> ResponseReturnValue:
    """Ask that damage is taken from it, with a photograph or a paper."""

    def act(connection: Connection, who: Principal, now: datetime) -> None:
        estate_id, household_id = deposits.place_of_settlement(connection, tenancy_id)
        check_role(who, "money.ask_deduction", estate_id, *ROLES)
        evidence_id = _keep(connection, "damage", estate_id, household_id, _sent_file("evidence"), who, now)
        amount_fen = read_yuan(
            request.form.get("yuan", ""), max(1, deposits.held_fen(connection, tenancy_id))
        )
        reason = request.form.get("reason", "")[:200]
        deposits.propose_deduction(connection, tenancy_id, amount_fen, reason, evidence_id, who, now)

    return _act(act, "抵扣申请已提交，请另一位同事审批。 Asked for.")


@blueprint.post("/deposits/<uuid:tenancy_id>/settle")
@requires(*ROLES)
def settle(tenancy_id: UUID) -> ResponseReturnValue:
    """Nothing more is deducted; the term begins."""

    def act(connection: Connection, who: Principal, now: datetime) -> None:
        deposits.settle_deposit(connection, tenancy_id, who, now, services().settings.payment_rules)

    return _act(act, "已结算，开始计退还期限。 Settled; its term begins.")


@blueprint.post("/deposits/<uuid:tenancy_id>/returns")
@requires(*ROLES)
def ask_return(tenancy_id: UUID) -> ResponseReturnValue:
    """Ask that the rest is transferred."""

    def act(connection: Connection, who: Principal, now: datetime) -> None:
        sent = request.form
        payee = refunds.Payee(sent.get("payee", "")[:60], sent.get("account", "")[:80])
        deposits.propose_return(connection, tenancy_id, payee, sent.get("reason", "")[:200], who, now)

    return _act(act, "退还申请已提交，请另一位同事审批。 Asked for.")


@blueprint.post("/deposits/steps/<uuid:proposal_id>")
@requires(*ROLES)
def carry_out_step(proposal_id: UUID) -> ResponseReturnValue:
    """Carry out a deduction or a return that was agreed on."""

    def act(connection: Connection, who: Principal, now: datetime) -> None:
        asked = approvals.get(connection, proposal_id)
        check_role(who, "money.carry_out_step", asked.estate_id or "", *ROLES)
        if asked.payload.get("step") == "deduct":
            deposits.deduct(connection, proposal_id, who, now, services().settings.rent)
        else:
            slip = request.form.get("slip", "")[:60]
            deposits.return_deposit(connection, proposal_id, slip, who, now)

    return _act(act, "已办理。 Carried out.")


@blueprint.post("/notices/<int:notice_id>/<any(replay,aside):what>")
@requires(*ROLES)
def notice(notice_id: int, what: str) -> ResponseReturnValue:
    """Let the worker try a parked notice again, or put it aside with a reason."""

    def act(connection: Connection, who: Principal, now: datetime) -> None:
        _check_city(who)
        if what == "replay":
            replay_notice(connection, notice_id, now)
        else:
            put_aside(connection, notice_id, request.form.get("reason", "")[:200], who, now)

    return _act(act, "已交给后台处理。 Done.")


def _sent_file(name: str) -> bytes:
    file = request.files.get(name)
    return file.read(BYTES_MAX + 1) if file is not None else b""


def _keep(
    connection: Connection,
    kind: Kind,
    estate_id: str,
    household_id: UUID,
    body: bytes,
    who: Principal,
    now: datetime,
) -> UUID:
    person_id = tenant_of(connection, household_id)
    return add_evidence(
        connection, services().master_key, estate_id, kind, person_id, body, actor=who, now=now
    )


def _paper(dispute_id: UUID, who: Principal, now: datetime) -> UUID | None:
    """What was sent with an answer to a dispute, kept first; None where nothing was."""
    body = _sent_file("paper")
    if not body:
        return None
    with services().engine.begin() as connection:
        estate_id, household_id = disputes.place_of_dispute(connection, dispute_id)
        return _keep(connection, "dispute", estate_id, household_id, body, who, now)


def _act(act: Callable[[Connection, Principal, datetime], None], said: str) -> ResponseReturnValue:
    try:
        with services().engine.begin() as connection:
            act(connection, required_principal(), datetime.now(UTC))
    except ExplainedError as refused:
        return _index(refused), status_of(refused)
    return _done(said)


def _done(said: str) -> ResponseReturnValue:
    flash(said, "ok")
    return redirect(url_for("money.index"), 303)


def _index(refused: ExplainedError | None) -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        mine = {one.estate_id: one.name_zh for one in estates_of(connection, who, ROLES)}
        return render_template(
            "money.html",
            refused=refused,
            estates=mine,
            now=now,
            whole=scope_of(who, ROLES) is ALL,
            parked=money_view.parked(connection) if scope_of(who, ROLES) is ALL else [],
            closed=money_view.closed_payments(connection, mine),
            closed_zh=money_view.CLOSED_ZH,
            refunds=money_view.refunds(connection, mine, who),
            disputes=money_view.disputes(connection, mine),
            states=money_view.STATES_ZH,
            deposits=money_view.deposits(connection, mine, who, now),
        )


def _payment(payment_id: UUID, refused: ExplainedError | None) -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        paid = _paid(connection, payment_id)
        check_role(who, "money.payment", paid.estate_id, *ROLES)
        left_fen = refunds.refundable(connection, payment_id)
        way = refunds.way_back(current_providers(), paid, now)
    return render_template(
        "money_payment.html", paid=paid, left_fen=left_fen, way=way, refused=refused, sent=request.form
    )


def _paid(connection: Connection, payment_id: UUID) -> Row[Any]:
    row = connection.execute(select(payments).where(payments.c.payment_id == payment_id)).one_or_none()
    if row is None:
        raise PaymentUnknownError
    return row


def _check_city(who: Principal) -> None:
    """A parked notice belongs to no estate yet: only who looks after all of them decides on it."""
    if scope_of(who, ROLES) is not ALL:
        raise NotAllowedError(who.actor, "money.notice", ROLES, None)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
