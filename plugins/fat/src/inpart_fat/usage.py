"""Which clusters are used, free and bad, read from the table in windows so that memory stays small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.extents import Extents
from inpart.volume import Volume

from inpart_fat.geometry import FIRST_CLUSTER, Geometry
from inpart_fat.table import read_windows


@dataclass(frozen=True)
class Usage:
    """``used`` holds the bytes of clusters with data, ``bad`` those of bad ones; ``flags`` is entry 1 of the table.

    ``used_clusters`` counts as fsck.fat does: all that is not free, bad clusters included.
    """

    used: Extents
    bad: Extents
    used_clusters: int
    flags: int


def read_usage(volume: Volume, geometry: Geometry) -> Usage:
    """One pass over the active copy of the table. Raises VolumeError."""
    used, bad = [], []
    count = flags = 0
    for first, raw in read_windows(volume, geometry):
        entries = raw & np.uint32(geometry.mask)
        if first == 0:
            flags = int(entries[1])
            entries[:FIRST_CLUSTER] = 0
        occupied = entries != 0
        broken = entries == geometry.bad
        count += int(np.count_nonzero(occupied))
        used.append(geometry.mask_extents(occupied & ~broken, first).array)
        bad.append(geometry.mask_extents(broken, first).array)
    return Usage(Extents(np.concatenate(used)), Extents(np.concatenate(bad)), count, flags)


def closed_properly(flags: int, fat_bits: int) -> bool:
    """False if entry 1 of a FAT16 or FAT32 table says that the volume was not unmounted."""
    clean = {12: 0, 16: 0x8000, 32: 0x08000000}[fat_bits]
    return flags & clean == clean


def without_io_errors(flags: int, fat_bits: int) -> bool:
    """False if entry 1 of a FAT16 or FAT32 table says that a driver met unreadable sectors."""
    good = {12: 0, 16: 0x4000, 32: 0x04000000}[fat_bits]
    return flags & good == good
