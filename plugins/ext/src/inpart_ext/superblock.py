"""One superblock: its fields, the geometry that follows from them, and whether it can be believed."""

from __future__ import annotations

from functools import cached_property
from uuid import UUID

import numpy as np
from inpart.contracts import State
from inpart.errors import FilesystemDamaged, FilesystemUnsupported
from numpy.typing import NDArray

from inpart_ext.features import READABLE, Compat, Feature, Incompat, RoCompat, feature_names
from inpart_ext.structs import (
    CRC32C_CHECKSUM,
    ERROR_FS,
    EXT2_SUPER_MAGIC,
    GOOD_OLD_FIRST_INO,
    GOOD_OLD_INODE_SIZE,
    GOOD_OLD_REV,
    MIN_DESC_SIZE,
    MIN_DESC_SIZE_64BIT,
    SUPER_BLOCK,
    VALID_FS,
    field_offset,
)
from inpart_ext.sums import ALL_ONES, crc

MAX_LOG_BLOCK_SIZE = 6
"""64 KiB."""
MAX_LOG_CLUSTER_RATIO = 16
MAX_GROUPS = 1 << 21
"""256 TiB of blocks of 4 KiB: so much of a table of groups fits into memory."""


class Superblock:
    """The 1024 bytes of a superblock and what follows from them. Block numbers count from the partition's start.

    Nothing is checked at first; ``validate`` must have been called before the geometry is used.
    """

    def __init__(self, raw: bytes, offset: int) -> None:
        """``raw`` lies at byte ``offset`` of the volume."""
        self.raw = raw
        self.offset = offset
        self.record = np.frombuffer(raw, dtype=SUPER_BLOCK, count=1)[0]

    def __getitem__(self, name: str) -> int:
        """A number by the kernel's field name."""
        return int(self.record[name])

    def wide(self, name: str) -> int:
        """A number of 64 bits that is stored as ``name_lo`` and ``name_hi``; the upper half counts with 64bit."""
        low = self[f"{name}_lo"]
        return low | self[f"{name}_hi"] << 32 if self.has(Incompat.BIT64) else low

    def text(self, name: str) -> bytes:
        """A byte string up to its first NUL."""
        return bytes(self.record[name].tobytes()).split(b"\0")[0]

    def has(self, feature: Feature) -> bool:
        """True if at least one bit of ``feature`` is set."""
        if isinstance(feature, Compat):
            return bool(self["s_feature_compat"] & feature)
        return bool(self["s_feature_incompat" if isinstance(feature, Incompat) else "s_feature_ro_compat"] & feature)

    # -- geometry

    @cached_property
    def block_size(self) -> int:
        """Bytes of a block."""
        return 1024 << self["s_log_block_size"]

    @cached_property
    def cluster_ratio(self) -> int:
        """Blocks of an allocation unit: 1 without bigalloc."""
        if not self.has(RoCompat.BIGALLOC):
            return 1
        return 1 << self["s_log_cluster_size"] - self["s_log_block_size"]

    @property
    def cluster_size(self) -> int:
        """Bytes of an allocation unit, the one that a bit of a block bitmap stands for."""
        return self.block_size * self.cluster_ratio

    @cached_property
    def blocks_count(self) -> int:
        """All blocks, those before the first group included."""
        return self.wide("s_blocks_count")

    @property
    def free_blocks(self) -> int:
        """Free blocks as recorded."""
        return self.wide("s_free_blocks_count")

    @cached_property
    def first_data_block(self) -> int:
        """The first block of group 0."""
        return self["s_first_data_block"]

    @cached_property
    def blocks_per_group(self) -> int:
        """Blocks of each group but the last."""
        return self["s_blocks_per_group"]

    @property
    def clusters_per_group(self) -> int:
        """Bits of each block bitmap that count."""
        return self.blocks_per_group // self.cluster_ratio

    @cached_property
    def group_count(self) -> int:
        """Number of block groups."""
        return -(-(self.blocks_count - self.first_data_block) // self.blocks_per_group)

    @cached_property
    def inodes_per_group(self) -> int:
        """Inodes of each group; inode n is number (n - 1) % inodes_per_group of group (n - 1) // inodes_per_group."""
        return self["s_inodes_per_group"]

    @property
    def inodes_count(self) -> int:
        """All inodes."""
        return self["s_inodes_count"]

    @cached_property
    def inode_size(self) -> int:
        """Bytes of an inode on disk."""
        return GOOD_OLD_INODE_SIZE if self["s_rev_level"] == GOOD_OLD_REV else self["s_inode_size"]

    @property
    def first_inode(self) -> int:
        """The first inode that is not reserved."""
        return GOOD_OLD_FIRST_INO if self["s_rev_level"] == GOOD_OLD_REV else self["s_first_ino"]

    @property
    def inode_table_blocks(self) -> int:
        """Blocks of the inode table of a group."""
        return -(-self.inodes_per_group * self.inode_size // self.block_size)

    @cached_property
    def desc_size(self) -> int:
        """Bytes of a group descriptor."""
        return self["s_desc_size"] if self.has(Incompat.BIT64) else MIN_DESC_SIZE

    @property
    def desc_per_block(self) -> int:
        """Group descriptors in a block."""
        return self.block_size // self.desc_size

    @property
    def desc_blocks(self) -> int:
        """Blocks of the whole table of group descriptors."""
        return -(-self.group_count // self.desc_per_block)

    @property
    def size(self) -> int:
        """Bytes of the file system."""
        return self.blocks_count * self.block_size

    @property
    def data_start(self) -> int:
        """Byte at which the first allocation unit of group 0 starts."""
        return self.first_data_block * self.block_size

    @property
    def data_end(self) -> int:
        """End of the last whole allocation unit."""
        return self.data_start + (self.size - self.data_start) // self.cluster_size * self.cluster_size

    def group_first_block(self, group: int) -> int:
        """The first block of a group."""
        return self.first_data_block + group * self.blocks_per_group

    def group_blocks(self, group: int) -> int:
        """How many blocks a group has; the last one is usually shorter."""
        return min(self.blocks_per_group, self.blocks_count - self.group_first_block(group))

    # -- identity and state

    @property
    def kind(self) -> str:
        """``ext2``, ``ext3`` or ``ext4``, by its features as blkid has it."""
        ext3 = Incompat.FILETYPE | Incompat.NEEDS_RECOVERY | Incompat.META_BG
        ext3_ro = RoCompat.SPARSE_SUPER | RoCompat.LARGE_FILE | RoCompat.BTREE_DIR
        if self["s_feature_incompat"] & ~ext3 or self["s_feature_ro_compat"] & ~ext3_ro:
            return "ext4"
        return "ext3" if self.has(Compat.HAS_JOURNAL) else "ext2"

    @property
    def uuid_bytes(self) -> bytes:
        """s_uuid."""
        return bytes(self.record["s_uuid"].tobytes())

    @property
    def uuid(self) -> str:
        """s_uuid as it is written."""
        return str(UUID(bytes=self.uuid_bytes))

    @property
    def label(self) -> str:
        """s_volume_name."""
        return self.text("s_volume_name").decode("utf-8", "replace")

    @property
    def state(self) -> State:
        """What the superblock alone says."""
        if self["s_state"] & ERROR_FS:
            return State.ERRORS
        if self.has(Incompat.NEEDS_RECOVERY):
            return State.NEEDS_REPLAY
        dirty = not self["s_state"] & VALID_FS or self["s_last_orphan"] or self.has(RoCompat.ORPHAN_PRESENT)
        return State.DIRTY if dirty else State.CLEAN

    # -- checksums

    @property
    def metadata_csum(self) -> bool:
        """True if all metadata carry a crc32c."""
        return self.has(RoCompat.METADATA_CSUM)

    @property
    def group_csum(self) -> bool:
        """True if group descriptors carry a checksum, and so may say that something is not initialised."""
        return self.has(RoCompat.METADATA_CSUM | RoCompat.GDT_CSUM)

    @cached_property
    def csum_seed(self) -> int:
        """Where the checksums of all other structures start."""
        return self["s_checksum_seed"] if self.has(Incompat.CSUM_SEED) else crc(ALL_ONES, self.uuid_bytes)

    @property
    def checksum(self) -> int:
        """What s_checksum should be."""
        return crc(ALL_ONES, self.raw[: field_offset(SUPER_BLOCK, "s_checksum")])

    @property
    def checksum_ok(self) -> bool:
        """False only if there is a checksum and it is wrong."""
        return not self.metadata_csum or self.checksum == self["s_checksum"]

    # -- where copies lie

    def has_super(self, groups: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of ``groups`` start with a superblock."""
        if self.has(Compat.SPARSE_SUPER2):
            backups = [int(group) for group in self.record["s_backup_bgs"] if group]
            return np.isin(groups, [0, *backups])
        if not self.has(RoCompat.SPARSE_SUPER):
            return np.ones(len(groups), dtype=bool)
        powers = [base**power for base in (3, 5, 7) for power in range(1, 32) if base**power <= self.group_count]
        return np.isin(groups, [0, 1, *powers])

    def super_groups(self) -> list[int]:
        """All groups that start with a superblock, group 0 first."""
        if self.has(RoCompat.SPARSE_SUPER) or self.has(Compat.SPARSE_SUPER2):
            groups = np.arange(self.group_count, dtype=np.int64)
            return [int(group) for group in groups[self.has_super(groups)]]
        return list(range(self.group_count))

    def super_block(self, group: int) -> int:
        """The block that holds the superblock of a group that has one. With blocks of 1 KiB block 0 is left alone."""
        first = self.group_first_block(group)
        return 1 if first == 0 and self.block_size == 1024 else first

    # -- judging

    def validate(self) -> None:
        """Raise FilesystemDamaged with the first contradiction, FilesystemUnsupported for unknown features."""
        _require(self["s_magic"] == EXT2_SUPER_MAGIC, f"its magic number is {self['s_magic']:#06x}")
        _require(self["s_log_block_size"] <= MAX_LOG_BLOCK_SIZE, "its block size is impossible")
        if self.has(RoCompat.METADATA_CSUM):
            _require(self["s_checksum_type"] == CRC32C_CHECKSUM, "its checksum type is unknown")
        _require(self.checksum_ok, f"its checksum is {self['s_checksum']:#010x} instead of {self.checksum:#010x}")
        self._refuse_unknown()
        self._check_units()
        self._check_counts()

    def _refuse_unknown(self) -> None:
        unknown = self["s_feature_incompat"] & ~int(READABLE)
        if self["s_rev_level"] == GOOD_OLD_REV or not unknown:
            return
        names = ", ".join(feature_names(Incompat, unknown))
        raise FilesystemUnsupported(
            f"the file system needs features that are not supported: {names} (incompat {unknown:#x})",
            hint="a newer inpart may know them; `create --all-sectors` copies the partition without reading them",
        )

    def _check_units(self) -> None:
        size = self.inode_size
        power_of_two = size & (size - 1) == 0
        _require(GOOD_OLD_INODE_SIZE <= size <= self.block_size and power_of_two, f"its inodes have {size} bytes")
        if self.has(RoCompat.BIGALLOC):
            ratio = self["s_log_cluster_size"] - self["s_log_block_size"]
            _require(0 <= ratio <= MAX_LOG_CLUSTER_RATIO, "its cluster size is impossible")
        if self.has(Incompat.BIT64):
            size = self.desc_size
            power_of_two = size & (size - 1) == 0
            fits = MIN_DESC_SIZE_64BIT <= size <= 1024 and power_of_two
            _require(fits, f"its group descriptors have {size} bytes")
        first = self.first_data_block
        allowed = (0, 1) if self.block_size == 1024 else (0,)
        _require(first in allowed, f"its first data block is {first}")

    def _check_counts(self) -> None:
        bits = self.block_size * 8
        _require(self.blocks_per_group > 0, "its groups have no blocks")
        _require(self.blocks_per_group % (8 * self.cluster_ratio) == 0, "its groups end inside a byte of the bitmap")
        _require(self.clusters_per_group <= bits, "its groups are larger than their bitmaps")
        _require(0 < self.inodes_per_group <= bits, f"it has {self.inodes_per_group} inodes in each group")
        _require(self.inodes_per_group % 8 == 0, "its inode bitmaps end inside a byte")
        _require(self.blocks_count > self.first_data_block, f"it has {self.blocks_count} blocks")
        _require(self.group_count <= MAX_GROUPS, f"it has {self.group_count} groups")
        expected = self.group_count * self.inodes_per_group
        _require(self.inodes_count == expected, f"it has {self.inodes_count} inodes, its groups have {expected}")
        first = self.first_inode
        _require(GOOD_OLD_FIRST_INO <= first <= self.inodes_count, f"its first inode is {first}")
        reserved = self["s_reserved_gdt_blocks"]
        _require(reserved <= self.block_size // 4, f"it reserves {reserved} blocks for descriptors")
        if self.has(Incompat.META_BG):
            _require(self["s_first_meta_bg"] <= self.desc_blocks, "its first meta group does not exist")


def _require(condition: object, what: str) -> None:
    if not condition:
        raise FilesystemDamaged(f"superblock not usable: {what}")
