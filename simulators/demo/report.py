"""The story's steps: shown as they happen, kept as `summary.json`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step of the story; `ok` only if what was seen is what was expected."""

    name: str
    expected: str
    seen: str
    ok: bool
    seconds: float


class Report:
    """Runs steps one after the other; a failing step is shown and the story goes on."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps: list[StepResult] = []

    def step(self, name: str, expected: str, act: Callable[[], str]) -> None:
        """Do `act` and compare what it saw with `expected`.

        Whatever goes wrong inside becomes what was seen: the story is there to show it.
        """
        started_s = time.monotonic()
        with self.console.status(escape(name)):
            try:
                seen = act()
            except Exception as error:
                seen = f"{type(error).__name__}: {error}"
        result = StepResult(name, expected, seen, seen == expected, round(time.monotonic() - started_s, 3))
        self.steps.append(result)
        mark = "[green]✓[/]" if result.ok else "[red]✗[/]"
        self.console.print(f" {mark} {escape(name)}  [dim]{escape(seen)} · {result.seconds:.2f} s[/]")
        if not result.ok:
            self.console.print(f"   [red]应为 (expected):[/] {escape(expected)}")

    @property
    def ok(self) -> bool:
        """Whether there was a story and each step of it was as expected."""
        return bool(self.steps) and all(step.ok for step in self.steps)

    def write(self, path: Path) -> None:
        """Keep the result for machines, whole or not at all."""
        content = {"ok": self.ok, "steps": [asdict(step) for step in self.steps]}
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)
