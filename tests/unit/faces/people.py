"""Invented people: points on a sphere, spread like faces are, so that tests need no real template."""

from __future__ import annotations

import numpy as np

from gateway.matching.templates import DLIB_ENCODER, Floats, StoredTemplate, stored_template

DIMENSION = 128
# Two people are about 0.57 apart and two pictures of one about 0.3, as with the real encoder.
BETWEEN, WITHIN = 0.0355, 0.0188


def make_centres(count: int, random: np.random.Generator) -> Floats:
    common = np.zeros(DIMENSION)
    common[0] = 1.0
    return (common + BETWEEN * random.standard_normal((count, DIMENSION))).astype(np.float32)


def picture(centre: Floats, random: np.random.Generator, pictures: int = 1) -> Floats:
    noise = WITHIN * random.standard_normal((pictures, DIMENSION))
    return (centre + noise).astype(np.float32)


def enrolled(centres: Floats, random: np.random.Generator, photos: int = 3) -> list[StoredTemplate]:
    return [
        stored_template(f"p{number}", picture(centre, random, photos), DLIB_ENCODER)
        for number, centre in enumerate(centres)
    ]
