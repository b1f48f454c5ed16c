"""`estate faces …`: measure the doors' recognition on labelled templates."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import click

# As for the gateway itself; numpy reads it when it is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

Command: TypeAlias = Callable[..., None]

_TEMPLATES = click.option(
    "--templates",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="已标注的模板 .npz：templates (N,128)、persons (N,)  |  labelled templates",
)
_FPIR = click.option(
    "--fpir",
    default=0.003,
    show_default=True,
    type=click.FloatRange(0, 0.5, min_open=True),
    help="允许误认的陌生人比例  |  share of strangers that may be let in as somebody",
)
_PHOTOS = click.option(
    "--photos",
    default=3,
    show_default=True,
    type=click.IntRange(1, 20),
    help="每人注册照片数  |  photographs",
)
_SEED = click.option(
    "--seed", default=1, show_default=True, help="随机种子  |  the same seed, the same draws"
)


class Numbers(click.ParamType[tuple[int, ...]]):
    """Positive whole numbers, comma-separated."""

    name = "n,n,…"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers, or what is wrong with them."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"应为逗号分隔的整数 (expected whole numbers, comma-separated): {value!r}", param, ctx)
        if min(numbers) < 1:
            self.fail(f"应大于 0 (must be above 0): {value!r}", param, ctx)
        return numbers


_FRAMES = click.option(
    "--frames", default="1,3", show_default=True, type=Numbers(), help="每次通行帧数  |  frames a passage"
)


def _sizes(default: str) -> Callable[[Command], Command]:
    return click.option(
        "--gallery-sizes", default=default, show_default=True, type=Numbers(), help="库规模  |  people"
    )


def _draws(default: int) -> Callable[[Command], Command]:
    return click.option(
        "--draws",
        default=default,
        show_default=True,
        type=click.IntRange(1, 1000),
        help="抽取次数  |  galleries drawn",
    )


@contextmanager
def _told_plainly() -> Iterator[ModuleType]:
    """The measurements; what does not fit them is one sentence and exit status 1."""
    # numpy is loaded only when something is measured.
    from gateway.matching import report  # noqa: PLC0415

    try:
        yield report
    except report.EXPECTED as error:
        click.echo(str(error), err=True)
        sys.exit(1)


@click.group()
def faces() -> None:
    """人脸识别的测量  |  How well faces are recognised."""


@faces.command()
@_TEMPLATES
@_FPIR
@_sizes("100,500,1000")
@_PHOTOS
@_FRAMES
@_SEED
@_draws(10)
@click.option(
    "--alike",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="各帧相似程度，0 为不同日期  |  how alike a passage's frames are; 0: of other days, 1: one frame",
)
@click.option("--json", "as_json", is_flag=True, help="JSON 输出  |  a JSON list")
@click.option("--det", type=click.Path(path_type=Path, dir_okay=False), help="DET 曲线 PNG  |  a DET plot")
def evaluate(
    templates: Path,
    fpir: float,
    gallery_sizes: tuple[int, ...],
    photos: int,
    frames: tuple[int, ...],
    seed: int,
    draws: int,
    alike: float,
    as_json: bool,
    det: Path | None,
) -> None:
    """用门口的同一套代码测量误认与漏认  |  False and missed identifications, with the doors' own code."""
    with _told_plainly() as report:
        results = report.measure(templates, fpir, gallery_sizes, photos, frames, seed, draws, alike)
        if det is not None:
            report.draw_det(results, fpir, det)
        click.echo(report.as_json(results) if as_json else report.as_text(results, fpir))


@faces.command()
@_TEMPLATES
@_FPIR
@_sizes("100,500,1000")
@_PHOTOS
@_FRAMES
@_SEED
@_draws(10)
def compare(
    templates: Path,
    fpir: float,
    gallery_sizes: tuple[int, ...],
    photos: int,
    frames: tuple[int, ...],
    seed: int,
    draws: int,
) -> None:
    """比较几种打分方法  |  The doors' way of scoring beside others, on the same draws."""
    with _told_plainly() as report:
        click.echo(report.compared(templates, fpir, gallery_sizes, photos, frames, seed, draws))


@faces.command()
@_TEMPLATES
@_FPIR
@_sizes("1,3,10,30,100,300,1000")
@_PHOTOS
@_SEED
@_draws(20)
@click.option(
    "--encoder", default=None, help="编码器名称  |  what made them; the default encoder if not given"
)
@click.option(
    "--source", required=True, help="数据来源  |  whose faces these are, for the table's first line"
)
def thresholds(
    templates: Path,
    fpir: float,
    gallery_sizes: tuple[int, ...],
    photos: int,
    seed: int,
    draws: int,
    encoder: str | None,
    source: str,
) -> None:
    """为小规模人脸库测出阈值表  |  Measure the table of thresholds that small galleries use."""
    with _told_plainly() as report:
        made = report.table(templates, fpir, gallery_sizes, photos, seed, draws, encoder, source)
        click.echo(made, nl=False)
