"""Where everything of a FAT file system lies: sizes, offsets, and the arithmetic between clusters and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from inpart.extents import Extents, Runs
from numpy.typing import NDArray

Clusters = NDArray[np.int64]

FIRST_CLUSTER = 2
FAT12_LIMIT = 4085
"""From this many clusters on, and without the FAT32 fields, a file system is FAT16 (Linux, fsck.fat)."""
FAT16_LIMIT = 65525

_MASKS = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}


@dataclass(frozen=True)
class Geometry:
    """All offsets and sizes are bytes from the start of the partition, unless the name says clusters or sectors.

    ``cluster_count`` is bounded by the sector count and by the size of the table; clusters are numbered from 2 to
    ``cluster_count + 1``. ``root_bytes`` is 0 where the root directory is a chain from ``root_cluster`` on.
    ``boot_offset`` is the boot sector that was trusted; ``backup_offset`` and ``fsinfo_offset`` are 0 if there is none.
    ``active_fat`` is the copy to read; while ``mirrored``, writers keep all copies equal.
    """

    sector_size: int
    cluster_size: int
    fat_bits: int
    reserved_bytes: int
    fat_starts: tuple[int, ...]
    fat_bytes: int
    root_start: int
    root_bytes: int
    root_cluster: int
    data_start: int
    cluster_count: int
    data_clusters: int
    total_sectors: int
    mirrored: bool
    active_fat: int
    media: int
    boot_offset: int
    backup_offset: int
    fsinfo_offset: int

    @property
    def kind(self) -> str:
        """``fat12``, ``fat16`` or ``fat32``."""
        return f"fat{self.fat_bits}"

    @property
    def size(self) -> int:
        """Bytes that the file system covers, tail sectors behind the last cluster included."""
        return self.total_sectors * self.sector_size

    @property
    def data_end(self) -> int:
        """End of the last usable cluster."""
        return self.data_start + self.cluster_count * self.cluster_size

    @property
    def entry_count(self) -> int:
        """Entries of the allocation table that mean something: the two reserved ones and one for each cluster."""
        return self.cluster_count + FIRST_CLUSTER

    @property
    def mask(self) -> int:
        """The bits of a table entry that count."""
        return _MASKS[self.fat_bits]

    @property
    def bad(self) -> int:
        """The entry of a bad cluster; everything above ends a chain."""
        return self.mask & 0x0FFFFFF7

    @property
    def end_of_chain(self) -> int:
        """The entry that writers put at the end of a chain."""
        return self.mask

    @property
    def fat32(self) -> bool:
        """True for FAT32, whatever its number of clusters."""
        return self.fat_bits == 32

    @property
    def boot_offsets(self) -> tuple[int, ...]:
        """The boot sector, and its backup if there is one."""
        return (0, self.backup_offset) if self.backup_offset else (0,)

    @cached_property
    def written_fats(self) -> tuple[int, ...]:
        """Start offsets of the copies that a writer has to change: all, or only the active one."""
        return self.fat_starts if self.mirrored else (self.fat_starts[self.active_fat],)

    def valid(self, cluster: int) -> bool:
        """True if there is such a cluster."""
        return FIRST_CLUSTER <= cluster < self.entry_count

    def exist(self, clusters: NDArray[np.integer]) -> NDArray[np.bool_]:
        """For each of ``clusters``, whether there is such a cluster."""
        return np.asarray((clusters >= FIRST_CLUSTER) & (clusters < self.entry_count))

    def offset(self, cluster: int) -> int:
        """Where a cluster starts."""
        return self.data_start + (cluster - FIRST_CLUSTER) * self.cluster_size

    def cluster_at(self, offset: int) -> int:
        """The cluster that holds the byte at ``offset`` of the data area."""
        return (offset - self.data_start) // self.cluster_size + FIRST_CLUSTER

    def offsets(self, clusters: NDArray[np.integer]) -> Clusters:
        """Where each of ``clusters`` starts."""
        return self.data_start + (clusters.astype(np.int64) - FIRST_CLUSTER) * self.cluster_size

    def runs(self, clusters: NDArray[np.integer]) -> Runs:
        """The bytes of ``clusters`` as a path in that order."""
        starts = self.offsets(clusters)
        return Runs(np.stack([starts, np.full_like(starts, self.cluster_size)], axis=1))

    def runs_of(self, fragments: NDArray[np.integer]) -> Runs:
        """The bytes along ``fragments``, rows of first cluster and count."""
        return Runs(np.stack([self.offsets(fragments[:, 0]), fragments[:, 1] * self.cluster_size], axis=1))

    def extents(self, clusters: NDArray[np.integer]) -> Extents:
        """The bytes of ``clusters`` as a set."""
        return Extents.from_starts(self.offsets(clusters), self.cluster_size)

    def mask_extents(self, mask: NDArray[np.bool_], first: int = 0) -> Extents:
        """The bytes of the clusters ``first + i`` where ``mask[i]`` is true; entries 0 and 1 must be false."""
        return Extents.from_mask(mask, self.cluster_size, self.offset(first))

    def clusters_in(self, extents: Extents) -> Clusters:
        """Numbers of all clusters that have at least one byte in ``extents``, ascending."""
        touched = extents.to_mask(self.cluster_size, self.cluster_count, self.data_start)
        return np.flatnonzero(touched) + FIRST_CLUSTER

    def touched(self, extents: Extents, clusters: NDArray[np.integer]) -> NDArray[np.bool_]:
        """For each of ``clusters``, whether it has at least one byte in ``extents``."""
        offsets = self.offsets(clusters)
        run = np.searchsorted(extents.array[:, 1], offsets, side="right")
        starts = np.append(extents.array[:, 0], np.iinfo(np.int64).max)
        return np.asarray(starts[run] < offsets + self.cluster_size)

    def clusters_of(self, runs: Runs) -> Clusters:
        """The clusters along ``runs``, which must consist of whole clusters of the data area, in path order."""
        counts = runs.array[:, 1] // self.cluster_size
        firsts = (runs.array[:, 0] - self.data_start) // self.cluster_size + FIRST_CLUSTER
        nth = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.asarray(np.repeat(firsts, counts) + nth, dtype=np.int64)
