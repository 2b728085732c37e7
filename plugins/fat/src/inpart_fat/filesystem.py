"""FAT as a file system of the contract: reader and tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

import numpy as np
from inpart.contracts import (
    Entry,
    FilesystemInfo,
    FilesystemTree,
    Finding,
    State,
    SystemArea,
)
from inpart.errors import FilesystemDamaged, UsageError
from inpart.extents import Extents, Runs
from inpart.units import MIB, SECTOR, align_up
from inpart.volume import Volume

from inpart_fat.boot import read_boot
from inpart_fat.chains import Links
from inpart_fat.check import check
from inpart_fat.directory import DirEntry
from inpart_fat.follow import Ending
from inpart_fat.geometry import Clusters
from inpart_fat.inventory import Inventory, take_inventory
from inpart_fat.labels import volume_label
from inpart_fat.reader import DirectoryReader
from inpart_fat.table import AllocationTable, read_windows
from inpart_fat.tree import Tree
from inpart_fat.usage import Usage, closed_properly, read_usage, without_io_errors

PIECE = MIB
_MANY = 64
"""So many chains are followed together, in two passes over the table."""
_DISPENSABLE = frozenset({"pagefile.sys", "hiberfil.sys", "swapfile.sys", "win386.swp", "386spart.par"})


class FatFilesystem(FilesystemTree):
    """A FAT12, FAT16 or FAT32 file system on a volume that starts at the partition's first byte.

    What is read from the volume is kept; ``refresh`` forgets it after the volume has changed.
    """

    def __init__(self, volume: Volume) -> None:
        """Raises FilesystemUnsupported if there is no FAT file system, FilesystemDamaged, VolumeError."""
        self.volume = volume
        self.boot = read_boot(volume)
        self.geometry = self.boot.geometry

    def refresh(self) -> None:
        """Forget everything that was read, so that edits made since are seen."""
        self.boot = read_boot(self.volume)
        self.geometry = self.boot.geometry
        for name in ("info", "usage", "table", "reader", "inventory"):
            self.__dict__.pop(name, None)

    @cached_property
    def usage(self) -> Usage:
        """Used and bad clusters, read in windows without keeping the table."""
        return read_usage(self.volume, self.geometry)

    @cached_property
    def table(self) -> AllocationTable:
        """The active copy of the allocation table."""
        return AllocationTable(self.volume, self.geometry)

    def chain(self, start: int, *, limit: int | None = None, strict: bool = True) -> Clusters:
        """The cluster numbers of a chain; see ``inpart_fat.follow``."""
        return self.table.chain(start, limit=limit, strict=strict)

    def links(self, heads: Clusters) -> Links:
        """All chains at once, with a stretch that starts at each of ``heads``."""
        return Links(lambda: read_windows(self.volume, self.geometry), self.geometry, heads)

    @cached_property
    def reader(self) -> DirectoryReader:
        """Access to directories."""
        return DirectoryReader(self.volume, self.geometry, self.table.chain)

    @property
    def tree(self) -> Tree:
        """Access to files and directories by path."""
        return Tree(self.reader)

    @cached_property
    def inventory(self) -> Inventory:
        """All files and directories as arrays."""
        return take_inventory(self.reader)

    @cached_property
    def info(self) -> FilesystemInfo:  # type: ignore[override]
        geometry, usage = self.geometry, self.usage
        used = usage.used_clusters * geometry.cluster_size
        serial = self.boot.sector["BS_VolID"] if self.boot.sector.extended else 0
        return FilesystemInfo(
            kind=geometry.kind,
            label=volume_label(self.boot.sector, self.reader.slots(0)),
            uuid=f"{serial >> 16:04X}-{serial & 0xFFFF:04X}" if serial else "",
            cluster_size=geometry.cluster_size,
            size=geometry.size,
            data_start=geometry.data_start,
            data_end=geometry.data_end,
            used_bytes=used,
            free_bytes=geometry.cluster_count * geometry.cluster_size - used,
            state=self._state(usage.flags),
            notes=self._notes(),
        )

    def _state(self, flags: int) -> State:
        if self.boot.notes or self.truncated or not without_io_errors(flags, self.geometry.fat_bits):
            return State.ERRORS
        if self.boot.sector.dirty or not closed_properly(flags, self.geometry.fat_bits):
            return State.DIRTY
        return State.CLEAN

    @property
    def truncated(self) -> bool:
        """True if the file system reaches beyond the end of its volume."""
        return self.geometry.data_end > self.volume.size

    def _notes(self) -> tuple[str, ...]:
        notes = list(self.boot.notes)
        if self.truncated:
            missing = self.geometry.size - self.volume.size
            notes.append(f"the file system reaches {missing} bytes beyond the end of {self.volume.name}")
        return tuple(notes)

    def allocated(self) -> Extents:
        """Reserved sectors, tables, root directory and clusters with data.

        Bad clusters are not in it although they count as used: they cannot be read, and hold nothing.
        """
        extents = Extents.span(0, self.geometry.data_start) | self.usage.used
        if extents.end > self.volume.size:
            raise FilesystemDamaged(
                f"used clusters reach up to byte {extents.end}, but {self.volume.name} ends at {self.volume.size}",
                hint="was the partition or the image file cut short?",
            )
        return extents

    def system_areas(self) -> tuple[SystemArea, ...]:
        geometry = self.geometry
        areas = [SystemArea("boot-sector", Extents.span(0, geometry.sector_size), anchor=True)]
        for name, offset in (("fsinfo", geometry.fsinfo_offset), ("backup-boot-sector", geometry.backup_offset)):
            if offset:
                span = Extents.span(offset, offset + geometry.sector_size)
                areas.append(SystemArea(name, span, anchor=offset == geometry.backup_offset))
        for number, start in enumerate(geometry.fat_starts):
            areas.append(SystemArea(f"fat-{number}", Extents.span(start, start + geometry.fat_bytes)))
        areas.append(SystemArea("root-directory", self._root_runs().extents()))
        return tuple(areas)

    def reserved_places(self) -> Extents:
        """FAT32: reserved sectors of zeros that no structure of Microsoft or Linux uses.

        Windows keeps boot code in sectors 0 to 2 and a copy of it from the backup boot sector on.
        """
        geometry = self.geometry
        if not geometry.fat32:
            return Extents()
        size = geometry.sector_size
        reserved = Extents.span(size, geometry.reserved_bytes)
        taken = [(at, at + 3 * size) for at in (0, geometry.backup_offset)]
        taken += [(at, at + size) for at in (geometry.fsinfo_offset,)]
        spare = reserved - Extents(taken)
        return Extents([(start, end) for start, end in spare.split(size).tolist() if self._blank(start, end)])

    def _blank(self, start: int, end: int) -> bool:
        return not any(self.volume.read(start, end - start))

    def check(self) -> Iterator[Finding]:
        return check(self)

    def walk(self, path: str = "/") -> Iterator[Entry]:
        return self.tree.walk(path)

    def list(self, path: str = "/") -> Iterator[Entry]:
        return self.tree.list(path)

    def stat(self, path: str) -> Entry:
        return self.tree.stat(path)

    def find(self, path: str) -> DirEntry | None:
        """The entry of a path, None for the root directory. Raises UsageError if there is no such path."""
        return self.tree.resolve(path)[1]

    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        real, found = self.tree.resolve(path)
        if found is None or found.is_dir:
            raise UsageError(f"{real} is a directory")
        end = found.size if length is None else min(found.size, offset + length)
        return self._pieces(real, found.cluster, offset, end)

    def _pieces(self, path: str, cluster: int, offset: int, end: int) -> Iterator[bytes]:
        needed = align_up(end, self.geometry.cluster_size) // self.geometry.cluster_size
        chain = self.chain(cluster, limit=needed, strict=False)
        runs = self.geometry.runs(chain)
        for start, size in runs.slice(offset, end - offset):
            for at in range(start, start + size, PIECE):
                yield self.volume.read(at, min(PIECE, start + size - at))
        if len(chain) < needed:
            raise FilesystemDamaged(
                f"{path}: its cluster chain ends after {min(runs.total, end)} of {end} bytes",
                hint="see what `inpart verify --level fs` finds",
            )

    def runs(self, path: str) -> Runs:
        """The clusters of the whole chain, which may be longer than the file. Raises FilesystemDamaged."""
        found = self.find(path)
        if found is None:
            return self._root_runs()
        return self.geometry.runs(self.chain(found.cluster))

    def content(self, entries: Iterable[Entry]) -> Extents:
        """No directory is searched: the record of an entry is its first cluster. Raises FilesystemDamaged."""
        heads = np.unique(np.fromiter((entry.record for entry in entries), dtype=np.int64))
        heads = heads[heads != 0]
        if len(heads) < _MANY or not self.geometry.exist(heads).all():
            return Extents.union(self.geometry.extents(self.chain(head)) for head in heads.tolist())
        links = self.links(heads)
        stretch = links.index(heads)
        for head in heads[links.reach.endings[stretch] != Ending.END].tolist():
            self.chain(head)
        marked = np.zeros(links.count, dtype=bool)
        marked[stretch] = True
        return links.extents(links.downstream(marked))

    def folded(self, name: str) -> str:
        return name.casefold()

    def _root_runs(self) -> Runs:
        geometry = self.geometry
        if geometry.root_bytes:
            return Runs(((geometry.root_start, geometry.root_bytes),))
        return geometry.runs(self.reader.clusters(0))

    def dispensable(self) -> Extents:
        found = Extents()
        for entry in self.reader.slots(0).entries():
            if entry.name.lower() in _DISPENSABLE and not entry.is_dir:
                found |= self.geometry.extents(self.chain(entry.cluster, strict=False))
        return found

    def slack(self) -> Extents:
        """Whole sectors of 512 bytes behind the last byte of files whose chain is as long as their size says."""
        size, listing = self.geometry.cluster_size, self.inventory
        tail = -(-listing.size // SECTOR) * SECTOR % size
        chosen = ~listing.is_dir & (tail > 0) & self.geometry.exist(listing.cluster)
        heads, sizes, tail = listing.cluster[chosen], listing.size[chosen], tail[chosen]
        links = self.links(heads)
        stretch = links.index(heads)
        reach = links.reach
        whole = (reach.endings[stretch] == Ending.END) & (reach.clusters[stretch] == -(-sizes // size))
        last = self.geometry.offsets(links.lasts[reach.finals[stretch[whole]]])
        return Extents(np.stack([last + tail[whole], last + size], axis=1))

    def owners(self, extents: Extents) -> Iterator[str]:
        """Paths of the files and directories that have clusters in ``extents``, all found in one pass."""
        listing = self.inventory
        entries = np.flatnonzero(self.geometry.exist(listing.cluster))
        heads = listing.cluster[entries]
        root = np.array([self.geometry.root_cluster] if self.geometry.root_cluster else [], dtype=np.int64)
        links = self.links(np.concatenate([heads, root]))
        touched = links.index(self.geometry.clusters_in(extents))
        marked = np.zeros(links.count, dtype=bool)
        marked[touched[touched >= 0]] = True
        marked = links.upstream(marked & ~links.hollow)
        fixed_root = Extents.span(self.geometry.root_start, self.geometry.root_start + self.geometry.root_bytes)
        if fixed_root & extents or marked[links.index(root)].any():
            yield "/"
        yield from listing.paths(entries[marked[links.index(heads)]])
