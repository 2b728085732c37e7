"""Checks of the reserved sectors: boot sector and backup, FSInfo, dirty bits, labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inpart.contracts import Finding
from inpart.units import SECTOR

from inpart_fat import structs
from inpart_fat.boot import BootSector
from inpart_fat.check.report import error, note, warning
from inpart_fat.fsinfo import read_fsinfo
from inpart_fat.labels import NO_NAME, boot_label, flawed, root_label, shown
from inpart_fat.usage import closed_properly, without_io_errors

if TYPE_CHECKING:
    from inpart_fat.filesystem import FatFilesystem

_NO_SECTOR = (0, 0xFFFF)


def check_boot(filesystem: FatFilesystem) -> Iterator[Finding]:
    """Illegal or contradicting values, and a backup that differs."""
    geometry, volume = filesystem.geometry, filesystem.volume
    for text in filesystem.boot.notes:
        yield error("boot-sector", "boot sector", text)
    if filesystem.truncated:
        yield error(
            "truncated", "boot sector", f"the file system needs {geometry.size} bytes, {volume.name} has {volume.size}"
        )
    if geometry.cluster_count < geometry.data_clusters:
        missing = geometry.data_clusters - geometry.cluster_count
        yield error("table-size", "boot sector", f"the allocation table has no room for the last {missing} clusters")
    for message in _odd_values(filesystem.boot.sector):
        yield warning("boot-values", "boot sector", message)
    if geometry.backup_offset and not geometry.boot_offset:
        primary, backup = (volume.read(offset, SECTOR) for offset in geometry.boot_offsets)
        if primary != backup:
            differing = sum(left != right for left, right in zip(primary, backup, strict=True))
            yield warning("backup-boot-sector", "backup boot sector", f"{differing} bytes differ from the first one")


def _odd_values(sector: BootSector) -> Iterator[str]:
    if not sector.signed:
        yield "the signature 55 AA is missing"
    if sector["BPB_NumFATs"] > 2:
        yield f"BPB_NumFATs is {sector['BPB_NumFATs']}; most systems know one or two tables"
    if not sector.fat32:
        return
    if sector["BPB_FSVer"]:
        yield f"BPB_FSVer is {sector['BPB_FSVer']:#06x}; only version 0 is known"
    for name in ("BPB_FSInfo", "BPB_BkBootSec"):
        if sector[name] not in _NO_SECTOR and sector[name] >= sector["BPB_RsvdSecCnt"]:
            yield f"{name} is {sector[name]}, outside the {sector['BPB_RsvdSecCnt']} reserved sectors"
    flags = sector["BPB_ExtFlags"]
    if flags & structs.EXT_FLAGS_NOT_MIRRORED and flags & structs.EXT_FLAGS_ACTIVE >= sector["BPB_NumFATs"]:
        yield f"BPB_ExtFlags names table {flags & structs.EXT_FLAGS_ACTIVE}, which does not exist"


def check_state(filesystem: FatFilesystem) -> Iterator[Finding]:
    """What the dirty bits say."""
    flags, bits = filesystem.usage.flags, filesystem.geometry.fat_bits
    if filesystem.boot.sector.dirty or not closed_properly(flags, bits):
        yield warning("dirty", "boot sector", "the file system was not unmounted properly")
    if not without_io_errors(flags, bits):
        yield warning("io-errors", "fat-0", "a driver met unreadable sectors and noted it in the allocation table")


def check_fsinfo(filesystem: FatFilesystem) -> Iterator[Finding]:
    """Signatures and counts of the FSInfo sector of FAT32."""
    geometry = filesystem.geometry
    if not geometry.fsinfo_offset:
        return
    record = read_fsinfo(filesystem.volume, geometry)
    if record is None:
        yield warning("fsinfo-signature", "fsinfo", "it is no FSInfo sector: a signature is wrong")
        return
    recorded, real = int(record["FSI_Free_Count"]), geometry.cluster_count - filesystem.usage.used_clusters
    if recorded not in (structs.FSI_UNKNOWN, real):
        yield warning("fsinfo-count", "fsinfo", f"FSI_Free_Count is {recorded}, but {real} clusters are free")
    following = int(record["FSI_Nxt_Free"])
    if following != structs.FSI_UNKNOWN and following >= geometry.entry_count:
        yield warning("fsinfo-next", "fsinfo", f"FSI_Nxt_Free is {following}, which is no cluster")


def check_labels(filesystem: FatFilesystem) -> Iterator[Finding]:
    """Labels in boot sector and root directory that differ, usual after Windows, or are not allowed: harmless."""
    boot, root = boot_label(filesystem.boot.sector), root_label(filesystem.reader.slots(0))
    if boot is not None and boot != (root or NO_NAME):
        yield note(
            "label", "boot sector", f"its label is {shown(boot)!r}, that of the root directory {shown(root or b'')!r}"
        )
    if root is not None and flawed(root):
        yield note("label", "root directory", f"its label {shown(root)!r} is not allowed")
