"""Clerks: find a household, and do at the counter what it came for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection, select
from werkzeug.exceptions import NotFound

from backend.access.erasures import erasure_states
from backend.api.errors import status_of
from backend.documents.cells import WrongCellError, day, fen
from backend.errors import ExplainedError
from backend.identity.web import required_principal, requires
from backend.registry import errors as registry
from backend.registry.consents import NewConsent, give_consent, withdraw_consent
from backend.registry.estates import estate_key
from backend.registry.facts import OCCUPANCY_CARE, OPEN_DOORS, PANEL_PHOTOGRAPH, PURPOSES
from backend.registry.importing import import_households, try_import
from backend.registry.moves import NewPerson, hand_over_unit, move_in
from backend.registry.people import check_member, correct_person, household_of_clerk, members_of, search
from backend.registry.rights import REGISTRARS, end_card, end_right, issue_card, set_card_blocked
from backend.registry.rules import local_day, needs_guardian
from backend.registry.tables import unit
from backend.services import services
from backend.web.estates import estates_of, scope_of

COUNTER = "counter"
IMPORT_BYTES_MAX = 16 * 1024 * 1024
PURPOSE_WORDS = {
    OPEN_DOORS: ("刷脸开门", "Doors by face"),
    PANEL_PHOTOGRAPH: ("照片存入本小区门口机", "Photograph kept for door panels"),
    OCCUPANCY_CARE: ("居住关怀", "Care by door data"),
}
REASON_WORDS = {
    "withdrawn": ("本人撤回", "withdrawn"),
    "moved_out": ("已搬离", "moved out"),
    "expired": ("同意到期", "consent ended"),
    "notice_changed": ("告知书更新", "new notice"),
}
KIND_WORDS = {"tenant": "承租人", "co-resident": "同住人", "child": "儿童", "carer": "照护人"}

blueprint = Blueprint("people", __name__, url_prefix="/people")


@dataclass(frozen=True, slots=True)
class Tried:
    """What an import said."""

    counts: dict[str, int] | None
    refused: registry.ImportRefusedError | None
    done: bool


@blueprint.get("/")
@requires(*REGISTRARS)
def index() -> str:
    """The search."""
    who, words = required_principal(), request.args.get("q", "")[:80]
    with services().engine.connect() as connection:
        found = search(connection, words, scope_of(who, REGISTRARS))
    return render_template("people.html", words=words, found=found)


@blueprint.get("/households/<uuid:household_id>")
@requires(*REGISTRARS)
def household(household_id: UUID) -> str:
    """One household with all that can be done for it."""
    return _household(household_id)


@blueprint.post("/households/<uuid:household_id>/act")
@requires(*REGISTRARS)
def act(household_id: UUID) -> ResponseReturnValue:
    """Do one thing for a household, and show it again; what is refused says so there."""
    with services().engine.connect() as connection:
        household_of_clerk(connection, household_id, required_principal())
    try:
        with services().engine.begin() as connection:
            said = _act(connection, household_id)
    except (ExplainedError, WrongCellError) as refused:
        status = status_of(refused) if isinstance(refused, ExplainedError) else 422
        if status in {401, 403}:
            raise
        return _household(household_id, refused), status
    flash(said, "ok")
    return redirect(url_for("people.household", household_id=household_id), 303)


@blueprint.get("/move-in")
@requires(*REGISTRARS)
def move_in_page() -> str:
    """The form of a move-in."""
    return _move_in_page()


@blueprint.post("/move-in")
@requires(*REGISTRARS)
def move_in_now() -> ResponseReturnValue:
    """One tenant moves in; the others of the household follow on its page or by a table."""
    form, now = request.form, datetime.now(UTC)
    try:
        with services().engine.begin() as connection:
            unit_id = _unit(connection, form)
            moved = move_in(
                connection,
                unit_id,
                form.get("ref", "").strip(),
                [
                    NewPerson(
                        ref=form.get("person", "").strip(),
                        name=form.get("name", "").strip(),
                        kind="tenant",
                        born_on=day(form.get("born_on", "")),
                        door_groups=tuple(form.get("groups", "").split()),
                    )
                ],
                fen(form.get("rent", "")),
                day(form.get("from", "")),
                actor=required_principal(),
                now=now,
            )
    except (ExplainedError, WrongCellError) as refused:
        status = status_of(refused) if isinstance(refused, ExplainedError) else 422
        if status in {401, 403}:
            raise
        return _move_in_page(refused), status
    flash("已办理入住。门禁权限已送到小区。 Moved in; the rights are on their way to the doors.", "ok")
    return redirect(url_for("people.household", household_id=moved.household_id), 303)


@blueprint.get("/import")
@requires(*REGISTRARS)
def import_page() -> str:
    """The form to send a table."""
    return render_template("people_import.html", tried=None)


@blueprint.post("/import")
@requires(*REGISTRARS)
def import_now() -> ResponseReturnValue:
    """Check a table, or import it; each faulty row is named."""
    sent, now, parts = request.files.get("file"), datetime.now(UTC), services()
    body = sent.read() if sent is not None else b""
    actor, for_good = required_principal(), request.form.get("step") == "import"
    try:
        with parts.engine.begin() as connection:

            def keys(estate_id: str) -> bytes:
                return estate_key(connection, parts.master_key, estate_id)

            counts = dict(try_import(connection, body, keys, actor=actor, now=now))
            if for_good:
                import_households(connection, body, keys, actor=actor, now=now)
    except registry.ImportRefusedError as refused:
        return render_template("people_import.html", tried=Tried(None, refused, False)), 422
    return render_template("people_import.html", tried=Tried(counts, None, for_good))


@blueprint.before_request
def let_tables_be_large() -> None:
    """A table may be larger than a form."""
    if request.endpoint == "people.import_now":
        request.max_content_length = IMPORT_BYTES_MAX


@blueprint.get("/erasures")
@requires(*REGISTRARS)
def erasure_list() -> str:
    """What has to be erased at the estates, and the certificates."""
    who = required_principal()
    with services().engine.connect() as connection:
        listed = erasure_states(connection, scope_of(who, REGISTRARS))
    return render_template("erasures.html", listed=listed, reasons=REASON_WORDS)


def _act(connection: Connection, household_id: UUID) -> str:
    """Carry out the form's action; what is said afterwards."""
    what = request.form.get("act", "")
    if what == "hand_over":
        hand_over_unit(connection, _id("tenancy"), actor=required_principal(), now=datetime.now(UTC))
        return "已交房：租约、门禁权限、门卡和人脸同意都已结束。 Handed over; everything has ended."
    person_id = _id("person")
    if what not in ACTS:
        raise NotFound
    check_member(connection, household_id, person_id)
    act, said = ACTS[what]
    act(connection, household_id, person_id)
    return said


