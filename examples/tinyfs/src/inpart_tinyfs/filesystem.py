"""TinyFS: a header of 40 bytes, at offset 512 a bit for each cluster, then the clusters. Little-endian."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from inpart.contracts import Filesystem, FilesystemInfo, Finding, Severity, State, SystemArea
from inpart.errors import FilesystemDamaged
from inpart.extents import Extents
from inpart.units import align_up, is_power_of_two
from inpart.volume import Volume
from numpy.typing import NDArray

MAGIC = b"TINYFS\r\n"
_HEADER = struct.Struct("<8sIII16sI")  # magic, cluster size, clusters, free clusters, label, CRC-32 of all before
_BITMAP = 512
_WINDOW = 1 << 20  # bytes of bitmap in memory at a time


class TinyFilesystem(Filesystem):
    """Level 1, the reader."""

    def __init__(self, volume: Volume) -> None:
        """Raises FilesystemDamaged: what a disk says must not be believed, and bounds come before everything."""
        self.volume = volume
        data = volume.read(0, min(_HEADER.size, volume.size)).ljust(_HEADER.size, b"\0")
        magic, size, clusters, self.free_count, label, crc = _HEADER.unpack(data)
        if magic != MAGIC or crc != zlib.crc32(data[:-4]):
            raise FilesystemDamaged("the TinyFS header is damaged", hint="`inpart locate` finds images all the same")
        start = align_up(_BITMAP + -(-clusters // 8), size) if is_power_of_two(size) and size >= 512 else 0
        end = start + clusters * size
        if not start < end <= volume.size:
            raise FilesystemDamaged(f"the TinyFS header speaks of {clusters} clusters of {size} bytes")
        self.clusters, self.cluster_size, self.start = clusters, size, start
        used = sum(int(np.count_nonzero(mask)) for _, mask in self._windows())
        self.info = FilesystemInfo(
            kind="tinyfs",
            label=label.rstrip(b"\0").decode("ascii", "replace"),
            uuid="",
            cluster_size=size,
            size=end,
            data_start=start,
            data_end=end,
            used_bytes=used * size,
            free_bytes=(clusters - used) * size,
            state=State.CLEAN,
        )

    def allocated(self) -> Extents:
        found = [np.array([[0, self.start]])]
        for first, mask in self._windows():
            found.append(Extents.from_mask(mask, self.cluster_size, self.start + first * self.cluster_size).array)
        return Extents(np.concatenate(found))

    def system_areas(self) -> tuple[SystemArea, ...]:
        header, bitmap = Extents.span(0, _BITMAP), Extents.span(_BITMAP, self.start)
        return SystemArea("header", header, anchor=True), SystemArea("bitmap", bitmap)

    def check(self) -> Iterator[Finding]:
        free = self.info.free_bytes // self.cluster_size
        if free != self.free_count:
            message = f"{free} clusters are free in the bitmap, {self.free_count} in the header"
            yield Finding(Severity.ERROR, "tinyfs.free-count", "header", message)

    def _windows(self) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """The bitmap piece by piece: number of the first cluster, then a mask that is true for used clusters."""
        for first in range(0, self.clusters, _WINDOW * 8):
            count = min(_WINDOW * 8, self.clusters - first)
            data = self.volume.read(_BITMAP + first // 8, -(-count // 8))
            bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), count=count, bitorder="little")
            yield first, bits.astype(np.bool_)
