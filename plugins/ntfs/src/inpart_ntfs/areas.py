"""The named areas that describe an NTFS file system, from boot sector to root index."""

from __future__ import annotations

from collections.abc import Iterator

from inpart.contracts import SystemArea
from inpart.errors import FilesystemDamaged, VolumeError
from inpart.extents import Extents

from inpart_ntfs.boot import Found
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.mft import Mft
from inpart_ntfs.runs import byte_extents

_FILES = (
    ("mft-mirror", Number.MFT_MIRR, AttributeType.DATA, ""),
    ("log-file", Number.LOG_FILE, AttributeType.DATA, ""),
    ("attr-def", Number.ATTR_DEF, AttributeType.DATA, ""),
    ("bitmap", Number.BITMAP, AttributeType.DATA, ""),
    ("boot", Number.BOOT, AttributeType.DATA, ""),
    ("upcase", Number.UPCASE, AttributeType.DATA, ""),
    ("root-index", Number.ROOT, AttributeType.INDEX_ALLOCATION, "$I30"),
    ("secure", Number.SECURE, AttributeType.DATA, "$SDS"),
    ("mft-bitmap", Number.MFT, AttributeType.BITMAP, ""),
)


def system_areas(found: Found, mft: Mft) -> tuple[SystemArea, ...]:
    """All areas, anchors first. Files whose records are damaged are left out."""
    boot = found.boot
    first = Extents.span(0, boot.bytes_per_sector)
    areas = [SystemArea("boot-sector", first, anchor=True)]
    if boot.size <= mft.volume.size:
        backup = Extents.span(boot.backup_offset, boot.size)
        areas.append(SystemArea("backup-boot-sector", backup, anchor=True))
    areas.append(SystemArea("mft", byte_extents(mft.rows[:, 1], mft.rows[:, 2], boot.cluster_size)))
    areas.extend(_files(mft))
    return tuple(areas)


def _files(mft: Mft) -> Iterator[SystemArea]:
    for name, number, kind, stream in _FILES:
        try:
            rows = mft.metadata(number, kind, stream).rows
        except (FilesystemDamaged, VolumeError):
            continue
        extents = byte_extents(rows[:, 1], rows[:, 2], mft.boot.cluster_size)
        if extents:
            yield SystemArea(name, extents)
