"""The boot sector of NTFS, its geometry, and its backup in the last sector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from inpart.errors import FilesystemDamaged, FilesystemUnsupported
from inpart.units import KIB, MIB, is_power_of_two
from inpart.volume import Volume

from inpart_ntfs.structs import BOOT_SIGNATURE, BPB, OEM_ID

SECTOR_SIZES = (512, 1024, 2048, 4096)
MAX_CLUSTER_SIZE = 2 * MIB
RECORD_SIZES = (1 * KIB, 2 * KIB, 4 * KIB)
MAX_INDEX_SIZE = 64 * KIB
MAX_CLUSTERS = 1 << 32
"""More cannot be counted by Windows."""
SEARCHED = 1 * MIB
"""So far before the end of a volume that is larger than its file system a backup is looked for."""


@dataclass(frozen=True)
class Boot:
    """The geometry that a boot sector states. Sizes in bytes, ``*_lcn`` are cluster numbers.

    ``total_sectors`` leaves out the last sector, the backup; ``clusters`` are whole ones.
    """

    bytes_per_sector: int
    sectors_per_cluster: int
    record_size: int
    index_size: int
    total_sectors: int
    mft_lcn: int
    mftmirr_lcn: int
    volume_serial_number: int
    hidden_sectors: int

    @property
    def cluster_size(self) -> int:
        """Bytes of a cluster."""
        return self.bytes_per_sector * self.sectors_per_cluster

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return self.total_sectors // self.sectors_per_cluster

    @property
    def data_end(self) -> int:
        """Byte at which the last cluster ends."""
        return self.clusters * self.cluster_size

    @property
    def backup_offset(self) -> int:
        """Byte at which the backup of the boot sector stands."""
        return self.total_sectors * self.bytes_per_sector

    @property
    def size(self) -> int:
        """Bytes of the file system with the backup of its boot sector."""
        return self.backup_offset + self.bytes_per_sector


@dataclass(frozen=True)
class Found:
    """The trusted boot sector, where it stands, and why another one than the first is trusted."""

    boot: Boot
    offset: int = 0
    notes: tuple[str, ...] = ()

    @property
    def trusted(self) -> str:
        """What the trusted copy is called."""
        return "backup boot sector" if self.offset else "boot sector"


def parse_boot(raw: bytes) -> Boot:
    """The geometry of a boot sector of at least 512 bytes.

    Raises FilesystemUnsupported if it is none of NTFS, FilesystemDamaged for one that contradicts itself.
    """
    bpb = np.frombuffer(raw, dtype=BPB, count=1)[0]
    if raw[3:11] != OEM_ID:
        raise FilesystemUnsupported("the boot sector is not one of NTFS")
    _require(raw[510:512] == BOOT_SIGNATURE, "it has no signature")
    zero = ("reserved_sectors", "fats", "root_entries", "sectors", "sectors_per_fat", "large_sectors")
    for name in zero:
        _require(int(bpb[name]) == 0, f"{name} is {int(bpb[name])}")
    sector = int(bpb["bytes_per_sector"])
    _require(sector in SECTOR_SIZES, f"it has sectors of {sector} bytes")
    per_cluster = _sectors_per_cluster(int(bpb["sectors_per_cluster"]))
    cluster = sector * per_cluster
    _require(is_power_of_two(per_cluster) and cluster <= MAX_CLUSTER_SIZE, f"it has clusters of {cluster} bytes")
    record = _in_clusters(int(bpb["clusters_per_mft_record"]), cluster)
    _require(record in RECORD_SIZES, f"it has records of {record} bytes")
    index = _in_clusters(int(bpb["clusters_per_index_record"]), cluster)
    _require(
        is_power_of_two(index) and 512 <= index <= max(MAX_INDEX_SIZE, cluster), f"it has index blocks of {index} bytes"
    )
    boot = Boot(
        bytes_per_sector=sector,
        sectors_per_cluster=per_cluster,
        record_size=record,
        index_size=index,
        total_sectors=int(bpb["number_of_sectors"]),
        mft_lcn=int(bpb["mft_lcn"]),
        mftmirr_lcn=int(bpb["mftmirr_lcn"]),
        volume_serial_number=int(bpb["volume_serial_number"]),
        hidden_sectors=int(bpb["hidden_sectors"]),
    )
    _require(0 < boot.clusters <= MAX_CLUSTERS, f"it has {boot.clusters} clusters")
    _require(0 < boot.mft_lcn < boot.clusters, f"$MFT is at cluster {boot.mft_lcn} of {boot.clusters}")
    _require(0 < boot.mftmirr_lcn < boot.clusters, f"$MFTMirr is at cluster {boot.mftmirr_lcn} of {boot.clusters}")
    return boot


def find_boot(volume: Volume) -> Found:
    """The boot sector to trust: the first, or its backup where the first is damaged.

    Raises FilesystemUnsupported if there is nothing of NTFS, FilesystemDamaged if the only one cannot be used.
    """
    if volume.size < 2 * SECTOR_SIZES[0]:
        raise FilesystemUnsupported(f"{volume.name} is too small for NTFS")
    raw = volume.read(0, 512)
    try:
        return Found(parse_boot(raw))
    except FilesystemUnsupported as error:
        reason: FilesystemUnsupported | FilesystemDamaged = error.with_traceback(None)
        strange = _other_filesystem(raw)
        if strange:
            raise FilesystemUnsupported(f"{volume.name} holds {strange}") from None
    except FilesystemDamaged as error:
        reason = error.with_traceback(None)
    for offset in backup_places(volume, raw):
        backup = _backup_at(volume, offset)
        if backup is not None:
            return Found(backup, offset, (f"backup boot sector at byte {offset} used: {reason.message}",))
    raise type(reason)(f"{volume.name}: {reason.message}, and there is no backup of it", hint=reason.hint)


def backup_places(volume: Volume, raw: bytes) -> Iterator[int]:
    """Where a backup may stand: as the damaged first one says, at the end of the volume, shortly before that."""
    bpb = np.frombuffer(raw, dtype=BPB, count=1)[0]
    sectors, size = int(bpb["number_of_sectors"]), int(bpb["bytes_per_sector"])
    if raw[3:11] == OEM_ID and size in SECTOR_SIZES and 0 < sectors <= volume.size // size:
        yield sectors * size
        yield (sectors // 2) * size
    for size in SECTOR_SIZES:
        if volume.size >= 2 * size:
            yield volume.size // size * size - size
    start = max(512, (volume.size - SEARCHED) // 512 * 512)
    window = np.frombuffer(volume.read(start, (volume.size - start) // 512 * 512), dtype=np.uint8).reshape(-1, 512)
    looks = (window[:, 3:11] == np.frombuffer(OEM_ID, dtype=np.uint8)).all(axis=1)
    for row in np.flatnonzero(looks)[::-1].tolist():
        yield start + row * 512


def _backup_at(volume: Volume, offset: int) -> Boot | None:
    """The boot sector at ``offset``, if it is sound and stands where its own file system has the backup."""
    if not 0 < offset <= volume.size - 512:
        return None
    try:
        boot = parse_boot(volume.read(offset, 512))
    except (FilesystemDamaged, FilesystemUnsupported):
        return None
    middle = boot.total_sectors // 2 * boot.bytes_per_sector  # there NT 3.51 put it
    return boot if offset in (boot.backup_offset, middle) else None


def _other_filesystem(raw: bytes) -> str:
    """The name of another file system whose boot sector this is, sound enough to leave it alone."""
    if raw[3:11] == b"EXFAT   ":
        return "exFAT"
    if raw[3:11] == b"-FVE-FS-":
        return "a volume encrypted by BitLocker"
    if raw[54:59] in (b"FAT12", b"FAT16") or raw[82:87] == b"FAT32":
        return "FAT"
    return ""


def _sectors_per_cluster(stored: int) -> int:
    """Above 128 the byte is the negative binary logarithm."""
    return stored if stored <= 128 else 1 << min(256 - stored, 31)


def _in_clusters(stored: int, cluster_size: int) -> int:
    """Bytes of a record or index block: a number of clusters, or the negative binary logarithm of its bytes."""
    return stored * cluster_size if stored >= 0 else 1 << min(-stored, 31)


def _require(condition: object, what: str) -> None:
    if not condition:
        raise FilesystemDamaged(
            f"the boot sector is not usable: {what}", hint="`inpart locate` finds images without a file system"
        )
