"""The directory ``/.inpart``: made, moved to the clusters that are meant for it, extended."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from inpart.contracts import Stage
from inpart.errors import NoSpace
from inpart.extents import Extents, Runs
from inpart.units import format_size

from inpart_fat.directory import DirEntry
from inpart_fat.editor.cells import TableWriter, check_free
from inpart_fat.editor.folder import FolderWriter, link_chain
from inpart_fat.editor.names import dot_slots, with_fields
from inpart_fat.editor.store import NAME, PROTECTED
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.geometry import Clusters
from inpart_fat.structs import ATTR_DIRECTORY, MAX_DIRECTORY, SLOT


class Home:
    """The directory during one call of ``claim``; clusters in ``reserved`` are not taken for growth."""

    def __init__(
        self, fs: FatFilesystem, writer: TableWriter, entry: DirEntry | None, when: datetime, reserved: Extents
    ) -> None:
        """``entry`` is the directory's entry in the root directory, None if there is none yet."""
        self.reader = fs.reader
        self.geometry = fs.geometry
        self.writer = writer
        self.entry = entry
        self.when = when
        self.reserved = reserved

    def open(self, directory: Runs, *, late: bool) -> FolderWriter:
        """The directory, with all of the ``directory`` clusters. Raises NoSpace.

        It is made if there is none, and moved if it lies elsewhere as a whole. With ``late`` new entries appear last.
        """
        meant = self.geometry.clusters_of(directory.slice(0, MAX_DIRECTORY))
        if self.entry is None:
            return self._make(meant)
        stages = (Stage.FOLLOW, Stage.RELEASE) if late else (Stage.LINK, Stage.SWITCH)
        folder = FolderWriter(self.reader, self.writer, self.entry.cluster, *stages)
        limit = MAX_DIRECTORY // self.geometry.cluster_size - len(folder.clusters)
        more = meant[~np.isin(meant, folder.clusters)]
        check_free(self.writer, self.geometry.extents(more))
        if len(more) == len(meant) > 0 and not late and self._fits(folder, meant):
            return self._move(folder, self.entry, meant)
        if len(more[:limit]):
            folder.grow(more[:limit])
        return folder

    def _make(self, meant: Clusters) -> FolderWriter:
        check_free(self.writer, self.geometry.extents(meant))
        clusters = meant if len(meant) else self.more(1)
        first = int(clusters[0])
        self._write(clusters, dot_slots(first, 0, PROTECTED, self.when))
        root = FolderWriter(self.reader, self.writer, 0)
        root.insert(NAME, PROTECTED | ATTR_DIRECTORY, first, 0, self.when, self._more_for_root)
        return FolderWriter(self.reader, self.writer, first)

    def _fits(self, folder: FolderWriter, clusters: Clusters) -> bool:
        """True if the directory can be moved to ``clusters`` as it is: it is small enough, and no parent of others."""
        slots = folder.slots
        small = slots.end * SLOT <= len(clusters) * self.geometry.cluster_size
        return small and not any(entry.is_dir for entry in slots.entries())

    def _move(self, folder: FolderWriter, entry: DirEntry, clusters: Clusters) -> FolderWriter:
        """Copy the directory; the one switch of its entry shows all that is changed in it."""
        first, content = int(clusters[0]), bytes(folder.data[: folder.slots.end * SLOT])
        content = with_fields(content[:SLOT], {}, first, fat32=self.geometry.fat32) + content[SLOT:]
        self._write(clusters, content)
        FolderWriter(self.reader, self.writer, 0).update(entry, {}, first, Stage.SWITCH)
        self.writer.free(folder.clusters)
        return FolderWriter(self.reader, self.writer, first)

    def _write(self, clusters: Clusters, content: bytes) -> None:
        """Chain free clusters and fill them with ``content`` and zeros."""
        link_chain(self.writer, clusters)
        size = self.geometry.cluster_size
        content = content.ljust(len(clusters) * size, b"\0")
        for number, offset in enumerate(self.geometry.offsets(clusters).tolist()):
            self.writer.tx.write(offset, content[number * size : (number + 1) * size])

    def more(self, count: int) -> Clusters:
        """Free clusters for the directory, the highest ones. Raises NoSpace."""
        return self._usable(count, highest=True)

    def _more_for_root(self, count: int) -> Clusters:
        """Free clusters for the root directory, the lowest ones. Raises NoSpace."""
        return self._usable(count, highest=False)

    def _usable(self, count: int, *, highest: bool) -> Clusters:
        """Clusters that are free and meant for nothing else, ascending."""
        found = np.empty(0, dtype=np.int64)
        for free in self.writer.free_windows(backward=highest):
            taken = self.geometry.touched(self.reserved, free) | (self.writer.changes.freed.of(free) != 0)
            found = np.concatenate([free[~taken], found] if highest else [found, free[~taken]])
            if len(found) >= count:
                return found[-count:] if highest else found[:count]
        raise NoSpace(
            f"a directory needs {format_size(count * self.geometry.cluster_size)}, no cluster is left for it",
            hint="remove a file",
        )
