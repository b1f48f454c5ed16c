"""`python -m tests.benchmarks.ledger_one_book N`: N connections on one book, beside another ledger."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median, quantiles

from estate.embedded.postgres import EmbeddedPostgres
from tests.benchmarks.ledger import ROUNDS, Load, prepare, sealed_rate


def main() -> None:
    """Print what one round after the other gave."""
    parser = argparse.ArgumentParser(prog="ledger_one_book", description=__doc__)
    parser.add_argument("connections", type=int, choices=range(1, 33), metavar="N")
    connections = parser.parse_args().connections
    with tempfile.TemporaryDirectory(prefix="estate-bench-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder) / "postgres") as server:
            url = prepare(server)
            for _ in range(ROUNDS):
                found = sealed_rate(url, Load(connections, one_book=True))
                p50, p99 = median(found.commit_ms), quantiles(found.commit_ms, n=100)[98]
                print(
                    f"{found.rate:,.0f} sealed entries/s, commit p50 {p50:.2f} ms, p99 {p99:.2f} ms,"
                    f" seal within {found.late_s_max:.2f} s"
                )


if __name__ == "__main__":
    main()
