"""All files and directories of a file system as arrays: where each one's chain starts, and whose entry it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inpart_fat import structs
from inpart_fat.directory import Slots
from inpart_fat.geometry import Clusters
from inpart_fat.reader import DirectoryReader

MAX_DEPTH = 200
"""Directories deeper than this have their path cut: no system can name them."""


@dataclass(frozen=True)
class Folder:
    """A directory: its first cluster, the index of its parent in the inventory (-1 for the root), and its name."""

    cluster: int
    parent: int
    name: str


@dataclass(frozen=True)
class Inventory:
    """Entries in the order of their directories, which are listed breadth first. All arrays have one length.

    ``folder`` is the index of the directory that holds the entry, ``slot`` the index of its short slot there.
    """

    folders: tuple[Folder, ...]
    folder: NDArray[np.int32]
    slot: NDArray[np.int32]
    cluster: Clusters
    size: NDArray[np.int64]
    is_dir: NDArray[np.bool_]
    reader: DirectoryReader

    def paths(self, entries: NDArray[np.integer]) -> list[str]:
        """The paths of the entries with the given indices; reads their directories again."""
        order = np.argsort(self.folder[entries], kind="stable")
        found = [""] * len(entries)
        for group in np.split(order, np.flatnonzero(np.diff(self.folder[entries[order]])) + 1):
            if len(group):
                folder = int(self.folder[entries[group[0]]])
                slots = self.reader.slots(self.folders[folder].cluster)
                base = self.folder_path(folder)
                names = slots.names(self.slot[entries[group]].astype(np.int64))
                for index, name in zip(group.tolist(), names, strict=True):
                    found[index] = base + name
        return found

    def folder_path(self, folder: int) -> str:
        """The path of a directory with a slash at its end; very deep ones are shortened to their last names."""
        return folder_path(self.folders, folder)


def folder_path(folders: Sequence[Folder], folder: int) -> str:
    """The path of one of ``folders`` with a slash at its end; very deep ones are shortened to their last names."""
    names: list[str] = []
    while folder > 0 and len(names) < MAX_DEPTH:
        names.append(folders[folder].name)
        folder = folders[folder].parent
    return "/".join(["..." if folder > 0 else "", *reversed(names), ""])


class Survey:
    """Reads every directory once, breadth first, and notes what an inventory is made of.

    Going through it yields the index and the slots of each directory; ``folders`` are those known so far, its own and
    its parents among them. A cluster that has been read as part of a directory is not read again.
    """

    def __init__(self, reader: DirectoryReader) -> None:
        self.folders = [Folder(reader.geometry.root_cluster, -1, "")]
        self._reader = reader
        self._columns: list[tuple[NDArray[np.int64], ...]] = []

    def __iter__(self) -> Iterator[tuple[int, Slots]]:
        seen, known = self._reader.unseen(), {self._reader.geometry.root_cluster}
        index = 0
        while index < len(self.folders):
            slots = self._reader.slots(self.folders[index].cluster if index else 0, seen)
            self._note(index, slots, known)
            yield index, slots
            index += 1

    def _note(self, index: int, slots: Slots, known: set[int]) -> None:
        chosen = slots.files
        is_dir = slots.dirs["DIR_Attr"][chosen] & structs.ATTR_DIRECTORY != 0
        clusters = slots.clusters[chosen]
        sizes = slots.dirs["DIR_FileSize"][chosen].astype(np.int64)
        self._columns.append((np.full(len(chosen), index), chosen, clusters, sizes, is_dir.astype(np.int64)))
        below = np.flatnonzero(is_dir & self._reader.geometry.exist(clusters))
        names = slots.names(chosen[below]) if len(below) else ()
        for cluster, name in zip(clusters[below].tolist(), names, strict=True):
            if cluster not in known:
                known.add(cluster)
                self.folders.append(Folder(cluster, index, name))

    def inventory(self) -> Inventory:
        """What was noted; to be asked when all directories have been gone through."""
        folder, slot, cluster, size, directory = (np.concatenate(column) for column in zip(*self._columns, strict=True))
        return Inventory(
            tuple(self.folders),
            folder.astype(np.int32),
            slot.astype(np.int32),
            cluster,
            size,
            directory.astype(bool),
            self._reader,
        )


def take_inventory(reader: DirectoryReader) -> Inventory:
    """Read every directory once."""
    survey = Survey(reader)
    for _ in survey:
        pass
    return survey.inventory()
