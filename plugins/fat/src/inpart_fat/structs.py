"""The structures of FAT on disk: boot sector, FSInfo sector and directory slots, with Microsoft's field names.

Source of facts: Microsoft, "FAT: General Overview of On-Disk Format", 1.03, and the Linux kernel for the dirty bits.
All numbers are little-endian. Offsets of single fields: ``field_offset(BOOT32, "BPB_BkBootSec")``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BPB = [
    ("BS_jmpBoot", "u1", 3),
    ("BS_OEMName", "u1", 8),
    ("BPB_BytsPerSec", "<u2"),
    ("BPB_SecPerClus", "u1"),
    ("BPB_RsvdSecCnt", "<u2"),
    ("BPB_NumFATs", "u1"),
    ("BPB_RootEntCnt", "<u2"),
    ("BPB_TotSec16", "<u2"),
    ("BPB_Media", "u1"),
    ("BPB_FATSz16", "<u2"),
    ("BPB_SecPerTrk", "<u2"),
    ("BPB_NumHeads", "<u2"),
    ("BPB_HiddSec", "<u4"),
    ("BPB_TotSec32", "<u4"),
]
_BPB_FAT32 = [
    ("BPB_FATSz32", "<u4"),
    ("BPB_ExtFlags", "<u2"),
    ("BPB_FSVer", "<u2"),
    ("BPB_RootClus", "<u4"),
    ("BPB_FSInfo", "<u2"),
    ("BPB_BkBootSec", "<u2"),
    ("BPB_Reserved", "u1", 12),
]
_EXTENDED = [
    ("BS_DrvNum", "u1"),
    ("BS_Reserved1", "u1"),
    ("BS_BootSig", "u1"),
    ("BS_VolID", "<u4"),
    ("BS_VolLab", "u1", 11),
    ("BS_FilSysType", "u1", 8),
]

BOOT16: np.dtype[np.void] = np.dtype(_BPB + _EXTENDED)
"""FAT12 and FAT16: the first 62 bytes of the boot sector."""

BOOT32: np.dtype[np.void] = np.dtype(_BPB + _BPB_FAT32 + _EXTENDED)
"""FAT32: the first 90 bytes of the boot sector."""

FSINFO: np.dtype[np.void] = np.dtype(
    [
        ("FSI_LeadSig", "<u4"),
        ("FSI_Reserved1", "u1", 480),
        ("FSI_StrucSig", "<u4"),
        ("FSI_Free_Count", "<u4"),
        ("FSI_Nxt_Free", "<u4"),
        ("FSI_Reserved2", "u1", 12),
        ("FSI_TrailSig", "<u4"),
    ]
)
"""FAT32: the 512 bytes of the FSInfo sector."""

DIR: np.dtype[np.void] = np.dtype(
    [
        ("DIR_Name", "u1", 11),
        ("DIR_Attr", "u1"),
        ("DIR_NTRes", "u1"),
        ("DIR_CrtTimeTenth", "u1"),
        ("DIR_CrtTime", "<u2"),
        ("DIR_CrtDate", "<u2"),
        ("DIR_LstAccDate", "<u2"),
        ("DIR_FstClusHI", "<u2"),
        ("DIR_WrtTime", "<u2"),
        ("DIR_WrtDate", "<u2"),
        ("DIR_FstClusLO", "<u2"),
        ("DIR_FileSize", "<u4"),
    ]
)
"""A directory slot that holds a short entry, 32 bytes."""

LDIR: np.dtype[np.void] = np.dtype(
    [
        ("LDIR_Ord", "u1"),
        ("LDIR_Name1", "<u2", 5),
        ("LDIR_Attr", "u1"),
        ("LDIR_Type", "u1"),
        ("LDIR_Chksum", "u1"),
        ("LDIR_Name2", "<u2", 6),
        ("LDIR_FstClusLO", "<u2"),
        ("LDIR_Name3", "<u2", 2),
    ]
)
"""A directory slot that holds 13 characters of a long name, 32 bytes."""

SLOT = 32
"""Size of a directory slot in bytes."""

MAX_DIRECTORY = 65536 * SLOT
"""A directory holds at most 65536 slots."""

CHARS_PER_SLOT = 13
MAX_NAME_SLOTS = 20

SIGNATURE_OFFSET = 510
SIGNATURE = b"\x55\xaa"
BOOT_SIG_EXTENDED = 0x29
USUAL_BACKUP_SECTOR = 6

FSI_LEAD_SIG = 0x41615252
FSI_STRUC_SIG = 0x61417272
FSI_TRAIL_SIG = 0xAA550000
FSI_UNKNOWN = 0xFFFFFFFF

EXT_FLAGS_NOT_MIRRORED = 0x80
EXT_FLAGS_ACTIVE = 0x0F

STATE_DIRTY = 0x01
"""Bit of BS_Reserved1 that Linux and Windows set while the volume is mounted for writing."""

ATTR_READ_ONLY = 0x01
ATTR_HIDDEN = 0x02
ATTR_SYSTEM = 0x04
ATTR_VOLUME_ID = 0x08
ATTR_DIRECTORY = 0x10
ATTR_LONG_NAME = 0x0F
ATTR_LONG_NAME_MASK = 0x3F

NT_LOWER_BASE = 0x08
NT_LOWER_EXT = 0x10
NT_NO_SHORT_NAME = 0x20
"""Patched Linux kernels mark entries so that have a long name only; the short one is rubbish on purpose."""

LAST_LONG_ENTRY = 0x40
ORD_MASK = 0x3F

END_MARK = 0x00
DELETED_MARK = 0xE5
KANJI_E5 = 0x05
"""Stands for 0xE5 as the first byte of a short name."""

DOT = b".          "
DOTDOT = b"..         "


def field_offset(dtype: np.dtype[np.void], name: str) -> int:
    """Byte offset of the field ``name`` inside the structure ``dtype``."""
    fields = dtype.fields
    return int(fields[name][1]) if fields is not None else 0


def short_checksums(names: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """LDIR_Chksum of each of the short names ``names``, shape (n, 11)."""
    total = np.zeros(len(names), dtype=np.uint8)
    for column in range(11):
        total = ((total & 1) << 7) + (total >> 1) + names[:, column]
    return total


def short_checksum(name: bytes) -> int:
    """LDIR_Chksum of the 11 bytes of one short name."""
    return int(short_checksums(np.frombuffer(name, dtype=np.uint8).reshape(1, 11))[0])
