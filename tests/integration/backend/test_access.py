"""Access records: each passage once, nothing biometric, and names only for those who may look."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import threading
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from backend.access.service import door_states, latest_records, name_for, passage, store_records
from backend.access.wire import read_batch
from backend.identity.errors import NotAllowedError
from backend.identity.principal import ALL, Principal
from backend.retention.seen import roll_up
from tests.integration.backend.conftest import NOW, Town
from tests.integration.backend.test_gateway_api import Caller

TEMPLATE = struct.pack("<128f", *(0.001 * number for number in range(128)))
SECRET = base64.b64encode(TEMPLATE).decode()


@pytest.fixture
def caller(town: Town, client: FlaskClient) -> Caller:
    return Caller(client, town.add_gateway("gw-east", "east"))


def record(number: int = 1, **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "record_id": str(UUID(int=number)),
        "estate": "east",
        "device": "east-gate",
        "passage": f"track:{number}",
        "events": [f"e{number}"],
        "credential": "card",
        "device_at": "2026-06-01T04:00:00Z",
        "received_at": f"2026-06-01T04:00:{number % 60:02d}Z",
        "outcome": "open",
        "cause": "card_ok",
        "person": None,
        "resent": False,
    }
    return plain | changes


def send(caller: Caller, *records: dict[str, Any], **more: Any) -> Any:
    answer = caller.post("access-records", {"records": list(records)}, **more)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def stored(town: Town) -> int:
    return int(town.value("SELECT count(*) FROM access_record"))


def test_a_batch_is_committed_and_sending_it_again_changes_nothing(town: Town, caller: Caller) -> None:
    batch = [record(1), record(2)]
    for _ in range(3):
        answer = send(caller, *batch)
        assert answer == {"committed": [one["record_id"] for one in batch], "refused": []}
    assert stored(town) == 2
    row = town.rows("SELECT event_ids, gateway_id, received_at FROM access_record ORDER BY passage LIMIT 1")[
        0
    ]
    assert tuple(row) == (["e1"], "gw-east", datetime(2026, 6, 1, 4, 0, 1, tzinfo=UTC))


def test_one_passage_is_one_record_whatever_its_id(town: Town, caller: Caller) -> None:
    send(caller, record(1), record(1), record(2, passage="track:1"))
    send(caller, record(3, passage="track:1"), record(1, passage="track:99"))
    assert stored(town) == 1


def test_a_batch_may_come_compressed(town: Town, caller: Caller) -> None:
    body = gzip.compress(json.dumps({"records": [record(1)]}).encode())
    answer = caller.post("access-records", body, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 200
    assert stored(town) == 1


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        pytest.param(gzip.compress(b" " * 40_000_000), "gzip", 413, id="decompression bomb"),
        pytest.param(b"x" * 1_100_000, "identity", 413, id="too large as sent"),
        pytest.param(b"not gzip", "gzip", 422, id="not gzip"),
        pytest.param(gzip.compress(b"{}")[:-4], "gzip", 422, id="cut off"),
        pytest.param(b"{}", "br", 415, id="another encoding"),
        pytest.param(b"", "identity", 422, id="empty"),
        pytest.param(b"[]", "identity", 422, id="a list"),
        pytest.param(b'{"records": 1}', "identity", 422, id="no list of records"),
        pytest.param(b'{"records": [], "images": []}', "identity", 422, id="more than records"),
        pytest.param(json.dumps({"records": [{}] * 1001}).encode(), "identity", 422, id="too many"),
        pytest.param(b"[" * 100_000, "identity", 422, id="nested too deep"),
    ],
)
def test_a_body_of_another_shape_is_refused_whole(
    town: Town, caller: Caller, body: bytes, encoding: str, status: int
) -> None:
    answer = caller.post("access-records", body, **{"Content-Encoding": encoding})
    assert answer.status_code == status
    assert set(answer.get_json()) == {"error"}
    assert stored(town) == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"template": SECRET}, "biometric"),
        ({"image": SECRET}, "biometric"),
        ({"frames": [{"template": SECRET}]}, "biometric"),
        ({SECRET: 1}, "wrong_shape"),
        ({"note": SECRET}, "wrong_shape"),
        ({"cause": SECRET}, "wrong_shape"),
        ({"passage": SECRET}, "wrong_shape"),
        ({"events": [SECRET]}, "wrong_shape"),
        ({"device": SECRET}, "wrong_shape"),
        ({"person": SECRET}, "wrong_shape"),
        ({"record_id": SECRET}, "wrong_shape"),
        ({"events": []}, "wrong_shape"),
        ({"device": "nul\x00"}, "wrong_shape"),
        ({"received_at": "2026-06-01T04:00:00"}, "wrong_shape"),
        ({"outcome": "maybe"}, "wrong_shape"),
    ],
    ids=str.split(
        "template image frames blob-as-key unknown-field cause passage event device person record-id"
        " no-events nul naive-time outcome"
    ),
)
def test_anything_biometric_or_unknown_is_refused_counted_and_nowhere_stored(
    town: Town, caller: Caller, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], reason: str
) -> None:
    answer = send(caller, record(1, **changes), record(2))
    assert answer["committed"] == [record(2)["record_id"]]
    assert [one["reason"] for one in answer["refused"]] == [reason]
    assert SECRET not in json.dumps(answer)
    counted = town.rows("SELECT actor, reason FROM audit_record WHERE outcome = 'refused'")
    assert [tuple(row) for row in counted] == [("gateway:gw-east", f"{reason}=1")]
    assert not found_in_database(town, SECRET, TEMPLATE.hex())
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err


def found_in_database(town: Town, *needles: str) -> list[str]:
    """Tables whose rows, as text, contain one of the needles."""
    with town.engine.connect() as connection:
        tables = connection.scalars(
            text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        ).all()
    found = []
    for table in tables:
        if town.value("SELECT has_table_privilege(:name, 'SELECT')", name=table):
            rows = town.text_of(table)
            found += [table for needle in needles if needle in rows]
    return found


def test_the_search_for_planted_bytes_does_find_what_is_there(town: Town) -> None:
    town.change(
        lambda c: c.exec_driver_sql(
            "INSERT INTO audit_record (at, actor, action, outcome, object_kind, object_id, reason)"
            f" VALUES (now(), 'x', 'x', 'done', 'x', 'x', '{SECRET}')"
        )
    )
    assert found_in_database(town, SECRET) == ["audit_record"]


def test_records_of_a_foreign_estate_are_refused_and_audited(town: Town, caller: Caller) -> None:
    answer = caller.post("access-records", {"records": [record(1, estate="west", device="west-gate")]})
    assert answer.status_code == 403
    mixed = send(caller, record(1, estate="west"), record(2))
    assert mixed["refused"] == [{"record_id": record(1)["record_id"], "reason": "foreign_estate"}]
    assert town.value("SELECT array_agg(DISTINCT estate_id) FROM access_record") == ["east"]
    reasons = town.rows(
        "SELECT estate_id, reason FROM audit_record WHERE outcome = 'refused' ORDER BY audit_id"
    )
    assert [tuple(row) for row in reasons] == [("west", "foreign_estate"), ("west", "foreign_estate=1")]


def test_a_gateway_cannot_take_the_passages_of_another_estate(town: Town, caller: Caller, app: Flask) -> None:
    """The same record id and passage name in two estates are two passages."""
    send(caller, record(1))
    other = Caller(app.test_client(), town.add_gateway("gw-west", "west"))
    send(other, record(1, estate="west"))
    assert stored(town) == 2


def test_concurrent_duplicate_batches_store_each_passage_once(town: Town) -> None:
    """Four deliveries of the same thousand records at once, two of them backwards: none waits for ever."""
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def run(backwards: bool) -> None:
        try:
            for first in (1, 1001, 2001):
                batch = [record(number) for number in range(first, first + 1000)]
                read = read_batch(json.dumps({"records": batch[::-1] if backwards else batch}).encode())
                start.wait(30)
                with town.engine.begin() as connection:
                    store_records(connection, read.records, "gw-east", NOW)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(bool(number % 2),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stored(town) == 3000
    assert town.value("SELECT count(DISTINCT (device_id, passage)) FROM access_record") == 3000


def test_records_go_into_the_partition_of_the_month_they_were_stored_in(town: Town) -> None:
    for month in (6, 7):
        read = read_batch(json.dumps({"records": [record(month)]}).encode())
        moment = datetime(2026, month, 30, 23, 59, tzinfo=UTC)
        with town.engine.begin() as connection:
            store_records(connection, read.records, "gw-east", moment)
    rows = town.rows("SELECT tableoid::regclass::text FROM access_record ORDER BY 1")
    assert [row[0] for row in rows] == ["access_record_2026_06", "access_record_2026_07"]


def test_a_gateway_with_a_wild_clock_still_delivers(town: Town, caller: Caller) -> None:
    wild = [record(1, received_at="1970-01-01T00:00:00Z"), record(2, received_at="9999-12-31T23:59:59Z")]
    assert len(send(caller, *wild)["committed"]) == 2
    assert stored(town) == 2


def test_the_newest_passages_come_first_and_without_names(town: Town, caller: Caller) -> None:
    person_id = town.resident()
    send(caller, record(1, person=str(person_id)), record(3), record(2, device="stranger"))
    with town.engine.begin() as connection:
        views = latest_records(connection, frozenset({"east"}), 2)
        nothing = latest_records(connection, frozenset({"west"}), 10)
        everything = latest_records(connection, ALL, 10)
    assert [(one.record_id.int, one.door_name_zh) for one in views] == [(3, "大门"), (2, None)]
    assert nothing == []
    assert len(everything) == 3
    assert "某chen" not in str(everything)


def test_a_look_at_a_name_is_audited_with_its_purpose(town: Town, caller: Caller) -> None:
    person_id = town.resident()
    send(caller, record(1, person=str(person_id)), record(2))

    def look(number: int, who: Principal) -> str | None:
        with town.engine.begin() as connection:
            seen = passage(connection, "east", UUID(int=number))
            assert seen is not None
            return name_for(connection, who, seen, "help", NOW)

    assert [look(number, town.clerk_of_east) for number in (1, 2, 1)] == ["某chen", None, "某chen"]
    with pytest.raises(NotAllowedError):
        look(1, town.admin)
    rows = town.rows(
        "SELECT actor, object_id, estate_id, reason FROM audit_record WHERE action = 'look_at_passage'"
    )
    expected = (town.clerk_of_east.actor, str(person_id), "east", f"help record={UUID(int=1)}")
    assert [tuple(row) for row in rows] == [expected] * 2
    with town.engine.connect() as connection:
        assert passage(connection, "east", UUID(int=9)) is None


def test_no_name_of_a_person_of_another_estate_is_shown(town: Town, caller: Caller) -> None:
    elsewhere = town.resident("wu", "west", "0101")
    send(caller, record(1, person=str(elsewhere)))
    with town.engine.begin() as connection:
        seen = passage(connection, "east", UUID(int=1))
        assert seen is not None
        assert name_for(connection, town.clerk_of_east, seen, "help", NOW) is None
    assert town.value("SELECT count(*) FROM audit_record WHERE action = 'look_at_passage'") == 0
    # Nor does it count as seen at home.
    assert town.change(lambda c: roll_up(c, datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC))) == 0


def test_a_record_that_borrows_an_id_stands_in_front_of_no_other_estates(
    town: Town, caller: Caller, app: Flask
) -> None:
    person_id = town.resident()
    rogue = Caller(app.test_client(), town.add_gateway("gw-west", "west"))
    send(rogue, record(1, estate="west", cause="unknown_person"))
    send(caller, record(1, person=str(person_id)))
    with town.engine.connect() as connection:
        theirs = passage(connection, "west", UUID(int=1))
        ours = passage(connection, "east", UUID(int=1))
    assert theirs is not None
    assert ours is not None
    assert (theirs.person_id, theirs.door_name_zh) == (None, None)  # east's gate lends it no name
    assert (ours.person_id, ours.door_name_zh) == (person_id, "大门")


def state(device: str, **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "estate": "east",
        "device": device,
        "state": "online",
        "since": "2026-06-01T04:00:00Z",
        "clock_offset_ms": -12,
    }
    return plain | changes


def test_door_states_are_the_newest_told_and_of_known_doors_only(town: Town, caller: Caller) -> None:
    assert caller.post("status", {"devices": [state("east-gate")]}).status_code == 204
    later = [state("east-gate", state="offline"), state("ghost"), state("west-gate")]
    assert caller.post("status", {"devices": later}).status_code == 204
    with town.engine.connect() as connection:
        views = door_states(connection, frozenset({"east"}))
        assert len(door_states(connection, ALL)) == 4
    assert [(one.device_id, one.state, one.clock_offset_ms) for one in views] == [
        ("east-a", None, None),
        ("east-gate", "offline", -12),
    ]


@pytest.mark.parametrize(
    ("devices", "status"),
    [
        ([state("west-gate", estate="west")], 403),
        ([state("east-gate", template=SECRET)], 422),
        ([state("east-gate", clock_offset_ms=1.5)], 422),
        ([state("east-gate", state="dancing")], 422),
    ],
)
def test_a_status_of_another_shape_or_estate_is_refused(
    town: Town, caller: Caller, devices: list[dict[str, Any]], status: int
) -> None:
    assert caller.post("status", {"devices": devices}).status_code == status
    assert town.value("SELECT count(*) FROM device_state") == 0


def test_an_unknown_credential_delivers_nothing(town: Town, client: FlaskClient) -> None:
    stranger = Caller(client, f"gw-east.{uuid4()}")
    assert stranger.post("access-records", {"records": [record(1)]}).status_code == 401
    assert stored(town) == 0
