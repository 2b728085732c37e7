"""Reading and judging boot sectors: fields to geometry, the FAT32 extension, and which copy to trust.

The rules are those of the Linux kernel and of fsck.fat where they go beyond Microsoft's text: FAT32 is what has
BPB_FATSz16 = 0, FAT12 and FAT16 are told apart by the number of clusters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, VolumeError
from inpart.units import SECTOR, is_power_of_two
from inpart.volume import Volume

from inpart_fat.geometry import FAT12_LIMIT, FAT16_LIMIT, FIRST_CLUSTER, Geometry
from inpart_fat.structs import (
    BOOT16,
    BOOT32,
    BOOT_SIG_EXTENDED,
    EXT_FLAGS_ACTIVE,
    EXT_FLAGS_NOT_MIRRORED,
    SIGNATURE,
    SIGNATURE_OFFSET,
    SLOT,
    STATE_DIRTY,
    USUAL_BACKUP_SECTOR,
)

SECTOR_SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768)
MAX_FATS = 4
_STRANGERS = (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-", b"ReFS\0\0\0\0")


class BootSector:
    """The 512 bytes of one boot sector and its fields by Microsoft's names."""

    def __init__(self, raw: bytes, offset: int) -> None:
        """``raw`` are 512 bytes that lie at byte ``offset`` of the partition."""
        self.raw = raw
        self.offset = offset
        short = np.frombuffer(raw, dtype=BOOT16, count=1)[0]
        self.fat32 = int(short["BPB_FATSz16"]) == 0
        self.record = np.frombuffer(raw, dtype=BOOT32, count=1)[0] if self.fat32 else short

    def __getitem__(self, name: str) -> int:
        """A number."""
        return int(self.record[name])

    def text(self, name: str) -> bytes:
        """A byte string."""
        return bytes(self.record[name].tobytes())

    @property
    def signed(self) -> bool:
        """True if the sector ends in 55 AA."""
        return self.raw[SIGNATURE_OFFSET : SIGNATURE_OFFSET + 2] == SIGNATURE

    @property
    def extended(self) -> bool:
        """True if volume id and label are there."""
        return self["BS_BootSig"] == BOOT_SIG_EXTENDED

    @property
    def dirty(self) -> bool:
        """The bit that Linux sets while the file system is mounted for writing."""
        return bool(self["BS_Reserved1"] & STATE_DIRTY)


@dataclass(frozen=True)
class Boot:
    """The trusted boot sector, what follows from it, and why it was trusted."""

    sector: BootSector
    geometry: Geometry
    notes: tuple[str, ...] = ()


def read_boot(volume: Volume) -> Boot:
    """The boot sector to trust: the first one, or the backup where the first is damaged.

    Raises FilesystemUnsupported if there is nothing of FAT, FilesystemDamaged if what is there cannot be used.
    """
    if volume.size < SECTOR:
        raise FilesystemUnsupported(f"{volume.name} is too small for a FAT file system")
    sector, geometry, reason = _read_sector(volume, 0), None, "boot sector not readable"
    if sector is not None:
        try:
            geometry = geometry_of(sector, volume)
            reason = "" if has_evidence(volume, geometry) else "it does not lead to an allocation table"
        except FilesystemDamaged as damage:
            reason = damage.message
    if sector and geometry and not reason:
        return _with_sound_table(volume, Boot(sector, geometry))
    backup = find_backup(volume, sector)
    if backup is not None:
        return _with_sound_table(volume, replace(backup, notes=(f"backup boot sector used: {reason}",)))
    if sector and geometry and sector.signed and sector.text("BS_FilSysType").startswith(b"FAT"):
        return Boot(sector, geometry)
    raise FilesystemUnsupported(f"{volume.name} holds no FAT file system: {reason}")


def find_backup(volume: Volume, primary: BootSector | None) -> Boot | None:
    """The backup boot sector of a FAT32 file system whose first one cannot be used."""
    places = [USUAL_BACKUP_SECTOR * size for size in SECTOR_SIZES]
    if primary and primary.fat32 and primary["BPB_BytsPerSec"] in SECTOR_SIZES and primary["BPB_BkBootSec"]:
        places.insert(0, primary["BPB_BkBootSec"] * primary["BPB_BytsPerSec"])
    for place in places:
        sector = _read_sector(volume, place)
        if sector is None or not sector.signed or sector["BPB_BytsPerSec"] * _backup_number(sector) != place:
            continue
        try:
            geometry = geometry_of(sector, volume)
        except FilesystemDamaged:
            continue
        if has_evidence(volume, geometry):
            return Boot(sector, geometry)
    return None


def _backup_number(sector: BootSector) -> int:
    return sector["BPB_BkBootSec"] if sector.fat32 else 0


def _read_sector(volume: Volume, offset: int) -> BootSector | None:
    """The boot sector at ``offset``, None where it cannot be read."""
    try:
        return BootSector(volume.read(offset, SECTOR), offset)
    except VolumeError:
        return None


def _with_sound_table(volume: Volume, boot: Boot) -> Boot:
    """The boot sector with another copy of the table to read if the first one has lost its entry 0."""
    geometry = boot.geometry
    if not geometry.mirrored or is_table(volume, geometry, geometry.active_fat):
        return boot
    sound = next(copy for copy in range(len(geometry.fat_starts)) if is_table(volume, geometry, copy))
    text = f"allocation table {sound} used: table {geometry.active_fat} is damaged"
    return Boot(boot.sector, replace(geometry, active_fat=sound), (*boot.notes, text))


