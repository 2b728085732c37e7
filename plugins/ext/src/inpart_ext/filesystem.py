"""ext2, ext3 and ext4 as a file system of the contract: reader and tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
from inpart.contracts import Entry, FilesystemInfo, FilesystemTree, Finding, State, SystemArea
from inpart.errors import FilesystemDamaged, UsageError
from inpart.extents import Extents, Runs
from inpart.volume import Volume

from inpart_ext.areas import system_areas, unused_places
from inpart_ext.bitmaps import Bitmaps
from inpart_ext.check import check
from inpart_ext.content import is_inline, read_content, slack, swap_space
from inpart_ext.directory import DirectoryReader
from inpart_ext.features import Compat
from inpart_ext.groups import Groups, read_groups
from inpart_ext.inodes import Inodes, InodeTable
from inpart_ext.locating import find_superblock
from inpart_ext.mapping import Mapping, map_inodes
from inpart_ext.structs import ROOT_INO, S_IFDIR
from inpart_ext.superblock import Superblock
from inpart_ext.tree import Tree


class ExtFilesystem(FilesystemTree):
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
        for name in ("groups", "bitmaps", "used", "info", "inodes", "reader"):
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
    def inodes(self) -> InodeTable:
        """Access to the inodes."""
        return InodeTable(self.volume, self.groups)

    @cached_property
    def reader(self) -> DirectoryReader:
        """Access to directories."""
        return DirectoryReader(self.volume, self.inodes)

    @property
    def tree(self) -> Tree:
        """Access to files and directories by path."""
        return Tree(self.reader)

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
        end = max(self.used.end, self.groups.metadata().end) if self.truncated else 0
        if end > self.volume.size:
            raise FilesystemDamaged(
                f"used blocks reach up to byte {end}, but {self.volume.name} ends at {self.volume.size}",
                hint="was the partition or the image file cut short?",
            )
        return self.used

    def system_areas(self) -> tuple[SystemArea, ...]:
        areas = system_areas(self.superblock, self.groups)
        number = self.superblock["s_journal_inum"]
        if self.superblock.has(Compat.HAS_JOURNAL) and number:
            journal = self._mapping(number).extents() & self.used
            areas += (SystemArea("journal", journal),) if journal else ()
        return areas

    def _mapping(self, number: int) -> Mapping:
        return map_inodes(self.volume, self.inodes.one(number))

    def reserved_places(self) -> Extents:
        """The boot block if no boot loader lives in it, and the rest of block 0 if nothing was put there.

        Boot loaders begin in the first sector; what is not zero belongs to somebody.
        """
        places = [(start, min(end, self.volume.size)) for start, end in unused_places(self.superblock)]
        return Extents([(start, end) for start, end in places if not any(self.volume.read(start, end - start))])

    def check(self) -> Iterator[Finding]:
        return check(self)

    def walk(self, path: str = "/") -> Iterator[Entry]:
        return self.tree.walk(path)

    def list(self, path: str = "/") -> Iterator[Entry]:
        return self.tree.list(path)

    def stat(self, path: str) -> Entry:
        return self.tree.stat(path)

    def inode(self, path: str) -> Inodes:
        """The inode of a path. Raises UsageError if there is no such path."""
        return self.inodes.one(self.tree.resolve(path)[1])

    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        inode = self.inode(path)
        if int(inode.format[0]) == S_IFDIR:
            raise UsageError(f"{path} is a directory")
        return read_content(self.volume, inode, offset, length)

    def runs(self, path: str) -> Runs:
        """Blocks in file order; nothing for content that stands in the inode. Raises FilesystemDamaged."""
        inode = self.inode(path)
        return Runs() if is_inline(inode) else map_inodes(self.volume, inode).require_sound().runs()

    def content(self, entries: Iterable[Entry]) -> Extents:
        """The inodes are read together, no directory is searched. Raises FilesystemDamaged."""
        numbers = np.unique(np.fromiter((entry.record for entry in entries), dtype=np.int64))
        return map_inodes(self.volume, self.inodes.read(numbers)).require_sound().content()

    def mappings(self) -> Iterator[Mapping]:
        """Where all inodes in use have their content, a window of inodes at a time."""
        for window in self.inodes.windows():
            live = window.pick((window.links > 0) & (window["i_mode"] > 0))
            if len(live):
                yield map_inodes(self.volume, live)

    def dispensable(self) -> Extents:
        found = Extents()
        for window in self.inodes.windows():
            found |= swap_space(self.volume, window)
        return found

    def slack(self) -> Extents:
        """Whole sectors of 512 bytes behind the last byte of each file."""
        found = [slack(mapping).array for mapping in self.mappings()]
        return Extents(np.concatenate(found)) if found else Extents()

    def owners(self, extents: Extents) -> Iterator[str]:
        """Paths of files and directories that have blocks in ``extents``; the inodes are found in one pass."""
        numbers = {number for mapping in self.mappings() for number in mapping.touching(extents)}
        if ROOT_INO in numbers:
            yield "/"
        if numbers - {ROOT_INO}:
            yield from (entry.path for entry in self.walk() if entry.record in numbers)
