"""Reading whole directories of a FAT file system, whatever their chains look like."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_fat.directory import Slots
from inpart_fat.geometry import FIRST_CLUSTER, Clusters, Geometry
from inpart_fat.structs import MAX_DIRECTORY

Seen = NDArray[np.bool_]
"""For each cluster, whether it has been read as part of a directory."""


class ChainFollower(Protocol):
    """Gives the clusters of a chain; see ``inpart_fat.follow``."""

    def __call__(self, start: int, *, limit: int | None = None, strict: bool = True) -> Clusters:
        """The cluster numbers of the chain from ``start`` on."""


class DirectoryReader:
    """Gives the slots of directories by first cluster; cluster 0 stands for the root directory."""

    def __init__(self, volume: Volume, geometry: Geometry, chain: ChainFollower) -> None:
        """``chain`` follows chains, as ``AllocationTable.chain`` does."""
        self.volume = volume
        self.geometry = geometry
        self.chain = chain

    def unseen(self) -> Seen:
        """A mark for each cluster, to be handed to ``slots`` for a walk that must end on any table."""
        return np.zeros(self.geometry.entry_count, dtype=bool)

    def clusters(self, cluster: int, seen: Seen | None = None) -> Clusters:
        """The clusters of the directory that starts at ``cluster``, up to damage or one that is in ``seen``."""
        limit = max(1, MAX_DIRECTORY // self.geometry.cluster_size)
        chain = self.chain(cluster or self.geometry.root_cluster, limit=limit, strict=False)
        present = (self.volume.size - self.geometry.data_start) // self.geometry.cluster_size + FIRST_CLUSTER
        stop = chain >= present
        if seen is not None:
            stop |= seen[chain]
        if stop.any():
            chain = chain[: int(np.argmax(stop))]
        if seen is not None:
            seen[chain] = True
        return chain

    def slots(self, cluster: int, seen: Seen | None = None) -> Slots:
        """The content of the directory that starts at ``cluster``. Raises VolumeError."""
        geometry = self.geometry
        if geometry.root_bytes and cluster == 0:
            return Slots(self.volume.read(geometry.root_start, geometry.root_bytes), fat32=False)
        runs = geometry.runs(self.clusters(cluster, seen))
        data = bytearray(runs.total)
        view, done = memoryview(data), 0
        for start, length in runs:
            self.volume.readinto(start, view[done : done + length])
            done += length
        return Slots(data, fat32=geometry.fat32)
