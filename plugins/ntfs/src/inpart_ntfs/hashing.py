"""Numbers that stand for names and whole rows, so that two large sets of them can be compared by sorting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

_ODD = np.random.default_rng(0x4E544653).integers(1, 1 << 63, size=512, dtype=np.uint64) * np.uint64(2) + np.uint64(1)

_PARTS = 16
"""Into so many parts two sets are split to be compared in little memory."""


def hash_units(units: Numbers) -> Hashes:
    """One number for each row of units; -1 stands behind the end of a row and does not count."""
    weights = _ODD[: units.shape[1]]
    return mixed(((units + 1).astype(np.uint64) * weights).sum(axis=1, dtype=np.uint64))


def mixed(*columns: NDArray[np.uint64] | Numbers) -> Hashes:
    """One number for each row of equally long columns."""
    found = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        found = (found ^ column.astype(np.uint64)) * _ODD[-1]
        found ^= found >> np.uint64(29)
    return found


def unmatched(left: Hashes, right: Hashes) -> tuple[Numbers, Numbers]:
    """Places in ``left`` and in ``right`` whose number the other one does not have as often, in order."""
    found: list[tuple[Numbers, Numbers]] = []
    for part in range(_PARTS):
        places = [np.flatnonzero(one % np.uint64(_PARTS) == part) for one in (left, right)]
        ours, theirs = _unmatched(left[places[0]], right[places[1]])
        found.append((places[0][ours], places[1][theirs]))
    return np.sort(np.concatenate([one for one, _ in found])), np.sort(np.concatenate([one for _, one in found]))


def _unmatched(left: Hashes, right: Hashes) -> tuple[Numbers, Numbers]:
    every = np.concatenate([left, right])
    order = np.argsort(every, kind="stable")
    every = every[order]
    first = np.flatnonzero(np.concatenate([[True], every[1:] != every[:-1]])) if len(every) else np.empty(0, np.int64)
    size = np.diff(first, append=len(every))
    sides = np.add.reduceat((order < len(left)).astype(np.int64), first) if len(first) else size
    uneven = np.repeat(2 * sides != size, size)
    places = np.sort(order[uneven])
    return places[places < len(left)], places[places >= len(left)] - len(left)
