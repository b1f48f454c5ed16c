"""Evidence files, listed for each desk, added and read again; a person's file: each look for a purpose."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from backend.identity.principal import Role
from backend.identity.web import required_principal, requires
from backend.registry.people import check_member, household_of_clerk
from backend.registry.rights import REGISTRARS
from backend.retention.evidence import BYTES_MAX, DESKS, Kind, add_evidence, read_evidence
from backend.retention.evidence_list import list_evidence
from backend.retention.person_file import person_file
from backend.services import services

FORM_BYTES = 64 * 1024
# What is handed in for a household; papers about money come with their own forms.
KINDS: dict[str, Kind] = {"consent": "consent", "hand_over": "hand_over", "damage": "damage"}
DESK_ROLES: tuple[Role, ...] = ("operator", "finance", "admin")
KIND_WORDS: dict[Kind, tuple[str, str]] = {
    "consent": ("签字的同意书", "Signed consent"),
    "hand_over": ("交房单", "Hand-over"),
    "damage": ("损坏照片", "Damage"),
    "dispute": ("争议证据", "Dispute"),
    "assessment": ("影响评估", "Impact assessment"),
}
PURPOSE_WORDS = {
    "proof": ("证明当时的手续", "To prove what was done"),
    "dispute": ("处理争议", "A dispute"),
    "person_request": ("本人要求", "The person asked"),
    "authority": ("主管部门或法院要求", "An authority or a court"),
}
ENDINGS = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}

blueprint = Blueprint("evidence", __name__, url_prefix="/evidence")


@blueprint.url_value_preprocessor
def let_files_be_large(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """A scan may be larger than a form; said before anything reads the request."""
    if endpoint == "evidence.add":
        request.max_content_length = BYTES_MAX + FORM_BYTES


@blueprint.get("/")
@requires(*DESK_ROLES)
def index() -> str:
    """The files of one's own desks, newest first."""
    who, wanted = required_principal(), request.args.get("kind", "")
    kind = next((one for one in DESKS if one == wanted), None)
    with services().engine.connect() as connection:
        files = list_evidence(connection, who, kind)
    return render_template(
        "evidence.html", files=files, kind=kind, kinds=KIND_WORDS, purposes=PURPOSE_WORDS, endings=ENDINGS
    )


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
        check_member(connection, household_id, person_id)
        add_evidence(
            connection, parts.master_key, estate_id, kind, person_id, sent.read(), actor=who, now=now
        )
    flash("文件已加密保存。 The file is kept, encrypted.", "ok")
    return redirect(url_for("people.household", household_id=household_id), 303)


@blueprint.post("/<uuid:evidence_id>/read")
@requires(*DESK_ROLES)
def read(evidence_id: UUID) -> ResponseReturnValue:
    """The file again; who looked and what for is recorded."""
    parts, who, now = services(), required_principal(), datetime.now(UTC)
    with parts.engine.begin() as connection:
        found = read_evidence(
            connection, parts.master_key, evidence_id, request.form.get("purpose", ""), actor=who, now=now
        )
    name = f"{evidence_id}.{ENDINGS[found.media_type]}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(found.body, 200, headers, content_type=found.media_type)


@blueprint.post("/person")
@requires(*REGISTRARS)
def person_file_for() -> ResponseReturnValue:
    """Everything that is held of a household's member, for whoever asks at the counter."""
    parts, who, now, form = services(), required_principal(), datetime.now(UTC), request.form
    household_id, person_id = _id(form.get("household", "")), _id(form.get("person", ""))
    fonts = Path(parts.settings.documents.font_folder)
    with parts.engine.begin() as connection:
        household_of_clerk(connection, household_id, who)
        check_member(connection, household_id, person_id)
        body = person_file(
            connection, parts.master_key, person_id, actor=who, now=now,
            purpose=form.get("purpose", ""), font_folder=fonts,
        )  # fmt: skip
    headers = {"Content-Disposition": f'attachment; filename="{person_id}.zip"', "Cache-Control": "no-store"}
    return Response(body, 200, headers, content_type="application/zip")


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None
