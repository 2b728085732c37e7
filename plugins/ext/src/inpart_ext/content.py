"""The bytes of files: along their runs, out of the inode itself, and what of them need not be imaged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents, Runs
from inpart.units import MIB, SECTOR
from inpart.volume import Volume

from inpart_ext.bitmaps import read_blocks
from inpart_ext.inodes import Inodes
from inpart_ext.mapping import FAST_SYMLINK, Mapping, largest_sizes, map_inodes
from inpart_ext.structs import ENCRYPT_FL, EXTENTS_FL, I_BLOCK_OFFSET, INLINE_DATA_FL, S_IFREG
from inpart_ext.xattr import inline_place

PIECE = MIB
MAX_TARGET = 65536
"""No symbolic link is longer than a block."""
PAGE_SIZES = (4096, 8192, 16384, 65536)
_SWAP_MAGIC = (b"SWAPSPACE2", b"SWAP-SPACE")
MIN_SWAP_PAGES = 10


def inline_data(inode: Inodes) -> bytes:
    """What a file with inline data holds: i_block first, then the attribute ``system.data``. May be short."""
    raw = inode.raw[0].tobytes()
    start, length = inline_place(raw)
    whole: bytes = raw[I_BLOCK_OFFSET : I_BLOCK_OFFSET + 60] + raw[start : start + length]
    return whole[: int(inode.size[0])]


def is_inline(inode: Inodes) -> bool:
    """True if the content stands in the inode."""
    return bool(int(inode.flags[0]) & INLINE_DATA_FL)


def read_content(volume: Volume, inode: Inodes, offset: int, length: int | None) -> Iterator[bytes]:
    """A part of a file in pieces. Raises FilesystemDamaged when the tree of blocks is damaged."""
    size = int(inode.size[0])
    end = size if length is None else min(size, offset + length)
    if end <= offset:
        return
    if is_inline(inode):
        yield inline_data(inode)[offset:end]
        return
    if size > int(largest_sizes(inode)[0]):
        raise FilesystemDamaged(f"inode {int(inode.numbers[0])} has a size of {size} bytes, which is not possible")
    runs = map_inodes(volume, inode).require_sound().runs()
    for start, count in runs.slice(offset, end - offset):
        for at in range(0, count, PIECE):
            wanted = min(PIECE, count - at)
            yield bytes(wanted) if start == Runs.HOLE else volume.read(start + at, wanted)


def symlink_target(volume: Volume, inode: Inodes) -> bytes:
    """Where a symbolic link leads. Raises FilesystemDamaged."""
    size, flags = int(inode.size[0]), int(inode.flags[0])
    if size > MAX_TARGET:
        raise FilesystemDamaged(f"inode {int(inode.numbers[0])}: a symbolic link of {size} bytes")
    if size < FAST_SYMLINK and not flags & (EXTENTS_FL | INLINE_DATA_FL):
        return inode.raw[0, I_BLOCK_OFFSET : I_BLOCK_OFFSET + size].tobytes()
    return b"".join(read_content(volume, inode, 0, None))


def slack(mapping: Mapping) -> Extents:
    """Whole sectors behind the last byte of each file, inside its last block; encrypted blocks are whole."""
    inodes, pieces = mapping.inodes, mapping.pieces
    size = inodes.superblock.block_size
    last, rest = np.divmod(inodes.size, size)
    rest = -(-rest // SECTOR) * SECTOR % size
    plain = (inodes.format == S_IFREG) & (inodes.links > 0) & (inodes.flags & (ENCRYPT_FL | INLINE_DATA_FL) == 0)
    rest[~plain] = 0
    wanted = last[pieces.owner]
    chosen = (pieces.logical <= wanted) & (wanted < pieces.logical + pieces.length) & ~pieces.uninit
    chosen &= rest[pieces.owner] > 0
    owner = pieces.owner[chosen]
    block = pieces.physical[chosen] + last[owner] - pieces.logical[chosen]
    return Extents(np.stack([block * size + rest[owner], (block + 1) * size], axis=1))


def swap_space(volume: Volume, inodes: Inodes) -> Extents:
    """What swap files hold behind their header, which stays so that they can be used again after a restore."""
    smallest = MIN_SWAP_PAGES * PAGE_SIZES[0]
    likely = (inodes.format == S_IFREG) & (inodes.links > 0) & (inodes.size >= smallest)
    likely &= (inodes.size % PAGE_SIZES[0] == 0) & (inodes.flags & (ENCRYPT_FL | INLINE_DATA_FL) == 0)
    if not likely.any():
        return Extents()
    mapping = map_inodes(volume, inodes.pick(likely))
    found = Extents()
    for index in _candidates(volume, mapping):
        runs = mapping.runs(index)
        header = _swap_header(volume, runs)
        if header:
            found |= runs.slice(header, runs.total - header).extents()
    return found


def _candidates(volume: Volume, mapping: Mapping) -> list[int]:
    """Files without holes whose first page ends like a swap header, all of them looked at in one go."""
    superblock, pieces = mapping.inodes.superblock, mapping.pieces
    mapped = np.zeros(len(mapping.inodes), dtype=np.int64)
    np.add.at(mapped, pieces.owner, np.where(pieces.uninit, 0, pieces.length))
    whole = mapped * superblock.block_size >= mapping.inodes.size
    found: set[int] = set()
    for page in PAGE_SIZES:
        wanted, inside = divmod(page - len(_SWAP_MAGIC[0]), superblock.block_size)
        hit = whole[pieces.owner] & (pieces.logical <= wanted) & (wanted < pieces.logical + pieces.length)
        rows = read_blocks(volume, superblock.block_size, (pieces.physical + wanted - pieces.logical)[hit])
        for magic in _SWAP_MAGIC:
            same = (rows[:, inside : inside + len(magic)] == np.frombuffer(magic, dtype=np.uint8)).all(axis=1)
            found.update(pieces.owner[hit][same].tolist())
    return sorted(found)


def _swap_header(volume: Volume, runs: Runs) -> int:
    """Bytes of the header page if there is one."""
    for page in PAGE_SIZES:
        tail = runs.slice(page - len(_SWAP_MAGIC[0]), len(_SWAP_MAGIC[0]))
        content = b"".join(volume.read(start, length) for start, length in tail if start != Runs.HOLE)
        if content in _SWAP_MAGIC:
            return page
    return 0
