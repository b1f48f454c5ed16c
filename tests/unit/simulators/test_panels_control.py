"""Acting on simulated panels by hand, and the file that names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from estate.config import SettingsError
from simulators.doors.device import BrokerAddress
from simulators.panels.control import create_control
from simulators.panels.device import PanelDevice
from simulators.panels.fleet import read_panels_file
from simulators.panels.panel import Enrolled


@pytest.fixture
def device() -> PanelDevice:
    """Not connected to anything."""
    made = PanelDevice("P100", "secret", BrokerAddress("127.0.0.1", 1))
    made.panel.matches = True
    made.panel.roster["somebody"] = Enrolled(4e9, b"")
    return made


@pytest.fixture
def client(device: PanelDevice) -> FlaskClient:
    return create_control({"P100": device}).test_client()


def test_a_look_opens_for_whom_the_panel_knows_and_keeps_a_record(client: FlaskClient) -> None:
    known = client.post("/panels/P100/look", json={"person": "somebody"}).get_json()
    assert (known["opened_by_itself"], known["openings"], known["kept"]) == (True, 1, 1)
    stranger = client.post("/panels/P100/look", json={"person": "nobody", "photo": "AAAA"}).get_json()
    assert (stranger["opened_by_itself"], stranger["kept"]) == (False, 2)


def test_a_clock_jumps_and_a_reset_forgets_everything(client: FlaskClient) -> None:
    assert client.post("/panels/P100/jump", json={"seconds": 3600}).get_json()["clock_off_s"] == 3600
    assert client.post("/panels/P100/enrol-by-hand", json={}).get_json()["people"] == ["", "somebody"]
    assert client.post("/panels/P100/reset", json={}).get_json()["people"] == []
    [state] = client.get("/panels").get_json()["panels"]
    assert (state["device"], state["resume"], state["connected"]) == ("P100", False, False)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/panels/P999/look", {}, 404),
        ("/panels/P100/dance", {}, 404),
        ("/panels/P100/jump", {"seconds": "far"}, 400),
        ("/panels/P100/look", {"photo": "*"}, 400),
        ("/panels/P100/look", [], 400),
    ],
)
def test_what_makes_no_sense_is_refused(client: FlaskClient, path: str, body: object, status: int) -> None:
    assert client.post(path, json=body).status_code == status


@pytest.mark.parametrize(
    "content", ["", "{}", '{"broker": {"host": "h", "port": 1}, "panels": [{"device": "P"}]}']
)
def test_a_faulty_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "panels.json"
    path.write_text(content)
    with pytest.raises(SettingsError) as refused:
        read_panels_file(path)
    assert str(path) in str(refused.value)


def test_a_file_names_the_panels_and_their_quirks(tmp_path: Path) -> None:
    path = tmp_path / "panels.json"
    entry = {"device": "P1", "password": "x", "quirks": ["texts", "no_list"]}
    path.write_text(json.dumps({"broker": {"host": "h", "port": 1}, "panels": [entry]}))
    [panel] = read_panels_file(path).panels
    assert (panel.quirks, panel.matches) == (("texts", "no_list"), False)
