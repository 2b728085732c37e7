"""Runs the whole matrix in two processes and writes it as Markdown: ``python -m matrix FILE``."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from matrix.cells import Cell, run_column
from matrix.grounds import COLUMNS
from matrix.report import markdown


def main() -> int:
    """Write the file that is named on the command line."""
    began = time.monotonic()
    cells: list[Cell] = []
    with ProcessPoolExecutor(2) as pool:
        # the largest partitions first, so that both processes end together
        for done in as_completed([pool.submit(run_column, column) for column in reversed(COLUMNS)]):
            column = done.result()
            cells += column
            sys.stderr.write(f"{time.monotonic() - began:4.0f} s  {column[0].column}: {len(column)} cells\n")
    Path(sys.argv[1]).write_text(markdown(cells, time.monotonic() - began))
    return 0


if __name__ == "__main__":
    sys.exit(main())
