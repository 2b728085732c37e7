"""Fields and names gathered from many places of rows of bytes at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inpart_ntfs.structs import Struct

Numbers = NDArray[np.int64]
Rows = NDArray[np.uint8]


def gather(data: Rows, row: Numbers, offset: Numbers, kind: Struct) -> NDArray[np.void]:
    """One ``kind`` from byte ``offset[i]`` of ``data[row[i]]`` for each i; bytes behind the end of a row are zero."""
    place = offset[:, np.newaxis] + np.arange(kind.itemsize)
    inside = (place >= 0) & (place < data.shape[1])
    found = np.where(inside, data[row[:, np.newaxis], np.where(inside, place, 0)], 0).astype(np.uint8)
    return np.ascontiguousarray(found).view(kind).reshape(len(row))


def unit_rows(data: Rows, row: Numbers, start: Numbers, count: Numbers, unit: str) -> Numbers:
    """Names or keys as numbers: ``count[i]`` units from the aligned byte ``start[i]`` of ``data[row[i]]``.

    Shape (n, largest count); -1 stands behind the end of each, so that a name comes before those that it begins.
    """
    flat = data.reshape(-1).view(unit)
    widest = np.arange(int(count.max(initial=0)))
    first = (row * data.shape[1] + start) // flat.itemsize
    place = np.minimum(first[:, np.newaxis] + widest, max(0, len(flat) - 1))
    return np.where(widest < count[:, np.newaxis], flat[place].astype(np.int64), -1)
