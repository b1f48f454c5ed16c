"""Measures the table of thresholds for small galleries on labelled templates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gateway.matching.calibration import FRAMES_MAX, Threshold, named_scores, read_off
from gateway.matching.draws import Labelled, deal_folds, draw
from gateway.matching.evaluate import enrolled, fused
from gateway.matching.scoring import rank

# A small gallery says little about others of its size, so up to this many more of them are drawn.
_DRAWS_FACTOR, _PLACES = 15, 3000


def measure_table(
    people: Labelled, photos: int, fpir: float, sizes: Sequence[int], seed: int, draws: int
) -> list[tuple[int, tuple[Threshold, ...]]]:
    """The thresholds at each gallery size, for 1, 2 and 3 frames; never laxer as size or frames grow.

    Raises:
        GallerySizeError: a size does not fit the people.
    """
    made: list[tuple[int, tuple[Threshold, ...]]] = []
    for size in sizes:
        row: list[Threshold] = []
        for frames in range(1, FRAMES_MAX + 1):
            found = _measure(people, size, photos, frames, fpir, seed, draws)
            if row:
                found = found.stricter(row[-1])
            if made:
                found = found.stricter(made[-1][1][frames - 1])
            row.append(found)
        made.append((size, tuple(row)))
    return made


def table_toml(
    rows: Sequence[tuple[int, tuple[Threshold, ...]]], encoder: str, fpir: float, source: str
) -> str:
    """The table as the file that `gateway.matching.table` reads."""
    lines = [f'source = "{source}"', f'encoder = "{encoder}"', f"fpir = {fpir}", ""]
    for size, thresholds in rows:
        lines += ["[[row]]", f"gallery_size = {size}"]
        for name in ("accept_min", "unsure_min", "confirm_min"):
            values = ", ".join(f"{getattr(threshold, name):.4f}" for threshold in thresholds)
            lines.append(f"{name} = [{values}]")
        lines.append("")
    return "\n".join(lines)


def _measure(
    people: Labelled, size: int, photos: int, frames: int, fpir: float, seed: int, draws: int
) -> Threshold:
    random = np.random.default_rng([seed, size, photos, frames])
    folds = deal_folds(people, np.random.default_rng(seed))
    scores, named, persons = [], [], []
    for _ in range(max(draws, min(draws * _DRAWS_FACTOR, _PLACES // size))):
        one = draw(people, size, photos, frames, random, folds)
        rows = np.stack([person.template for person in enrolled(people, one)])
        outside = fused(people, one.strangers)
        scores.append(rank(outside, rows).scores())
        named.append(rank(outside, rows).scores() if size == 1 else named_scores(outside, rows))
        persons.append(one.strangers.persons)
    return read_off(np.concatenate(scores), np.concatenate(named), fpir, np.concatenate(persons))
