"""The clock moved forward: what goes, what a hold keeps, and what is left of passages."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from backend.access.service import store_records
from backend.access.strangers import strangers
from backend.access.wire import AccessRecord
from backend.identity.errors import NotAllowedError
from backend.identity.principal import ALL
from backend.registry.consents import NewConsent, give_consent, publish_notice
from backend.registry.facts import OCCUPANCY_CARE
from backend.registry.moves import hand_over_unit
from backend.retention.daily import run_daily
from backend.retention.errors import (
    EvidenceErasedError,
    EvidenceFormError,
    NoBasisError,
    PurposeNeededError,
)
from backend.retention.evidence import BYTES_MAX, add_evidence, read_evidence
from backend.retention.holds import live_holds, place_hold, release_hold
from backend.retention.person_file import person_file
from backend.retention.purge import CLASSES, ERASED_NAME, last_run, purge
from backend.retention.seen import roll_up, seen_days
from backend.retention.settings import RetentionSettings
from tests.integration.backend.conftest import NOW, Town, household, member
from tests.integration.conftest import NOTICE

CLOCKS = RetentionSettings()
DAY = timedelta(days=1)
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels of a signature" * 20


def record(person_id: UUID | None, at: datetime, **changes: object) -> AccessRecord:
    track = uuid4().hex
    plain: dict[str, object] = {
        "record_id": uuid4(),
        "estate": "east",
        "device": "east-a",
        "passage": track,
        "events": [f"{track}-1"],
        "credential": "face",
        "device_at": at,
        "received_at": at,
        "outcome": "open" if person_id else "deny",
        "cause": "granted" if person_id else "unknown_person",
        "person": person_id,
        "resent": False,
    }
    return AccessRecord(**(plain | changes))  # type: ignore[arg-type]


def store(town: Town, *records: AccessRecord, now: datetime | None = None) -> None:
    town.change(lambda c: store_records(c, records, "gw-east", now or records[0].received_at))


def purged(town: Town, now: datetime) -> dict[str, int]:
    return {one.name: one.purged for one in town.change(lambda c: purge(c, CLOCKS, now)) if one.purged}


def partitions(town: Town) -> list[str]:
    return [
        row[0]
        for row in town.rows(
            "SELECT relname FROM pg_class WHERE relname ~ '^access_record_2' AND relkind = 'r' ORDER BY 1"
        )
    ]


def test_passages_go_after_their_clock_and_the_day_the_household_was_seen_stays(town: Town) -> None:
    person_id = town.resident()
    first, second = datetime(2026, 5, 30, 18, tzinfo=UTC), datetime(2026, 6, 3, 1, tzinfo=UTC)
    store(town, record(person_id, first), record(person_id, first), record(None, first))
    store(town, record(person_id, second))
    assert purged(town, first + 30 * DAY) == {}
    assert purged(town, second + 30 * DAY) == {"access_record": 3}
    # May is over and empty; what came in June is there still.
    assert partitions(town) == ["access_record_2026_06"]
    assert town.value("SELECT count(*) FROM access_record") == 1
    seen = [row[0] for row in town.rows("SELECT seen_on FROM household_seen")]
    assert seen == [date(2026, 5, 31)]  # 02:00 in Jiangmen
    assert purged(town, second + 31 * DAY) == {"access_record": 1}
    assert partitions(town) == ["access_record_2026_06"]
    assert purged(town, datetime(2026, 8, 1, tzinfo=UTC)) == {}
    assert partitions(town) == []


def test_a_legal_hold_keeps_a_persons_passages_until_it_is_released(town: Town) -> None:
    person_id, other = town.resident(), town.resident("li", unit="0102")
    store(town, record(person_id, NOW), record(other, NOW))
    hold_id = town.change(lambda c: place_hold(c, person_id, "案号 1", actor="principal:x", now=NOW))
    cuts = town.change(lambda c: purge(c, CLOCKS, NOW + 400 * DAY))
    assert [(one.purged, one.held) for one in cuts if one.name == "access_record"] == [(1, 1)]
    assert town.rows("SELECT person_id FROM access_record") == [(person_id,)]
    town.change(lambda c: release_hold(c, hold_id, actor="principal:x", now=NOW))
    with town.engine.connect() as connection:
        assert live_holds(connection) == []
    assert purged(town, NOW + 400 * DAY)["access_record"] == 1


def test_three_years_after_moving_out_nothing_is_left_of_a_person_but_opaque_ids(town: Town) -> None:
    person_id = town.resident()
    tenancy_id = town.value("SELECT tenancy_id FROM tenancy")
    town.change(lambda c: hand_over_unit(c, tenancy_id, actor=town.admin, now=NOW))
    town.change(
        lambda c: add_evidence(
            c, town.master_key, "east", "hand_over", person_id, PNG, actor=town.admin, now=NOW
        )
    )
    assert "person" not in purged(town, NOW + 1096 * DAY)
    gone = purged(town, NOW + 1098 * DAY)
    assert {"consent", "evidence_hand_over", "person"} <= gone.keys()
    assert town.rows("SELECT name, born_on FROM person") == [(ERASED_NAME, date(1900, 1, 1))]
    assert town.value("SELECT count(*) FROM consent") == 0
    assert town.rows("SELECT sealed, wrapped_key FROM evidence") == [(None, None)]
    for table in ("person", "audit_record", "roster_item", "household"):
        assert "某chen" not in town.text_of(table)


def test_the_purge_runs_once_a_day_and_leaves_a_report(town: Town) -> None:
    now = NOW + 40 * DAY
    assert [town.change(lambda c: run_daily(c, CLOCKS, town.master_key, now)) for _ in range(2)] == [1, 0]
    assert town.change(lambda c: run_daily(c, CLOCKS, town.master_key, now + DAY)) == 1
    with town.engine.connect() as connection:
        assert {one.name for one in last_run(connection)} == set(CLASSES)


def test_the_documented_clocks_are_those_of_the_code() -> None:
    page = Path("docs/retention.md").read_text("utf-8")
    documented = {
        name: int(days) for name, days in re.findall(r"^\| `(\w+)` \| (\d+) \|", page, re.MULTILINE)
    }
    assert documented == {name: getattr(CLOCKS, name) for name in CLOCKS.__struct_fields__}
    assert set(documented) == set(CLASSES)


def test_door_data_serves_a_second_purpose_only_with_consent_or_a_basis(town: Town) -> None:
    person_id = town.resident()
    store(town, record(person_id, NOW))
    town.change(lambda c: roll_up(c, NOW - DAY, NOW + DAY))
    unit_id = town.value("SELECT unit_id FROM tenancy")

    def look(purpose: str = OCCUPANCY_CARE) -> object:
        return town.change(
            lambda c: seen_days(c, unit_id, date(2026, 1, 1), purpose, actor=town.clerk_of_east, now=NOW)
        )

    with pytest.raises(PurposeNeededError):
        look("curiosity")
    with pytest.raises(NoBasisError):
        look()
    town.change(lambda c: publish_notice(c, OCCUPANCY_CARE, NOTICE, actor="system:test", now=NOW))
    given = NewConsent(person_id, OCCUPANCY_CARE, "counter", None)
    town.change(lambda c: give_consent(c, given, actor=town.admin, now=NOW))
    assert look() == [date(2026, 6, 1)]
    reasons = town.rows("SELECT reason FROM audit_record WHERE action = 'look_at_household'")
    assert reasons == [("occupancy_care basis=consent",)]


def test_a_recorded_basis_serves_in_its_time_only(town: Town) -> None:
    person_id = town.resident()
    store(town, record(person_id, NOW))
    town.change(lambda c: roll_up(c, NOW - DAY, NOW + DAY))
    unit_id = town.value("SELECT unit_id FROM tenancy")
    town.change(
        lambda c: c.exec_driver_sql(
            "INSERT INTO purpose_basis VALUES (gen_random_uuid(), 'east', 'occupancy_care', '粤府令 181',"
            " '2026-06-01', '2026-06-02', gen_random_uuid(), now())"
        )
    )
    look = lambda now: town.change(  # noqa: E731
        lambda c: seen_days(c, unit_id, date(2026, 1, 1), OCCUPANCY_CARE, actor=town.admin, now=now)
    )
    assert look(NOW) == [date(2026, 6, 1)]
    with pytest.raises(NoBasisError):
        look(NOW + DAY)


def test_two_strangers_have_nothing_in_common_but_the_door_and_the_outcome(town: Town) -> None:
    """The same stranger twice, and two of them once, look alike."""
    store(town, record(None, NOW), record(None, NOW + timedelta(minutes=5)), now=NOW)
    first, second = (dict(row._mapping) for row in town.rows("SELECT * FROM access_record"))
    shared = {name for name in first if first[name] == second[name] and first[name] not in (None, False)}
    assert shared == {
        "estate_id", "device_id", "credential", "outcome", "cause", "gateway_id", "stored_at",
    }  # fmt: skip
    assert first["person_id"] is None
    with town.engine.connect() as connection:
        counts = strangers(connection, ALL, NOW - DAY, NOW + DAY)
    assert [(one.device_id, one.hour, one.times) for one in counts] == [("east-a", NOW, 2)]


def test_evidence_is_sealed_in_the_database_and_read_for_a_purpose(town: Town) -> None:
    evidence_id = town.change(
        lambda c: add_evidence(
            c, town.master_key, "east", "consent", None, PNG, actor=town.clerk_of_east, now=NOW
        )
    )
    assert b"pixels of a signature".hex() not in town.text_of("evidence")

    def read(purpose: str, actor: object = town.clerk_of_east) -> object:
        return town.change(
            lambda c: read_evidence(c, town.master_key, evidence_id, purpose, actor=actor, now=NOW)  # type: ignore[arg-type]
        )

    with pytest.raises(PurposeNeededError):
        read("")
    found = read("dispute")
    assert (found.media_type, found.body) == ("image/png", PNG)  # type: ignore[attr-defined]
    with pytest.raises(NotAllowedError):
        read("dispute", town.add_login("far", "operator", "west"))
    assert town.value("SELECT count(*) FROM audit_record WHERE action = 'read_evidence'") == 1
    town.change(lambda c: purge(c, CLOCKS, NOW + 1097 * DAY))
    with pytest.raises(EvidenceErasedError):
        read("dispute")


@pytest.mark.parametrize("body", [b"", b"MZ program", b"GIF89a", b"%PDF-" + b"0" * BYTES_MAX])
def test_other_files_are_no_evidence(town: Town, body: bytes) -> None:
    with pytest.raises(EvidenceFormError):
        town.change(
            lambda c: add_evidence(
                c, town.master_key, "east", "damage", None, body, actor=town.admin, now=NOW
            )
        )


def test_a_person_gets_everything_that_is_held_and_no_secret(town: Town) -> None:
    person_id = town.resident()
    store(town, record(person_id, NOW))
    town.change(
        lambda c: add_evidence(
            c, town.master_key, "east", "consent", person_id, PNG, actor=town.admin, now=NOW
        )
    )
    with pytest.raises(PurposeNeededError):
        town.change(lambda c: person_file(c, town.master_key, person_id, actor=town.admin, now=NOW))
    body = town.change(
        lambda c: person_file(c, town.master_key, person_id, actor=town.admin, now=NOW, purpose="proof")
    )
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        held = json.loads(archive.read("person.json"))
        page = archive.read("person.html").decode()
        files = [name for name in archive.namelist() if name.startswith("evidence/")]
        assert archive.read(files[0]) == PNG
    assert {"person", "household_member", "tenancy", "door_right", "card", "consent", "access_record"} <= set(
        held
    )
    assert {row["person_id"] for row in held["access_record"]} == {str(person_id)}
    assert "某chen" in page
    assert town.value("SELECT hmac FROM card") not in json.dumps(held)
    with pytest.raises(NotAllowedError):
        town.change(
            lambda c: person_file(
                c, town.master_key, person_id, actor=town.add_login("far", "operator", "west"), now=NOW
            )
        )


LINK = """
INSERT INTO pay_link (link_id, token_hash, estate_id, household_id, principal_id, amount_fen, created_at,
    expires_at)
