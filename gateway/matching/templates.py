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


def unit_rows(vectors: npt.ArrayLike) -> Floats:
    """Bring each row to length 1, which removes the length that says more of the picture than of the face.

    Args:
        vectors: shape (n, dimension), or (dimension,) for one.
    Returns:
        float32, shape (n, dimension).
    Raises:
        TemplateShapeError: empty, not two-dimensional, not finite, or a row of zeros.
    """
    rows = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] == 0:
        raise TemplateShapeError(rows.shape, "应为 (n, 维数) (expected (n, dimension))")
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    if not np.all(np.isfinite(lengths)) or lengths.min() < 1e-6:
        raise TemplateShapeError(rows.shape, "数值无效 (not finite, or zero)")
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
    """Fuse each track's frames; a track that cannot be fused is left out, so that it hurts no neighbour.

    Args:
        tracks: each float32, shape (frames, dimension).
        dimension: what the gallery is made of.
    Returns:
        float32 of shape (usable, dimension), and the index in `tracks` of each row.
    """
    fused: list[Floats] = []
    kept: list[int] = []
    for index, frames in enumerate(tracks):
        try:
            vector = fuse(frames)
        except TemplateShapeError:
            continue
        if vector.shape == (dimension,):
            fused.append(vector)
            kept.append(index)
    return (np.stack(fused) if fused else np.empty((0, dimension), np.float32)), kept
