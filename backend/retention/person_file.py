"""Everything that is held of a person, for that person: JSON for programs, a page and a PDF, zipped."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, select

from backend.documents.pdf import FONT_FOLDER
from backend.identity.audit import audit
from backend.identity.principal import Principal
from backend.identity.service import check_role
from backend.registry.errors import UnknownThingError
from backend.registry.keys import MasterKey
from backend.registry.rights import REGISTRARS
from backend.registry.tables import person
from backend.retention.errors import PurposeNeededError
from backend.retention.evidence import LOOK_PURPOSES, open_sealed
from backend.retention.person_page import person_page, person_pdf
from backend.retention.person_rows import everything_held
from backend.retention.tables import evidence

BY_THE_PERSON = "self"
SUFFIXES = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}


def person_file(
    connection: Connection,
    master_key: MasterKey,
    person_id: UUID,
    *,
    actor: Principal,
    now: datetime,
    purpose: str = BY_THE_PERSON,
    font_folder: Path = FONT_FOLDER,
) -> bytes:
    """A zip with `person.json`, `.html` and `.pdf` and the evidence; for the person, or by a registrar.

    Args:
        purpose: one of LOOK_PURPOSES, from anybody but the person.
    Raises:
        UnknownThingError, NotAllowedError, PurposeNeededError, FontMissingError.
    """
    estate_id = connection.scalar(select(person.c.estate_id).where(person.c.person_id == person_id))
    if estate_id is None:
        raise UnknownThingError("person", person_id)
    if actor.person_id != person_id:
        check_role(actor, "export_person", estate_id, *REGISTRARS)
        if purpose not in LOOK_PURPOSES:
            raise PurposeNeededError
    audit(connection, actor, "export_person", "done", "person", str(person_id), estate_id, purpose, now)
    held = everything_held(connection, person_id)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("person.json", json.dumps(held, ensure_ascii=False, indent=2))
        archive.writestr("person.html", person_page(held, now))
        archive.writestr("person.pdf", person_pdf(held, now, font_folder))
        for name, body in _files(connection, master_key, person_id):
            archive.writestr(f"evidence/{name}", body)
    return target.getvalue()


def _files(connection: Connection, master_key: MasterKey, person_id: UUID) -> Iterable[tuple[str, bytes]]:
    rows = connection.execute(
        select(evidence).where(evidence.c.person_id == person_id, evidence.c.sealed.is_not(None))
    )
    for row in rows:
        name = f"{row.kind}-{row.evidence_id}.{SUFFIXES[row.media_type]}"
        yield name, open_sealed(master_key, row.evidence_id, row.wrapped_key, row.sealed)
