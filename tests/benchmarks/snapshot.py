"""`doors.snapshot`: a photograph through the encoder's process to the answer, beside the bare model."""

from __future__ import annotations

import io
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from estate.processes import wait_until
from gateway.matching.encoder import EncoderPool
from gateway.matching.encoder_worker import load_model
from gateway.matching.gallery import Gallery
from gateway.matching.templates import DLIB_ENCODER, Floats, stored_template
from simulators.photos import photos
from tests.benchmarks.figures import Figure, figure

SIZE = (480, 600)
ROUNDS = 12


def measure(_folder: Path) -> Iterator[Figure]:
    """Ours and the floor in turn; the median of each."""
    image = _photograph()
    load_model()  # its import warns; the floor uses the same packages
    pool = EncoderPool(1, 2)
    try:
        wait_until(lambda: bool(pool.pids), 60, "the encoder did not start", every_s=0.05)
        gallery = _gallery(_encoded(pool, image, 0))
        taken: dict[str, list[float]] = {"ours": [], "bare": []}
        for number in range(1, ROUNDS + 1):
            taken["ours"].append(_timed(lambda n=number: _answer(pool, gallery, image, n)))
            taken["bare"].append(_timed(lambda: _bare(image)))
    finally:
        pool.close()
    medians = {name: float(np.median(values)) * 1000 for name, values in taken.items()}
    yield figure(
        "doors.snapshot",
        medians["ours"],
        "ms",
        medians["bare"],
        f"one photograph of {SIZE[0]}x{SIZE[1]}: to the encoder's process, quality, template, match; "
        "floor: detection and encoding alone, in this process",
    )


def _photograph() -> bytes:
    with Image.open(photos().a[0]) as picture:
        whole = picture.convert("RGB")
    side = min(whole.width, whole.height * SIZE[0] // SIZE[1])
    left = (whole.width - side) // 2
    cut = whole.crop((left, 0, left + side, side * SIZE[1] // SIZE[0])).resize(SIZE)
    out = io.BytesIO()
    cut.save(out, "JPEG", quality=90)
    return out.getvalue()


def _bare(image: bytes) -> Floats:
    import face_recognition  # noqa: PLC0415 (loaded by load_model, whose warning filter it needs)

    picture = face_recognition.load_image_file(io.BytesIO(image))
    boxes = face_recognition.face_locations(picture, number_of_times_to_upsample=0)
    vector: Floats = face_recognition.face_encodings(picture, boxes, model="small")[0]
    return vector


def _answer(pool: EncoderPool, gallery: Gallery, image: bytes, number: int) -> None:
    if gallery.match(_encoded(pool, image, number)).verdict != "match":
        raise RuntimeError("the person was not recognised")


def _encoded(pool: EncoderPool, image: bytes, number: int) -> Floats:
    pool.submit(number, [image])
    while True:
        select.select([pool.wake_fd], [], [], 60)
        for result in pool.results():
            if result.templates is None:
                raise RuntimeError(f"no template: {result.reason}")
            return result.templates


def _gallery(template: Floats) -> Gallery:
    faces = np.random.default_rng(5).standard_normal((2_000, 128)).astype(np.float32) * 0.1
    people = [stored_template(str(number), face[None], DLIB_ENCODER) for number, face in enumerate(faces)]
    return Gallery.build([*people, stored_template("resident", template, DLIB_ENCODER)])


def _timed(way: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    way()
    return time.perf_counter() - began_s
