"""`faces.evaluate_13k`: how long `estate faces evaluate` takes for 13,000 templates."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gateway.matching.report import measure as evaluate
from gateway.matching.templates import unit_rows
from tests.benchmarks.figures import Figure, figure
from tests.unit.faces.people import make_centres, picture

TEMPLATES = int(os.environ.get("ESTATE_BENCH_TEMPLATES", "13000"))
SIZES, FRAMES, PHOTOS, FPIR, DRAWS = (100, 300, 500, 1000), (1, 3), 3, 0.003, 10
PICTURES_MAX = 12
SEED = 1


def measure(folder: Path) -> Iterator[Figure]:
    """Invented people with one to twelve pictures each, as unevenly as in a collection."""
    random = np.random.default_rng(SEED)
    rows, persons = [], []
    number = 0
    while len(rows) < TEMPLATES:
        count = 1 + int((PICTURES_MAX - 1) * random.random() ** 2)
        [centre] = make_centres(1, random)
        rows += list(picture(centre, random, count))
        persons += [f"p{number}"] * count
        number += 1
    file = folder / "faces.npz"
    templates = np.array(rows[:TEMPLATES], np.float32)
    np.savez(file, templates=templates, persons=np.array(persons[:TEMPLATES]))
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    evaluate(file, FPIR, SIZES, PHOTOS, FRAMES, SEED, DRAWS, 0.0)
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    yield figure(
        "faces.evaluate_13k",
        took_s,
        "s",
        _bare_products_s(unit_rows(templates)),
        f"{TEMPLATES} templates of {number} people, galleries of {SIZES}, {FRAMES} frames, {DRAWS} draws "
        f"each, {cpu_s:.0f} s of CPU time; floor: as many bare products of all templates with a gallery",
    )


def _bare_products_s(templates: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    began_s = time.perf_counter()
    for size in SIZES:
        for _ in range(DRAWS * len(FRAMES)):
            (templates @ templates[:size].T).max(axis=1)
    return time.perf_counter() - began_s
