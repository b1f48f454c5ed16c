"""How a gateway is run and looked at, and what no message can do to it."""

from __future__ import annotations

import base64
import json
import os
import signal
from pathlib import Path

import requests

from estate.embedded.authority import issue, make_authority
from estate.embedded.broker import Broker, MosquittoBroker
from estate.embedded.broker_users import BrokerUser
from estate.processes import wait_until
from tests.integration.gateway.city import FakeCity
from tests.integration.gateway.conftest import CARD, ESTATE, PASSWORD, Gateway, users
from tests.integration.gateway.doors import Door, close_all

JPEG = b"\xff\xd8\xff\xe0" + b"a picture nobody may keep" * 40


def test_messages_that_cannot_be_taken_are_set_aside_and_the_stream_goes_on(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    picture = base64.b64encode(JPEG).decode()
    frames = [{"image": picture}]
    gate.send_raw(b"\x00\xff not json")
    gate.send_raw(b'{"v":1,"id":"half","at":"2026-')
    gate.send({"id": "newer", "v": 2, "kind": "face", "frames": frames})
    gate.send({"id": "odd", "kind": "voice"})
    gate.send({"id": "both", "kind": "face", "frames": [{"image": picture, "template": "AAAA"}]})
    gate.send({"id": "big", "kind": "face", "frames": [{"image": "A" * (3 << 20)}]})
    gate.send_raw(b"[]", "status")
    for event in ("newer", "odd", "both", "big"):
        gate.wait_recorded(event)
    good = gate.card(CARD)
    assert gate.wait_answer(good)["outcome"] == "open"
    assert len(city.wait_records(1)) == 1
    counted = gateway.health()["counts"]["set_aside"]
    assert counted == {
        "unreadable": 4,
        "unknown_version": 1,
        "frame_not_one_of_template_and_image": 1,
        "oversize": 1,
    }
    listed = gateway.command("journal", "list", "--set-aside").stdout
    assert "test-1-gate" in listed
    assert "oversize" in listed
    kept = b"".join(path.read_bytes() for path in gateway.folder.rglob("*") if path.is_file())
    assert picture.encode() not in kept
    assert JPEG not in kept


def test_a_device_that_is_on_no_roster_is_refused_and_set_aside(
    gateway: Gateway, broker: Broker, city: FakeCity
) -> None:
    own = f"estate/{ESTATE}/ghost"
    broker.update_users([*users(), BrokerUser("ghost", PASSWORD, (f"{own}/answer",), (f"{own}/event",))])
    ghost = Door(ESTATE, "ghost", PASSWORD, broker.port)
    event = ghost.card(CARD)
    assert ghost.wait_answer(event)["cause"] == "unknown_device"
    ghost.wait_recorded(event)
    assert gateway.health()["counts"]["set_aside"] == {"unknown_device": 1}
    assert city.records == []


def test_a_device_cannot_speak_for_another(gateway: Gateway, gate: Door, broker: Broker) -> None:
    # Its own broker rights keep it from the other's topic; the gateway never sees the event.
    gate._client.publish(
        f"estate/{ESTATE}/test-1-a/event",
        json.dumps({"v": 1, "id": "stolen", "at": gate.now(), "kind": "card", "card": CARD}),
        qos=1,
    )
    mine = gate.card(CARD)
    gate.wait_recorded(mine)
    assert gateway.health()["counts"]["events"] == 1


def test_health_and_metrics_say_the_same(gateway: Gateway, gate: Door, city: FakeCity) -> None:
    gate.wait_recorded(gate.card(CARD))
    city.wait_records(1)
    gateway.wait(lambda health: health["counts"]["forwarded"] == 1, "the forwarded record")
    health = gateway.health()
    text = requests.get(f"http://127.0.0.1:{gateway.metrics_port}/metrics", timeout=5).text
    assert health["state"] == "ok"
    assert health["counts"]["answers"] == {"granted": 1}
    assert 'estate_gateway_answers_total{cause="granted"} 1.0' in text
    assert "estate_gateway_records_forwarded_total 1.0" in text
    assert 'estate_gateway_device_online{device="test-1-gate",estate="test-1"} 1.0' in text
    assert "estate_gateway_journal_ok 1.0" in text
    assert requests.get(f"http://127.0.0.1:{gateway.metrics_port}/", timeout=5).status_code == 404


def test_the_commands_answer_in_plain_words(gateway: Gateway, gate: Door, city: FakeCity) -> None:
    gate.wait_recorded(gate.card(CARD))
    city.wait_records(1)
    gateway.wait(lambda health: health["buffer"]["rows"]["unforwarded"] == 0, "an empty buffer")
    status = gateway.command("status")
    devices = gateway.command("devices")
    journal = gateway.command("journal", "list")
    assert (status.returncode, devices.returncode, journal.returncode) == (0, 0, 0)
    assert "test-gateway: ok" in status.stdout
    assert "test-1/test-1-gate\tonline" in devices.stdout
    assert "granted\tforwarded" in journal.stdout
    assert CARD not in journal.stdout + status.stdout + gateway.log()


def test_a_city_that_lost_records_is_sent_them_once_more(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    events = [gate.card(CARD) for _ in range(5)]
    city.wait_records(5)
    gateway.wait(lambda health: health["buffer"]["rows"]["unforwarded"] == 0, "an empty buffer")
    numbers = [int(line.split("\t")[0]) for line in gateway.command("journal", "list").stdout.splitlines()]
    city.lose_records()
    said = gateway.command("journal", "replay", "--after", str(numbers[2]))
    assert (said.returncode, said.stdout[:1]) == (0, "2"), said.stderr
    assert [record["events"][0] for record in city.wait_records(2)] == events[3:]
    again = gateway.command("journal", "replay", "--since", "2020-01-01")
    assert again.stdout.startswith("5 ")
    city.wait_records(5)
    assert sorted(record["events"][0] for record in city.records) == sorted(events)
    gateway.wait(lambda _: "records_sent_again" in gateway.log(), "the report")
    assert gateway.command("journal", "replay").returncode == 2


def test_a_changed_policy_is_taken_up_a_wrong_one_is_not_and_no_message_is_lost(
    gateway: Gateway, gate: Door, city: FakeCity
) -> None:
    file, events = gateway.folder / "gateway.toml", list[str]()
    before = file.read_text()

    def validity() -> int:
        events.append(gate.card(CARD))
        return int(gate.wait_answer(events[-1])["open_within_ms"])

    assert validity() == 5_000
    file.write_text(before + "[doors]\nopen_within_ms = 7000\n")
    wait_until(lambda: validity() == 7_000, 20, "the new policy")
    file.write_text(before + "[doors]\nopen_within_ms = 7\n")
    gateway.wait(lambda health: any("open_within_ms" in one for one in health["alarms"]), "the refusal")
    assert "open_within_ms" in gateway.command("status").stderr  # the file itself is wrong
    assert validity() == 7_000
    file.write_text(before.replace("workers = 0", "workers = 1"))
    os.kill(gateway.pid, signal.SIGHUP)
    gateway.wait(
        lambda health: any("faces.workers" in one for one in health["alarms"]), "what needs a restart"
    )
    assert validity() == 5_000
    for event in events:
        gate.wait_recorded(event)
    assert sorted(one["events"][0] for one in city.wait_records(len(events))) == sorted(events)


def test_the_commands_say_so_when_no_gateway_runs(still_gateway: Gateway) -> None:
    said = still_gateway.command("status")
    assert said.returncode == 1
    assert "is the gateway running?" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_configuration_that_must_not_run_is_one_sentence(still_gateway: Gateway) -> None:
    said = still_gateway.command("run", "--estates", "elsewhere")
    assert said.returncode == 1
    assert "elsewhere" in said.stderr
    assert "Traceback" not in said.stderr
    (still_gateway.folder / "credential").write_text("another-gateway.secret")
    said = still_gateway.command("run")
    assert said.returncode == 1
    assert "backend.credential_file" in said.stderr
    assert "Traceback" not in said.stderr


def test_an_interrupt_ends_it_as_a_stop_does(gateway: Gateway) -> None:
    os.kill(gateway.pid, signal.SIGINT)
    assert gateway.stop() == 0


def test_over_tls_many_events_at_once_and_a_large_one_arrive_whole(
    tmp_path: Path, servers_folder: Path, city: FakeCity
) -> None:
    make_authority(tmp_path / "authority")
    tls = issue(tmp_path / "authority", "broker", ["127.0.0.1", "localhost"])
    with MosquittoBroker(servers_folder / "tls", 0, users(), tls) as broker:
        gateway = Gateway(tmp_path, broker, city, {})
        gateway.start()
        gateway.wait_rosters()
        gate = Door(ESTATE, "test-1-gate", PASSWORD, broker.port, tls.authority)
        events = [gate.card(CARD) for _ in range(200)]
        large = gate.photograph(JPEG * 1_400)
        for event in [*events, large]:
            gate.wait_recorded(event)
        assert {gate.wait_answer(event)["cause"] for event in events} == {"granted"}
        assert gate.wait_answer(large)["cause"] == "encoder_unavailable"
        close_all()


def test_a_log_that_cannot_be_written_stops_no_door(
    still_gateway: Gateway, mosquitto: Broker, city: FakeCity
) -> None:
    with Path("/dev/full").open("wb") as full:
        still_gateway.start(log=full)
    still_gateway.wait_rosters()
    gate = Door(ESTATE, "test-1-gate", PASSWORD, mosquitto.port)
    gate.send_raw(b"not json")  # is logged
    assert gate.wait_answer(gate.card(CARD))["outcome"] == "open"
