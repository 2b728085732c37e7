"""Where the content of many files lies, from their records read in batches, without looking up one path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np
from inpart.contracts import Entry
from inpart.extents import Extents, Runs
from numpy.typing import NDArray

from inpart_ntfs.codes import AttributeType
from inpart_ntfs.mft import Mft
from inpart_ntfs.runs import COUNT, LCN, Problem, byte_extents

_BATCH = 4096


def content_of(mft: Mft, entries: Iterable[Entry], runs: Callable[[str], Runs]) -> Extents:
    """Bytes of the clusters of files and streams. ``runs`` is asked for what one record alone does not tell."""
    waiting = iter(entries)
    parts = []
    while batch := list(islice(waiting, _BATCH)):
        numbers, place = np.unique([entry.record for entry in batch], return_inverse=True)
        known, extents = _plain(mft, numbers.astype(np.int64))
        parts.append(extents)
        others = (entry for entry, told in zip(batch, known[place].tolist(), strict=True) if not told)
        parts += [runs(entry.path).extents() for entry in others]
    return Extents.union(parts)


def _plain(mft: Mft, numbers: NDArray[np.int64]) -> tuple[NDArray[np.bool_], Extents]:
    """Which of these records have all of a file with a single stream, and the clusters of those."""
    known = (numbers >= 0) & (numbers < mft.count)
    records = mft.read(numbers[known])
    table = records.attributes()
    is_data = table.type == AttributeType.DATA
    plain = records.in_use & ~records.is_extension & ~table.broken
    plain[table.row[(table.type == AttributeType.ATTRIBUTE_LIST) | (is_data & (table.name_length > 0))]] = False
    data = table.pick(is_data & table.non_resident & plain[table.row])
    decoded = data.decode(mft.boot.clusters)
    plain[data.row[(decoded.problems != Problem.NONE) | (data.lowest_vcn != 0)]] = False
    known[known] = plain
    return known, byte_extents(decoded.rows[:, LCN], decoded.rows[:, COUNT], mft.boot.cluster_size)
