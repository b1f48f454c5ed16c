"""Tickets for the enrolment desk: their form, who gets one, and the page that leads there."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from msgspec import structs
from sqlalchemy import text

from backend.app import create_app
from backend.identity.errors import NotAllowedError
from backend.identity.principal import Grant, Principal
from backend.registry.consents import withdraw_consent
from backend.registry.enrolment_tickets import VALID, IssuedTicket, issue_ticket, sign_ticket
from backend.registry.errors import FaceNotAllowedError, UnknownThingError
from backend.registry.facts import OPEN_DOORS
from backend.services import Services
from backend.settings import BackendSettings, EnrolmentSettings
from tests.integration.backend.conftest import NOW, Town
from tests.integration.backend.test_login import csrf_token, log_in_by_form

CONTRACT = json.loads(Path("tests/contracts/enrolment_tickets.json").read_text("utf-8"))


def issue(town: Town, person_id: UUID, actor: Principal | None = None) -> IssuedTicket:
    return town.change(
        lambda c: issue_ticket(c, actor or town.admin, town.master_key, person_id, "a-nonce", NOW)
    )


def said(ticket: str) -> dict[str, object]:
    body = ticket.partition(".")[0]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


def test_a_ticket_has_the_form_that_boxes_read() -> None:
    good = next(case for case in CONTRACT["tickets"] if case["name"] == "good")
    facts = good["says"]
    made = sign_ticket(
        base64.b64decode(CONTRACT["key"]),
        estate_id=facts["estate"],
        person_id=facts["person"],
        operator=facts["operator"],
        label=facts["label"],
        expires_at=facts["expires_at"],
        nonce=facts["nonce"],
    )
    assert made == good["ticket"]


def test_a_registrar_gets_a_ticket_for_somebody_who_consented_and_it_is_audited(town: Town) -> None:
    person_id = town.resident()
    ticket = issue(town, person_id)
    assert said(ticket.text) == {
        "v": 1,
        "estate": "east",
        "person": str(person_id),
        "operator": str(town.admin.principal_id),
        "label": ticket.person_name,
        "expires_at": int((NOW + VALID).timestamp()),
        "nonce": "a-nonce",
    }
    rows = "SELECT count(*) FROM audit_record WHERE action = 'enrol_face' AND outcome = 'done'"
    assert town.value(rows) == 1


def test_nobody_gets_a_ticket_without_consent_assessment_role_or_person(town: Town) -> None:
    person_id = town.resident()
    tenant = Principal(
        town.admin.principal_id, "chen", "Chen", person_id, (Grant("tenant", "east", NOW, None),)
    )
    with pytest.raises(NotAllowedError):
        issue(town, person_id, tenant)
    elsewhere = Principal(town.admin.principal_id, "li", "Li", None, (Grant("operator", "west", NOW, None),))
    with pytest.raises(NotAllowedError):
        issue(town, person_id, elsewhere)
    with pytest.raises(UnknownThingError):
        issue(town, uuid4())
    town.change(lambda c: withdraw_consent(c, person_id, OPEN_DOORS, actor=town.admin, now=NOW))
    with pytest.raises(FaceNotAllowedError, match="没有有效的人脸同意") as refused:
        issue(town, person_id)
    assert refused.value.why == "no_consent"
    town.change(lambda c: c.execute(text("UPDATE estate SET faces_enabled = false WHERE estate_id = 'east'")))
    with pytest.raises(FaceNotAllowedError, match="未启用人脸"):
        issue(town, person_id)


def test_a_ticket_lasts_minutes_and_not_days() -> None:
    assert timedelta(minutes=5) <= VALID <= timedelta(hours=1)


@pytest.mark.parametrize("kiosks", [{"east": "https://box.east.example:8443"}, {}])
def test_the_page_leads_to_the_estates_own_desk_and_browsers_let_it(
    town: Town, settings: BackendSettings, kiosks: dict[str, str]
) -> None:
    person_id = town.resident()
    town.add_login("clerk-2", "operator", "east")
    app = create_app(structs.replace(settings, enrolment=EnrolmentSettings(kiosks=kiosks)))
    client = app.test_client()
    assert log_in_by_form(client, "clerk-2") == 303
    token = csrf_token(client, "/operator/doors")
    page = client.post(f"/operator/people/{person_id}/face", data={"csrf_token": token})
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    if kiosks:
        assert 'action="https://box.east.example:8443/enrol"' in page.text
        assert "form-action 'self'" in policy
        assert "https://box.east.example:8443" in policy
    else:
        assert "enrolment.kiosks" in page.text
    services: Services = app.extensions["estate"]
    services.close()
