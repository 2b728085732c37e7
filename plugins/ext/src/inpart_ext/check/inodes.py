"""Pass 1, inode by inode: checksums, modes, flags, special inodes, symbolic links."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding
from numpy.typing import NDArray

from inpart_ext.bitmaps import read_blocks
from inpart_ext.check.report import error, for_inodes
from inpart_ext.features import Compat, Incompat
from inpart_ext.inodes import Inodes
from inpart_ext.mapping import FAST_SYMLINK, map_inodes
from inpart_ext.structs import (
    BAD_INO,
    ENCRYPT_FL,
    EXTENTS_FL,
    EXTRA_OFFSET,
    I_BLOCK_OFFSET,
    INDEX_FL,
    INLINE_DATA_FL,
    ROOT_INO,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFREG,
    S_IFSOCK,
)

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem

_FORMATS = (S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK)
_DEVICES = (S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK)


def check_inodes(filesystem: ExtFilesystem, inodes: Inodes) -> Iterator[Finding]:
    """What can be said of inodes in use without looking at anything else."""
    numbers, superblock = inodes.numbers, inodes.superblock
    usual = numbers >= superblock.first_inode
    yield from for_inodes("inode-checksum", numbers, ~inodes.checksums_ok, "its checksum is wrong")
    known = np.isin(inodes.format, _FORMATS) | (numbers < superblock.first_inode)
    yield from for_inodes("inode-mode", numbers, ~known, "its mode names no type of file")
    if ROOT_INO in numbers:
        root = (numbers == ROOT_INO) & (inodes.format != S_IFDIR)
        yield from for_inodes("root", numbers, root, "the root is not a directory")
    dead = (inodes["i_dtime"] != 0) & (numbers != BAD_INO)
    yield from for_inodes("inode-dtime", numbers, dead & usual, "it is in use and has a time of deletion")
    yield from _check_extra_size(inodes)
    yield from _check_flags(inodes)
    special = np.isin(inodes.format, _DEVICES) & (inodes.size != 0)
    yield from for_inodes("inode-size", numbers, special, "a device, pipe or socket has a size")
    yield from _check_symlinks(filesystem, inodes)


def check_unused(window: Inodes, used: NDArray[np.bool_]) -> Iterator[Finding]:
    """Inodes that are not in use but have been: their checksums are right, too."""
    if not window.superblock.metadata_csum:
        return
    old = window.pick(~used & window.raw.any(axis=1))
    yield from for_inodes("inode-checksum", old.numbers, ~old.checksums_ok, "its checksum is wrong")


def is_blank(inodes: Inodes) -> NDArray[np.bool_]:
    """Reserved inodes that are not used for anything; what else stands in them means nothing."""
    reserved = (inodes.numbers < inodes.superblock.first_inode) & (inodes.numbers != ROOT_INO)
    return np.asarray(reserved & (inodes["i_mode"] == 0) & (inodes.numbers != BAD_INO))


def _check_extra_size(inodes: Inodes) -> Iterator[Finding]:
    room = inodes.raw.shape[1] - EXTRA_OFFSET
    if room <= 0:
        return
    extra = inodes["i_extra_isize"]
    wrong = (extra != 0) & ((extra < 4) | (extra > room) | (extra % 4 != 0))
    yield from for_inodes("inode-extra-size", inodes.numbers, wrong, "its extra size is impossible")


def _check_flags(inodes: Inodes) -> Iterator[Finding]:
    superblock, flags = inodes.superblock, np.where(is_blank(inodes), 0, inodes.flags)
    needed = ((EXTENTS_FL, Incompat.EXTENTS), (INLINE_DATA_FL, Incompat.INLINE_DATA), (INDEX_FL, Compat.DIR_INDEX))
    for flag, feature in needed:
        if not superblock.has(feature):
            wrong = flags & flag > 0
            yield from for_inodes("inode-flags", inodes.numbers, wrong, "a flag needs a feature that is not set")
    both = (flags & EXTENTS_FL > 0) & (flags & INLINE_DATA_FL > 0)
    yield from for_inodes("inode-flags", inodes.numbers, both, "it has extents and inline data")
    indexed = (flags & INDEX_FL > 0) & (inodes.format != S_IFDIR)
    yield from for_inodes("inode-flags", inodes.numbers, indexed, "it has an index and is no directory")


def _check_symlinks(filesystem: ExtFilesystem, inodes: Inodes) -> Iterator[Finding]:
    """The target of a link is as long as its size says; encrypted ones are anything."""
    links = (inodes.format == S_IFLNK) & (inodes.flags & (ENCRYPT_FL | INLINE_DATA_FL) == 0)
    empty = links & (inodes.size == 0)
    yield from for_inodes("symlink", inodes.numbers, empty, "a symbolic link leads nowhere")
    fast = links & (inodes.size < FAST_SYMLINK) & (inodes.flags & EXTENTS_FL == 0) & ~empty
    chosen = inodes.pick(fast)
    targets = chosen.raw[:, I_BLOCK_OFFSET : I_BLOCK_OFFSET + FAST_SYMLINK]
    wrong = _lengths(targets) != chosen.size
    yield from for_inodes("symlink", chosen.numbers, wrong, "a symbolic link is not as long as it says")
    slow = inodes.pick(links & ~fast & ~empty)
    if not len(slow):
        return
    pieces = map_inodes(filesystem.volume, slow).pieces
    first = pieces.pick(pieces.logical == 0)
    step = max(1, (1 << 20) // inodes.superblock.block_size)
    for start in range(0, len(first), step):
        part = first.pick(np.arange(start, min(start + step, len(first)), dtype=np.int64))
        rows = read_blocks(filesystem.volume, inodes.superblock.block_size, part.physical)
        wrong = _lengths(rows) != slow.size[part.owner]
        yield from for_inodes("symlink", slow.numbers[part.owner], wrong, "a symbolic link is not as long as it says")
    lost = ~np.isin(np.arange(len(slow)), first.owner)
    for number in slow.numbers[lost].tolist():
        yield error("symlink", f"inode {number}", "a symbolic link has no block")


def _lengths(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Bytes before the first zero of each row."""
    zero = rows == 0
    return np.asarray(np.where(zero.any(axis=1), zero.argmax(axis=1), rows.shape[1]), dtype=np.int64)
