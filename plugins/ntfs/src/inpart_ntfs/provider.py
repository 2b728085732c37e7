"""What the NTFS plugin offers to inpart: recognising NTFS and opening it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from inpart.contracts import Filesystem, Probe, Verdict
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, VolumeError
from inpart.units import format_size
from inpart.volume import Volume

from inpart_ntfs.boot import find_boot
from inpart_ntfs.mft import Mft

if TYPE_CHECKING:
    from inpart_ntfs.editor.ownership import Memory


class NtfsProvider:
    """NTFS 1.2 to 3.1."""

    name = "ntfs"
    api_version = 1
    summary = "NTFS 1.2 to 3.1: image, check, claim, vacate"

    @cached_property
    def _memory(self) -> Memory:
        from inpart_ntfs.editor.ownership import Memory  # noqa: PLC0415 - every plugin probes, one opens

        return Memory()

    def probe(self, volume: Volume) -> Probe:
        """Looks at the boot sector, its backup where that is damaged, and the first records of $MFT."""
        try:
            found = find_boot(volume)
        except FilesystemDamaged as error:
            return Probe(Verdict.DAMAGED, error.message)
        except (FilesystemUnsupported, VolumeError) as error:
            return Probe(Verdict.NOT_MINE, error.message)
        boot = found.boot
        detail = f"NTFS with {boot.clusters} clusters of {format_size(boot.cluster_size)}"
        notes = list(found.notes)
        if boot.backup_offset > volume.size:
            notes.append(f"it reaches beyond the end of {volume.name}")
        try:
            notes.extend(Mft(volume, boot).notes)
        except (FilesystemDamaged, VolumeError) as error:
            if found.notes:
                return Probe(Verdict.NOT_MINE, f"a boot sector of NTFS at byte {found.offset}, but {error.message}")
            notes.append(error.message)
        return Probe(Verdict.DAMAGED if notes else Verdict.MINE, "; ".join((detail, *notes)), found.trusted)

    def open(self, volume: Volume) -> Filesystem:
        """Raises FilesystemDamaged, FilesystemUnsupported."""
        from inpart_ntfs.editor import NtfsEditor  # noqa: PLC0415 - every plugin probes, one opens

        return NtfsEditor(volume, self._memory)
