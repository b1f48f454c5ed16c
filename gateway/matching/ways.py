"""Other ways of scoring, measured beside the doors' own so that the choice can be checked.

Each takes the same draws. Of the four folds that are not under test, two teach (cohort and covariances)
and two calibrate: a way that had seen the calibrating strangers before would set itself too lax a threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateway.matching.calibration import threshold_for
from gateway.matching.draws import FOLDS, Draw, Labelled, Tracks, deal_folds, draw
from gateway.matching.evaluate import enrolled, fused
from gateway.matching.scoring import NEIGHBOUR_DISTANCE_MAX, NEIGHBOUR_WEIGHT, NEIGHBOURS
from gateway.matching.templates import Floats, fuse

# Of a cohort, the nearest this many are taken for the mean and spread of impostors.
COHORT_TOP = 100


@dataclass(frozen=True, slots=True)
class Side:
    """What a way may look at.

    Attributes:
        gallery: float32 (N, dimension), each person's photographs fused.
        photographs: float32 (P, dimension), all of them, and `owners` (P,) whose each is.
        photos: (N,) how many photographs each person has.
        cohort: float32 (C, dimension), people of the teaching folds who are not in the gallery, fused.
        training: float32 rows of people of the teaching folds and `training_persons` whose each is.
    """

    gallery: Floats
    photographs: Floats
    owners: npt.NDArray[np.intp]
    photos: npt.NDArray[np.intp]
    cohort: Floats
    training: Floats
    training_persons: npt.NDArray[np.intp]


Way = Callable[[Side, Floats, int], Floats]  # side, probes (B, dimension), frames -> scores (B, N)


def nearest_photograph(side: Side, probes: Floats, frames: int) -> Floats:  # noqa: ARG001
    """The nearest single photograph of each person."""
    likeness = probes @ side.photographs.T
    starts = np.flatnonzero(np.r_[True, side.owners[1:] != side.owners[:-1]])
    return _less_chord(np.maximum.reduceat(likeness, starts, axis=1))


def mean_of_photographs(side: Side, probes: Floats, frames: int) -> Floats:  # noqa: ARG001
    """Distance to each person's fused photographs."""
    return _less_chord(probes @ side.gallery.T)


def z_norm(side: Side, probes: Floats, frames: int) -> Floats:
    """That distance in standard deviations of how near the cohort comes to each person (Z-norm)."""
    mean, spread = _top_moments(_less_chord(side.gallery @ side.cohort.T))
    scores: Floats = (mean_of_photographs(side, probes, frames) - mean) / spread
    return scores


def s_norm(side: Side, probes: Floats, frames: int) -> Floats:
    """The mean of Z-norm and the same from the probe's side (symmetric, adaptive S-norm)."""
    scores = mean_of_photographs(side, probes, frames)
    mean, spread = _top_moments(_less_chord(probes @ side.cohort.T))
    from_the_probe: Floats = (scores - mean[:, None]) / spread[:, None]
    return (z_norm(side, probes, frames) + from_the_probe) * np.float32(0.5)


def plda(side: Side, probes: Floats, frames: int) -> Floats:
    """Two-covariance PLDA, trained on people of the other folds: log-likelihood ratio, one person or two."""
    centre = side.training.mean(axis=0)
    turn, between = _two_covariances(side.training - centre, side.training_persons)
    known, asked = (side.gallery - centre) @ turn, (probes - centre) @ turn
    noise = 1.0 / side.photos[:, None]
    gain = between / (between + noise)
    spread = between * noise / (between + noise) + 1.0 / frames
    expected = gain * known
    # Sum over dimensions of log N(q; expected, spread) - log N(q; 0, between + 1/f), as products.
    alone = between + 1.0 / frames
    same = (asked**2) @ (1 / spread).T - 2 * asked @ (expected / spread).T + (expected**2 / spread).sum(1)
    apart = ((asked**2) / alone).sum(axis=1)
    shift = (np.log(spread) - np.log(alone)).sum(axis=1)
    scores: Floats = (-0.5 * (same - apart[:, None] + shift)).astype(np.float32)
    return scores


def neighbours(side: Side, probes: Floats, frames: int) -> Floats:
    """The doors' way: half the mean distance of the next three people, less the distance."""
    scores = mean_of_photographs(side, probes, frames)
    top = -np.sort(-scores, axis=1)[:, : NEIGHBOURS + 1]
    beside = NEIGHBOUR_WEIGHT * np.minimum(-top[:, 1:], NEIGHBOUR_DISTANCE_MAX).mean(axis=1)
    # As the door does, for the nearest person; for the others it does not matter, they are not named.
    moved: Floats = scores + beside[:, None]
    return moved


WAYS: dict[str, Way] = {
    "nearest photograph": nearest_photograph,
    "mean of photographs": mean_of_photographs,
    "mean, Z-norm": z_norm,
    "mean, S-norm": s_norm,
    "PLDA, two covariances": plda,
    "mean beside neighbours": neighbours,
}


