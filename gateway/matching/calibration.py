"""Where the thresholds come from: the gallery and the frames, for a stated share of strangers let in.

A threshold is read off the scores that strangers reach. Where there are too few strangers to see the rate
itself (0.003 of 200 people is less than one), the tail of their scores is continued as an exponential,
which is how the best of many scores tails off; the uncertainty of that is added, so that few strangers
make a stricter door, not a laxer one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gateway.matching.scoring import rank, scores_of_named
from gateway.matching.templates import Floats, StoredTemplate, fuse_tracks

FPIR = 0.003
# Strangers who may reach "unsure", which asks for a card and opens nothing.
UNSURE_FPIR = 0.05
# Strangers with somebody's card whose face may pass for that one person.
CONFIRM_FMR = 0.003
# The second person must be at least this much farther; nearer, the face may be either of the two.
MARGIN_MIN = 0.04
# A passage with more frames is judged like one with this many.
FRAMES_MAX = 3
# Below so many strangers no threshold is read off them.
STRANGERS_MIN = 20

# The tail is the highest of this many people's scores, and at most this share of all.
_TAIL_PEOPLE = 250
_TAIL_MAX = 0.2
_SEEN_MIN = 5.0
# So many of a large gallery are asked, and half as many beside somebody else's name; more change little.
_PROBES_MAX = 1000

Persons = npt.NDArray[np.generic]
Source = Literal["table", "strangers", "gallery"]


class TooFewStrangersError(ValueError):
    """No threshold can be read off so few people."""

    def __init__(self, strangers: int) -> None:
        self.strangers = strangers
        super().__init__(
            f"用于标定的陌生人只有 {strangers} 位，至少需要 {STRANGERS_MIN} 位  |  "
            f"only {strangers} strangers to calibrate with; at least {STRANGERS_MIN} are needed"
        )


@dataclass(frozen=True, slots=True)
class Threshold:
    """The scores from which a face is accepted, is worth asking for a card, and confirms the card's owner."""

    accept_min: float
    unsure_min: float
    confirm_min: float

    def stricter(self, other: Threshold) -> Threshold:
        """The higher of each."""
        return Threshold(
            max(self.accept_min, other.accept_min),
            max(self.unsure_min, other.unsure_min),
            max(self.confirm_min, other.confirm_min),
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """The thresholds of one gallery.

    Attributes:
        fpir: the stated share of strangers that may be let in as somebody.
        by_frames: for passages of 1, of 2, and of 3 or more frames.
        source: what they were read off.
        strangers: how many people that were.
    """

    fpir: float
    by_frames: tuple[Threshold, ...]
    source: Source
    strangers: int
    margin_min: float = MARGIN_MIN

    def threshold(self, frames: int) -> Threshold:
        """The thresholds for a passage of so many frames."""
        return self.by_frames[min(frames, len(self.by_frames)) - 1]


def threshold_for(scores: npt.ArrayLike, rate: float, persons: Persons | None = None) -> float:
    """The score that a share `rate` of strangers exceeds.

    Args:
        scores: shape (n,), what each stranger's attempt reached.
        rate: above 0, below 1.
        persons: shape (n,), whose attempt each is; a person's attempts weigh as one. All different if None.
    Raises:
        TooFewStrangersError: fewer than `STRANGERS_MIN` people.
    """
    values = np.asarray(scores, np.float64)
    weights, people = _weights(len(values), persons)
    if people < STRANGERS_MIN:
        raise TooFewStrangersError(people)
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    above = 1.0 - np.cumsum(weights)  # share of strangers above each value
    seen = _first_below(values, above, rate)
    share = min(_TAIL_MAX, _TAIL_PEOPLE / people)
    if rate >= share:
        return seen
    start = _first_below(values, above, share)
    tail = values > start
    if not tail.any():
        return seen
    slope = float(np.average(values[tail] - start, weights=weights[tail]))
    # One standard error of the mean of an exponential, for the number of people in the tail.
    slope *= 1.0 + 1.0 / math.sqrt(people * share)
    continued = start + slope * math.log(share / rate)
    # With people enough beyond the rate itself, what is seen counts where it is stricter: look-alikes
    # make a tail heavier than an exponential.
    return max(continued, seen) if people * rate >= _SEEN_MIN else continued


def read_off(scores: npt.ArrayLike, named: npt.ArrayLike, fpir: float, persons: Persons | None) -> Threshold:
    """The thresholds for attempts like these.

    Args:
        scores: shape (n,), the best score of each stranger's attempt.
        named: shape (m,), scores of strangers beside one person they claim to be, by a card not theirs.
        fpir: the stated share of strangers that may be let in.
        persons: as for `threshold_for`, of `scores`.
    Raises:
        TooFewStrangersError: fewer than `STRANGERS_MIN` people.
    """
    accept = threshold_for(scores, fpir, persons)
    unsure = threshold_for(scores, max(fpir, UNSURE_FPIR), persons)
    return Threshold(accept, min(accept, unsure), min(accept, threshold_for(named, CONFIRM_FMR)))


def from_strangers(tracks: Floats, persons: Persons, rows: Floats, fpir: float) -> Threshold:
    """The thresholds of a gallery for passages like these.

    Args:
        tracks: float32 unit vectors, shape (n, dimension), passages of people who are not in the gallery.
        persons: shape (n,), whose passage each is.
        rows: the gallery, float32 (N, dimension).
    Raises:
        TooFewStrangersError: fewer than `STRANGERS_MIN` people.
    """
    return read_off(rank(tracks, rows).scores(), named_scores(tracks, rows), fpir, persons)


def from_gallery(people: Sequence[StoredTemplate], rows: Floats, fpir: float) -> tuple[Threshold, ...]:
    """Thresholds for 1, 2 and 3 frames off a gallery itself: each person asked as if not enrolled.

    A number of frames that too few people have photographs for is judged like one frame fewer. More
    frames never make the door laxer.

    Args:
        people: who is enrolled.
        rows: their templates, float32 (N, dimension), in the same order.
        fpir: the stated share of strangers that may be let in.
    Raises:
        TooFewStrangersError: the gallery is too small.
    """
    step = max(1, math.ceil(len(people) / _PROBES_MAX))
    made: list[Threshold] = []
    for frames in range(1, FRAMES_MAX + 1):
        chosen = [index for index in range(0, len(people), step) if people[index].photos >= frames]
        if len(chosen) < STRANGERS_MIN and made:
            made.append(made[-1])
            continue
        if len(chosen) < STRANGERS_MIN:
            raise TooFewStrangersError(len(chosen))
        probes, _ = fuse_tracks([people[index].views[:frames] for index in chosen], rows.shape[1])
        masked = np.asarray(chosen, np.intp)
        scores = rank(probes, rows, exclude=masked).scores()
        some = slice(0, _PROBES_MAX // 2)
        found = read_off(scores, named_scores(probes[some], rows, masked[some]), fpir, None)
        made.append(found.stricter(made[-1]) if made else found)
    return tuple(made)


def named_scores(
    probes: Floats, rows: Floats, masked: npt.NDArray[np.intp] | None = None
) -> npt.NDArray[np.float32]:
    """Each probe beside up to four people it is not, spread over the gallery, as with a card not theirs.

    Returns:
        shape (up to 4 × n,): all probes with their first person, then all with their second, and so on.
    """
    count, size = len(probes), len(rows)
    own = masked if masked is not None else np.zeros(count, np.intp)
    steps = range(1, min(5, size))
    if not steps:
        return np.full(count, -np.inf, np.float32)
    claimed = [(own + 1 + (np.arange(count) * 7919 + step * 104729) % (size - 1)) % size for step in steps]
    scores = scores_of_named(probes, rows, np.stack(claimed, axis=1), exclude=masked)
    return scores.T.ravel()


def _first_below(values: npt.NDArray[np.float64], above: npt.NDArray[np.float64], rate: float) -> float:
    """The lowest of the ascending `values` that at most a share `rate` lies above."""
    return float(values[int(np.argmax(above <= rate + 1e-12))])


def _weights(count: int, persons: Persons | None) -> tuple[npt.NDArray[np.float64], int]:
    if persons is None:
        return np.full(count, 1.0 / max(count, 1)), count
    _, index, attempts = np.unique(persons, return_inverse=True, return_counts=True)
    return (1.0 / attempts[index]) / max(len(attempts), 1), len(attempts)
