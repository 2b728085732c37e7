"""Checks of what everything else hangs on: superblock, its backups, group descriptors, MMP block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding, State

from inpart_ext.check.journal import check_journal
from inpart_ext.check.orphans import check_orphans
from inpart_ext.check.report import error, note, warning
from inpart_ext.features import Incompat
from inpart_ext.groups import sound
from inpart_ext.locating import read_superblock
from inpart_ext.structs import EXT2_SUPER_MAGIC
from inpart_ext.sums import crc

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem

MMP_MAGIC = 0x004D4D50
_MMP_CHECKSUM = 1020

_STATES = {
    State.ERRORS: ("state", "the kernel has found errors in this file system"),
    State.NEEDS_REPLAY: ("needs-replay", "the journal holds changes that have not been made yet"),
    State.DIRTY: ("state", "the file system was not closed properly"),
}


def check_base(filesystem: ExtFilesystem) -> Iterator[Finding]:
    """Superblock, backups, descriptors, and the areas that the superblock names."""
    for said in filesystem.found.notes:
        yield error("superblock", "superblock", said)
    if filesystem.truncated:
        size, end = filesystem.volume.size, filesystem.superblock.size
        yield error("truncated", "superblock", f"the file system ends at byte {end}, the volume at {size}")
    code, text = _STATES.get(filesystem.superblock.state, ("", ""))
    if code:
        yield warning(code, "superblock", text)
    yield from _check_backups(filesystem)
    yield from _check_descriptors(filesystem)
    yield from check_journal(filesystem)
    yield from check_orphans(filesystem)
    yield from _check_mmp(filesystem)


def _check_backups(filesystem: ExtFilesystem) -> Iterator[Finding]:
    superblock = filesystem.superblock
    for group in superblock.super_groups()[1:]:
        block = superblock.super_block(group)
        backup = read_superblock(filesystem.volume, block * superblock.block_size)
        if backup is None or backup["s_magic"] != EXT2_SUPER_MAGIC:
            yield note("superblock-backup", f"block {block}", f"the backup superblock of group {group} is lost")


def _check_descriptors(filesystem: ExtFilesystem) -> Iterator[Finding]:
    groups = filesystem.groups
    for group in np.flatnonzero(groups.rescued)[:ENOUGH].tolist():
        yield error("group-descriptor", f"group {group}", "its descriptor is damaged; a backup of it is sound")
    for group in np.flatnonzero(~sound(groups) & ~groups.rescued)[:ENOUGH].tolist():
        yield error("group-descriptor", f"group {group}", "its descriptor is damaged, and so are all backups of it")
    unused = groups.itable_unused
    for group in np.flatnonzero(unused > groups.superblock.inodes_per_group)[:ENOUGH].tolist():
        yield error(
            "group-descriptor", f"group {group}", f"it has {int(unused[group])} unused inodes, more than it has"
        )


def _check_mmp(filesystem: ExtFilesystem) -> Iterator[Finding]:
    superblock = filesystem.superblock
    block = superblock["s_mmp_block"]
    if not superblock.has(Incompat.MMP):
        return
    where = f"block {block}"
    if not superblock.first_data_block < block < superblock.blocks_count:
        yield error("mmp", "superblock", f"the MMP block is {where}, which does not exist")
        return
    raw = filesystem.volume.read(block * superblock.block_size, 1024)
    if int.from_bytes(raw[:4], "little") != MMP_MAGIC:
        yield error("mmp", where, "the MMP block has no magic number")
    elif superblock.metadata_csum:
        stored = int.from_bytes(raw[_MMP_CHECKSUM : _MMP_CHECKSUM + 4], "little")
        if stored != crc(superblock.csum_seed, raw[:_MMP_CHECKSUM]):
            yield error("mmp", where, "the MMP block has a wrong checksum")
