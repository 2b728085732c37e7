"""Who owns the blocks of a region: one pass over all inodes, window by window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_ext.editor.blocks import Numbers
from inpart_ext.features import Compat, Incompat
from inpart_ext.groups import Groups
from inpart_ext.inodes import InodeTable
from inpart_ext.mapping import map_inodes
from inpart_ext.quota import quota_inodes
from inpart_ext.structs import ROOT_INO
from inpart_ext.superblock import Superblock


@dataclass(frozen=True)
class Owners:
    """Inodes with blocks in a region, ascending; and pairs of attribute block there and inode that refers to it.

    ``total`` counts their blocks in the region.
    """

    inodes: Numbers
    attributes: Numbers
    total: int


def is_fixed(superblock: Superblock, numbers: Numbers) -> NDArray[np.bool_]:
    """Inodes whose blocks stay where they are: the reserved ones but the root directory, and hidden ones."""
    fixed = (numbers < superblock.first_inode) & (numbers != ROOT_INO)
    return np.asarray(fixed | np.isin(numbers, _hidden(superblock)))


def _hidden(superblock: Superblock) -> list[int]:
    """Inodes of journal, orphan file and quotas, wherever they are."""
    found = [superblock["s_journal_inum"]] if superblock.has(Compat.HAS_JOURNAL) else []
    if superblock.has(Compat.ORPHAN_FILE):
        found.append(superblock["s_orphan_file_inum"])
    return [*found, *quota_inodes(superblock).values()]


def fixed_blocks(table: InodeTable, groups: Groups) -> Extents:
    """Bytes that cannot be moved: group metadata, superblock copies, and what the fixed inodes own."""
    superblock = table.superblock
    numbers = np.arange(1, superblock.first_inode, dtype=np.int64)
    numbers = np.unique(np.concatenate([numbers, np.array(_hidden(superblock), dtype=np.int64)]))
    numbers = numbers[(numbers > 0) & (numbers <= superblock.inodes_count) & is_fixed(superblock, numbers)]
    found = groups.metadata() | map_inodes(table.volume, table.read(numbers)).extents()
    if superblock.has(Incompat.MMP):
        place = superblock["s_mmp_block"] * superblock.block_size
        found |= Extents.span(place, place + superblock.block_size)
    return found.clip(superblock.data_start, superblock.data_end)


def find_owners(table: InodeTable, region: Extents) -> Owners:
    """The owners of ``region``, in blocks. Raises FilesystemDamaged for an inode whose tree is damaged."""
    numbers: list[Numbers] = []
    attributes: list[Numbers] = []
    total = 0
    for window in table.windows():
        live = window.pick((window.links > 0) & ~is_fixed(table.superblock, window.numbers))
        mapping = map_inodes(table.volume, live).require_sound()
        pieces, nodes = mapping.pieces, mapping.nodes
        hit = region.touches(pieces.physical, pieces.length)
        tree = region.touches(nodes.block, np.ones_like(nodes.block))
        total += (Extents.from_starts(pieces.physical[hit], pieces.length[hit]) & region).total
        total += int(tree.sum())
        numbers.append(live.numbers[np.concatenate([pieces.owner[hit], nodes.owner[tree]])])
        acl = live.file_acl
        shared = (acl > 0) & region.touches(acl, np.ones_like(acl))
        attributes.append(np.stack([acl[shared], live.numbers[shared]], axis=1))
    pairs = np.concatenate([np.empty((0, 2), dtype=np.int64), *attributes])
    total += len(np.unique(pairs[:, 0]))
    found = np.concatenate([np.empty(0, dtype=np.int64), *numbers])
    return Owners(np.unique(found), pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))], total)


def check_complete(owners: Owners, expected: int) -> None:
    """Raise FilesystemDamaged if blocks in the region belong to nobody, or to several."""
    if owners.total != expected:
        what = "belong to no file" if owners.total < expected else "are not marked as used or belong to several files"
        message = f"{abs(expected - owners.total)} used blocks {what}"
        raise FilesystemDamaged(message, hint="run e2fsck on it first")
