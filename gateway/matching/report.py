"""What was measured, as text, JSON and plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.matching.calibration import FRAMES_MAX, TooFewStrangersError
from gateway.matching.det import draw_det
from gateway.matching.draws import GallerySizeError, TemplatesFileError, read_labelled
from gateway.matching.evaluate import Rate, Result, evaluate
from gateway.matching.table_maker import measure_table, table_toml
from gateway.matching.templates import DLIB_ENCODER, TemplateShapeError
from gateway.matching.ways import compare

__all__ = ["EXPECTED", "as_json", "as_text", "compared", "draw_det", "measure", "table"]

# What a command says in one sentence.
EXPECTED = (TemplatesFileError, TemplateShapeError, GallerySizeError, TooFewStrangersError, OSError)


def measure(
    templates: Path,
    fpir: float,
    sizes: Sequence[int],
    photos: int,
    frames: Sequence[int],
    seed: int,
    draws: int,
    alike: float,
) -> list[Result]:
    """Measure every combination of size and frames.

    Raises:
        TemplatesFileError, TemplateShapeError, GallerySizeError, TooFewStrangersError: what does not fit.
    """
    people = read_labelled(templates)
    for count in frames:
        for size in sizes:  # before minutes are spent on those that fit
            people.require(size, photos, count)
    return [
        evaluate(people, size, photos, count, fpir, seed, draws, alike) for count in frames for size in sizes
    ]


def as_json(results: Sequence[Result]) -> str:
    """A JSON list, one object a result, rates as shares of 1 and intervals as [low, high]."""
    return msgspec.json.format(msgspec.json.encode([_plain(result) for result in results])).decode()


def as_text(results: Sequence[Result], fpir: float) -> str:
    """A table for people."""
    stated = (
        f"目标 FPIR {fpir:.2%}；括号内为 95 % 区间  |  stated FPIR {fpir:.2%}; 95 % intervals in brackets"
    )
    words = "FPIR: strangers let in · FNIR: residents not let in, the unsure (asked for a card) included"
    head = ("people", "photos", "frames", "FPIR", "FNIR", "unsure", "unsure", "threshold", "FPIR", "FNIR")
    over = (*[""] * 5, "residents", "strangers", "", "library's", "0.6 rule")
    shape = "{:>6} {:>6} {:>6}  {:<24} {:<24} {:>9} {:>9} {:>9} {:>9} {:>8}"
    lines = [stated, words, "", shape.format(*over), shape.format(*head)]
    lines += [
        shape.format(
            *(one.gallery_size, one.photos, one.frames, _percent(one.fpir), _percent(one.fnir)),
            *(f"{one.unsure:.2%}", f"{one.unsure_strangers:.2%}", f"{one.threshold:.4f}"),
            *(f"{one.library_fpir:.1%}", f"{one.library_fnir:.2%}"),
        )
        for one in results
    ]
    lines += ["", *(_counts(one) for one in results)]
    return "\n".join(lines)


def compared(
    templates: Path,
    fpir: float,
    sizes: Sequence[int],
    photos: int,
    frames: Sequence[int],
    seed: int,
    draws: int,
) -> str:
    """The ways of scoring side by side, as a Markdown table of FNIR (FPIR in brackets).

    Raises:
        As `measure`.
    """
    people = read_labelled(templates)
    settings = [(count, size) for count in frames for size in sizes]
    for count, size in settings:
        people.require(size, photos, count)
    rows: dict[str, list[str]] = {}
    for count, size in settings:
        for one in compare(people, size, photos, count, fpir, seed, draws):
            rows.setdefault(one.way, []).append(f"{one.fnir:.1%} ({one.fpir:.2%})")
    head = " | ".join(f"{size} people, {count} frame{'s' if count > 1 else ''}" for count, size in settings)
    lines = [f"| way | {head} |", "|---" * (len(settings) + 1) + "|"]
    lines += [f"| {way} | {' | '.join(cells)} |" for way, cells in rows.items()]
    return "\n".join(lines)


def table(
    templates: Path,
    fpir: float,
    sizes: Sequence[int],
    photos: int,
    seed: int,
    draws: int,
    encoder: str | None,
    source: str,
) -> str:
    """The table of thresholds for small galleries, as its file.

    Raises:
        As `measure`.
    """
    people = read_labelled(templates)
    for size in sizes:
        people.require(size, photos, FRAMES_MAX)
    rows = measure_table(people, photos, fpir, sorted(set(sizes)), seed, draws)
    return table_toml(rows, encoder or DLIB_ENCODER, fpir, source)


def _plain(result: Result) -> dict[str, object]:
    return {
        "gallery_size": result.gallery_size,
        "photos": result.photos,
        "frames": result.frames,
        "fpir": result.fpir.value,
        "fpir_ci": [result.fpir.low, result.fpir.high],
        "fnir": result.fnir.value,
        "fnir_ci": [result.fnir.low, result.fnir.high],
        "unsure": result.unsure,
        "strangers": result.strangers,
        "probes": result.probes,
        "threshold": result.threshold,
        "unsure_strangers": result.unsure_strangers,
        "taken_for_another": result.taken_for_another,
        "stranger_people": result.stranger_people,
        "probe_people": result.probe_people,
        "library_fpir": result.library_fpir,
        "library_fnir": result.library_fnir,
    }


def _percent(rate: Rate) -> str:
    return f"{rate.value:.2%} [{rate.low:.2%}, {rate.high:.2%}]"


def _counts(one: Result) -> str:
    return (
        f"{one.gallery_size} / {one.frames}: {one.probes} passages of {one.probe_people} residents, "
        f"{one.strangers} of {one.stranger_people} strangers; {one.taken_for_another:.2%} taken for another"
    )
