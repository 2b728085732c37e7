"""Cells that are known already, one line of JSON each, so that a run that was interrupted can go on."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from matrix.cells import Cell
from matrix.grounds import Column

ROOT = Path(__file__).parents[2]


class Notes:
    """A journal that several processes append to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, cell: Cell) -> None:
        """One write for each line, so that lines do not mix."""
        line = json.dumps({"sources": self._sources, **asdict(cell)}) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def cells(self) -> list[Cell]:
        """Those that were made with the sources as they are now."""
        if not self.path.exists():
            return []
        rows = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [_cell(row) for row in rows if row.pop("sources") == self._sources]

    def remove(self) -> None:
        """The matrix is written."""
        self.path.unlink(missing_ok=True)

    @cached_property
    def _sources(self) -> str:
        """A digest of inpart, its plugins and the matrix."""
        folders = [ROOT / "core" / "src", *sorted((ROOT / "plugins").glob("*/src")), ROOT / "tests" / "matrix"]
        files = sorted(file for folder in folders for file in folder.rglob("*.py"))
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.read_bytes())
        return digest.hexdigest()


def _cell(row: dict[str, object]) -> Cell:
    column = row.pop("column")
    assert isinstance(column, dict)
    return Cell(column=Column(**column), **row)  # type: ignore[arg-type]