def _end_right(connection: Connection, _: UUID, __: UUID) -> None:
    end_right(connection, _id("thing"), actor=required_principal(), reason=COUNTER, now=datetime.now(UTC))


def _block_card(connection: Connection, _: UUID, __: UUID) -> None:
    blocked, who = request.form["act"] == "block_card", required_principal()
    set_card_blocked(connection, _id("thing"), blocked, actor=who, reason=COUNTER, now=datetime.now(UTC))


def _end_card(connection: Connection, _: UUID, __: UUID) -> None:
    end_card(connection, _id("thing"), actor=required_principal(), reason=COUNTER, now=datetime.now(UTC))


def _issue_card(connection: Connection, household_id: UUID, person_id: UUID) -> None:
    who, number = required_principal(), request.form.get("number", "").strip()
    estate_id = household_of_clerk(connection, household_id, who).estate_id
    key = estate_key(connection, services().master_key, estate_id)
    issue_card(connection, person_id, estate_id, number, key, actor=who, now=datetime.now(UTC))


def _consent(connection: Connection, _: UUID, person_id: UUID) -> None:
    guardian = _id("guardian") if request.form.get("guardian") else None
    relation = request.form.get("relation", "").strip() or None
    given = NewConsent(person_id, _purpose(), COUNTER, guardian, relation)
    give_consent(connection, given, actor=required_principal(), now=datetime.now(UTC))


def _withdraw(connection: Connection, _: UUID, person_id: UUID) -> None:
    withdraw_consent(connection, person_id, _purpose(), actor=required_principal(), now=datetime.now(UTC))


def _correct(connection: Connection, _: UUID, person_id: UUID) -> None:
    name, born_on = request.form.get("name") or None, request.form.get("born_on")
    correct_person(
        connection,
        person_id,
        name=name,
        born_on=day(born_on) if born_on else None,
        actor=required_principal(),
        now=datetime.now(UTC),
    )


# What can be done for a member, and what is said afterwards.
ACTS: dict[str, tuple[Callable[[Connection, UUID, UUID], None], str]] = {
    "end_right": (_end_right, "权限已结束。 The right has ended."),
    "block_card": (_block_card, "门卡已挂失。 The card is blocked."),
    "unblock_card": (_block_card, "门卡已解挂。 The card works again."),
    "end_card": (_end_card, "门卡已收回。 The card was taken back."),
    "issue_card": (_issue_card, "门卡已发出。 The card was handed out."),
    "consent": (_consent, "同意已登记。 The consent is recorded."),
    "withdraw": (_withdraw, "已撤回，正在删除人脸；门卡照常可用。 Withdrawn; the card works as before."),
    "correct": (_correct, "已更正。 Put right."),
}


def _household(household_id: UUID, refused: Exception | None = None) -> str:
    who, now = required_principal(), datetime.now(UTC)
    with services().engine.connect() as connection:
        found = household_of_clerk(connection, household_id, who)
        members = members_of(connection, household_id, now)
    today = local_day(now)
    return render_template(
        "household.html",
        found=found,
        members=members,
        children={one.person_id for one in members if needs_guardian(one.born_on, today)},
        purposes=PURPOSE_WORDS,
        kinds=KIND_WORDS,
        refused=refused,
        ended=found.to_on is not None and found.to_on <= today,
    )


def _move_in_page(refused: Exception | None = None) -> str:
    who = required_principal()
    with services().engine.connect() as connection:
        mine = estates_of(connection, who, REGISTRARS)
    today: date = local_day(datetime.now(UTC))
    return render_template("move_in.html", estates=mine, form=request.form, today=today, refused=refused)


def _unit(connection: Connection, form: Mapping[str, str]) -> UUID:
    building_id, number = form.get("building", "").strip(), form.get("unit", "").strip()
    found: UUID | None = connection.scalar(
        select(unit.c.unit_id)
        .where(unit.c.estate_id == form.get("estate", ""))
        .where(unit.c.building_id == building_id, unit.c.number == number)
    )
    if found is None:
        raise registry.UnknownThingError("unit", f"{building_id} {number}")
    return found


def _purpose() -> str:
    purpose = request.form.get("purpose", "")
    if purpose not in PURPOSES:
        raise NotFound
    return purpose


def _id(name: str) -> UUID:
    try:
        return UUID(request.form.get(name, ""))
    except ValueError:
        raise NotFound from None