SELECT gen_random_uuid(), sha256('x'), 'east', household_id, :who, 100, now(), now() + interval '1 day'
FROM household
"""


def test_nothing_of_another_person_is_in_a_persons_file(town: Town) -> None:
    guardian = {"given": True, "channel": "counter", "guardian": "chen"}
    home = household(
        "h1",
        "east",
        "0101",
        member("chen", name="陈甲某"),
        member("li", name="李乙某", kind="co-resident", cards=["card-li"]),
        member("kid", name="陈丙某", kind="child", born_on="2020-05-05", cards=[], face_consent=guardian),
    )
    ids = town.run_import(home).ids
    who = town.add_login("li-login", "tenant", None).principal_id
    town.change(lambda c: c.execute(text(LINK), {"who": who}))
    files = {}
    for ref in ("chen", "li", "kid"):
        body = town.change(
            lambda c, ref=ref: person_file(
                c, town.master_key, ids[ref], actor=town.admin, now=NOW, purpose="person_request"
            )
        )
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            files[ref] = archive.read("person.json").decode() + archive.read("person.html").decode()
            assert archive.read("person.pdf").startswith(b"%PDF-1.")
    names = {"chen": "陈甲某", "li": "李乙某", "kid": "陈丙某"}
    for ref, content in files.items():
        assert names[ref] in content
        assert "386.40 元" in content
        for other in set(names) - {ref}:
            assert names[other] not in content
            assert str(ids[other]) not in content
        assert str(who) not in content
        assert "somebody else" in content
