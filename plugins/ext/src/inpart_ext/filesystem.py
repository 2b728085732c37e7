"""ext2, ext3 and ext4 as a file system of the contract: the reader."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from inpart.contracts import Filesystem, FilesystemInfo, Finding, State, SystemArea
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents
from inpart.volume import Volume

from inpart_ext.areas import system_areas
from inpart_ext.bitmaps import Bitmaps
from inpart_ext.groups import Groups, read_groups
from inpart_ext.locating import find_superblock
from inpart_ext.superblock import Superblock


class ExtFilesystem(Filesystem):
    """An ext2, ext3 or ext4 file system on a volume that starts at the partition's first byte.

    What is read from the volume is kept; ``refresh`` forgets it after the volume has changed.
    """

    def __init__(self, volume: Volume) -> None:
        """Raises FilesystemUnsupported if there is nothing of ext or unknown features, FilesystemDamaged."""
        self.volume = volume
        self.found = find_superblock(volume)

    def refresh(self) -> None:
        """Forget everything that was read, so that edits made since are seen."""
        self.found = find_superblock(self.volume)
        for name in ("groups", "bitmaps", "used", "info"):
            self.__dict__.pop(name, None)

    @property
    def superblock(self) -> Superblock:
        """The trusted superblock."""
        return self.found.superblock

    @cached_property
    def groups(self) -> Groups:
        """The group descriptors."""
        return read_groups(self.volume, self.superblock)

    @cached_property
    def bitmaps(self) -> Bitmaps:
        """Access to the bitmaps."""
        return Bitmaps(self.volume, self.groups)

    @cached_property
    def used(self) -> Extents:
        """Bytes of all used blocks."""
        return self.bitmaps.used()

    @cached_property
    def info(self) -> FilesystemInfo:  # type: ignore[override]
        superblock = self.superblock
        free = superblock.free_blocks * superblock.block_size
        return FilesystemInfo(
            kind=superblock.kind,
            label=superblock.label,
            uuid=superblock.uuid,
            cluster_size=superblock.cluster_size,
            size=superblock.size,
            data_start=superblock.data_start,
            data_end=superblock.data_end,
            used_bytes=superblock.size - free,
            free_bytes=free,
            state=self._state(),
            notes=self._notes(),
        )

    def _state(self) -> State:
        if self.found.from_backup or self.groups.notes or self.truncated:
            return State.ERRORS
        return self.superblock.state

    @property
    def truncated(self) -> bool:
        """True if the file system reaches beyond the end of its volume."""
        return self.superblock.size > self.volume.size

    def _notes(self) -> tuple[str, ...]:
        notes = [*self.found.notes, *self.groups.notes]
        if self.truncated:
            missing = self.superblock.size - self.volume.size
            notes.append(f"the file system reaches {missing} bytes beyond the end of {self.volume.name}")
        return tuple(notes)

    def allocated(self) -> Extents:
        """Boot block, superblocks, descriptors, bitmaps, inode tables and all blocks in use."""
        if self.used.end > self.volume.size:
            raise FilesystemDamaged(
                f"used blocks reach up to byte {self.used.end}, but {self.volume.name} ends at {self.volume.size}",
                hint="was the partition or the image file cut short?",
            )
        return self.used

    def system_areas(self) -> tuple[SystemArea, ...]:
        return system_areas(self.superblock, self.groups)

    def check(self) -> Iterator[Finding]:
        yield from ()
