"""Templates: what an encoder makes of a face, and how several of one person become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

DIMENSION = 128
# Name and dimension of the default encoder. It stands with every stored template; templates of
# different encoders never meet.
DLIB_ENCODER = "dlib-resnet-v1/5-points/128"


def dimension_of(encoder: str) -> int:
    """How many numbers its templates have; the encoder's name ends with it."""
    return int(encoder.rpartition("/")[2])


# Encoders give vectors of a length around 1; far beyond these there is no direction to compare.
SHORTEST, LONGEST = 1e-6, 1e6


class TemplateShapeError(ValueError):
    """Numbers that are no template: wrong shape, not finite, or without a direction."""

    def __init__(self, shape: tuple[int, ...], reason: str) -> None:
        self.shape, self.reason = shape, reason
        super().__init__(f"不是人脸模板：{reason}  |  not a face template, shape {shape}: {reason}")


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """What the vault holds of one person for one encoder.

    Attributes:
        person_id: opaque.
        template: float32, shape (dimension,), the fused unit vector that doors compare with.
        encoder: name and dimension of the encoder that made it.
        photos: how many photographs it was built from.
        views: float32, shape (photos, dimension), one unit vector a photograph.
    """

    person_id: str
    template: Floats = field(repr=False)
    encoder: str
    photos: int
    views: Floats = field(repr=False)


def stored_template(person_id: str, views: npt.ArrayLike, encoder: str) -> StoredTemplate:
    """Build a person's template from the encodings of their photographs, shape (photos, dimension)."""
    unit = unit_rows(views)
    return StoredTemplate(person_id, fuse(unit), encoder, len(unit), unit)


def stored_templates(people: Sequence[tuple[str, str, Floats]]) -> list[StoredTemplate]:
    """`stored_template` for many at once, as (person, encoder, views); the views are unit vectors already."""
    made: list[StoredTemplate] = []
    for dimension in {views.shape[1] for _, _, views in people}:
        own = [person for person in people if person[2].shape[1] == dimension]
        vectors, kept = fuse_tracks([views for _, _, views in own], dimension)
        for vector, index in zip(vectors, kept, strict=True):
            person_id, encoder, views = own[index]
            made.append(StoredTemplate(person_id, vector, encoder, len(views), views))
    return made


def unit_rows(vectors: npt.ArrayLike) -> Floats:
    """Bring each row to length 1, which removes the length that says more of the picture than of the face.

    Args:
        vectors: shape (n, dimension), or (dimension,) for one.
    Returns:
        float32, shape (n, dimension).
    Raises:
        TemplateShapeError: empty, not two-dimensional, not finite, or a row without a direction.
    """
    rows = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] == 0:
        raise TemplateShapeError(rows.shape, "应为 (n, 维数) (expected (n, dimension))")
    lengths = _lengths(rows)
    if not _usable(lengths).all():
        raise TemplateShapeError(rows.shape, "数值无效 (not finite, or of no sensible length)")
    return np.ascontiguousarray(rows / lengths[:, None], dtype=np.float32)


def fuse(vectors: npt.ArrayLike) -> Floats:
    """One unit vector for several pictures of one person: the direction of their mean.

    Args:
        vectors: shape (n, dimension), photographs of one person or frames of one passage.
    Returns:
        float32, shape (dimension,), length 1.
    Raises:
        TemplateShapeError: as `unit_rows`; also when opposite vectors cancel out.
    """
    rows = unit_rows(vectors)
    if len(rows) == 1:
        only: Floats = rows[0]
        return only
    mean: Floats = unit_rows(rows.mean(axis=0))[0]
    return mean


def fuse_tracks(tracks: Sequence[Floats], dimension: int) -> tuple[Floats, list[int]]:
    """`fuse` for several tracks at once; one that cannot be fused is left out, and hurts no neighbour.

    Args:
        tracks: each float32, shape (frames, dimension).
        dimension: what the gallery is made of.
    Returns:
        float32 of shape (usable, dimension), and the index in `tracks` of each row.
    """
    fitting = [
        index
        for index, frames in enumerate(tracks)
        if frames.ndim == 2 and frames.shape[1] == dimension and len(frames)
    ]
    if not fitting:
        return np.empty((0, dimension), np.float32), []
    rows = np.concatenate([tracks[index] for index in fitting], dtype=np.float32)
    lengths = _lengths(rows)
    usable = _usable(lengths)
    rows = _divided(rows, lengths, usable)
    if len(rows) > len(fitting):  # some have several frames
        starts = np.cumsum([0, *(len(tracks[index]) for index in fitting[:-1])])
        rows = np.add.reduceat(rows, starts, axis=0)
        lengths = _lengths(rows)
        usable = np.logical_and.reduceat(usable, starts) & _usable(lengths)
        rows = _divided(rows, lengths, usable)
    if not usable.all():
        rows = rows[usable]
        fitting = [index for index, good in zip(fitting, usable.tolist(), strict=True) if good]
    return rows, fitting


def _lengths(rows: Floats) -> Floats:
    lengths: Floats = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return lengths


def _divided(rows: Floats, lengths: Floats, usable: npt.NDArray[np.bool_]) -> Floats:
    divided: Floats = rows / np.where(usable, lengths, 1).astype(np.float32)[:, None]
    return divided


def _usable(lengths: Floats) -> npt.NDArray[np.bool_]:
    """Which rows have a direction; not a number and infinity compare as false."""
    return (lengths > SHORTEST) & (lengths < LONGEST)
