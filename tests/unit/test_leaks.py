"""A search that finds nothing proves something only if it finds what was planted, however it was written."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.leaks import JPEG_START, Marks, files_with, template_writings, writings

CHANCE = random.Random(11)
IMAGE = bytes(CHANCE.randrange(256) for _ in range(5000))
TEMPLATE = np.array([CHANCE.uniform(-0.3, 0.3) for _ in range(128)])
OTHER = np.array([CHANCE.uniform(-0.3, 0.3) for _ in range(128)])
ORDINARY = "".join(
    f"2026-06-01 08:00:00.{n * 7919 % 10**6:06d}+08\t0.{n * 104729 % 10**6:06d}\n" for n in range(20000)
)
MEGABYTES = 30
CARELESS = """
import numpy as np
from tests.known_faces import plant_template

def test_prints(tmp_path):
    face = np.linspace(-0.31, 0.29, 128)
    plant_template("a face of this test", face)
    print(face.astype("f4").tobytes().hex())
    (tmp_path / "door.log").write_text(str(face.tolist()))
"""


@pytest.fixture(scope="module")
def marks() -> Marks:
    made = Marks()
    made.plant_image("picture", IMAGE)
    made.plant_template("template", TEMPLATE)
    made.plant_any_jpeg()
    return made


@pytest.mark.parametrize("way", writings(IMAGE))
def test_a_planted_picture_is_found_however_it_is_written(marks: Marks, way: str) -> None:
    found = marks.found_in(ORDINARY.encode() + writings(IMAGE)[way] + ORDINARY.encode())
    assert found
    assert all(name.startswith("picture") for name in found)


@pytest.mark.parametrize("way", template_writings(TEMPLATE))
def test_a_planted_template_is_found_however_it_is_written(marks: Marks, way: str) -> None:
    assert marks.found_in(ORDINARY.encode() + template_writings(TEMPLATE)[way])
    assert marks.found_in(template_writings(TEMPLATE / np.linalg.norm(TEMPLATE))[way])


@pytest.mark.parametrize("way", template_writings(OTHER))
def test_nobodys_template_and_ordinary_rows_are_not_taken_for_one(marks: Marks, way: str) -> None:
    assert marks.found_in(ORDINARY.encode() + template_writings(OTHER)[way]) == []


@pytest.mark.parametrize("way", ["raw", "hex", "base64", "base64, one later", "base64, two later", "packed"])
def test_any_jpeg_is_found(marks: Marks, way: str) -> None:
    assert any("JPEG" in name for name in marks.found_in(writings(JPEG_START + bytes(900))[way]))


def test_the_padding_of_a_picture_is_no_mark() -> None:
    marks = Marks()
    marks.plant_image("picture", bytes(3000) + b" " * 3000 + IMAGE)
    assert marks.found_in(bytes(500) + b" " * 500) == []
    assert marks.found_in(IMAGE)


def test_a_mark_across_the_border_of_two_pieces_is_found(marks: Marks) -> None:
    assert marks.found_in(bytes((1 << 22) - 300) + IMAGE)


def test_logs_and_what_was_sent_are_searched_and_other_files_are_not(marks: Marks, tmp_path: Path) -> None:
    for name in ("gateway.log", "gateway-1.sent", "vault.db"):
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / name).write_bytes(IMAGE)
    found = files_with(marks, tmp_path, frozenset({".log", ".sent"}))
    assert {one.split(": ")[0].rsplit("/")[-1] for one in found} == {"gateway.log", "gateway-1.sent"}


def test_a_run_that_prints_or_logs_a_face_fails(tmp_path: Path) -> None:
    (tmp_path / "test_careless.py").write_text(CARELESS)
    command = [sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", "-p", "tests.conftest"]
    command += ["-p", "no:cacheprovider", "--basetemp", str(tmp_path / "base"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed, 1 error" in done.stdout
    assert "test_prints: a face of this test f4 hex" in done.stdout
    assert "door.log: a face of this test decimal" in done.stdout


def test_thirty_megabytes_are_searched(marks: Marks) -> None:
    content = ORDINARY.encode() * (MEGABYTES * 1_000_000 // len(ORDINARY))
    began_s = time.perf_counter()
    assert marks.found_in(content) == []
    print(f"{MEGABYTES} MB in {time.perf_counter() - began_s:.2f} s")
