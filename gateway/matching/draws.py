"""Labelled templates, and galleries drawn from them: who is enrolled, who comes back, who is a stranger."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from gateway.matching.calibration import STRANGERS_MIN
from gateway.matching.templates import DLIB_ENCODER, Floats, unit_rows

FOLDS = 5
# Of the people with photographs enough, so many are enrolled and come back; the others stay outside.
ENROLLED_SHARE = 2 / 3
# Nobody's habit may weigh more than this many passages in one draw.
TRACKS_MAX = 3
# Below these nothing is measured; the intervals say how little such few people tell.
PROBES_MIN = 5
# Four of five folds must have strangers enough to calibrate with, however the folds fall.
OUTSIDE_MIN = 4 * STRANGERS_MIN

Indices = npt.NDArray[np.intp]


class TemplatesFileError(ValueError):
    """A file that is not labelled templates."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(
            f"模板文件 {path} 无法使用：{reason}  |  The templates file {path} cannot be used: {reason}"
        )


class GallerySizeError(ValueError):
    """A gallery of this size does not fit the people there are."""

    def __init__(self, size: int, photos: int, frames: int, largest: int) -> None:
        self.size, self.photos, self.frames, self.largest = size, photos, frames, largest
        rest = (
            f"最大可用 {largest} 人  |  a gallery of {size} with {photos} photographs and {frames} frames "
            f"does not fit; the largest that does is {largest}"
            if largest
            else f"人数不足，任何规模都不够  |  too few people for any gallery with {photos} photographs and "
            f"{frames} frames"
        )
        super().__init__(f"{photos} 张照片、{frames} 帧时，库规模 {size} 不可用：{rest}")


@dataclass(frozen=True, slots=True)
class Labelled:
    """Templates of known people.

    Attributes:
        templates: float32 as encoded, shape (n, dimension).
        units: the same as unit vectors.
        rows: for each person, the rows that are theirs.
    """

    templates: Floats = field(repr=False)
    units: Floats = field(repr=False)
    rows: tuple[Indices, ...] = field(repr=False)

    @property
    def counts(self) -> Indices:
        """How many rows each person has."""
        return np.array([len(rows) for rows in self.rows], np.intp)

    def require(self, size: int, photos: int, frames: int) -> None:
        """Check that a gallery of this size fits.

        Raises:
            GallerySizeError: it does not; says which is the largest that does.
        """
        largest = largest_size(self, photos, frames)
        if not 1 <= size <= largest:
            raise GallerySizeError(size, photos, frames, largest)


def read_labelled(path: Path) -> Labelled:
    """Read an .npz with `templates` (N, dimension) and `persons` (N,).

    Raises:
        TemplatesFileError: unreadable, or the arrays are missing or do not fit each other.
    """
    try:
        # Opened here: numpy leaves a broken file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            templates, persons = np.asarray(arrays["templates"]), np.asarray(arrays["persons"])
    except KeyError as error:
        raise TemplatesFileError(path, f"缺少数组 (array missing): {error.args[0]}") from error
    except (OSError, ValueError, TypeError, BadZipFile, EOFError) as error:
        raise TemplatesFileError(path, f"不是 .npz 文件 (not an .npz file): {error}") from error
    if templates.ndim != 2 or persons.ndim != 1 or len(templates) != len(persons) or len(persons) == 0:
        raise TemplatesFileError(
            path, f"形状不符 (shapes do not fit): templates {templates.shape}, persons {persons.shape}"
        )
    if templates.dtype.kind not in "fiu":
        raise TemplatesFileError(path, f"模板不是数值 (templates are no numbers): {templates.dtype}")
    return label(templates.astype(np.float32), persons)


def encoder_of(path: Path) -> str:
    """What a file of labelled templates says it was made with; the default encoder where it says nothing."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return str(arrays["encoder"]) if "encoder" in arrays else DLIB_ENCODER


def label(templates: Floats, persons: npt.NDArray[np.generic]) -> Labelled:
    """Group rows by person.

    Raises:
        TemplateShapeError: a row that is no template.
    """
    _, index = np.unique(persons, return_inverse=True)
    order = np.argsort(index, kind="stable")
    rows = tuple(np.split(order, np.cumsum(np.bincount(index))[:-1]))
    return Labelled(templates, unit_rows(templates), rows)


def frames_of(templates: Floats, tracks: Tracks, alike: float) -> Floats:
    """The frames of each passage, float32 of shape (n, frames, dimension).

    Args:
        templates: the rows that the tracks name, as encoded or as unit vectors.
        tracks: the passages.
        alike: how far each frame is moved towards its passage's first, 0 not at all, 1 onto it. The rows
            are photographs of different days; frames of one passage are more alike.
    """
    frames: Floats = templates[tracks.frames]
    if alike:
        frames = frames + np.float32(alike) * (frames[:, :1] - frames)
    return frames


@dataclass(frozen=True, slots=True)
class Tracks:
    """Passages: for each its frames (row numbers), whose it is, and that person's fold."""

    frames: Indices  # (n, frames)
    persons: Indices  # (n,)
    folds: Indices  # (n,)


