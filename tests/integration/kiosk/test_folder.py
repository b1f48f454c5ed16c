"""Enrolment of a folder: the report, being stopped and taken up again, and what is wrong with a folder."""

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from estate.processes import StartFailedError
from gateway.commands import gateway
from simulators.photos import DemoPhotos, photos
from tests.integration.kiosk.conftest import CONSENTS, Box


@pytest.fixture(scope="module")
def people() -> DemoPhotos:
    return photos()


def lay_out(folder: Path, **files: list[bytes]) -> Path:
    for person, pictures in files.items():
        (folder / person).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures):
            (folder / person / f"{number}.JPG").write_bytes(picture)
    return folder


def run(box: Box, folder: Path, report: Path, *more: str) -> Result:
    words = ["enrol-folder", "--config", str(box.config), "--estate", "e1"]
    words += ["--folder", str(folder), "--report", str(report), *more]
    return CliRunner().invoke(gateway, words)


def rows(report: Path) -> dict[str, list[str]]:
    with report.open(encoding="utf-8-sig", newline="") as file:
        return {row[0]: row[1:] for row in list(csv.reader(file))[1:]}


def test_everybody_in_a_folder_is_enrolled_or_has_a_reason(
    box: Box, people: DemoPhotos, tmp_path: Path
) -> None:
    box.roster(ann=CONSENTS, bob=CONSENTS, carl=CONSENTS, dora={})
    ann = [path.read_bytes() for path in people.a[:3]]
    folder = lay_out(
        tmp_path / "in",
        ann=ann,
        bob=[people.b.read_bytes()],
        carl=[b"no photograph"],
        dora=[people.b.read_bytes()],
        nobody=[people.b.read_bytes()],
        empty=[],
    )
    (folder / "readme.txt").write_text("not a person")
    report = tmp_path / "report.csv"
    result = run(box, folder, report)
    assert result.exit_code == 1
    assert "6 people: 2 enrolled, 4 not" in result.output
    found = rows(report)
    assert found["ann"] == ["enrolled", "3", ""]
    assert found["bob"][:2] == ["enrolled", "1"]
    assert "photograph 1" in found["carl"][2]
    assert "consent" in found["dora"][2]
    assert "roster" in found["nobody"][2]
    assert found["empty"][0] == "refused"
    assert box.enrolled() == {"ann", "bob"}
    # What was wrong is put right, and the rest is left as it is.
    lay_out(folder, carl=[people.c.read_bytes()])
    for person in ("dora", "nobody", "empty"):
        for file in (folder / person).iterdir():
            file.unlink()
        (folder / person).rmdir()
    again = run(box, folder, report)
    assert again.exit_code == 0, again.output
    assert [row[0] for row in rows(report).values()] == ["enrolled already", "enrolled already", "enrolled"]


def test_a_face_that_comes_twice_is_a_case_for_a_human_and_no_log_line_is_in_the_output(
    box: Box, people: DemoPhotos, tmp_path: Path
) -> None:
    box.roster(ann=CONSENTS, eve=CONSENTS)
    views = [path.read_bytes() for path in people.a[:3]]
    result = run(
        box, lay_out(tmp_path / "in", ann=views, eve=views), tmp_path / "report.csv", "--workers", "1"
    )
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert "2 people: 1 enrolled, 1 not" in result.stdout
    [refused] = [row for row in rows(tmp_path / "report.csv").values() if row[0] == "refused"]
    assert "Case number" in refused[2]


def test_an_empty_folder_is_told_how_it_should_look(box: Box, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    words = ["--estate", "e1", "--folder", str(tmp_path / "in"), "--report", str(tmp_path / "r.csv")]
    with pytest.raises(StartFailedError, match="folder for each person"):
        CliRunner().invoke(
            gateway, ["enrol-folder", "--config", str(box.config), *words], catch_exceptions=False
        )
