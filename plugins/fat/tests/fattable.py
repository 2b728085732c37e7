"""A whole allocation table in memory, for tests that look at it or spoil it."""

from __future__ import annotations

import numpy as np
from inpart.volume import Volume
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.geometry import Geometry
from inpart_fat.table import Entries, pack, read_windows
from numpy.typing import NDArray


class WholeTable:
    """One copy of the table: ``raw`` holds the entries as stored, FAT32 with the four reserved bits."""

    def __init__(self, geometry: Geometry, raw: Entries) -> None:
        self.geometry = geometry
        self.raw = raw

    @classmethod
    def of(cls, filesystem: FatFilesystem) -> WholeTable:
        """The active copy."""
        windows = read_windows(filesystem.volume, filesystem.geometry)
        return cls(filesystem.geometry, np.concatenate([entries for _, entries in windows]))

    @property
    def next(self) -> Entries:
        """The entries without reserved bits."""
        return self.raw & np.uint32(self.geometry.mask)

    def set(self, clusters: NDArray[np.integer], values: NDArray[np.integer] | int) -> None:
        """Change entries; the four high bits of FAT32 entries stay as they are."""
        mask = np.uint32(self.geometry.mask)
        self.raw[clusters] = self.raw[clusters] & ~mask | np.asarray(values).astype(np.uint32) & mask

    def free(self) -> NDArray[np.bool_]:
        """True for each free cluster; entries 0 and 1 are false."""
        return np.asarray((self.next == 0) & (np.arange(len(self.raw)) > 1))

    def write(self, volume: Volume, *copies: int) -> None:
        """Put it on ``volume``, into all copies or only some."""
        for copy in copies or range(len(self.geometry.fat_starts)):
            volume.write(self.geometry.fat_starts[copy], pack(self.raw, self.geometry.fat_bits))
