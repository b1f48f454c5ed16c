"""`doors.match_*`: a batch of passages against a gallery, beside the plainest numpy with the same answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import numpy as np

from gateway.matching.calibration import Calibration
from gateway.matching.gallery import Gallery
from gateway.matching.scoring import NEIGHBOUR_DISTANCE_MAX, NEIGHBOUR_WEIGHT
from gateway.matching.templates import DLIB_ENCODER, Floats, stored_template
from tests.benchmarks.figures import Figure, figure

GALLERIES = {"10k": 10_000, "100k": 100_000}
BATCH = 32  # passages that have arrived together
ROUNDS = 9
_CALIBRATED_WITH = 2_000


def measure(_folder: Path) -> Iterator[Figure]:
    """The best of several rounds, ours and the floors in turn, so that neither has the quieter moment."""
    chance = np.random.default_rng(5)
    calibration = _calibration(chance)
    for name, people in GALLERIES.items():
        rows = _unit(chance.standard_normal((people, 128)).astype(np.float32))
        ids = tuple(str(UUID(int=number + 1)) for number in range(people))
        places = {person: row for row, person in enumerate(ids)}
        gallery = Gallery(ids, rows, DLIB_ENCODER, calibration, places)
        whom = chance.integers(0, people, BATCH)
        probes = _unit(rows[whom] + chance.standard_normal((BATCH, 128)).astype(np.float32) * 0.02)
        tracks = [probe[None] for probe in probes]
        expected = [(ids[row], True) for row in whom]
        if _ours(gallery, tracks) != expected or _plain(ids, rows, tracks, calibration) != expected:
            raise RuntimeError("two ways of matching do not agree")
        best = _best_s(
            {
                "ours": lambda gallery=gallery, tracks=tracks: _ours(gallery, tracks),
                "plain": lambda ids=ids, rows=rows, tracks=tracks: _plain(ids, rows, tracks, calibration),
                "product": lambda rows=rows, probes=probes: probes @ rows.T,
            }
        )
        yield figure(
            f"doors.match_{name}",
            best["ours"] / BATCH * 1e6,
            "µs",
            best["plain"] / BATCH * 1e6,
            f"one passage of {BATCH} matched together, {people:,} people; floor: plain numpy, same answer; "
            f"the product alone {best['product'] / BATCH * 1e6:.1f} µs, "
            f"{best['ours'] / best['product']:.2f} of it",
        )


def _ours(gallery: Gallery, tracks: list[Floats]) -> list[tuple[str | None, bool]]:
    return [(match.person_id, match.verdict == "match") for match in gallery.match_batch(tracks)]


def _plain(
    ids: tuple[str, ...], rows: Floats, tracks: list[Floats], calibration: Calibration
) -> list[tuple[str | None, bool]]:
    """Normalise, one product, the four nearest of each, the score, the thresholds."""
    probes = _unit(np.concatenate(tracks))
    product = probes @ rows.T
    nearest = np.argpartition(product, -4, axis=1)[:, -4:]
    likeness = np.take_along_axis(product, nearest, axis=1)
    order = np.argsort(-likeness, axis=1)
    nearest = np.take_along_axis(nearest, order, axis=1)
    distances = np.sqrt(2 - 2 * np.clip(np.take_along_axis(likeness, order, axis=1), -1, 1))
    beside = np.minimum(distances[:, 1:], NEIGHBOUR_DISTANCE_MAX).mean(axis=1)
    scores = NEIGHBOUR_WEIGHT * beside - distances[:, 0]
    margins = distances[:, 1] - distances[:, 0]
    threshold = calibration.threshold(1)
    sure = (scores >= threshold.accept_min) & (margins >= calibration.margin_min)
    near = scores >= threshold.unsure_min
    return [
        (ids[row] if is_near else None, bool(is_sure))
        for row, is_near, is_sure in zip(nearest[:, 0], near, sure, strict=True)
    ]


def _calibration(chance: np.random.Generator) -> Calibration:
    faces = _unit(chance.standard_normal((_CALIBRATED_WITH, 128)).astype(np.float32))
    people = [stored_template(str(number), face[None], DLIB_ENCODER) for number, face in enumerate(faces)]
    found = Gallery.build(people).calibration
    if found is None:
        raise RuntimeError("no thresholds")
    return found


def _best_s(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began_s = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - began_s)
    return best


def _unit(rows: Floats) -> Floats:
    found: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found