def is_table(volume: Volume, geometry: Geometry, copy: int) -> bool:
    """True if entry 0 of a copy has its upper bits set, which is how fsck.fat tells a table from rubbish."""
    upper = geometry.mask & ~0x0F
    try:
        return int.from_bytes(volume.read(geometry.fat_starts[copy], 4), "little") & upper == upper
    except VolumeError:
        return False


def has_evidence(volume: Volume, geometry: Geometry) -> bool:
    """True if at least one allocation table stands where the boot sector says."""
    return any(is_table(volume, geometry, copy) for copy in range(len(geometry.fat_starts)))


def geometry_of(sector: BootSector, volume: Volume) -> Geometry:
    """The geometry that one boot sector describes. Raises FilesystemDamaged with the first contradiction."""
    _check_fields(sector)
    size = sector["BPB_BytsPerSec"]
    cluster_size = size * sector["BPB_SecPerClus"]
    fat_sectors = sector["BPB_FATSz32"] if sector.fat32 else sector["BPB_FATSz16"]
    total = sector["BPB_TotSec16"] or sector["BPB_TotSec32"]
    reserved = sector["BPB_RsvdSecCnt"] * size
    root_start = reserved + sector["BPB_NumFATs"] * fat_sectors * size
    root_bytes = sector["BPB_RootEntCnt"] * SLOT
    data_start = root_start + -(-root_bytes // size) * size
    data_clusters = (total * size - data_start) // cluster_size
    _require(data_clusters > 0, "there is no room for a single cluster")
    _require(data_start <= volume.size, f"its data start at {data_start}, behind the end of {volume.name}")
    bits = _fat_bits(sector, data_clusters)
    cluster_count = min(data_clusters, fat_sectors * size * 8 // bits - FIRST_CLUSTER)
    _require(cluster_count > 0, "its allocation table has no room for a single cluster")
    root_cluster = sector["BPB_RootClus"] if sector.fat32 else 0
    if sector.fat32:
        valid = FIRST_CLUSTER <= root_cluster < cluster_count + FIRST_CLUSTER
        _require(valid, f"its root directory starts at cluster {root_cluster}, which does not exist")
    return Geometry(
        sector_size=size,
        cluster_size=cluster_size,
        fat_bits=bits,
        reserved_bytes=reserved,
        fat_starts=tuple(reserved + copy * fat_sectors * size for copy in range(sector["BPB_NumFATs"])),
        fat_bytes=fat_sectors * size,
        root_start=root_start,
        root_bytes=0 if sector.fat32 else root_bytes,
        root_cluster=root_cluster,
        data_start=data_start,
        cluster_count=cluster_count,
        data_clusters=data_clusters,
        total_sectors=total,
        mirrored=_mirrored(sector),
        active_fat=_active_fat(sector),
        media=sector["BPB_Media"],
        boot_offset=sector.offset,
        backup_offset=_reserved_sector(sector, "BPB_BkBootSec"),
        fsinfo_offset=_reserved_sector(sector, "BPB_FSInfo"),
    )


def _check_fields(sector: BootSector) -> None:
    """What must hold before anything can be computed."""
    _require(sector.text("BS_OEMName") not in _STRANGERS, "it is the boot sector of another file system")
    _require(sector["BPB_BytsPerSec"] in SECTOR_SIZES, f"its sector size is {sector['BPB_BytsPerSec']}")
    _require(is_power_of_two(sector["BPB_SecPerClus"]), f"it has {sector['BPB_SecPerClus']} sectors per cluster")
    _require(sector["BPB_RsvdSecCnt"] > 0, "it has no reserved sector")
    _require(1 <= sector["BPB_NumFATs"] <= MAX_FATS, f"it has {sector['BPB_NumFATs']} allocation tables")
    media = sector["BPB_Media"]
    _require(media == 0xF0 or media >= 0xF8, f"its media byte is {media:#04x}")
    _require(sector["BPB_TotSec16"] or sector["BPB_TotSec32"], "it has no sectors")
    _require(sector["BPB_RootEntCnt"] * SLOT % SECTOR == 0, "its root directory ends inside a sector")
    if sector.fat32:
        _require(sector["BPB_FATSz32"] > 0, "its allocation table has no sectors")
        _require(sector["BPB_RootEntCnt"] == 0, "it has the fields of FAT32 and a root directory of fixed size")
    else:
        _require(sector["BPB_RootEntCnt"] > 0, "its root directory has no room")


def _require(condition: object, what: str) -> None:
    if not condition:
        raise FilesystemDamaged(f"boot sector not usable: {what}")


def _fat_bits(sector: BootSector, data_clusters: int) -> int:
    if sector.fat32:
        _require(data_clusters <= 0x0FFFFFF5, f"it has {data_clusters} clusters, too many for FAT32")
        return 32
    _require(data_clusters < FAT16_LIMIT, f"it has {data_clusters} clusters, too many for FAT16")
    return 12 if data_clusters < FAT12_LIMIT else 16


def _mirrored(sector: BootSector) -> bool:
    return not (sector.fat32 and sector["BPB_ExtFlags"] & EXT_FLAGS_NOT_MIRRORED)


def _active_fat(sector: BootSector) -> int:
    """The copy named by BPB_ExtFlags, or the first one if there is no such copy."""
    active = 0 if _mirrored(sector) else sector["BPB_ExtFlags"] & EXT_FLAGS_ACTIVE
    return active if active < sector["BPB_NumFATs"] else 0


def _reserved_sector(sector: BootSector, name: str) -> int:
    """Byte offset of a sector that a FAT32 field names; 0 where it names none inside the reserved area."""
    number = sector[name] if sector.fat32 else 0
    return number * sector["BPB_BytsPerSec"] if 0 < number < sector["BPB_RsvdSecCnt"] else 0
