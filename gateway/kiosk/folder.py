"""Enrolment of many people from a folder, with a report; it may be stopped and started again."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway.enrolment import PHOTOS_MAX, Enrolled, Refused
from gateway.matching.photo import BYTES_MAX

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
HEADINGS = ("人员 person", "结果 outcome", "照片数 photographs", "原因 reasons")


class FolderError(ValueError):
    """A folder that is not laid out for enrolment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            f"{folder} 中没有可登记的人：每人一个以人员编号命名的子文件夹，内放一至五张 JPEG 或 PNG 照片  |  "
            f"Nobody to enrol in {folder}: it needs a folder for each person, named by the person's id, with "
            "one to five photographs in it, JPEG or PNG"
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody to be enrolled, and the photographs' files."""

    person_id: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One person's line in the report."""

    person_id: str
    outcome: str
    photos: int
    reasons: str

    @property
    def enrolled(self) -> bool:
        """Whether the face is in the vault now, from this run or an earlier one."""
        return self.outcome in ("enrolled", "enrolled already")


def candidates(folder: Path) -> list[Candidate]:
    """Everybody in a folder, in the order of their ids.

    Raises:
        FolderError: it holds nobody.
    """
    found = []
    for own in sorted(folder.iterdir()):
        if not own.is_dir() or own.name.startswith("."):
            continue
        files = [file for file in sorted(own.iterdir()) if file.suffix.lower() in SUFFIXES]
        found.append(Candidate(own.name, tuple(files)))
    if not found:
        raise FolderError(folder)
    return found


def enrol_folder(
    people: Sequence[Candidate],
    enrol: Callable[[str, list[bytes]], Enrolled | Refused],
    already: frozenset[str],
    at_once: int,
) -> Iterator[Row]:
    """Enrol them, several at a time; each one's row as it is known, in the order of `people`.

    Args:
        people: of one estate.
        enrol: of person and photographs.
        already: who is enrolled and is left alone, so that a run can be taken up again.
        at_once: how many at the same time.
    """

    def one(candidate: Candidate) -> Row:
        if candidate.person_id in already:
            return Row(candidate.person_id, "enrolled already", 0, "")
        try:
            photos = [_read(path) for path in candidate.files[: PHOTOS_MAX + 1]]
        except OSError as error:
            return Row(candidate.person_id, "unreadable", 0, f"{error.strerror}: {error.filename}")
        outcome = enrol(candidate.person_id, photos)
        if isinstance(outcome, Refused):
            said = "; ".join(str(reason) for reason in outcome.reasons)
            return Row(candidate.person_id, "refused", len(photos), said)
        return Row(candidate.person_id, "enrolled", outcome.photos, "")

    with ThreadPoolExecutor(at_once) as threads:
        yield from threads.map(one, people)


def write_report(rows: Sequence[Row], file: IO[str]) -> None:
    """The report as CSV that Excel opens."""
    writer = csv.writer(file)
    writer.writerow(HEADINGS)
    writer.writerows((row.person_id, row.outcome, row.photos, row.reasons) for row in rows)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        # A larger one is refused by its size; there is no need to have all of it for that.
        return file.read(BYTES_MAX + 1)
