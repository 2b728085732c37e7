"""Clusters claimed twice, and $Bitmap against what is claimed, in both directions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents

from inpart_ntfs.check.report import Numbers, error, warning

if TYPE_CHECKING:
    from inpart_ntfs.filesystem import NtfsFilesystem


def check_clusters(filesystem: NtfsFilesystem, rows: Numbers) -> Iterator[Finding]:
    """``rows`` are owner, first cluster and count of all runs."""
    yield from _check_twice(rows)
    claimed = Extents(np.stack([rows[:, 1], rows[:, 1] + rows[:, 2]], axis=1))
    try:
        size = filesystem.boot.cluster_size
        used = Extents(filesystem.used.array // size)
    except FilesystemDamaged as damage:
        yield error("bitmap", "$Bitmap", damage.message)
        return
    for start, end in (claimed - used).array[:ENOUGH].tolist():
        owner = _owner(rows, start)
        message = f"{end - start} clusters of record {owner} are free in $Bitmap"
        yield error("cluster-free", f"cluster {start} at byte {start * size}", message)
    for start, end in (used - claimed).array[:ENOUGH].tolist():
        message = f"{end - start} clusters are in use in $Bitmap and belong to nothing"
        yield warning("cluster-lost", f"cluster {start} at byte {start * size}", message)


def _check_twice(rows: Numbers) -> Iterator[Finding]:
    order = np.argsort(rows[:, 1], kind="stable")
    start = rows[order, 1]
    reach = np.maximum.accumulate(start + rows[order, 2])
    for index in (np.flatnonzero(start[1:] < reach[:-1]) + 1)[:ENOUGH].tolist():
        first = int(start[index])
        before = order[:index]
        other = before[rows[before, 1] + rows[before, 2] > first][-1]
        names = sorted({int(rows[order[index], 0]), int(rows[other, 0])})
        message = "it is claimed twice, by " + " and ".join(f"record {name}" for name in names)
        yield error("cluster-twice", f"cluster {first}", message)


def _owner(rows: Numbers, cluster: int) -> int:
    return int(rows[(rows[:, 1] <= cluster) & (cluster < rows[:, 1] + rows[:, 2]), 0][0])
