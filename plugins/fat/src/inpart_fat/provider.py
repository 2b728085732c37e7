"""What the FAT plugin offers to inpart: recognising a FAT file system and opening it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inpart.contracts import Probe, Verdict
from inpart.errors import FilesystemError, VolumeError
from inpart.volume import Volume

from inpart_fat.boot import read_boot

if TYPE_CHECKING:
    from inpart_fat.editor import FatEditor


class FatProvider:
    """FAT12, FAT16 and FAT32."""

    name = "fat"
    api_version = 1
    summary = "FAT12, FAT16 and FAT32: image, check, claim, vacate"

    def probe(self, volume: Volume) -> Probe:
        """Looks at the boot sector, its backup places and the first entry of the tables."""
        try:
            boot = read_boot(volume)
        except (FilesystemError, VolumeError) as error:
            return Probe(Verdict.NOT_MINE, error.message)
        geometry = boot.geometry
        detail = f"{geometry.kind.upper()} with {geometry.cluster_count} clusters of {geometry.cluster_size} bytes"
        if boot.notes:
            trusted = "backup boot sector" if geometry.boot_offset else f"allocation table {geometry.active_fat}"
            return Probe(Verdict.DAMAGED, "; ".join((detail, *boot.notes)), trusted)
        if geometry.data_end > volume.size:
            return Probe(Verdict.DAMAGED, f"{detail}; it reaches beyond the end of {volume.name}", "boot sector")
        return Probe(Verdict.MINE, detail, "boot sector")

    def open(self, volume: Volume) -> FatEditor:
        """Raises FilesystemDamaged, FilesystemUnsupported."""
        from inpart_fat.editor import FatEditor  # noqa: PLC0415 - every plugin probes, one opens

        return FatEditor(volume)
