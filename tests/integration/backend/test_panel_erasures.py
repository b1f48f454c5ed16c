"""An erasure is complete when the vault has certified it and each panel of the estate has confirmed it."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.access.erasures import ErasureState, erasure_states
from tests.integration.backend.conftest import Town
from tests.integration.backend.test_devices import EAST, erased, leaving, panel, tell
from tests.integration.backend.test_erasures import certificate, document, send, withdraw
from tests.integration.backend.test_gateway_api import Caller
from tests.integration.backend.test_login import log_in_by_form


@pytest.fixture
def caller(town: Town, client: FlaskClient) -> Caller:
    return Caller(client, town.add_gateway("gw-east", "east"))


def state(town: Town) -> ErasureState:
    with town.engine.connect() as connection:
        (found,) = erasure_states(connection, EAST)
        return found


def report(caller: Caller, device: str = "east-gate", **facts: Any) -> None:
    assert tell(caller, panels=[panel(device=device, **facts)]) == 204


def test_with_one_panel_offline_the_certificate_is_complete_when_that_panel_has_confirmed(
    app: Flask, town: Town, caller: Caller
) -> None:
    person_id = town.resident()
    town.add_login("desk", "operator", "east")
    desk = app.test_client()
    assert log_in_by_form(desk, "desk") == 303

    def page() -> str:
        return desk.get("/people/erasures").get_data(as_text=True)

    report(caller)
    report(caller, "east-a")
    withdraw(town, person_id)
    assert not state(town).is_complete
    assert send(caller, certificate(person_id, document(town, person_id)["erase"][0]["order"])) == [""]
    # Certified by the vault; what the panels hold has not been told since.
    assert set(state(town).unheard) == {"east-a", "east-gate"}
    report(caller, "east-a", erased=[erased(str(person_id))])
    report(caller, may_still_open=[leaving(str(person_id))])
    assert state(town).unheard == ()
    assert not state(town).is_complete
    assert 'data-erasure="open"' in page()
    assert "等门口机确认" in page()
    assert "仍可能开门" in page()
    report(caller, erased=[erased(str(person_id), 2)])
    done = state(town)
    assert done.is_complete
    assert {part.device_id for part in done.panels} == {"east-a", "east-gate"}
    assert 'data-erasure="complete"' in page()
    assert "仍可能开门" not in page()


def test_an_estate_without_panels_is_complete_with_the_certificate(town: Town, caller: Caller) -> None:
    person_id = town.resident()
    withdraw(town, person_id)
    assert send(caller, certificate(person_id, document(town, person_id)["erase"][0]["order"])) == [""]
    assert state(town).is_complete
