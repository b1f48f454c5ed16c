"""From a resident's page to the enrolment desk on the estate's LAN."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, render_template

from backend.identity.web import required_principal, requires
from backend.registry.enrolment_tickets import issue_ticket
from backend.registry.rights import REGISTRARS
from backend.services import services

blueprint = Blueprint("enrolment", __name__, url_prefix="/operator")


@blueprint.post("/people/<uuid:person_id>/face")
@requires(*REGISTRARS)
def face(person_id: UUID) -> str:
    """Sign a ticket, and show the button that opens the box's page with it."""
    parts, now = services(), datetime.now(UTC)
    with parts.engine.begin() as connection:
        ticket = issue_ticket(
            connection, required_principal(), parts.master_key, person_id, secrets.token_urlsafe(9), now
        )
    return render_template(
        "enrol_face.html", ticket=ticket, kiosk=parts.settings.enrolment.kiosks.get(ticket.estate_id)
    )
