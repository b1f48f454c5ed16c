"""`make bench`: measures, shows the table, writes var/bench/results.json."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.benchmarks import (
    closing,
    doors,
    faces,
    ledger,
    ledger_reading,
    matching,
    payments,
    ready,
    reconcile,
    registry,
    rent,
    rent_page,
    snapshot,
)
from tests.benchmarks.figures import show, write

RESULTS = Path("var/bench/results.json")
PARTS = {
    "closing": closing.measure,
    "doors": doors.measure,
    "faces": faces.measure,
    "matching": matching.measure,
    "ready": ready.measure,
    "snapshot": snapshot.measure,
    "ledger": ledger.measure,
    "ledger_reading": ledger_reading.measure,
    "payments": payments.measure,
    "reconcile": reconcile.measure,
    "registry": registry.measure,
    "rent": rent.measure,
    "rent_page": rent_page.measure,
}


def main() -> int:
    """Run the chosen parts; 1 when a part could not be measured."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=sorted(PARTS), help="measure one part")
    chosen = parser.parse_args().only
    console = Console(width=None if sys.stdout.isatty() else 200)
    figures = []
    for name, measure in PARTS.items():
        if chosen in {None, name}:
            with tempfile.TemporaryDirectory(prefix="estate-bench-") as folder:
                for one in measure(Path(folder)):
                    console.print(f"{one.name}: {one.value:,.2f} {one.unit}")
                    figures.append(one)
    show(figures, console)
    write(figures, RESULTS)
    console.print(f"{RESULTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
