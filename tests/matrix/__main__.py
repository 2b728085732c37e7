"""Runs the whole matrix in two processes and writes it as Markdown: ``python -m matrix FILE JOURNAL``.

Each cell is noted in JOURNAL as soon as it is known; a run that was interrupted goes on from there, and one that is
done removes it. A note counts for the sources it was made with only.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from matrix.cells import cells_of, run_column
from matrix.grounds import COLUMNS
from matrix.notes import Notes
from matrix.report import markdown


def main() -> int:
    """Write the file that is named first on the command line."""
    target, journal = (Path(name) for name in sys.argv[1:])
    journal.parent.mkdir(exist_ok=True)
    notes = Notes(journal)
    began = time.monotonic()
    with ProcessPoolExecutor(2) as pool:
        # the largest partitions first, so that both processes end together
        done = {(cell.column, cell.damage) for cell in notes.cells()}
        missing = {
            column: [damage.name for damage in cells_of(column) if (column, damage.name) not in done]
            for column in reversed(COLUMNS)
        }
        work = [pool.submit(run_column, column, names, notes.add) for column, names in missing.items() if names]
        for future in as_completed(work):
            cells = future.result()
            sys.stderr.write(f"{time.monotonic() - began:4.0f} s  {cells[0].column}: {len(cells)} cells\n")
    target.write_text(markdown(notes.cells()))
    notes.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
