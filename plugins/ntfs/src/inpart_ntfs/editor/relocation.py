"""Rows of a run list taken out of a region: which leave, where they arrive, and the list made of both."""

from __future__ import annotations

import numpy as np
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_ntfs.runs import HOLE, joined

Numbers = NDArray[np.int64]

VCN, LCN, COUNT = range(3)
MAX_ROWS = 1024
"""So many rows leave at most at one time."""


def parted(rows: Numbers, region: Extents, limit: int) -> tuple[Numbers, Numbers, bool]:
    """What stays, what leaves ``region`` now, at most ``limit`` clusters, and whether nothing is left there."""
    pieces = _cut(rows, region)
    inside = (pieces[:, LCN] != HOLE) & region.touches(pieces[:, LCN], pieces[:, COUNT])
    count = pieces[:, COUNT] * inside
    leaves = inside & (np.cumsum(count) - count < limit) & (np.cumsum(inside) <= MAX_ROWS)
    stay, leave = pieces[~leaves], pieces[leaves]
    excess = int(leave[:, COUNT].sum()) - limit
    if excess > 0:
        kept = leave[-1:].copy()
        leave[-1, COUNT] -= excess
        kept += [int(leave[-1, COUNT]), int(leave[-1, COUNT]), 0]
        kept[0, COUNT] = excess
        stay = np.concatenate([stay, kept])
    return stay, leave, excess <= 0 and bool((leaves == inside).all())


def aligned(leave: Numbers, targets: Numbers) -> Numbers:
    """The rows of ``leave`` laid along ``targets``, rows of first cluster and count; cut where either of them ends."""
    left, right = np.cumsum(leave[:, COUNT]), np.cumsum(targets[:, 1])
    ends = np.unique(np.concatenate([left, right]))
    starts = np.concatenate([np.zeros(min(1, len(ends)), dtype=np.int64), ends[:-1]])
    row = np.searchsorted(left, starts, side="right")
    target = np.searchsorted(right, starts, side="right")
    vcn = leave[row, VCN] + starts - (left - leave[:, COUNT])[row]
    lcn = targets[target, 0] + starts - (right - targets[:, 1])[target]
    return np.stack([vcn, lcn, ends - starts], axis=1)


def merged(stay: Numbers, arrived: Numbers) -> Numbers:
    """One run list of all rows."""
    rows = np.concatenate([stay, arrived])
    return joined(rows[np.argsort(rows[:, VCN], kind="stable")])


def sources(leave: Numbers, arrived: Numbers) -> Numbers:
    """Where each of the ``arrived`` rows comes from: the first cluster."""
    row = np.searchsorted(leave[:, VCN], arrived[:, VCN], side="right") - 1
    return np.asarray(leave[row, LCN] + arrived[:, VCN] - leave[row, VCN])


def _cut(rows: Numbers, region: Extents) -> Numbers:
    """A run list with its runs cut at the borders of ``region``; holes stay whole."""
    borders = region.array.ravel()
    end = rows[:, LCN] + rows[:, COUNT]
    first = np.searchsorted(borders, rows[:, LCN], side="right")
    last = np.searchsorted(borders, end, side="left")
    pieces = np.where(rows[:, LCN] == HOLE, 1, last - first + 1)
    owner = np.repeat(np.arange(len(rows)), pieces)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    low = rows[owner, LCN].copy()
    later = nth > 0
    low[later] = borders[first[owner[later]] + nth[later] - 1]
    high = end[owner].copy()
    earlier = nth < pieces[owner] - 1
    high[earlier] = borders[first[owner[earlier]] + nth[earlier]]
    cut = rows[owner].copy()
    cut[:, VCN] += low - rows[owner, LCN]
    cut[:, LCN], cut[:, COUNT] = low, high - low
    return cut
