"""Finding the superblock to trust: the primary one, or a backup where that is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inpart.errors import FilesystemDamaged, FilesystemUnsupported
from inpart.volume import Volume

from inpart_ext.structs import EXT2_SUPER_MAGIC, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE
from inpart_ext.superblock import MAX_LOG_BLOCK_SIZE, Superblock

_BACKUP_GROUPS = (1, 3, 5, 7, 9, 25, 27)
_USUAL = ((1024, 1), (2048, 1), (4096, 1), (65536, 1), (4096, 16), (1024, 16))
"""Block sizes and blocks per cluster; few, for each place costs a seek on volumes that are not ext at all."""


@dataclass(frozen=True)
class Found:
    """The trusted superblock; ``notes`` say why another one than the first is trusted, ``trusted`` which."""

    superblock: Superblock
    trusted: str = "superblock"
    notes: tuple[str, ...] = ()

    @property
    def from_backup(self) -> bool:
        """True if the first superblock is damaged."""
        return bool(self.notes)


def find_superblock(volume: Volume) -> Found:
    """The superblock to trust.

    Raises FilesystemUnsupported if there is none or one with unknown features, FilesystemDamaged if the only one there
    is cannot be used.
    """
    primary = read_superblock(volume, SUPERBLOCK_OFFSET)
    if primary is None:
        raise FilesystemUnsupported(f"{volume.name} is too small for ext2, ext3 or ext4")
    try:
        primary.validate()
    except FilesystemDamaged as damage:
        reason, message = damage.with_traceback(None), damage.message
    else:
        return Found(primary)
    backup = find_backup(volume, primary)
    if backup is not None:
        block = backup.offset // backup.block_size
        trusted = f"superblock at block {block}"
        return Found(backup, trusted, (f"backup {trusted} used: {message.removeprefix('superblock not usable: ')}",))
    if primary["s_magic"] == EXT2_SUPER_MAGIC:
        raise reason
    raise FilesystemUnsupported(f"{volume.name} holds no ext2, ext3 or ext4: {message}")


def read_superblock(volume: Volume, offset: int) -> Superblock | None:
    """What stands at ``offset``, believed or not; None where the volume has ended."""
    if offset + SUPERBLOCK_SIZE > volume.size:
        return None
    return Superblock(volume.read(offset, SUPERBLOCK_SIZE), offset)


def find_backup(volume: Volume, primary: Superblock) -> Superblock | None:
    """The first backup that is sound and stands where it says it does."""
    for offset in dict.fromkeys(_places(primary)):
        candidate = read_superblock(volume, offset)
        if candidate is not None and is_backup(candidate):
            return candidate
    return None


def is_backup(candidate: Superblock) -> bool:
    """True if a superblock is sound and stands at the start of the group that it names."""
    if candidate["s_magic"] != EXT2_SUPER_MAGIC:
        return False
    try:
        candidate.validate()
    except FilesystemDamaged:
        return False
    block, rest = divmod(candidate.offset, candidate.block_size)
    group, inside = divmod(block - candidate.first_data_block, candidate.blocks_per_group)
    named = candidate["s_block_group_nr"] in {group & 0xFFFF, 0}  # kernels before 6.1 wrote 0 when they resized
    return rest == inside == 0 and 0 < group < candidate.group_count and named


def _places(primary: Superblock) -> Iterator[int]:
    """Where backups may lie: as the damaged first one says, then as mke2fs makes them for each block size."""
    if primary["s_log_block_size"] <= MAX_LOG_BLOCK_SIZE and primary["s_magic"] == EXT2_SUPER_MAGIC:
        for group in _BACKUP_GROUPS:
            yield (primary["s_first_data_block"] + group * primary["s_blocks_per_group"]) * primary.block_size
    for size, ratio in _USUAL:
        for group in _BACKUP_GROUPS:
            yield (int(size == 1024 and ratio == 1) + group * size * 8 * ratio) * size
