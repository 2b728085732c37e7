"""Run lists cut into pieces that fit into records."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inpart_ntfs.editor.drafts import DraftAttribute
from inpart_ntfs.editor.pieces import Geometry, Piece
from inpart_ntfs.runs import HOLE

Numbers = NDArray[np.int64]

_SMALLEST_PAIR = 2


def fitting(attribute: DraftAttribute, rows: Numbers, room: int) -> int:
    """How many of the first ``rows`` a piece of at most ``room`` bytes can map; 0 if not even one.

    Compression units are kept together where they can be.
    """
    space = (room - attribute.header_size()) // 8 * 8 - 1
    if space < _SMALLEST_PAIR:
        return 0
    candidates = rows[: space // _SMALLEST_PAIR]
    count = int(np.searchsorted(np.cumsum(pair_sizes(candidates)), space, side="right"))
    if count < len(rows) and attribute.compression_unit:
        whole = np.flatnonzero(rows[1 : count + 1, 0] % (1 << attribute.compression_unit) == 0)
        count = int(whole[-1]) + 1 if len(whole) else count
    return count


def piece_of(attribute: DraftAttribute, rows: Numbers, geometry: Geometry) -> Piece:
    """The piece that maps ``rows``, or a resident attribute."""
    if attribute.rows is None:
        return Piece(attribute.type, attribute.name, 0, attribute.resident())
    lowest = int(rows[0, 0]) if len(rows) else 0
    return Piece(attribute.type, attribute.name, lowest, attribute.mapped(rows, geometry, lowest))


def pair_sizes(rows: Numbers) -> Numbers:
    """Bytes that each of the rows takes in a run list that starts with the first of them."""
    lcn, count = rows[:, 1], rows[:, 2]
    stored = lcn != HOLE
    index = np.maximum.accumulate(np.where(stored, np.arange(len(rows)), -1))
    last = np.where(index >= 0, lcn[index], 0)
    before = np.concatenate([np.zeros(min(1, len(rows)), dtype=np.int64), last[:-1]])
    return 1 + _bytes(count) + np.where(stored, _bytes(lcn - before), 0)


def _bytes(values: Numbers) -> Numbers:
    """Bytes of numbers with their sign."""
    size = np.ones_like(values)
    magnitude = np.where(values < 0, ~values, values)
    for bits in range(7, 63, 8):
        size += magnitude >= 1 << bits
    return size
