"""The thresholds of galleries too small to be calibrated on themselves: a measured table, with its source."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec

from estate.config import SettingsError, convert, read_toml
from gateway.matching.calibration import FRAMES_MAX, UNSURE_FPIR, Calibration, Threshold

PACKAGED = Path(__file__).with_name("thresholds.toml")


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The thresholds measured at one gallery size, for passages of 1, 2 and 3 frames."""

    gallery_size: Annotated[int, msgspec.Meta(ge=1)]
    accept_min: Annotated[list[float], msgspec.Meta(min_length=3, max_length=3)]
    unsure_min: Annotated[list[float], msgspec.Meta(min_length=3, max_length=3)]
    confirm_min: Annotated[list[float], msgspec.Meta(min_length=3, max_length=3)]


class ThresholdTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds by gallery size for one encoder and one stated rate.

    Attributes:
        source: whose faces they were measured on, and by which command.
        encoder: the only encoder they hold for.
        fpir: the rate they were measured at.
    """

    source: str
    encoder: str
    fpir: Annotated[float, msgspec.Meta(gt=0, lt=UNSURE_FPIR)]
    row: Annotated[list[Row], msgspec.Meta(min_length=1)]

    def calibration(self, gallery_size: int, fpir: float) -> Calibration:
        """The thresholds for a gallery of this size, read between the measured ones.

        Beyond the largest size, the rise from the two largest goes on with the logarithm of the size. For
        a stricter rate the scores' tail is continued as in `gateway.matching.calibration`; for a laxer
        one the table's own rate serves.
        """
        steps = []
        for frames in range(FRAMES_MAX):
            accept = self._between(gallery_size, [row.accept_min[frames] for row in self.row])
            unsure = self._between(gallery_size, [row.unsure_min[frames] for row in self.row])
            confirm = self._between(gallery_size, [row.confirm_min[frames] for row in self.row])
            slope = (accept - unsure) / math.log(UNSURE_FPIR / self.fpir)
            accept += slope * max(0.0, math.log(self.fpir / fpir))
            steps.append(Threshold(accept, unsure, confirm))
        return Calibration(min(fpir, self.fpir), tuple(steps), "table", 0)

    def _between(self, gallery_size: int, values: list[float]) -> float:
        sizes = [math.log(row.gallery_size) for row in self.row]
        at = math.log(max(gallery_size, 1))
        if at <= sizes[0] or len(sizes) == 1:
            return values[0]
        upper = next((index for index, size in enumerate(sizes) if size >= at), len(sizes) - 1)
        part = (at - sizes[upper - 1]) / (sizes[upper] - sizes[upper - 1])
        return values[upper - 1] + part * (values[upper] - values[upper - 1])


@cache
def load_table(path: Path = PACKAGED) -> ThresholdTable:
    """Read a table; the packaged one is for the default encoder.

    Raises:
        SettingsError: the file is missing or malformed, its sizes do not rise, or a threshold falls as
            the gallery or the number of frames grows.
    """
    table = convert(ThresholdTable, read_toml(path), str(path))
    for smaller, larger in zip(table.row, table.row[1:], strict=False):
        if larger.gallery_size <= smaller.gallery_size:
            raise SettingsError(str(path), "row.gallery_size", "应从小到大 (must rise from row to row)")
        for name in ("accept_min", "unsure_min"):
            falls = any(
                high < low for high, low in zip(getattr(larger, name), getattr(smaller, name), strict=True)
            )
            if falls:
                raise SettingsError(
                    str(path), f"row.{name}", "人数越多，阈值不应越低 (must not fall as the gallery grows)"
                )
    return table
