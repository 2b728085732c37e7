"""What the ext plugin offers to inpart: recognising ext2, ext3 and ext4 and opening them."""

from __future__ import annotations

from inpart.contracts import Filesystem, Probe, Verdict
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, VolumeError
from inpart.volume import Volume

from inpart_ext.locating import find_superblock


class ExtProvider:
    """ext2, ext3 and ext4."""

    name = "ext"
    api_version = 1
    summary = "ext2, ext3 and ext4: image, check, claim, vacate"

    def probe(self, volume: Volume) -> Probe:
        """Looks at the first superblock, and at the usual places of its backups."""
        try:
            found = find_superblock(volume)
        except FilesystemDamaged as error:
            return Probe(Verdict.DAMAGED, error.message)
        except (FilesystemUnsupported, VolumeError) as error:
            return Probe(Verdict.NOT_MINE, error.message)
        superblock = found.superblock
        detail = f"{superblock.kind} with {superblock.blocks_count} blocks of {superblock.block_size} bytes"
        if found.notes:
            return Probe(Verdict.DAMAGED, "; ".join((detail, *found.notes)), found.trusted)
        if superblock.size > volume.size:
            return Probe(Verdict.DAMAGED, f"{detail}; it reaches beyond the end of {volume.name}", found.trusted)
        return Probe(Verdict.MINE, detail, found.trusted)

    def open(self, volume: Volume) -> Filesystem:
        """Raises FilesystemDamaged, FilesystemUnsupported."""
        from inpart_ext.editor import ExtEditor  # noqa: PLC0415 - every plugin probes, one opens

        return ExtEditor(volume)
