"""Tells a file system that begins at the first byte of a disk, with no partition table, from a partition table.

Boot sectors of FAT and NTFS end in 55 AA like an MBR; what tells them apart is the BIOS parameter block.
"""

from __future__ import annotations

import struct

from inpart.errors import VolumeError
from inpart.units import is_power_of_two
from inpart.volume import Volume

_OEM_NAMES = {b"NTFS    ": "NTFS", b"EXFAT   ": "exFAT", b"-FVE-FS-": "BitLocker", b"ReFS\0\0\0\0": "ReFS"}
_BPB = struct.Struct("<HBHBHHBH")
_MAGICS = (
    (0, b"XFSB", "XFS"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (1024, b"\x10\x20\xf5\xf2", "F2FS"),
    (1024 + 56, b"\x53\xef", "ext"),
    (4096 - 10, b"SWAPSPACE2", "swap"),
    (65536 + 64, b"_BHRfS_M", "btrfs"),
)


def boot_sector_kind(sector: bytes) -> str:
    """``FAT``, ``NTFS``, ... if the sector is a file system's boot sector with a sane parameter block, else empty."""
    if len(sector) < 512 or sector[510:512] != b"\x55\xaa":
        return ""
    return _OEM_NAMES.get(sector[3:11], "") or ("FAT" if _sane_fat_block(sector) else "")


def _sane_fat_block(sector: bytes) -> bool:
    """The conditions of the Linux FAT driver for the fields that every FAT has."""
    sector_size, cluster, reserved, fats, _, total16, media, length16 = _BPB.unpack_from(sector, 11)
    total32, length32 = struct.unpack_from("<I", sector, 32)[0], struct.unpack_from("<I", sector, 36)[0]
    return (
        is_power_of_two(sector_size)
        and 512 <= sector_size <= 4096
        and is_power_of_two(cluster)
        and reserved > 0
        and 1 <= fats <= 4
        and (media == 0xF0 or media >= 0xF8)
        and (total16 or total32) > reserved
        and (length16 or length32) > 0
    )


def filesystem_at(volume: Volume, start: int) -> str:
    """The name of a file system that seems to begin at byte ``start``; empty if none of the common ones does."""
    kind = boot_sector_kind(_peek(volume, start, 512))
    if kind:
        return kind
    for offset, magic, name in _MAGICS:
        if _peek(volume, start + offset, len(magic)) == magic:
            return name
    return ""


def _peek(volume: Volume, offset: int, length: int) -> bytes:
    if offset + length > volume.size:
        return b""
    try:
        return volume.read(offset, length)
    except VolumeError:
        return b""
