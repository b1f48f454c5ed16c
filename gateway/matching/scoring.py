"""The one rule by which doors, enrolment and the evaluation compare a face with a gallery.

A probe's distance to the nearest person says little by itself: a blurred face is far from everyone, a
common one is near to many. So the distance is judged beside those of the next nearest people: the score
is half the mean distance of the second to fourth person, less the distance of the first. The scores of
strangers then hardly rise with the size of the gallery, and people who are enrolled stand out.
`docs/faces.md` has the measurements and the rules it was compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.matching.templates import Floats

NEIGHBOURS = 3
NEIGHBOUR_WEIGHT = 0.5
# A neighbour farther than this says nothing more: in a small gallery the next nearest are just anybody.
# It also stands for a neighbour that a gallery of fewer than four people does not have.
NEIGHBOUR_DISTANCE_MAX = 0.42


@dataclass(frozen=True, slots=True)
class Ranking:
    """For each of B probes, the nearest person and how far the next ones are.

    Attributes:
        best: int, shape (B,), row of the nearest person in the gallery.
        distances: float32, shape (B, 4), chord distance (0 same direction, 2 opposite) of the nearest four,
            ascending; 2 where the gallery has nobody left.
    """

    best: npt.NDArray[np.intp]
    distances: Floats

    def scores(self) -> Floats:
        """Shape (B,): the score of the best person."""
        return score(self.distances[:, 0], self.distances[:, 1:])

    def runner_up_scores(self) -> Floats:
        """Shape (B,): the second person's distance put in the place of the best one's."""
        return score(self.distances[:, 1], self.distances[:, 1:])

    def margins(self) -> Floats:
        """Shape (B,): how much farther the second person is than the best one."""
        return self.distances[:, 1] - self.distances[:, 0]


def scores_of_named(
    probes: Floats,
    gallery: Floats,
    named: npt.NDArray[np.intp],
    exclude: npt.NDArray[np.intp] | None = None,
) -> Floats:
    """The score of one named person for each probe, beside the nearest of the others.

    Args:
        probes: float32 unit vectors, shape (B, dimension).
        gallery: as for `rank`.
        named: shape (B,), the row of the person each probe is said to be.
        exclude: as for `rank`.
    """
    likeness = probes @ gallery.T
    rows = np.arange(len(probes))
    if exclude is not None:
        likeness[rows, exclude] = -np.inf
    own = _chords(likeness[rows, named][:, None])
    likeness[rows, named] = -np.inf
    return score(own[:, 0], _chords(_take_nearest(likeness, NEIGHBOURS)[1]))


def score(distance: Floats, neighbours: Floats) -> Floats:
    """The comparison score at `distance` (B,) beside `neighbours` (B, 3); higher is more alike."""
    beside = np.minimum(neighbours, NEIGHBOUR_DISTANCE_MAX).mean(axis=1)
    scores: Floats = (NEIGHBOUR_WEIGHT * beside - distance).astype(np.float32)
    return scores


def rank(probes: Floats, gallery: Floats, exclude: npt.NDArray[np.intp] | None = None) -> Ranking:
    """Compare probes with every person of a gallery, in one product.

    Args:
        probes: float32 unit vectors, shape (B, dimension).
        gallery: float32 unit vectors, shape (N, dimension), N at least 1, one row a person.
        exclude: shape (B,), for each probe a row of the gallery to leave out, so that somebody
            enrolled can be asked as if they were a stranger.
    """
    likeness = probes @ gallery.T
    rows = np.arange(len(probes))
    if exclude is not None:
        likeness[rows, exclude] = -np.inf
    best, nearest = _take_nearest(likeness, 1 + NEIGHBOURS)
    return Ranking(best, _chords(nearest))


def chord(first: Floats, second: Floats) -> float:
    """Distance between two unit vectors: 0 the same direction, about 0.57 two people, 2 opposite."""
    return float(np.sqrt(max(0.0, 2.0 - 2.0 * float(first @ second))))


def _take_nearest(likeness: Floats, places: int) -> tuple[npt.NDArray[np.intp], Floats]:
    """The nearest row of each line and the `places` highest values, descending; `likeness` is used up."""
    rows = np.arange(len(likeness))
    nearest = np.full((len(likeness), places), -np.inf, np.float32)
    best = top = likeness.argmax(axis=1)
    # A few passes of argmax are many times cheaper than partitioning a row of 100,000.
    for place in range(min(places, likeness.shape[1])):
        if place:
            top = likeness.argmax(axis=1)
        nearest[:, place] = likeness[rows, top]
        likeness[rows, top] = -np.inf
    return best, nearest


def _chords(likeness: Floats) -> Floats:
    """Cosines to distances; somebody who is not there is as far as can be."""
    distances: Floats = np.sqrt(2.0 - 2.0 * np.clip(likeness, -1.0, 1.0), dtype=np.float32)
    return distances
