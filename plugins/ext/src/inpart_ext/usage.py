"""What users, groups and projects have: inodes and bytes, added up over all inodes that count against quotas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inpart_ext.features import RoCompat
from inpart_ext.inodes import Inodes
from inpart_ext.structs import EA_INODE_FL, GOOD_OLD_INODE_SIZE, ROOT_INO
from inpart_ext.superblock import Superblock

KINDS = "user", "group", "project"
_SECTOR = 512

Numbers = NDArray[np.int64]


class Tally:
    """Sums by id for each of ``KINDS``."""

    def __init__(self, superblock: Superblock) -> None:
        self.superblock = superblock
        self._sums: list[Numbers] = [np.empty((3, 0), dtype=np.int64) for _ in KINDS]

    def add(self, inodes: Inodes, extra: Numbers) -> None:
        """Add inodes in use; ``extra`` are inodes of attribute values that count as one's own, for each of them."""
        chosen = counts(inodes)
        part = inodes.pick(chosen)
        for kind, ids in enumerate(owners(part)):
            self._add(kind, ids, part.blocks * _SECTOR, 1 + extra[chosen])

    def _add(self, kind: int, ids: Numbers, space: Numbers, inodes: Numbers) -> None:
        rows = np.concatenate([self._sums[kind], np.stack([ids, space, inodes])], axis=1)
        unique, place = np.unique(rows[0], return_inverse=True)
        sums = np.zeros((3, len(unique)), dtype=np.int64)
        sums[0] = unique
        for column in (1, 2):
            np.add.at(sums[column], place, rows[column])
        self._sums[kind] = sums

    def of(self, kind: int) -> tuple[Numbers, Numbers, Numbers]:
        """Ids, bytes and inodes of one of ``KINDS`` by number."""
        ids, space, inodes = self._sums[kind]
        return ids, space, inodes


def counts(inodes: Inodes) -> NDArray[np.bool_]:
    """Which inodes count against quotas: the root directory and all that are not reserved or for internal use."""
    superblock, numbers = inodes.superblock, inodes.numbers
    chosen = (numbers == ROOT_INO) | (numbers >= superblock.first_inode)
    hidden = [superblock["s_prj_quota_inum"], superblock["s_orphan_file_inum"]]
    return np.asarray(chosen & ~np.isin(numbers, hidden) & (inodes.flags & EA_INODE_FL == 0))


def owners(inodes: Inodes) -> tuple[Numbers, Numbers, Numbers]:
    """User, group and project of each inode."""
    user, group = inodes.wide("i_uid", "i_uid_high", 16), inodes.wide("i_gid", "i_gid_high", 16)
    has_project = inodes.superblock.has(RoCompat.PROJECT) and inodes.raw.shape[1] > GOOD_OLD_INODE_SIZE
    return (user, group, inodes["i_projid"] if has_project else np.zeros(len(inodes), dtype=np.int64))
