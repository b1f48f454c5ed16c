"""Simulated panels on a real broker before a whole gateway: loading, opening, withdrawal, clocks, forgery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from estate.embedded.broker import Broker
from estate.processes import wait_until
from gateway.panels.report import PanelReport
from gateway.vault import Vault
from simulators.doors.device import BrokerAddress
from simulators.panels.command import panels as simulate_panels
from simulators.panels.device import PanelDevice
from simulators.panels.panel import Panel
from tests.integration.gateway.city import FakeCity
from tests.integration.gateway.conftest import (
    CARD,
    ESTATE,
    NEIGHBOUR,
    PANELS,
    PASSWORD,
    RESIDENT,
    Gateway,
    door_doc,
    near,
    person_doc,
    vector,
)
from tests.integration.gateway.doors import Door

FIRST, SECOND = PANELS
FACE = vector(1)
WITHIN_S = 30.0


def consenting(city: FakeCity, *, agrees: bool = True) -> dict[str, Any]:
    return person_doc(city, ["gate"], [CARD], face_consent=agrees) | {"panel_consent": agrees}


@pytest.fixture
def gateway(still_gateway: Gateway) -> Gateway:
    """A gateway on Mosquitto, running, with its rosters."""
    still_gateway.start()
    still_gateway.wait_rosters()
    return still_gateway


@pytest.fixture
def gate(gateway: Gateway, mosquitto: Broker) -> Door:
    """A native door beside the panels."""
    return Door(ESTATE, "test-1-gate", PASSWORD, mosquitto.port)


@pytest.fixture
def panels(gateway: Gateway, mosquitto: Broker, city: FakeCity) -> Iterator[dict[str, PanelDevice]]:
    """Two panels that match by themselves, with the resident on them."""
    gateway.enrol(ESTATE, RESIDENT, FACE)
    with_vault(gateway, lambda vault: vault.keep_photograph(ESTATE, RESIDENT, b"\xff\xd8\xff face", now()))
    estate = {"name_zh": "测试", "name_en": "Test", "faces": True, "panels": {"roster_lease_days": 7}}
    city.put(ESTATE, "estate", ESTATE, estate)
    city.put(ESTATE, "person", RESIDENT, consenting(city))
    for panel in PANELS:
        city.put(ESTATE, "door", panel, door_doc("gate") | {"protocol": "mqtt_face"})
    address = BrokerAddress("127.0.0.1", mosquitto.port)
    devices = {name: PanelDevice(name, PASSWORD, address) for name in PANELS}
    for device in devices.values():
        device.panel.matches = True
        device.start()
    try:
        for device in devices.values():
            wait(lambda device=device: people(device) == [RESIDENT], "the resident on each panel")
        yield devices
    finally:
        for device in devices.values():
            device.stop()


def now() -> datetime:
    return datetime.now(UTC)


def with_vault(gateway: Gateway, act: Any) -> None:
    vault = Vault(gateway.state / "vault.db", gateway.key)
    act(vault)
    vault.close()


def people(device: PanelDevice) -> list[str]:
    found: list[str] = device.do(lambda panel, _now_s: sorted(panel.roster))
    return found


def wait(holds: Any, what: str) -> None:
    wait_until(holds, WITHIN_S, f"not in time: {what}")


def look(device: PanelDevice, who: str = RESIDENT) -> bool:
    return bool(device.do(lambda panel, now_s: panel.look(who, now_s)))


def nothing_kept(device: PanelDevice) -> bool:
    return not device.do(lambda panel, _now_s: panel.kept)


def test_a_resident_enters_by_a_panels_own_match_and_the_record_arrives_once(
    panels: dict[str, PanelDevice], city: FakeCity
) -> None:
    assert look(panels[FIRST])
    [record] = city.wait_records(1)
    assert (record["credential"], record["outcome"], record["cause"], record["person"]) == (
        "panel",
        "open",
        "granted",
        RESIDENT,
    )
    wait(lambda: nothing_kept(panels[FIRST]), "the record's confirmation")
    assert panels[FIRST].do(lambda panel, _now_s: panel.resume)
    city.wait_state(ESTATE, FIRST, "online")


def test_withdrawal_with_one_panel_offline(
    panels: dict[str, PanelDevice], gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    first, second = panels[FIRST], panels[SECOND]
    lease_s = first.do(lambda panel, _now_s: panel.roster[RESIDENT].until_s)
    assert gate.wait_answer(gate.face([near(FACE, 7)] * 3))["outcome"] == "open"
    kept_apart = back_up(gateway)
    first.cut()
    city.wait_state(ESTATE, FIRST, "offline", seconds=60)

    order = {"order": "o-1", "scope": "all", "reason": "withdrawn", "ordered_at": "2026-06-01T00:00:00Z"}
    city.put(ESTATE, "person", RESIDENT, consenting(city, agrees=False) | {"erase": [order]})
    certificate = city.wait_certificate()
    assert (certificate["person_id"], certificate["reason"]) == (RESIDENT, "withdrawn order:o-1")
    assert (certificate["templates"], certificate["photographs"]) == (1, 1)
    # Doors that the gateway answers refuse at once, and a card works.
    refused = gate.wait_answer(gate.face([near(FACE, 8)] * 3))
    assert (refused["outcome"], refused["cause"]) in {("deny", "no_consent"), ("deny", "unknown_person")}
    assert gate.wait_answer(gate.card(CARD))["outcome"] == "open"
    wait(lambda: people(second) == [], "the panel that is there forgets")
    wait(lambda: RESIDENT in city.erased.get(SECOND, ()), "its confirmation at the city")

    # The one that is away is listed, with person and end, also on the box itself.
    wait(lambda: city.panels.get(FIRST, {}).get("may_still_open"), "the open one at the city")
    [left] = city.panels[FIRST]["may_still_open"]
    assert (left["person"], datetime.fromisoformat(left["until"]).timestamp()) == (
        RESIDENT,
        pytest.approx(lease_s, abs=1),
    )
    told = gateway.command("panels", "report", "--json")
    [report] = [
        one for one in msgspec.json.decode(told.stdout, type=list[PanelReport]) if one.device == FIRST
    ]
    assert [one.person for one in report.may_still_open] == [RESIDENT]
    gateway.kill()
    gateway.start()
    assert look(first) or people(first) == [RESIDENT]  # it does not know yet

    # And is empty after it returns: then nothing is open any more.
    first.start()
    wait(lambda: people(first) == [], "the panel that is back forgets")
    wait(lambda: RESIDENT in city.erased.get(FIRST, ()), "its confirmation at the city")
    wait(lambda: city.panels[FIRST]["may_still_open"] == [], "nothing open any more")

    # The box's disk is lost, and yesterday's backup does not bring the person back.
    gateway.kill()
    (gateway.state / "vault.db").unlink()
    rows, keys = kept_apart
    restored = gateway.command("vault", "restore", "--rows", str(rows), "--keys", str(keys))
    assert "0 people restored; 1 left out without a live consent" in restored.stdout, restored.stderr
    gateway.start()
    refused = gate.wait_answer(gate.face([near(FACE, 9)] * 3))
    assert (refused["outcome"], refused["cause"]) in {("deny", "no_consent"), ("deny", "unknown_person")}
    assert gate.wait_answer(gate.card(CARD))["outcome"] == "open"
    assert people(first) == people(second) == []


def back_up(gateway: Gateway) -> tuple[Path, Path]:
    """Both files of a backup of the vault."""
    folder = gateway.folder / "backup"
    folder.mkdir()
    done = gateway.command("vault", "back-up", "--folder", str(folder))
    assert done.returncode == 0, done.stderr
    keys, rows = sorted(folder.iterdir())
    return rows, keys


def test_a_reset_panel_is_mended_on_request_and_a_stranger_on_it_is_removed(
    panels: dict[str, PanelDevice], gateway: Gateway, city: FakeCity
) -> None:
    device = panels[FIRST]

    def meddle(panel: Panel, _now_s: float) -> None:
        panel.roster["somebody-else"] = panel.roster.pop(RESIDENT)

    device.do(meddle)
    done = gateway.command("panels", "reconcile", "--device", FIRST)
    assert done.returncode == 0, done.stderr
    assert "1 missing, 1 extra" in done.stdout
    wait(lambda: people(device) == [RESIDENT], "the panel in line")
    wait(lambda: any(one["kind"] == "roster_differs" for one in city.alarms.values()), "the alarm")
    assert "somebody-else" not in json.dumps([city.panels, city.alarms])
    assert gateway.command("panels", "reconcile", "--device", "P999").returncode == 1


def test_a_panel_whose_clock_jumps_lets_residents_in_again_and_another_cannot_forge_it(
    panels: dict[str, PanelDevice], city: FakeCity
) -> None:
    first, second = panels[FIRST], panels[SECOND]
    lie = {"operator": "HeartBeat", "info": {"facesluiceId": FIRST, "time": "2020-01-01 00:00:00"}}
    second.say_raw("heartbeat", json.dumps(lie).encode())
    assert look(first)
    assert city.wait_records(1)[0]["cause"] == "granted"
    first.do(lambda panel, _now_s: panel.jump(-3_600))
    look(first)  # the sign
    wait(lambda: first.do(lambda panel, _now_s: abs(panel.clock_off_s) < 5), "the clock set")
    before = len(city.wait_records(2))
    look(first)
    assert city.wait_records(before + 1)[-1]["cause"] == "granted"


def test_a_panel_that_speaks_for_another_is_refused_by_the_broker_and_by_the_gateway(
    panels: dict[str, PanelDevice], gateway: Gateway, city: FakeCity
) -> None:
    first, second = panels[FIRST], panels[SECOND]
    record = first.panel.firmware.record(900, now().timestamp(), RESIDENT, 1) | {"Sendintime": 1}
    forged = json.dumps({"operator": "RecPush", "info": record}).encode()
    second._client.publish(f"mqtt/face/{FIRST}/Rec", forged)  # type: ignore[union-attr]
    second.say_raw("Rec", forged)  # on its own topic, under the other's number
    gateway.wait(lambda health: health["counts"]["set_aside"].get("speaks_for_another") == 1, "the refusal")
    wait(lambda: any(one["kind"] == "speaks_for_another" for one in city.alarms.values()), "the alarm")
    assert look(second)
    records = city.wait_records(1)
    assert {one["device"] for one in records} == {SECOND}


def test_simulated_panels_give_a_verdict_from_the_command_line(
    panels: dict[str, PanelDevice], mosquitto: Broker, tmp_path: Path, city: FakeCity
) -> None:
    for device in panels.values():
        device.cut()
    entries = [
        {"device": name, "password": PASSWORD, "matches": True, "quirks": ["texts"]} for name in PANELS
    ]
    path = tmp_path / "panels.json"
    path.write_text(json.dumps({"broker": {"host": "127.0.0.1", "port": mosquitto.port}, "panels": entries}))
    done = CliRunner().invoke(simulate_panels, ["--file", str(path), "--events", "6", "--rate", "20"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["confirmed"] == 6
    assert NEIGHBOUR not in {one["person"] for one in city.wait_records(6)}
