"""One store of evidence, over HTTP: handed in, listed, read for a purpose, refused, let go of."""

from __future__ import annotations

import hashlib
import io
import zipfile
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from backend.db.engine import connect, make_single_engine
from backend.db.guards import APP, OWNER
from backend.db.migrate import bootstrap, migrate
from backend.registry.keys import MasterKey, SealBrokenError
from backend.retention.evidence import NOT_WRAPPED, open_sealed, wrap_moved
from backend.retention.holds import place_hold
from backend.retention.purge import purge
from backend.retention.settings import RetentionSettings
from estate.embedded.postgres import EmbeddedPostgres
from tests.integration.backend.conftest import NOW, Town
from tests.integration.backend.test_login import csrf_token, log_in_by_form
from tests.integration.conftest import PASSWORDS

PAPER = b"%PDF-1.7 a signed paper of an invented person"
PICTURE = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00 a broken door"
DAY = timedelta(days=1)
CLOCKS = RetentionSettings()


def log_in(client: FlaskClient, town: Town, login: str, role: str, estate: str | None) -> None:
    town.add_login(login, role, estate)  # type: ignore[arg-type]
    assert log_in_by_form(client, login) == 303


def household_of(town: Town, person_id: UUID) -> UUID:
    found: UUID = town.value("SELECT household_id FROM household_member WHERE person_id = :p", p=person_id)
    return found


def hand_in(
    client: FlaskClient, household_id: UUID, person_id: UUID, body: bytes = PAPER, kind: str = "consent"
) -> int:
    form = {
        "csrf_token": csrf_token(client, "/people/"),
        "household": str(household_id),
        "person": str(person_id),
        "kind": kind,
        "file": (io.BytesIO(body), "scan.pdf"),
    }
    return client.post("/evidence/", data=form).status_code


def read(client: FlaskClient, evidence_id: UUID, purpose: str) -> tuple[int, bytes]:
    form = {"csrf_token": csrf_token(client, "/evidence/"), "purpose": purpose}
    answer = client.post(f"/evidence/{evidence_id}/read", data=form)
    return answer.status_code, answer.data


def kept(town: Town) -> UUID:
    found: UUID = town.value("SELECT evidence_id FROM evidence ORDER BY added_at DESC LIMIT 1")
    return found


def test_a_paper_is_handed_in_listed_and_read_for_a_purpose_and_each_look_is_audited(
    town: Town, client: FlaskClient
) -> None:
    person_id = town.resident()
    log_in(client, town, "desk", "operator", "east")
    assert hand_in(client, household_of(town, person_id), person_id) == 303
    page = client.get("/evidence/?kind=consent").get_data(as_text=True)
    assert "签字的同意书" in page
    assert 'data-evidence="consent"' in page
    assert 'data-evidence="consent"' not in client.get("/evidence/?kind=damage").get_data(as_text=True)
    assert read(client, kept(town), "")[0] in {400, 422}
    assert read(client, kept(town), "curiosity")[0] in {400, 422}
    assert read(client, kept(town), "proof") == (200, PAPER)
    looks = town.rows("SELECT reason, object_id FROM audit_record WHERE action = 'read_evidence'")
    assert [tuple(one) for one in looks] == [("proof", str(kept(town)))]
    assert PAPER.hex()[20:60] not in town.text_of("evidence")


def test_a_clerk_exports_a_members_file_for_a_purpose_and_of_nobody_else(
    town: Town, client: FlaskClient
) -> None:
    person_id, stranger = town.resident(), town.resident("wu", "west", "0101")
    log_in(client, town, "desk", "operator", "east")

    def export(of: UUID, purpose: str, home: UUID) -> TestResponse:
        form = {"csrf_token": csrf_token(client, "/people/"), "household": str(home), "person": str(of)}
        return client.post("/evidence/person", data=form | {"purpose": purpose})

    home = household_of(town, person_id)
    assert export(person_id, "", home).status_code in {400, 422}
    assert export(stranger, "person_request", home).status_code == 404
    assert export(stranger, "person_request", household_of(town, stranger)).status_code == 403
    given = export(person_id, "person_request", home)
    assert given.status_code == 200
    with zipfile.ZipFile(io.BytesIO(given.data)) as archive:
        assert {"person.json", "person.html", "person.pdf"} <= set(archive.namelist())
    looks = "SELECT reason, object_id FROM audit_record WHERE action = 'export_person' AND outcome = 'done'"
    assert [tuple(one) for one in town.rows(looks)] == [("person_request", str(person_id))]


@pytest.mark.parametrize(
    ("role", "estate"), [("operator", "west"), ("finance", "east"), ("supervisor", None), ("tenant", None)]
)
def test_another_desk_neither_sees_nor_reads_a_signed_paper(
    town: Town, client: FlaskClient, role: str, estate: str | None
) -> None:
    person_id = town.resident()
    log_in(client, town, "desk", "operator", "east")
    hand_in(client, household_of(town, person_id), person_id)
    client.post("/logout", data={"csrf_token": csrf_token(client, "/people/")})
    log_in(client, town, "other", role, estate)
    page = client.get("/evidence/")
    assert page.status_code == (200 if role in {"operator", "finance"} else 403)
    assert 'data-evidence="consent"' not in page.get_data(as_text=True)
    if page.status_code == 200:
        form = {"csrf_token": csrf_token(client, "/approvals"), "purpose": "proof"}
        assert client.post(f"/evidence/{kept(town)}/read", data=form).status_code == 403
        refused = "SELECT count(*) FROM audit_record WHERE action = 'read_evidence' AND outcome = 'refused'"
        assert town.value(refused) == 1


