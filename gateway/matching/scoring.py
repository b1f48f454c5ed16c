"""The one rule by which doors, enrolment and the evaluation compare a face with a gallery.

A probe's distance to the nearest person says little by itself: a blurred face is far from everyone, a
common one is near to many. So the distance is judged beside those of the next nearest people: the score
is half the mean distance of the second to fourth person, less the distance of the first. The scores of
strangers then hardly rise with the size of the gallery, and people who are enrolled stand out.
`docs/faces.md` has the measurements and the rules it was compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.matching.templates import Floats

NEIGHBOURS = 3
NEIGHBOUR_WEIGHT = 0.5
# A neighbour farther than this says nothing more: in a small gallery the next nearest are just anybody.
# It also stands for a neighbour that a gallery of fewer than four people does not have.
NEIGHBOUR_DISTANCE_MAX = 0.42

# A product of more cells than this (32 MB) is made in parts: the box has little memory.
_CELLS_MAX = 8_000_000

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ranking:
    """For each of B probes, the nearest person and how far the next ones are.

    Attributes:
        best: int, shape (B,), row of the nearest person in the gallery.
        distances: float32, shape (B, 4), chord distance (0 same direction, 2 opposite) of the nearest four,
            ascending; 2 where the gallery has nobody left.
    """

    best: Rows
    distances: Floats

    def scores(self) -> Floats:
        """Shape (B,): the score of the best person."""
        return score(self.distances[:, 0], self.distances[:, 1:])

    def margins(self) -> Floats:
        """Shape (B,): how much farther the second person is than the best one, which is also how much
        lower they would score."""
        return self.distances[:, 1] - self.distances[:, 0]


def score(distance: Floats, neighbours: Floats) -> Floats:
    """The comparison score at `distance` (B,) beside `neighbours` (B, 3); higher is more alike."""
    beside = np.minimum(neighbours, NEIGHBOUR_DISTANCE_MAX).mean(axis=1)
    scores: Floats = (NEIGHBOUR_WEIGHT * beside - distance).astype(np.float32)
    return scores


def rank(
    probes: Floats, gallery: Floats, exclude: Rows | None = None, allowed: Sequence[Mask | None] = ()
) -> Ranking:
    """Compare probes with every person of a gallery, in one product.

    Args:
        probes: float32 unit vectors, shape (B, dimension).
        gallery: float32 unit vectors, shape (N, dimension), N at least 1, one row a person.
        exclude: shape (B,), for each probe a row of the gallery to leave out, so that somebody
            enrolled can be asked as if they were a stranger.
        allowed: B masks, shape (N,) each, of the only people that probe is compared with; None or nothing
            means everybody. Probes at one door share one mask, which then costs little.
    """
    who, likeness, _ = _nearest(probes, gallery, exclude, None, allowed)
    return Ranking(who[:, 0], _chords(likeness))


def scores_of_named(probes: Floats, gallery: Floats, named: Rows, exclude: Rows | None = None) -> Floats:
    """The scores of named people for each probe, each beside the nearest of the others.

    Args:
        probes: float32 unit vectors, shape (B, dimension).
        gallery: as for `rank`.
        named: shape (B, k), the rows of the people each probe is said to be, one after the other.
        exclude: as for `rank`; none of the named.
    Returns:
        float32, shape (B, k).
    """
    who, likeness, claimed = _nearest(probes, gallery, exclude, named)
    columns = []
    for column in range(named.shape[1]):
        others = np.where(who == named[:, column, None], -np.inf, likeness)
        beside = _chords(-np.sort(-others, axis=1)[:, :NEIGHBOURS])
        columns.append(score(_chords(claimed[:, column]), beside))
    return np.stack(columns, axis=1)


def chord(first: Floats, second: Floats) -> float:
    """Distance between two unit vectors: 0 the same direction, about 0.57 two people, 2 opposite."""
    return float(np.sqrt(max(0.0, 2.0 - 2.0 * float(first @ second))))


def _nearest(
    probes: Floats,
    gallery: Floats,
    exclude: Rows | None,
    named: Rows | None,
    allowed: Sequence[Mask | None] = (),
) -> tuple[Rows, Floats, Floats]:
    """Row and likeness of the nearest four, descending, shape (B, 4) each, and the likeness of the named."""
    count, people = len(probes), len(gallery)
    places = 1 + NEIGHBOURS
    who = np.full((count, places), -1, np.intp)
    likeness = np.full((count, places), -np.inf, np.float32)
    claimed = np.empty((count, 0 if named is None else named.shape[1]), np.float32)
    step = max(1, _CELLS_MAX // people)
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        product = probes[part] @ gallery.T
        rows = np.arange(len(product))
        if named is not None:
            claimed[part] = np.take_along_axis(product, named[part], axis=1)
        if exclude is not None:
            product[rows, exclude[part]] = -np.inf
        for row, mask in zip(rows, allowed[part], strict=False):
            if mask is not None:
                np.copyto(product[row], -np.inf, where=~mask)
        # A few passes of argmax are many times cheaper than partitioning a row of 100,000.
        for place in range(min(places, people)):
            top = product.argmax(axis=1)
            who[part, place] = top
            likeness[part, place] = product[rows, top]
            product[rows, top] = -np.inf
    return who, likeness, claimed


def _chords(likeness: Floats) -> Floats:
    """Cosines to distances; somebody who is not there is as far as can be."""
    distances: Floats = np.sqrt(2.0 - 2.0 * np.clip(likeness, -1.0, 1.0), dtype=np.float32)
    return distances
