"""Every reference to a cluster that is not in the allocation table: directory entries, read a level at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_fat.editor.marks import Marks
from inpart_fat.geometry import FIRST_CLUSTER, Clusters
from inpart_fat.structs import (
    ATTR_DIRECTORY,
    ATTR_VOLUME_ID,
    DELETED_MARK,
    DIR,
    END_MARK,
    MAX_DIRECTORY,
    SLOT,
)
from inpart_fat.table import AllocationTable

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

_WINDOW = 4 << 20
_HINT = "run fsck.fat on it first"


@dataclass(frozen=True)
class Tree:
    """Directories, and the entries of files and directories that start at a wanted cluster.

    ``firsts``, ``parents`` and ``dotdots`` have an element for each directory: its first cluster (0 for a root of fixed
    size), the index of its parent, the cluster in its entry ``..`` (-1 for the root). ``places`` are the byte offsets
    of the entries, ``heads`` the clusters they name.
    """

    firsts: Clusters
    parents: Numbers
    dotdots: Clusters
    places: Numbers
    heads: Clusters


@dataclass
class _Found:
    """Entries of one level: ``row`` is the number of the cluster among those read, which tells the directory."""

    row: Numbers
    place: Numbers
    head: Clusters
    is_dir: Mask


def read_tree(volume: Volume, table: AllocationTable, wanted: Marks) -> tuple[Tree, Marks]:
    """Walk all directories; ``wanted`` marks clusters. Raises FilesystemDamaged, VolumeError.

    Returns also marks of the clusters that belong to directories.
    """
    walker = _Walker(volume, table, wanted)
    level, parents = np.array([table.geometry.root_cluster], dtype=np.int64), np.array([-1], dtype=np.int64)
    columns: list[tuple[Numbers, ...]] = []
    entries: list[tuple[Numbers, Numbers]] = []
    known = 0
    while len(level):
        found, owners, dotdots = walker.read(level)
        columns.append((level, parents, dotdots))
        chosen = wanted.of(found.head) != 0
        entries.append((found.place[chosen], found.head[chosen]))
        level, parents = found.head[found.is_dir], known + owners[found.row[found.is_dir]]
        known += len(dotdots)
    firsts, above, dots = (np.concatenate(column) for column in zip(*columns, strict=True))
    places, heads = (np.concatenate(column) for column in zip(*entries, strict=True))
    return Tree(firsts, above, dots, places, heads), walker.in_directory


class _Walker:
    def __init__(self, volume: Volume, table: AllocationTable, wanted: Marks) -> None:
        self.volume = volume
        self.table = table
        self.geometry = table.geometry
        self.wanted = wanted
        self.in_directory = Marks()

    def read(self, level: Clusters) -> tuple[_Found, Numbers, Clusters]:
        """Entries below the directories of one level, the directory of each row read, and their ``..`` clusters."""
        if level[0] == 0:
            data = self.volume.read(self.geometry.root_start, self.geometry.root_bytes)
            found, _, _ = self._parse(data, np.array([self.geometry.root_start]))
            return found, np.zeros(1, dtype=np.int64), np.array([-1], dtype=np.int64)
        owners, clusters = self._chains(level)
        parts: list[_Found] = []
        ended = np.zeros(len(clusters), dtype=bool)
        dotdots = np.full(len(clusters), -1, dtype=np.int64)
        step = max(1, _WINDOW // self.geometry.cluster_size)
        for low in range(0, len(clusters), step):
            window = clusters[low : low + step]
            found, ends, second = self._parse(self._content(window), self.geometry.offsets(window))
            found.row += low
            parts.append(found)
            ended[low : low + step], dotdots[low : low + step] = ends, second
        firsts = np.flatnonzero(np.diff(owners, prepend=-1))
        return _joined(parts, _before(ended, firsts, owners)), owners, dotdots[firsts]

    def _chains(self, level: Clusters) -> tuple[Numbers, Clusters]:
        """All clusters of the directories that start at ``level``, in order, with the index of the directory."""
        owner, at = np.arange(len(level)), level
        owners, clusters = [], []
        for _ in range(max(1, MAX_DIRECTORY // self.geometry.cluster_size)):
            self._enter(at)
            owners.append(owner)
            clusters.append(at)
            following = self.table.at(at).astype(np.int64)
            goes_on = following < self.geometry.bad
            owner, at = owner[goes_on], following[goes_on]
            if not len(at):
                break
        if len(at):
            raise FilesystemDamaged(f"the directory at cluster {level[owner[0]]} is longer than 2 MiB", hint=_HINT)
        every = np.concatenate(owners)
        order = np.argsort(every, kind="stable")
        return every[order], np.concatenate(clusters)[order]

    def _enter(self, clusters: Clusters) -> None:
        """Mark clusters as read. Raises FilesystemDamaged where there is none, or one that was read before."""
        wrong = (clusters < FIRST_CLUSTER) | (clusters >= self.geometry.entry_count)
        if not wrong.any():
            wrong = (self.in_directory.of(clusters) != 0) | (self.table.at(clusters) == 0)
            self.in_directory.put(clusters, 1)
            if not wrong.any() and len(np.unique(clusters)) == len(clusters):
                return
        number = int(clusters[wrong][0]) if wrong.any() else int(np.sort(clusters)[0])
        raise FilesystemDamaged(f"cluster {number} is no proper part of the one directory that leads to it", hint=_HINT)

    def _content(self, clusters: Clusters) -> bytearray:
        runs = self.geometry.runs(clusters)
        data = bytearray(runs.total)
        view, done = memoryview(data), 0
        for start, length in runs:
            self.volume.readinto(start, view[done : done + length])
            done += length
        return data

    def _parse(self, data: bytes | bytearray, offsets: Numbers) -> tuple[_Found, Mask, Clusters]:
        """Entries in pieces of directories that lie at ``offsets``, whether each piece has the end mark, and ``..``."""
        slots = np.frombuffer(data, dtype=DIR).reshape(len(offsets), -1)
        marks = slots["DIR_Name"][:, :, 0]
        zero = marks == END_MARK
        ends = zero.any(axis=1)
        stop = np.where(ends, zero.argmax(axis=1), slots.shape[1])
        live = (np.arange(slots.shape[1]) < stop[:, None]) & (marks != DELETED_MARK)
        live &= slots["DIR_Attr"] & ATTR_VOLUME_ID == 0
        row, column = np.nonzero(live & (marks == ord(".")))
        live[row, column] = ~_dots(slots["DIR_Name"][row, column])
        row, column = np.nonzero(live)
        head = self._heads(slots[row, column])
        is_dir = slots["DIR_Attr"][row, column] & ATTR_DIRECTORY != 0
        kept = (head >= FIRST_CLUSTER) & (head < self.geometry.entry_count)
        head = np.where(kept, head, 0)
        kept &= is_dir | (self.wanted.of(head) != 0)
        row, column = row[kept], column[kept]
        second = np.where(_dots(slots["DIR_Name"][:, 1]), self._heads(slots[:, 1]), -1)
        return _Found(row, offsets[row] + column * SLOT, head[kept], is_dir[kept]), ends, second

    def _heads(self, slots: NDArray[np.void]) -> Clusters:
        low = slots["DIR_FstClusLO"].astype(np.int64)
        return low | slots["DIR_FstClusHI"].astype(np.int64) << 16 if self.geometry.fat32 else low


def _dots(names: NDArray[np.uint8]) -> Mask:
    """True for the names ``.`` and ``..``, shape (n, 11)."""
    blank = names == ord(" ")
    return np.asarray((names[:, 0] == ord(".")) & (blank[:, 1] | (names[:, 1] == ord("."))) & blank[:, 2:].all(axis=1))


def _before(ended: Mask, firsts: Numbers, owners: Numbers) -> Mask:
    """For each row whether the directory's end mark lies in an earlier one."""
    ends: Numbers = np.cumsum(ended) - ended
    return np.asarray(ends > ends[firsts][owners])


def _joined(parts: list[_Found], hidden: Mask) -> _Found:
    """The entries of all parts but those behind the end mark of their directory."""
    row = np.concatenate([part.row for part in parts])
    seen = ~hidden[row]
    place = np.concatenate([part.place for part in parts])[seen]
    head = np.concatenate([part.head for part in parts])[seen]
    return _Found(row[seen], place, head, np.concatenate([part.is_dir for part in parts])[seen])
