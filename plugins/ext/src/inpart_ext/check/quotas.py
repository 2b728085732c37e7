"""Pass 5, quotas: what the hidden quota files say that each id has, against what the inodes add up to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from inpart.errors import FilesystemDamaged
from numpy.typing import NDArray

from inpart_ext.check.report import error
from inpart_ext.quota import is_possible, quota_inodes, read_usage
from inpart_ext.usage import KINDS, Tally

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem

Numbers = NDArray[np.int64]


def check_quotas(filesystem: ExtFilesystem, tally: Tally) -> Iterator[Finding]:
    """All quota files that the superblock names."""
    superblock = filesystem.superblock
    for kind, number in quota_inodes(superblock).items():
        if not is_possible(superblock, kind, number):
            yield error("quota", "superblock", f"the {kind} quota file is inode {number}, which cannot be")
            continue
        try:
            usage = read_usage(filesystem.volume, filesystem.inodes, kind, number)
        except FilesystemDamaged as damage:
            yield error("quota", f"inode {number}", damage.message)
            continue
        ids, space, inodes = tally.of(KINDS.index(kind))
        every = np.union1d(ids, usage.ids)
        found = _spread(every, ids, space, inodes)
        stored = _spread(every, usage.ids, usage.space, usage.inodes)
        missing = ~np.isin(every, usage.ids)
        for index in np.flatnonzero((found != stored).any(axis=0) | missing)[:ENOUGH].tolist():
            counted, has = stored[:, index].tolist(), found[:, index].tolist()
            message = f"{kind} {int(every[index])} has {has[0]} bytes in {has[1]} inodes"
            yield error("quota", f"inode {number}", f"{message}, the quota file says {counted[0]} in {counted[1]}")


def _spread(every: Numbers, ids: Numbers, space: Numbers, inodes: Numbers) -> Numbers:
    """Rows of bytes and of inodes with an element for each id of ``every``; nothing for those that have nothing."""
    rows = np.zeros((2, len(every)), dtype=np.int64)
    place = np.searchsorted(every, ids)
    rows[0, place], rows[1, place] = space, inodes
    return rows
