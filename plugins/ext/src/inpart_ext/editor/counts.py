"""The superblock's counts and state, changed in one sector even where a checksum lies in another."""

from __future__ import annotations

import numpy as np

from inpart_ext.features import Incompat
from inpart_ext.groups import Groups
from inpart_ext.structs import SUPER_BLOCK, SUPERBLOCK_SIZE, VALID_FS, field_offset
from inpart_ext.sums import ALL_ONES, crc
from inpart_ext.superblock import Superblock

_CHECKSUM = field_offset(SUPER_BLOCK, "s_checksum")
_SPARE = field_offset(SUPER_BLOCK, "s_snapshot_id")
"""Four bytes of the first half that mean nothing without a snapshot, and no tool shows or checks them."""


def with_counts(raw: bytes, groups: Groups, sector_size: int) -> bytes:
    """A superblock with counts that are the sums of those of the groups, and with a right checksum."""
    superblock, changed = groups.superblock, bytearray(raw)
    record = np.frombuffer(changed, dtype=SUPER_BLOCK)
    free = int(groups.free_clusters.sum())
    record["s_free_blocks_count_lo"] = free & 0xFFFFFFFF
    if superblock.has(Incompat.BIT64):
        record["s_free_blocks_count_hi"] = free >> 32
    record["s_free_inodes_count"] = int(groups.free_inodes.sum())
    return _sealed(changed, superblock, sector_size)


def to_be_checked(raw: bytes, superblock: Superblock, sector_size: int) -> bytes:
    """A superblock that says that the file system was not unmounted, so that a boot runs e2fsck before it mounts."""
    changed = bytearray(raw)
    np.frombuffer(changed, dtype=SUPER_BLOCK)["s_state"] &= ~VALID_FS & 0xFFFF
    return _sealed(changed, superblock, sector_size)


def _sealed(changed: bytearray, superblock: Superblock, sector_size: int) -> bytes:
    """With a right checksum.

    Where a sector holds only half of a superblock, a cut between two sectors would leave a checksum that is wrong, and
    the kernel would not mount the file system. There the checksum stays as it is and spare bytes make it right.
    """
    record = np.frombuffer(changed, dtype=SUPER_BLOCK)
    if not superblock.metadata_csum:
        return bytes(changed)
    if sector_size >= SUPERBLOCK_SIZE or superblock["s_snapshot_inum"]:
        record["s_checksum"] = crc(ALL_ONES, changed[:_CHECKSUM])
    elif crc(ALL_ONES, changed[:_CHECKSUM]) != record["s_checksum"]:
        changed[_SPARE : _SPARE + 4] = _balance(changed, int(record["s_checksum"][0])).to_bytes(4, "little")
    return bytes(changed)


def _balance(raw: bytearray, wanted: int) -> int:
    """The spare bytes that give ``raw`` this checksum: a sum is linear in each bit, and 32 of them decide it."""

    def checksum(spare: int) -> int:
        return crc(ALL_ONES, raw[:_SPARE] + spare.to_bytes(4, "little") + raw[_SPARE + 4 : _CHECKSUM])

    base = checksum(0)
    reduced: dict[int, tuple[int, int]] = {}
    for bit in range(32):
        value, made_of = checksum(1 << bit) ^ base, 1 << bit
        value, made_of = _reduced(value, made_of, reduced)
        reduced[value.bit_length()] = value, made_of
    return _reduced(wanted ^ base, 0, reduced)[1]


def _reduced(value: int, made_of: int, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Take away known values, each with another highest bit, until none fits or nothing is left."""
    while value and value.bit_length() in known:
        other, parts = known[value.bit_length()]
        value, made_of = value ^ other, made_of ^ parts
    return value, made_of
