"""Where the bytes of a path lie, for many offsets at a time."""

from __future__ import annotations

import numpy as np
from inpart.extents import Pairs, Runs


class Positions:
    """Looks up offsets of a path through a volume."""

    def __init__(self, runs: Runs) -> None:
        self._starts = runs.array[:, 0]
        self._ends = np.cumsum(runs.array[:, 1])
        self._shifts = self._starts - (self._ends - runs.array[:, 1])

    def of(self, offsets: Pairs) -> Pairs:
        """The place of each byte of the path; ``offsets`` lie inside it."""
        return self._shifts[np.searchsorted(self._ends, offsets, side="right")] + offsets
