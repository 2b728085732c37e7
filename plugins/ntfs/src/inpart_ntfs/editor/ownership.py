"""Who owns the clusters of a region: one pass over all records, window by window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_ntfs.attributes import HINT
from inpart_ntfs.editor.clusters import extents_of
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.mft import Mft
from inpart_ntfs.records import Records
from inpart_ntfs.runs import COUNT, HOLE, LCN, OWNER, Problem, byte_extents
from inpart_ntfs.structs import Number

Numbers = NDArray[np.int64]

FIXED = (Number.BOOT, Number.BAD_CLUS)
"""Files whose clusters stay where they are."""


@dataclass(frozen=True)
class Owners:
    """Base records of the files with clusters in a region, ascending; ``total`` counts these clusters."""

    numbers: Numbers
    total: int


def find_owners(mft: Mft, region: Extents) -> Owners:
    """The owners of ``region``, in clusters. Raises FilesystemDamaged for a file whose attributes are damaged."""
    found, total = [np.empty(0, dtype=np.int64)], 0
    for window in mft.windows():
        numbers, count = _in_window(window, mft.boot.clusters, region)
        found.append(numbers)
        total += count
    return Owners(np.unique(np.concatenate(found)), total)


def _in_window(window: Records, clusters: int, region: Extents) -> tuple[Numbers, int]:
    table = window.attributes()
    if table.broken.any():
        raise FilesystemDamaged(f"record {int(window.numbers[table.broken][0])} is damaged", hint=HINT)
    table = table.pick(table.non_resident)
    decoded = table.decode(clusters)
    wrong = decoded.problems != Problem.NONE
    if wrong.any():
        message = f"record {int(table.number[wrong][0])}: a run list is damaged"
        raise FilesystemDamaged(message, hint=HINT)
    rows = decoded.rows[decoded.rows[:, LCN] != HOLE]
    rows = rows[overlapping(region, rows[:, LCN], rows[:, COUNT])]
    owner = table.owner[rows[:, OWNER]]
    movable = ~np.isin(owner, FIXED)
    total = (extents_of(rows[movable, LCN:]) & region).total
    return np.unique(owner[movable]), total


def check_complete(owners: Owners, expected: int) -> None:
    """Raise FilesystemDamaged if clusters in the region belong to nobody, or to several files."""
    if owners.total == expected:
        return
    what = "belong to no file" if owners.total < expected else "are not marked as used or belong to several files"
    raise FilesystemDamaged(f"{abs(expected - owners.total)} used clusters {what}", hint="run chkdsk on it first")


def overlapping(region: Extents, starts: Numbers, counts: Numbers) -> NDArray[np.bool_]:
    """Which runs of clusters have a cluster in ``region``."""
    if not region:
        return np.zeros(len(starts), dtype=bool)
    index = np.searchsorted(region.array[:, 1], starts, side="right")
    known = index < len(region)
    first = region.array[np.minimum(index, len(region) - 1), 0]
    return np.asarray(known & (first < starts + counts))


def fixed_clusters(fs: NtfsFilesystem) -> Extents:
    """Bytes of clusters that stay where they are: those of $Boot, and bad ones."""
    rows = fs.mft.metadata(Number.BOOT).rows
    return fs.bad | byte_extents(rows[:, 1], rows[:, 2], fs.boot.cluster_size)
