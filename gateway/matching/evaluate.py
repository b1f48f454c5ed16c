"""How well doors tell people apart, measured on labelled templates with the doors' own code.

Open-set identification in five folds by person: the thresholds that judge a fold's passages are read off
passages of the other folds only. Several galleries are drawn, so that the figures do not hang on one of
them; the intervals are bootstrapped over persons, whose passages stand or fall together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gateway.matching.calibration import FRAMES_MAX, Calibration, named_scores, read_off
from gateway.matching.draws import FOLDS, Draw, Labelled, Tracks, deal_folds, draw, frames_of
from gateway.matching.gallery import Gallery, Match
from gateway.matching.scoring import rank
from gateway.matching.templates import (
    DLIB_ENCODER,
    Floats,
    StoredTemplate,
    TemplateShapeError,
    fuse_tracks,
    stored_template,
)

DRAWS = 10
LIBRARY_DISTANCE = 0.6
_RESAMPLES = 1000

Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured at one gallery size and number of frames.

    Attributes:
        fpir: strangers let in as somebody.
        fnir: enrolled people not let in as themselves: unknown, unsure, or taken for another.
        taken_for_another: the part of `fnir` that was let in as somebody else.
        unsure: enrolled people asked for a card; they count in `fnir` as well.
        unsure_strangers: strangers asked for a card.
        library_fpir, library_fnir: the same passages by the library's default rule, the nearest
            photograph if it is nearer than 0.6.
        strangers, probes: passages judged, over all draws; stranger_people, probe_people: whose.
        threshold: the mean score needed.
        curve: pairs (FPIR, FNIR) for every threshold, for the DET plot.
    """

    gallery_size: int
    photos: int
    frames: int
    fpir: Rate
    fnir: Rate
    taken_for_another: float
    unsure: float
    unsure_strangers: float
    library_fpir: float
    library_fnir: float
    strangers: int
    probes: int
    stranger_people: int
    probe_people: int
    threshold: float
    curve: tuple[tuple[float, float], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the passages of one kind in one fold; one element a passage."""

    persons: npt.NDArray[np.intp]
    let_in: Truths
    right: Truths  # the person named is the one who stands there
    unsure: Truths


def evaluate(
    people: Labelled,
    size: int,
    photos: int,
    frames: int,
    fpir: float,
    seed: int = 1,
    draws: int = DRAWS,
    alike: float = 0.0,
) -> Result:
    """Measure one setting.

    Args:
        people: whom to measure on.
        size: people in each gallery.
        photos: photographs a probe's person is enrolled with.
        frames: frames of each passage.
        fpir: the stated share of strangers that may be let in.
        seed: the same seed, the same draws.
        draws: galleries drawn.
        alike: as for `frames_of`.
    Raises:
        GallerySizeError: the size does not fit the people.
    """
    random = np.random.default_rng([seed, size, photos, frames])
    folds = deal_folds(people, np.random.default_rng(seed))
    probes: list[Judged] = []
    strangers: list[Judged] = []
    library_probes: list[Truths] = []
    library_strangers: list[Truths] = []
    thresholds: list[float] = []
    own_scores: list[Floats] = []
    false_scores: list[Floats] = []
    for _ in range(draws):
        one = draw(people, size, photos, frames, random, folds)
        library_probes.append(~_library_right(people, one, alike))
        library_strangers.append(_library_nearest(people, one, one.strangers, alike)[1])
        for fold, gallery in _galleries(people, one, fpir, alike):
            if gallery.calibration is not None:
                thresholds.append(gallery.calibration.threshold(frames).accept_min)
            mine, theirs = one.probes.folds == fold, one.strangers.folds == fold
            probes.append(_judge(gallery, people, one.probes, mine, one.places, alike))
            strangers.append(_judge(gallery, people, one.strangers, theirs, None, alike))
        own, false = _all_scores(people, one, gallery, alike)
        own_scores.append(own)
        false_scores.append(false)
    asked, outside = _joined(probes), _joined(strangers)
    missed = ~(asked.let_in & asked.right)
    return Result(
        gallery_size=size,
        photos=photos,
        frames=frames,
        fpir=_rate(outside.let_in, outside.persons, random),
        fnir=_rate(missed, asked.persons, random),
        taken_for_another=float((asked.let_in & ~asked.right).mean()),
        unsure=float(asked.unsure.mean()),
        unsure_strangers=float(outside.unsure.mean()),
        library_fpir=float(np.concatenate(library_strangers).mean()),
        library_fnir=float(np.concatenate(library_probes).mean()),
        strangers=len(outside.persons),
        probes=len(asked.persons),
        stranger_people=len(np.unique(outside.persons)),
        probe_people=len(np.unique(asked.persons)),
        threshold=float(np.mean(thresholds)),
        curve=_curve(np.concatenate(own_scores), np.concatenate(false_scores)),
    )


def fused(people: Labelled, tracks: Tracks, alike: float = 0.0) -> Floats:
    """Each passage as the one vector a door makes of it, shape (n, dimension)."""
    vectors, kept = fuse_tracks(list(frames_of(people.units, tracks, alike)), people.units.shape[1])
    if len(kept) < len(tracks.frames):
        raise TemplateShapeError(tracks.frames.shape, "帧互相抵消 (frames that cancel out)")
    return vectors


def enrolled(people: Labelled, one: Draw) -> list[StoredTemplate]:
    """The people of a draw's gallery, enrolled as the vault holds them."""
    return [stored_template(str(who), people.units[rows], DLIB_ENCODER) for who, rows in one.enrolled]


def _galleries(people: Labelled, one: Draw, fpir: float, alike: float) -> Iterator[tuple[int, Gallery]]:
    """The draw's gallery five times, each with thresholds that one fold had no part in."""
    stored = enrolled(people, one)
    rows = np.stack([person.template for person in stored])
    outside, known = fused(people, one.strangers, alike), fused(people, one.probes, alike)
    # Enrolled people of the other folds are strangers too, once their own row is covered.
    scores = np.concatenate([rank(outside, rows).scores(), rank(known, rows, exclude=one.places).scores()])
    persons = np.concatenate([one.strangers.persons, one.probes.persons])
    folds = np.concatenate([one.strangers.folds, one.probes.folds])
    named = named_scores(outside, rows)
    for fold in range(FOLDS):
        others = folds != fold
        claims = np.tile(one.strangers.folds != fold, len(named) // max(1, len(outside)))
        found = read_off(scores[others], named[claims], fpir, persons[others])
        count = len(np.unique(persons[others]))
        calibration = Calibration(fpir, (found,) * FRAMES_MAX, "strangers", count)
        yield fold, Gallery.build(stored, fpir=fpir, calibration=calibration)


def _judge(
    gallery: Gallery,
    people: Labelled,
    tracks: Tracks,
    mine: Truths,
    places: npt.NDArray[np.intp] | None,
    alike: float,
) -> Judged:
    answers: list[Match] = gallery.match_batch(list(frames_of(people.units, tracks, alike)[mine]))
    nearest = [answer.person_id for answer in answers]
    expected = [gallery.person_ids[place] for place in places[mine]] if places is not None else None
    return Judged(
        tracks.persons[mine],
        np.array([answer.verdict == "match" for answer in answers], np.bool_),
        np.array(
            [person == own for person, own in zip(nearest, expected, strict=True)]
            if expected is not None
            else [False] * len(answers),
            np.bool_,
        ),
        np.array([answer.verdict == "unsure" for answer in answers], np.bool_),
    )


def _joined(parts: list[Judged]) -> Judged:
    return Judged(
        np.concatenate([part.persons for part in parts]),
        np.concatenate([part.let_in for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.unsure for part in parts]),
    )


def _rate(hits: Truths, persons: npt.NDArray[np.intp], random: np.random.Generator) -> Rate:
    """The share of hits, and its interval over resampled persons."""
    _, index = np.unique(persons, return_inverse=True)
    passages = np.bincount(index).astype(np.float64)
    own = np.bincount(index, weights=hits.astype(np.float64))
    times = random.multinomial(len(own), np.full(len(own), 1 / len(own)), _RESAMPLES)
    low, high = np.quantile((times @ own) / (times @ passages), [0.025, 0.975])
    return Rate(float(own.sum() / passages.sum()), float(low), float(high))


def _all_scores(people: Labelled, one: Draw, gallery: Gallery, alike: float) -> tuple[Floats, Floats]:
    """What enrolled people reach as themselves (nothing when another is nearer), and strangers as anybody."""
    own = rank(fused(people, one.probes, alike), gallery.rows)
    return (
        np.where(own.best == one.places, own.scores(), -np.inf),
        rank(fused(people, one.strangers, alike), gallery.rows).scores(),
    )


def _curve(own: Floats, false: Floats, points: int = 200) -> tuple[tuple[float, float], ...]:
    """(FPIR, FNIR) at thresholds spread over the strangers' scores."""
    own, false = np.sort(own), np.sort(false)
    at = np.unique(np.quantile(false, 1 - np.geomspace(1 / len(false), 1.0, points)))
    fpir = 1 - np.searchsorted(false, at, side="right") / len(false)
    fnir = np.searchsorted(own, at, side="right") / len(own)
    return tuple((float(x), float(y)) for x, y in zip(fpir, fnir, strict=True))


def _library_nearest(
    people: Labelled, one: Draw, tracks: Tracks, alike: float
) -> tuple[npt.NDArray[np.intp], Truths]:
    """The person of the nearest photograph, and whether the library's default lets them in."""
    photographs = np.concatenate([rows for _, rows in one.enrolled])
    owner = np.repeat(np.arange(len(one.enrolled)), [len(rows) for _, rows in one.enrolled])
    known = people.templates[photographs]
    probes = frames_of(people.templates, tracks, alike).mean(axis=1)
    squares = (probes**2).sum(1)[:, None] + (known**2).sum(1)[None] - 2 * probes @ known.T
    nearest = squares.argmin(axis=1)
    return owner[nearest], squares.min(axis=1) <= LIBRARY_DISTANCE**2


def _library_right(people: Labelled, one: Draw, alike: float) -> Truths:
    nearest, let_in = _library_nearest(people, one, one.probes, alike)
    right: Truths = let_in & (nearest == one.places)
    return right
