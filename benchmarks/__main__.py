"""Runs the benchmarks: `make bench`. Prints a table and writes benchmarks/results/<time>.json."""

from __future__ import annotations

import json
import logging
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table

from benchmarks import chain_analytics, journal_latency, kite_decoder, way_of_data
from benchmarks.measure import Row

SUBJECTS = (chain_analytics, kite_decoder, way_of_data, journal_latency)


def main() -> None:
    """Run every subject."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    table = Table("measured", "ours per second", "unit", "beside", "peer per second", "ratio", title="optrading")
    rows: list[Row] = []
    for subject in SUBJECTS:
        for row in subject.rows():
            rows.append(row)
            figures = (f"{row.per_second:,.0f}", row.unit, row.peer, f"{row.peer_per_second:,.0f}", f"{row.ratio:.2f}")
            table.add_row(row.name, *figures)
    Console(width=160).print(table)
    now = datetime.now(UTC)
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    path = results / f"{now:%Y%m%dT%H%M%SZ}.json"
    report = {
        "time": now.isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rows": [{**asdict(row), "ratio": row.ratio} for row in rows],
    }
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {path.relative_to(Path.cwd())}" if path.is_relative_to(Path.cwd()) else f"written to {path}")


if __name__ == "__main__":
    main()
