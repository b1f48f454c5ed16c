"""A measured figure beside its floor, both from the same run."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement.

    Attributes:
        name: area and figure, such as `doors.decisions`.
        value: ours, in `unit`.
        floor: what the bare parts reach in the same run, in the same unit.
        ratio: value / floor. For rates higher is better, for times lower is.
        conditions: what was measured, in words.
    """

    name: str
    value: float
    unit: str
    floor: float | None
    ratio: float | None
    conditions: str


def figure(name: str, value: float, unit: str, floor: float | None, conditions: str) -> Figure:
    """A figure with its ratio."""
    ratio = round(value / floor, 3) if floor else None
    return Figure(
        name, round(value, 3), unit, round(floor, 3) if floor is not None else None, ratio, conditions
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def show(figures: Sequence[Figure], console: Console) -> None:
    """The table on the screen."""
    table = Table(title="figures beside their floors (same run)")
    for heading in ("name", "value", "unit", "floor", "ratio", "conditions"):
        table.add_column(heading, justify="right" if heading in {"value", "floor", "ratio"} else "left")
    for one in figures:
        table.add_row(
            one.name,
            f"{one.value:,.2f}",
            one.unit,
            "" if one.floor is None else f"{one.floor:,.2f}",
            "" if one.ratio is None else f"{one.ratio:.3f}",
            one.conditions,
        )
    console.print(table)


def write(figures: Sequence[Figure], path: Path) -> None:
    """Keep the figures as `{"runs": [...]}`; figures of other parts measured earlier stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {one.name for one in figures}
    earlier = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.exists() else []
    runs = [run for run in earlier if run["name"] not in names] + [asdict(one) for one in figures]
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    unfinished = path.with_suffix(".part")
    unfinished.write_text(
        json.dumps({"machine": machine, "runs": runs}, ensure_ascii=False, indent=2) + "\n", "utf-8"
    )
    unfinished.replace(path)
