"""What an estate's own enrolled people say about how well its doors will recognise them, without any name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from gateway.matching.draws import label, largest_size
from gateway.matching.evaluate import Rate, evaluate
from gateway.matching.gallery import Gallery
from gateway.matching.scoring import rank
from gateway.matching.templates import StoredTemplate
from gateway.matching.yardstick import Yardstick

# Each person's last photograph plays the door, so the others are what they are enrolled with.
_PHOTOS, _FRAMES = 2, 1
_SIZE_MIN = 20


def own_report(people: Sequence[StoredTemplate], fpir: float, yardstick: Yardstick) -> list[str]:
    """The lines of the report: numbers of people only.

    Args:
        people: everybody enrolled in the estate.
        fpir: the estate's stated rate.
        yardstick: what its doors use.
    Raises:
        NoCalibrationError: too few people, and no table for this encoder.
    """
    encoder = yardstick.encoder
    ours = [person for person in people if person.encoder == encoder]
    lines = [f"已登记 {len(ours)} 人  |  {len(ours)} people enrolled for {encoder}"]
    if len(ours) < len(people):
        others = len(people) - len(ours)
        lines.append(
            f"另有 {others} 份模板属于其他编码器，未使用  |  {others} templates of other encoders, not used"
        )
    gallery = Gallery.build(ours, fpir=fpir, yardstick=yardstick)
    if gallery.calibration is None:
        return lines
    photos = sorted(Counter(person.photos for person in ours).items())
    lines.append("照片数  |  photographs: " + ", ".join(f"{count} × {number}" for number, count in photos))
    found = gallery.calibration.threshold(1)
    lines.append(
        f"阈值来源 {gallery.calibration.source}  |  thresholds from the {gallery.calibration.source}: "
        f"accept from {found.accept_min:.4f}, ask for a card from {found.unsure_min:.4f}"
    )
    if len(ours) > 1:
        alike = rank(gallery.rows, gallery.rows, exclude=np.arange(len(ours))).scores() >= found.accept_min
        many = int(alike.sum())
        lines.append(
            f"与他人过于相像的 {many} 人，可能须刷卡  |  {many} people look so much like somebody else, "
            "or are enrolled twice, that their face alone may not open"
        )
    return [*lines, *_measured(ours, fpir)]


def _measured(people: Sequence[StoredTemplate], fpir: float) -> list[str]:
    labelled = label(
        np.concatenate([person.views for person in people]),
        np.repeat(np.arange(len(people)), [person.photos for person in people]),
    )
    size = largest_size(labelled, _PHOTOS, _FRAMES)
    if size < _SIZE_MIN:
        return [
            "每人三张照片的人数不足，无法测量  |  too few people with three photographs to measure on them"
        ]
    result = evaluate(labelled, size, _PHOTOS, _FRAMES, fpir)
    setting = f"{size} in the gallery, {_PHOTOS} photographs, {_FRAMES} frame"
    asked = f"of which {result.unsure:.1%} are asked for a card"
    return [
        f"用本小区的照片实测  |  measured on their own further photographs ({setting}):",
        f"  误认  |  strangers let in: {_percent(result.fpir)}",
        f"  漏认  |  residents not let in by face alone: {_percent(result.fnir)}, {asked}",
    ]


def _percent(rate: Rate) -> str:
    return f"{rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}]"
