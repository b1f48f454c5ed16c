"""Evidence files: added at the counter, read again for a purpose."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from backend.identity.web import required_principal, requires
from backend.registry.people import household_of_clerk
from backend.registry.rights import REGISTRARS
from backend.retention.evidence import BYTES_MAX, Kind, add_evidence, read_evidence
from backend.services import services

FORM_BYTES = 64 * 1024
KINDS: dict[str, Kind] = {"consent": "consent", "hand_over": "hand_over", "damage": "damage"}

blueprint = Blueprint("evidence", __name__, url_prefix="/evidence")


@blueprint.before_request
def let_files_be_large() -> None:
    """A scan may be larger than a form."""
    if request.endpoint == "evidence.add":
        request.max_content_length = BYTES_MAX + FORM_BYTES


@blueprint.post("/")
@requires(*REGISTRARS)
def add() -> ResponseReturnValue:
    """Keep a scan for a household's member."""
    parts, who, now, form = services(), required_principal(), datetime.now(UTC), request.form
    sent, kind = request.files.get("file"), KINDS.get(form.get("kind", ""))
    if sent is None or kind is None:
        raise NotFound
    household_id, person_id = _id(form.get("household", "")), _id(form.get("person", ""))
    with parts.engine.begin() as connection:
        estate_id = household_of_clerk(connection, household_id, who).estate_id
        add_evidence(
            connection, parts.master_key, estate_id, kind, person_id, sent.read(), actor=who, now=now
        )
    flash("文件已加密保存。 The file is kept, encrypted.", "ok")
    return redirect(url_for("people.household", household_id=household_id), 303)


@blueprint.post("/<uuid:evidence_id>/read")
@requires(*REGISTRARS)
def read(evidence_id: UUID) -> ResponseReturnValue:
    """The file again; who looked and what for is recorded."""
    parts, who, now = services(), required_principal(), datetime.now(UTC)
    with parts.engine.begin() as connection:
        found = read_evidence(
            connection, parts.master_key, evidence_id, request.form.get("purpose", ""), actor=who, now=now
        )
    headers = {"Content-Disposition": "attachment", "Cache-Control": "no-store"}
    return Response(found.body, 200, headers, content_type=found.media_type)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None
