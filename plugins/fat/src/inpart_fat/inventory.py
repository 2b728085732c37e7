"""All files and directories of a file system as arrays: where each one's chain starts, and whose entry it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inpart_fat import structs
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
        names: list[str] = []
        while folder > 0 and len(names) < MAX_DEPTH:
            names.append(self.folders[folder].name)
            folder = self.folders[folder].parent
        return "/".join(["..." if folder > 0 else "", *reversed(names), ""])


def take_inventory(reader: DirectoryReader) -> Inventory:
    """Read every directory once; a cluster that has been read as part of a directory is not read again."""
    folders = [Folder(reader.geometry.root_cluster, -1, "")]
    seen, known = reader.unseen(), {reader.geometry.root_cluster}
    columns: list[tuple[NDArray[np.int64], ...]] = []
    index = 0
    while index < len(folders):
        slots = reader.slots(folders[index].cluster, seen)
        chosen = slots.files
        is_dir = slots.dirs["DIR_Attr"][chosen] & structs.ATTR_DIRECTORY != 0
        clusters = slots.clusters[chosen]
        columns.append(
            (
                np.full(len(chosen), index),
                chosen,
                clusters,
                slots.dirs["DIR_FileSize"][chosen].astype(np.int64),
                is_dir.astype(np.int64),
            )
        )
        below = np.flatnonzero(is_dir & reader.geometry.exist(clusters))
        for cluster, name in zip(clusters[below].tolist(), slots.names(chosen[below]), strict=True):
            if cluster not in known:
                known.add(cluster)
                folders.append(Folder(cluster, index, name))
        index += 1
    folder, slot, cluster, size, directory = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Inventory(
        tuple(folders),
        folder.astype(np.int32),
        slot.astype(np.int32),
        cluster,
        size,
        directory.astype(bool),
        reader,
    )
