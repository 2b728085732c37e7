"""What the file-system kits work on: partitions with known content, and ways to look at them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from inpart.extents import Extents
from inpart.units import MIB, SECTOR
from inpart.volume import MemoryVolume, ReadOnlyVolume, Volume


@dataclass(frozen=True)
class Specimen:
    """A healthy file system made by its own tools, and what they and the maker know of it.

    ``files`` are the regular files by path; their directories follow from that, ``others`` are more paths that are
    there, such as ``/lost+found``. ``used_bytes`` is the reference tool's count of used clusters in bytes.
    ``has_copies`` says whether the file system is still readable without the first of its anchors. ``dispensable``
    are the paths of swap and hibernation files, ``bad`` the clusters marked bad.
    """

    content: bytes
    files: Mapping[str, bytes]
    used_bytes: int
    has_copies: bool
    others: tuple[str, ...] = ()
    dispensable: tuple[str, ...] = ()
    bad: Extents = field(default_factory=Extents)
    sector_size: int = SECTOR

    def volume(self) -> MemoryVolume:
        """A copy that the caller may change."""
        return MemoryVolume(self.content, name="specimen", sector_size=self.sector_size)

    def frozen(self) -> FrozenVolume:
        """The content itself; writing to it raises VolumeError."""
        return FrozenVolume(self.content, self.sector_size)

    def directories(self) -> set[str]:
        """The directories that the files need."""
        return {str(parent) for path in self.files for parent in PurePosixPath(path).parents[:-1]}


class FrozenVolume(ReadOnlyVolume):
    """Bytes that refuse to be written, and remember how much of them was read."""

    def __init__(self, content: bytes, sector_size: int = SECTOR) -> None:
        self.content = content
        self.size = len(content)
        self.name = "frozen specimen"
        self.sector_size = sector_size
        self.bytes_read = 0

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        self.bytes_read += len(buffer)
        memoryview(buffer)[:] = memoryview(self.content)[offset : offset + len(buffer)]


def fill_with_noise(volume: Volume, where: Extents, seed: int) -> None:
    """Replace the bytes of ``where`` by random ones."""
    generator = np.random.default_rng(seed)
    for start, end in where.split(MIB).tolist():
        volume.write(start, generator.bytes(end - start))


@contextmanager
def volume_file(volume: Volume) -> Iterator[Path]:
    """The volume as a temporary file, for a reference tool; changes to the file are not taken back."""
    with tempfile.TemporaryDirectory(prefix="inpart-") as folder:
        path = Path(folder) / "partition.img"
        with open(path, "wb") as file:
            file.truncate(volume.size)
            for start, end in volume.data_extents().split(MIB).tolist():
                file.seek(start)
                file.write(volume.read(start, end - start))
        yield path
