"""The process that turns photographs into templates; the one home of face_recognition.

dlib holds the interpreter's lock for as long as it works, so it works in processes of its own. A picture
that brings this process down takes nothing else with it.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile

from estate.config import SettingsError
from estate.processes import die_with_parent
from gateway.matching import wire
from gateway.matching.model_file import read_face_model
from gateway.matching.onnx_encoder import ModelUnusableError, OnnxEncoder
from gateway.matching.photo import open_photo
from gateway.matching.quality import DOOR, ENROLMENT, REASONS, Face, Limits, Pixels, Reason, judge, main_face
from gateway.matching.templates import Floats

# HOG finds faces from 80 pixels on; at this side length that is a person at arm's length, in 30 ms.
DETECTION_SIDE = 800
MEMORY_MAX = 3 << 30

Find = Callable[[Pixels], list[Face]]
Encode = Callable[[Pixels, Face], Floats]


class FacesMissingError(Exception):
    """The faces extra is not installed, or not whole."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(
            f"未安装人脸组件（缺少 {what}），人脸停用，请刷卡；安装 faces 组件后重启  |  The faces extra is "
            f"not installed ({what} is missing): doors ask for a card. Install it and restart"
        )


def require_faces() -> None:
    """Say clearly what is missing, before face_recognition does it by ending the process with status 0.

    Raises:
        FacesMissingError: naming the package.
    """
    for module, package in (
        ("dlib", "dlib-bin"),
        ("pkg_resources", "setuptools<81"),
        ("face_recognition_models", "face_recognition_models"),
        ("face_recognition", "face_recognition"),
    ):
        if importlib.util.find_spec(module) is None:
            raise FacesMissingError(package)


def load_model(model_file: Path | None = None) -> tuple[Find, Encode]:
    """Load face_recognition: HOG detection, the 5-point landmarks, the 128-number encoder.

    Args:
        model_file: the description of an operator's own model, which then takes the encoder's place.
    Raises:
        FacesMissingError: it cannot be loaded.
        ModelUnusableError, SettingsError: the operator's model cannot be used.
    """
    require_faces()
    try:
        with warnings.catch_warnings():
            # setuptools is pinned below 81 for this very import; see pyproject.toml.
            warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
            import face_recognition  # noqa: PLC0415 (its import loads models and may end the process)
    except (ImportError, SystemExit, RuntimeError) as error:
        raise FacesMissingError(f"face_recognition: {error}") from error
    finally:
        # It switches this on for the whole process; a cut-off photograph is to be refused.
        ImageFile.LOAD_TRUNCATED_IMAGES = False

    def find(picture: Pixels) -> list[Face]:
        # No upsampling: it finds faces below 80 pixels, which are too small anyway, at four times the cost.
        boxes, confidences, _ = face_recognition.api.face_detector.run(picture, 0, 0.0)
        height, width = picture.shape[:2]
        faces = []
        for box, confidence in zip(boxes, confidences, strict=True):
            left, top = max(0, box.left()), max(0, box.top())
            right, bottom = min(width, box.right()), min(height, box.bottom())
            marks = face_recognition.face_landmarks(picture, [(top, right, bottom, left)], model="small")[0]
            points = (*marks["right_eye"], *marks["left_eye"], *marks["nose_tip"])
            faces.append(Face(left, top, right, bottom, confidence, points))
        return faces

    def encode(picture: Pixels, face: Face) -> Floats:
        box = (face.top, face.right, face.bottom, face.left)
        vector = face_recognition.face_encodings(picture, [box], model="small")[0]
        return np.asarray(vector, dtype=np.float32)

    return find, encode if model_file is None else OnnxEncoder(read_face_model(model_file)).encode


def encode_picture(data: bytes, limits: Limits, find: Find, encode: Encode) -> Floats | Reason:
    """One picture's template, or the first reason against it.

    Args:
        data: the file's bytes.
        limits: what is good enough.
        find: faces in a picture.
        encode: a face as float32, shape (dimension,).
    """
    picture = open_photo(data)
    if isinstance(picture, Reason):
        return picture
    shrink = max(1.0, max(picture.shape[:2]) / DETECTION_SIDE)
    face = main_face([_scaled(one, shrink) for one in find(_smaller(picture, shrink))], limits)
    if face is REASONS["no_face"] and shrink > 1.0 and limits is ENROLMENT:
        # Somebody far away in a large photograph: worth finding, to say what is wrong.
        face = main_face(find(picture), limits)
    if isinstance(face, Reason):
        return face
    return judge(picture, face, limits) or encode(picture, face)


def serve(channel: socket.socket, model_file: Path | None = None) -> None:
    """Answer jobs until the other side is gone."""
    try:
        find, encode = load_model(model_file)
    except (FacesMissingError, ModelUnusableError, SettingsError) as error:
        wire.send(channel, wire.Reply(missing=str(error)))
        return
    wire.send(channel, wire.Reply(ready=True))
    while (job := wire.receive(channel, wire.Job)) is not None:
        limits = ENROLMENT if job.enrolment else DOOR
        vectors: list[bytes | None] = []
        reasons: list[str | None] = []
        for data in job.images:
            found = encode_picture(data, limits, find, encode)
            vectors.append(None if isinstance(found, Reason) else found.astype("<f4").tobytes())
            reasons.append(found.code if isinstance(found, Reason) else None)
        wire.send(channel, wire.Reply(vectors, reasons))


def _smaller(picture: Pixels, shrink: float) -> Pixels:
    if shrink == 1.0:
        return picture
    height, width = picture.shape[:2]
    size = (round(width / shrink), round(height / shrink))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def _scaled(face: Face, factor: float) -> Face:
    if factor == 1.0:
        return face
    one, two, three, four, nose = ((x * factor, y * factor) for x, y in face.landmarks)
    return Face(
        round(face.left * factor),
        round(face.top * factor),
        round(face.right * factor),
        round(face.bottom * factor),
        face.confidence,
        (one, two, three, four, nose),
    )


def main() -> None:
    """`python -m gateway.matching.encoder_worker FD PARENT [MODEL]`: started by the pool only."""
    channel, parent = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    die_with_parent(parent)
    # Libraries that print must not write into the gateway's own output.
    os.dup2(2, 1)
    # A picture that would eat the box's memory ends this process, not the box.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    serve(channel, Path(sys.argv[3]) if len(sys.argv) > 3 else None)


if __name__ == "__main__":
    main()
