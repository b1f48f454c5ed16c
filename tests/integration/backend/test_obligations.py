"""Assessments in date, the count of faces, and when filing is due."""

from __future__ import annotations

import io
import json
import tomllib
import zipfile
from datetime import date, timedelta

import openpyxl
import pytest
from sqlalchemy import text

from backend.registry.errors import AssessmentNeededError
from backend.registry.estates import load_estates
from backend.registry.estates_file import check_estates
from backend.retention.obligations import (
    Filing,
    count_faces,
    filing_due_on,
    filing_pack,
    switch_off_unassessed,
)
from backend.retention.settings import RetentionSettings
from estate.config import SettingsError
from tests.integration.backend.conftest import ESTATE, NOW, Town


@pytest.mark.parametrize("assessed_on", ["2023-06-01", "2026-06-02"])
def test_faces_stay_off_without_an_assessment_in_date(town: Town, assessed_on: str) -> None:
    file = check_estates(tomllib.loads(ESTATE.format(id="south").replace("2026-01-01", assessed_on)), "test")
    with pytest.raises(AssessmentNeededError) as refused:
        town.change(lambda c: load_estates(c, file, town.master_key, actor="system:test", now=NOW))
    assert "影响评估" in refused.value.zh
    assert town.value("SELECT count(*) FROM estate WHERE estate_id = 'south'") == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [(", assessed_on = 2026-01-01", "", "影响评估"), ('["face", "card"]', '["face"]', "不得只有人脸")],
)
def test_an_estate_without_assessment_and_a_face_only_door_are_refused_with_their_sentence(
    old: str, new: str, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        check_estates(tomllib.loads(ESTATE.format(id="south").replace(old, new)), "test")


def test_faces_are_switched_off_when_the_assessment_runs_out(town: Town) -> None:
    assert town.value("SELECT count(*) FROM impact_assessment") == 2
    assert town.change(lambda c: switch_off_unassessed(c, NOW)) == []
    later = NOW + timedelta(days=950)
    assert town.change(lambda c: switch_off_unassessed(c, later)) == ["east", "west"]
    assert town.change(lambda c: switch_off_unassessed(c, later)) == []
    told = town.rows("SELECT doc ->> 'faces' FROM roster_item WHERE kind = 'estate'")
    assert told == [("false",), ("false",)]


def seed(town: Town, persons: int) -> None:
    """People with a live consent, by bare SQL."""
    actor = town.admin.principal_id
    town.change(
        lambda c: c.execute(
            text("""
            WITH added AS (
                INSERT INTO person (person_id, estate_id, ref, name, born_on, created_at)
                SELECT gen_random_uuid(), 'east', 's' || n, '某', '1980-01-01', now()
                FROM generate_series((SELECT count(*) FROM person) + 1, :persons) AS n RETURNING person_id
            )
            INSERT INTO consent
                (consent_id, person_id, purpose, notice_version, channel, recorded_by, given_at)
            SELECT gen_random_uuid(), person_id, 'open_doors', 1, 'counter', :actor, now() FROM added
            """),
            {"persons": persons, "actor": actor},
        )
    )


def test_the_count_warns_at_eighty_thousand_and_filing_is_due_thirty_working_days_after_a_hundred(
    town: Town,
) -> None:
    seed(town, 79_999)
    assert town.change(lambda c: count_faces(c, NOW)) == Filing(79_999, "none", None, None)
    seed(town, 80_000)
    assert town.change(lambda c: count_faces(c, NOW)).state == "warning"
    seed(town, 100_000)
    # On 25 September 2026, before the Mid-Autumn and National Day holidays.
    reached = NOW.replace(month=9, day=24)
    stands = town.change(lambda c: count_faces(c, reached))
    assert stands == Filing(100_000, "due", date(2026, 9, 24), filing_due_on(date(2026, 9, 24)))
    # Fewer people later do not take the duty away.
    assert town.change(lambda c: count_faces(c, reached)).reached_on == date(2026, 9, 24)


def test_the_filing_pack_holds_figures_and_no_person(town: Town) -> None:
    town.resident()
    town.change(lambda c: count_faces(c, NOW))
    body = town.change(lambda c: filing_pack(c, RetentionSettings(), "principal:x", NOW))
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        facts = json.loads(archive.read("filing.json"))
        book = openpyxl.load_workbook(io.BytesIO(archive.read("filing.xlsx")))
    assert [(one["estate"], one["persons"]) for one in facts["estates"]] == [("east", 1), ("west", 0)]
    assert facts["filing"]["persons"] == 1
    assert facts["notices"][0]["handler"] == "示例中心"
    assert book.sheetnames == ["小区", "保存期限"]
    assert "某chen" not in json.dumps(facts, ensure_ascii=False)