@dataclass(frozen=True, slots=True)
class Compared:
    """What one way reached."""

    way: str
    gallery_size: int
    photos: int
    frames: int
    fpir: float
    fnir: float


def compare(
    people: Labelled, size: int, photos: int, frames: int, fpir: float, seed: int = 1, draws: int = 10
) -> list[Compared]:
    """Measure every way on the same draws; arguments and errors as `evaluate`."""
    random = np.random.default_rng([seed, size, photos, frames])
    folds = deal_folds(people, np.random.default_rng(seed))
    counts = {name: np.zeros(4) for name in WAYS}  # let in, strangers, missed, probes
    for _ in range(draws):
        one = draw(people, size, photos, frames, random, folds)
        for fold in range(FOLDS):
            side = _side(people, one, folds, fold)
            for name, way in WAYS.items():
                counts[name] += _count(people, one, side, way, fold, fpir)
    return [
        Compared(name, size, photos, frames, float(let / strangers), float(missed / probes))
        for name, (let, strangers, missed, probes) in counts.items()
    ]


def _count(
    people: Labelled, one: Draw, side: Side, way: Way, fold: int, fpir: float
) -> npt.NDArray[np.float64]:
    outside = _scores(people, one.strangers, side, way).max(axis=1)
    known = _scores(people, one.probes, side, way)
    test = one.strangers.folds == fold
    covered = known.copy()
    covered[np.arange(len(known)), one.places] = -np.inf
    calibrating = [np.isin(tracks.folds, _calibrating(fold)) for tracks in (one.strangers, one.probes)]
    others = np.concatenate([outside[calibrating[0]], covered.max(axis=1)[calibrating[1]]])
    persons = np.concatenate([one.strangers.persons[calibrating[0]], one.probes.persons[calibrating[1]]])
    threshold = threshold_for(others, fpir, persons)
    mine = one.probes.folds == fold
    hit = (known.argmax(axis=1) == one.places) & (known.max(axis=1) >= threshold)
    return np.array([(outside[test] >= threshold).sum(), test.sum(), (~hit[mine]).sum(), mine.sum()])


def _calibrating(fold: int) -> list[int]:
    return [(fold + 3) % FOLDS, (fold + 4) % FOLDS]


def _scores(people: Labelled, tracks: Tracks, side: Side, way: Way) -> Floats:
    return way(side, fused(people, tracks), tracks.frames.shape[1])


def _side(people: Labelled, one: Draw, folds: npt.NDArray[np.intp], fold: int) -> Side:
    rows: Sequence[npt.NDArray[np.intp]] = [own for _, own in one.enrolled]
    apart = {fold, *_calibrating(fold)}
    taught = [person for person in range(len(people.rows)) if int(folds[person]) not in apart]
    inside = {person for person, _ in one.enrolled}
    cohort = [people.rows[person][:3] for person in taught if person not in inside]
    several = [person for person in taught if len(people.rows[person]) > 1]
    return Side(
        np.stack([person.template for person in enrolled(people, one)]),
        people.units[np.concatenate(rows)],
        np.repeat(np.arange(len(rows)), [len(own) for own in rows]),
        np.array([len(own) for own in rows], np.intp),
        np.stack([fuse(people.units[own]) for own in cohort]),
        people.units[np.concatenate([people.rows[person] for person in several])],
        np.repeat(several, [len(people.rows[person]) for person in several]),
    )


def _top_moments(scores: Floats) -> tuple[Floats, Floats]:
    """Mean and spread of each row's highest scores."""
    top = -np.sort(-scores, axis=1)[:, :COHORT_TOP]
    return top.mean(axis=1), np.maximum(top.std(axis=1), 1e-6)


def _less_chord(likeness: Floats) -> Floats:
    scores: Floats = -np.sqrt(2.0 - 2.0 * np.clip(likeness, -1.0, 1.0), dtype=np.float32)
    return scores


def _two_covariances(
    rows: Floats, persons: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Directions in which the spread within a person is 1, and the spread between people along each."""
    _, index, counts = np.unique(persons, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), rows.shape[1]))
    np.add.at(means, index, rows)
    means /= counts[:, None]
    inside = rows - means[index]
    # A person of two rows says half as much of the spread within as one of very many; none may dominate.
    weights = np.minimum(counts, 10)[index] / counts[index]
    within = (inside * weights[:, None]).T @ inside / (weights.sum() - np.minimum(counts, 10).size)
    within += 0.1 * np.trace(within) / len(within) * np.eye(len(within))
    total = np.cov(means.T, bias=True)
    between = total - within * (1.0 / counts).mean()
    values, vectors = np.linalg.eigh(within)
    whiten = vectors / np.sqrt(values)
    spread, turn = np.linalg.eigh(whiten.T @ between @ whiten)
    return whiten @ turn, np.maximum(spread, 1e-6)
