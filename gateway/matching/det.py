"""The DET plot: misses against false identifications, both on logarithmic axes, drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from gateway.matching.evaluate import Result

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 1100, 760, 110, 60, 300, 90
_LOW, _HIGH = 1e-4, 1.0
_COLOURS = ("#1b6ca8", "#c0392b", "#1e8449", "#8e44ad", "#d68910", "#148f77", "#34495e", "#a04000")


def draw_det(results: Sequence[Result], fpir: float, path: Path) -> None:
    """Draw one curve for each result, the stated rate as a line and the working points as dots.

    Raises:
        OSError: the file cannot be written.
    """
    picture = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=17)
    pen.text(
        (_LEFT, 18), "Misses against false identifications (DET)", "black", ImageFont.load_default(size=22)
    )
    for decade in range(round(math.log10(_LOW)), 1):
        rate = 10.0**decade
        pen.line([(_x(rate), _y(_LOW)), (_x(rate), _y(_HIGH))], "#dddddd")
        pen.line([(_x(_LOW), _y(rate)), (_x(_HIGH), _y(rate))], "#dddddd")
        pen.text((_x(rate), _y(_LOW) + 8), f"{rate:g}", "black", font, anchor="ma")
        pen.text((_LEFT - 10, _y(rate)), f"{rate:g}", "black", font, anchor="rm")
    pen.text(((_x(_LOW) + _x(_HIGH)) / 2, _HEIGHT - 34), "FPIR: strangers let in", "black", font, anchor="ma")
    pen.text((12, _TOP - 26), "FNIR: residents not let in", "black", font)
    pen.line([(_x(fpir), _y(_LOW)), (_x(fpir), _y(_HIGH))], "#888888", 2)
    for number, result in enumerate(results):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [(_x(x), _y(y)) for x, y in result.curve]
        pen.line(points, colour, 3, joint="curve")
        x, y = _x(result.fpir.value), _y(result.fnir.value)
        pen.ellipse([(x - 6, y - 6), (x + 6, y + 6)], fill=colour)
        words = f"{result.gallery_size} people, {result.photos} photographs, {result.frames} frames"
        place = _TOP + 8 + 26 * number
        pen.line([(_WIDTH - _RIGHT + 12, place + 10), (_WIDTH - _RIGHT + 36, place + 10)], colour, 4)
        pen.text((_WIDTH - _RIGHT + 42, place), words, "black", ImageFont.load_default(size=14))
    picture.save(path, "PNG")


def _x(rate: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * _along(rate)


def _y(rate: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * _along(rate)


def _along(rate: float) -> float:
    """Where a rate stands on its axis, 0 to 1; rates below the axis stand at its start."""
    return math.log10(min(max(rate, _LOW), _HIGH) / _LOW) / math.log10(_HIGH / _LOW)
