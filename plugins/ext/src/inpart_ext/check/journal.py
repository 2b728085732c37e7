"""The journal: the superblock of its log, which stands in its first block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding, State

from inpart_ext.check.report import error, warning
from inpart_ext.content import read_content
from inpart_ext.features import Compat
from inpart_ext.structs import S_IFREG
from inpart_ext.sums import ALL_ONES, crc

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem

JBD2_MAGIC = 0xC03B3998
JOURNAL: np.dtype[np.void] = np.dtype(
    [
        ("h_magic", ">u4"),
        ("h_blocktype", ">u4"),
        ("h_sequence", ">u4"),
        ("s_blocksize", ">u4"),
        ("s_maxlen", ">u4"),
        ("s_first", ">u4"),
        ("s_sequence", ">u4"),
        ("s_start", ">u4"),
        ("s_errno", ">u4"),
        ("s_feature_compat", ">u4"),
        ("s_feature_incompat", ">u4"),
        ("s_feature_ro_compat", ">u4"),
        ("s_uuid", "u1", 16),
        ("s_nr_users", ">u4"),
        ("s_dynsuper", ">u4"),
        ("s_max_transaction", ">u4"),
        ("s_max_trans_data", ">u4"),
        ("s_checksum_type", "u1"),
        ("s_padding2", "u1", 3),
        ("s_padding", "u1", 168),
        ("s_checksum", ">u4"),
        ("s_users", "u1", 768),
    ]
)
"""journal_superblock_t, 1024 bytes, big-endian. Source of facts: Linux, include/linux/jbd2.h."""

_SUPERBLOCK_V1, _SUPERBLOCK_V2 = 3, 4
_KNOWN_INCOMPAT = 0x3F
_CHECKSUM_V1, _CHECKSUM_V2, _CHECKSUM_V3 = 0x1, 0x08, 0x10
"""The first is a compatible feature, the others are incompatible ones."""
_CRC32C = 4
_SHORTEST = 1024
_CSUM = 252


def check_journal(filesystem: ExtFilesystem) -> Iterator[Finding]:
    """The inode of the journal and the superblock of the log; a journal on another device is not looked at."""
    superblock = filesystem.superblock
    number = superblock["s_journal_inum"]
    if not superblock.has(Compat.HAS_JOURNAL) or not number:
        return
    if number > superblock.inodes_count:
        yield error("journal", "superblock", f"the journal is inode {number}, which does not exist")
        return
    inode, where = filesystem.inodes.one(number), f"inode {number}"
    raw = b"".join(read_content(filesystem.volume, inode, 0, JOURNAL.itemsize)).ljust(JOURNAL.itemsize, b"\0")
    record = np.frombuffer(raw, dtype=JOURNAL, count=1)[0]
    if not int(inode.links[0]) or int(inode.format[0]) != S_IFREG or record["h_magic"] != JBD2_MAGIC:
        yield error("journal", where, "the journal has no superblock")
        return
    blocks = int(inode.size[0]) // superblock.block_size
    problem = _contradiction(record, raw, superblock.block_size, blocks)
    if problem:
        yield error("journal", where, f"the superblock of the journal: {problem}")
    elif record["s_start"] and superblock.state is not State.NEEDS_REPLAY:
        yield warning("journal", where, "the journal holds changes, but the superblock does not ask for replaying them")


def _contradiction(record: np.void, raw: bytes, block_size: int, blocks: int) -> str:
    """The first thing that cannot be."""
    kind, users = int(record["h_blocktype"]), int(record["s_nr_users"])
    compat, incompat, ro_compat = (int(record[f"s_feature_{name}"]) for name in ("compat", "incompat", "ro_compat"))
    sums = incompat & (_CHECKSUM_V2 | _CHECKSUM_V3)
    cleared = raw[:_CSUM] + bytes(4) + raw[_CSUM + 4 :]
    wrong_sum = sums and (record["s_checksum_type"] != _CRC32C or crc(ALL_ONES, cleared) != record["s_checksum"])
    length = int(record["s_maxlen"])
    cases = (
        (kind not in {_SUPERBLOCK_V1, _SUPERBLOCK_V2}, "it is a block of another kind"),
        (kind == _SUPERBLOCK_V1 and (compat or incompat or ro_compat or users), "the first version has no features"),
        (users > 1, f"it belongs to {users} file systems"),
        (incompat & ~_KNOWN_INCOMPAT or ro_compat, "it has unknown features"),
        (sums == _CHECKSUM_V2 | _CHECKSUM_V3 or (sums and compat & _CHECKSUM_V1), "it has checksums of two kinds"),
        (wrong_sum, "its checksum is wrong"),
        (record["s_blocksize"] != block_size, f"its blocks have {int(record['s_blocksize'])} bytes"),
        (length > blocks or blocks < _SHORTEST, f"it has {length} blocks in a file of {blocks}"),
    )
    return next((text for wrong, text in cases if wrong), "")