def test_what_is_no_evidence_is_refused_and_not_kept(town: Town, client: FlaskClient) -> None:
    person_id, stranger = town.resident(), town.resident("wu", "west", "0101")
    home = household_of(town, person_id)
    log_in(client, town, "desk", "operator", "east")
    assert hand_in(client, home, person_id, b"MZ a program") in {400, 422}
    assert hand_in(client, home, person_id, kind="dispute") == 404
    assert hand_in(client, home, stranger) == 404
    assert hand_in(client, household_of(town, stranger), stranger) == 403
    assert town.value("SELECT count(*) FROM evidence") == 0


def test_each_kind_has_its_clock_and_a_hold_or_a_live_consent_stops_it(
    town: Town, client: FlaskClient
) -> None:
    person_id, held = town.resident(), town.resident("wu", "east", "0102")
    log_in(client, town, "desk", "operator", "east")
    for who in (person_id, held):
        for kind in ("consent", "hand_over", "damage"):
            assert hand_in(client, household_of(town, who), who, PICTURE, kind) == 303
    town.change(lambda c: place_hold(c, held, "(2026) 1", actor="principal:x", now=NOW))
    assert "法律保留" in client.get("/evidence/").get_data(as_text=True)
    left = "SELECT count(*) FROM evidence WHERE kind = :kind AND sealed IS NOT NULL"

    def after(days: int) -> dict[str, tuple[int, int]]:
        cuts = town.change(
            lambda c: purge(c, CLOCKS, town.value("SELECT max(added_at) FROM evidence") + days * DAY)
        )
        return {one.name.removeprefix("evidence_"): (one.purged, one.held) for one in cuts}

    first = after(CLOCKS.evidence_hand_over + 1)
    # The consents are live: the papers that prove them stay, whatever their clock says.
    assert (first["consent"], first["hand_over"], first["damage"]) == ((0, 0), (1, 1), (0, 0))
    assert town.value(left, kind="consent") == 2
    assert after(CLOCKS.evidence_damage + 1)["damage"] == (1, 1)


def test_a_changed_row_does_not_open(town: Town, client: FlaskClient) -> None:
    person_id = town.resident()
    log_in(client, town, "desk", "operator", "east")
    hand_in(client, household_of(town, person_id), person_id)
    evidence_id = kept(town)
    town.change(
        lambda c: c.execute(
            text("UPDATE evidence SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1)")
        )
    )
    row = town.rows("SELECT wrapped_key, sealed FROM evidence")[0]
    with pytest.raises(SealBrokenError):
        open_sealed(town.master_key, evidence_id, bytes(row.wrapped_key), bytes(row.sealed))
    assert read(client, evidence_id, "proof")[0] >= 400


MONEY_FILE = """
INSERT INTO estate (estate_id, name_zh, name_en, district, faces_enabled, fpir, hmac_key_sealed, created_at)
VALUES ('east', '东', 'East', 'x', false, 0.003, '', now());
INSERT INTO principal (principal_id, login, display_name, created_at)
VALUES (%(by)s, 'clerk', 'clerk', now());
INSERT INTO money_evidence (evidence_id, estate_id, name_zh, media_type, sha256, body, principal_id, kept_at)
VALUES (%(id)s, 'east', '门板.jpg', 'image/jpeg', %(sha256)s, %(body)s, %(by)s, now())
"""


def test_files_of_the_former_store_move_in_sealed_and_their_keys_are_wrapped_later(
    postgres: EmbeddedPostgres,
) -> None:
    name, evidence_id, key = "one_store", uuid4(), MasterKey(bytes(range(32)))
    bootstrap(postgres.dsn(), name, PASSWORDS)
    owner_url = postgres.dsn(name, OWNER, PASSWORDS[OWNER])
    migrate(owner_url, "0010")
    values = {"id": evidence_id, "by": uuid4(), "body": PICTURE, "sha256": hashlib.sha256(PICTURE).digest()}
    with connect(postgres.dsn(name), autocommit=True) as connection:
        for statement in MONEY_FILE.split(";\n"):
            connection.execute(statement, values)
    migrate(owner_url)
    engine = make_single_engine(postgres.dsn(name, APP, PASSWORDS[APP]))
    with engine.begin() as connection:
        query = text("SELECT kind, wrapped_key, sealed, size_bytes FROM evidence")
        moved = connection.execute(query).one()
        assert (moved.kind, moved.size_bytes) == ("damage", len(PICTURE))
        assert bytes(moved.wrapped_key).startswith(NOT_WRAPPED)
        assert PICTURE[12:] not in bytes(moved.sealed)
        assert open_sealed(key, evidence_id, bytes(moved.wrapped_key), bytes(moved.sealed)) == PICTURE
        assert (wrap_moved(connection, key), wrap_moved(connection, key)) == (1, 0)
        wrapped = connection.execute(query).one()
        assert open_sealed(key, evidence_id, bytes(wrapped.wrapped_key), bytes(wrapped.sealed)) == PICTURE
        with pytest.raises(SealBrokenError):
            open_sealed(MasterKey(bytes(32)), evidence_id, bytes(wrapped.wrapped_key), bytes(wrapped.sealed))
    engine.dispose()
    with connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
