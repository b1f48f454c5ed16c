"""What a gateway's galleries are measured with: its encoder, and where thresholds come from.

Thresholds come from an operator's file of other people's templates where there is one; else from the
gallery itself, once it is large enough; else from a table measured elsewhere with the same encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from estate.config import SettingsError
from gateway.matching.calibration import (
    FRAMES_MAX,
    STRANGERS_MIN,
    Calibration,
    Threshold,
    from_gallery,
    from_strangers,
)
from gateway.matching.draws import Labelled, TemplatesFileError, encoder_of, read_labelled
from gateway.matching.model_file import FaceModel
from gateway.matching.table import ThresholdTable, load_table
from gateway.matching.templates import DLIB_ENCODER, Floats, StoredTemplate, TemplateShapeError, fuse_tracks

# From so many people on, a gallery is calibrated on itself; below, the table serves.
COHORT_MIN = 300


class NoCalibrationError(ValueError):
    """Nothing says from which score a face of this encoder may open a door."""

    def __init__(self, encoder: str, people: int) -> None:
        self.encoder, self.people = encoder, people
        super().__init__(
            f"编码器 {encoder} 没有可用的阈值（库中 {people} 人）；请提供用该编码器测出的阈值表  |  "
            f"no thresholds for encoder {encoder} with {people} people: give a table measured with it"
        )


@dataclass(frozen=True, slots=True)
class Yardstick:
    """One encoder and its sources of thresholds.

    Attributes:
        encoder: name and dimension; people of other encoders are left out of a gallery.
        table: measured with it; None where there is none.
        cohort: templates of people who live elsewhere, made with it; None where there is no such file.
        cohort_min: from so many people on, a gallery is its own yardstick.
    """

    encoder: str = DLIB_ENCODER
    table: ThresholdTable | None = None
    cohort: Labelled | None = None
    cohort_min: int = COHORT_MIN

    def calibrate(self, people: Sequence[StoredTemplate], rows: Floats, fpir: float) -> Calibration:
        """The thresholds of a gallery.

        Args:
            people: everybody in it, all of this encoder.
            rows: their templates, float32 unit vectors, shape (N, dimension), in the same order.
            fpir: the stated share of strangers that may be let in as somebody.
        Raises:
            NoCalibrationError: too few people, and nothing else to go by.
        """
        if self.cohort is not None:
            strangers = len(self.cohort.rows)
            return Calibration(fpir, _from_cohort(self.cohort, rows, fpir), "strangers", strangers)
        if len(people) >= self.cohort_min:
            return Calibration(fpir, from_gallery(people, rows, fpir), "gallery", len(people))
        if self.table is None:
            raise NoCalibrationError(self.encoder, len(people))
        return self.table.calibration(len(people), fpir)


def default_yardstick() -> Yardstick:
    """The default encoder with its packaged table."""
    return Yardstick(table=load_table())


def make_yardstick(model: FaceModel | None, cohort_file: Path | None) -> Yardstick:
    """What the configuration says.

    Args:
        model: an operator's own; None for the default encoder.
        cohort_file: .npz of `templates` (N, dimension), `persons` (N,) and, unless it is the default
            encoder's, `encoder`.
    Raises:
        SettingsError: a file cannot be read, or is of another encoder.
    """
    encoder = model.encoder if model is not None else DLIB_ENCODER
    cohort = _read_cohort(cohort_file, encoder) if cohort_file is not None else None
    if model is None:
        return Yardstick(encoder, load_table(), cohort)
    table = load_table(model.thresholds) if model.thresholds is not None else None
    if table is not None and table.encoder != encoder:
        raise SettingsError(
            str(model.thresholds), "encoder", f"不是 {encoder} 的阈值表 (a table of another encoder)"
        )
    return Yardstick(encoder, table, cohort)


def _from_cohort(cohort: Labelled, rows: Floats, fpir: float) -> tuple[Threshold, ...]:
    """Thresholds for 1, 2 and 3 frames: each of the cohort comes by once. More frames are never laxer."""
    made: list[Threshold] = []
    for frames in range(1, FRAMES_MAX + 1):
        whose = [own for own in cohort.rows if len(own) >= frames]
        if len(whose) < STRANGERS_MIN:  # judged like one frame fewer; for one frame there are enough
            made.append(made[-1])
            continue
        tracks, _ = fuse_tracks([cohort.templates[own[:frames]] for own in whose], rows.shape[1])
        found = from_strangers(tracks, np.arange(len(tracks)), rows, fpir)
        made.append(found.stricter(made[-1]) if made else found)
    return tuple(made)


def _read_cohort(path: Path, encoder: str) -> Labelled:
    key = "faces.cohort_file"
    try:
        cohort, made_with = read_labelled(path), encoder_of(path)
    except (TemplatesFileError, TemplateShapeError) as error:
        raise SettingsError(str(path), key, str(error)) from error
    if made_with != encoder:
        reason = f"由编码器 {made_with} 生成，应为 {encoder} (made with another encoder)"
        raise SettingsError(str(path), key, reason)
    if len(cohort.rows) < STRANGERS_MIN:
        reason = f"至少需要 {STRANGERS_MIN} 人 (needs at least {STRANGERS_MIN} people): {len(cohort.rows)}"
        raise SettingsError(str(path), key, reason)
    return cohort
