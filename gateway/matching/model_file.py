"""An operator's own face model: a description (TOML) beside the model's file (ONNX).

The project ships no such model: licence, training data and measurements are the operator's to judge. The
model's own hash is part of the encoder's name, so that templates of two versions never meet.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from estate.config import SettingsError, convert, read_toml


class _Description(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,40}\Z")]
    dimension: Annotated[int, Meta(ge=8, le=4096)]
    model: Annotated[str, Meta(min_length=1)]
    side: Annotated[int, Meta(ge=32, le=512)] = 112
    colour: Literal["rgb", "bgr"] = "rgb"
    mean: float = 127.5
    scale: Annotated[float, Meta(gt=0)] = 1 / 128
    thresholds: str = ""


class FaceModel(Struct, frozen=True):
    """A face model that ONNX Runtime can run.

    Attributes:
        encoder: name and dimension, as they stand with each template.
        dimension: numbers in a template.
        file: the model.
        side: the aligned face it takes is this many pixels wide and high.
        colour: the order of its colours.
        mean, scale: a pixel p (0 to 255) goes in as (p - mean) * scale.
        thresholds: the table measured with it; None where there is none, and then its faces open nothing
            until the estate's gallery or a cohort can calibrate them.
    """

    encoder: str
    dimension: int
    file: Path
    side: int
    colour: Literal["rgb", "bgr"]
    mean: float
    scale: float
    thresholds: Path | None


def read_face_model(path: Path) -> FaceModel:
    """Read a description and hash the model that it names.

    Args:
        path: the TOML file; the files it names lie beside it.
    Raises:
        SettingsError: a file is missing, or a value is wrong.
    """
    told = convert(_Description, read_toml(path), str(path))
    file = path.parent / told.model
    try:
        with file.open("rb") as model:
            digest = hashlib.file_digest(model, "sha256").hexdigest()
    except OSError as error:
        raise SettingsError(
            str(path), "model", f"模型文件无法读取 (the model cannot be read): {file}: {error.strerror}"
        ) from error
    return FaceModel(
        encoder=f"onnx:{told.name}@{digest[:12]}/{told.dimension}",
        dimension=told.dimension,
        file=file,
        side=told.side,
        colour=told.colour,
        mean=told.mean,
        scale=told.scale,
        thresholds=path.parent / told.thresholds if told.thresholds else None,
    )