@dataclass(frozen=True, slots=True)
class Draw:
    """One gallery and who comes to its door.

    Attributes:
        enrolled: for each person of the gallery their number and the rows they are enrolled with.
        probes: passages of enrolled people, with rows they are not enrolled with.
        places: for each probe, its person's place in the gallery.
        strangers: passages of people who are not in the gallery.
    """

    enrolled: tuple[tuple[int, Indices], ...]
    probes: Tracks
    places: Indices
    strangers: Tracks


def draw(
    people: Labelled, size: int, photos: int, frames: int, random: np.random.Generator, folds: Indices
) -> Draw:
    """Fill a gallery of `size` people, and line up passages of them and of strangers.

    Only people with photos + frames rows come back as probes; the gallery is filled up with people of
    fewer rows, enrolled with what they have; strangers are people with at least `frames` rows who are
    left out of this gallery.

    Args:
        people: whom to draw from.
        size: people in the gallery.
        photos: rows a probe's person is enrolled with.
        frames: rows of a passage.
        random: the source of chance.
        folds: each person's fold, shape (persons,).
    Raises:
        GallerySizeError: it does not fit.
    """
    people.require(size, photos, frames)
    counts = people.counts
    shuffled = random.permutation(len(counts))
    able = shuffled[counts[shuffled] >= photos + frames]
    fewer = shuffled[counts[shuffled] < photos + frames]
    chosen = able[: min(_probe_people(counts, photos, frames)[0], size)]
    # Those who could not be strangers fill the gallery first: the others are needed outside.
    fewer = np.concatenate([fewer[counts[fewer] < frames], fewer[counts[fewer] >= frames]])
    fill = fewer[: size - len(chosen)]
    outside = np.concatenate([able[len(chosen) :], fewer[size - len(chosen) :]])
    outside = outside[counts[outside] >= frames]
    dealt = {int(person): random.permutation(people.rows[person]) for person in np.r_[chosen, fill, outside]}
    enrolled = tuple((int(person), dealt[int(person)][:photos]) for person in np.r_[chosen, fill])
    probes = _tracks({int(p): dealt[int(p)][photos:] for p in chosen}, frames, folds)
    place = {person: index for index, (person, _) in enumerate(enrolled)}
    return Draw(
        enrolled,
        probes,
        np.array([place[int(person)] for person in probes.persons], np.intp),
        _tracks({int(p): dealt[int(p)] for p in outside}, frames, folds),
    )


def largest_size(people: Labelled, photos: int, frames: int) -> int:
    """The largest gallery that leaves probes and strangers enough; 0 when none does."""
    counts = people.counts
    chosen, spare = _probe_people(counts, photos, frames)
    if chosen < PROBES_MIN:
        return 0
    # Everybody but the strangers that are needed.
    fewer = int((counts < photos + frames).sum())
    return chosen + fewer - max(0, OUTSIDE_MIN - spare)


def deal_folds(people: Labelled, random: np.random.Generator) -> Indices:
    """Give each person one of five folds, evenly."""
    return random.permutation(np.arange(len(people.rows)) % FOLDS)


def _probe_people(counts: Indices, photos: int, frames: int) -> tuple[int, int]:
    """How many people with photographs enough are enrolled at most, and how many of them stay outside."""
    able = int((counts >= photos + frames).sum())
    others = int(((counts < photos + frames) & (counts >= frames)).sum())
    chosen = max(0, min(int(able * ENROLLED_SHARE), able + others - OUTSIDE_MIN))
    return chosen, able - chosen


def _tracks(rows: dict[int, Indices], frames: int, folds: Indices) -> Tracks:
    made: list[Indices] = []
    persons: list[int] = []
    for person, own in rows.items():
        for track in range(min(TRACKS_MAX, len(own) // frames)):
            made.append(own[track * frames : (track + 1) * frames])
            persons.append(person)
    whose = np.array(persons, np.intp)
    return Tracks(np.array(made, np.intp).reshape(-1, frames), whose, folds[whose])
