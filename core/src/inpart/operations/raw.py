"""A partition without a file system that anybody knows: empty, or a raw stream of data (S13, S20)."""

from __future__ import annotations

from collections.abc import Iterator

from inpart.contracts import (
    API_VERSION,
    Filesystem,
    FilesystemInfo,
    Finding,
    Probe,
    State,
    SystemArea,
    Verdict,
)
from inpart.extents import Extents
from inpart.volume import Volume


class RawPartition(Filesystem):
    """Every byte counts, nothing can be checked."""

    def __init__(self, volume: Volume) -> None:
        size = volume.size
        self.info = FilesystemInfo("raw", "", "", volume.sector_size, size, 0, size, size, 0, State.CLEAN)

    def allocated(self) -> Extents:
        return Extents.span(0, self.info.size)

    def system_areas(self) -> tuple[SystemArea, ...]:
        return ()

    def check(self) -> Iterator[Finding]:
        return iter(())


class RawProvider:
    """Opens anything; it is never asked whether a volume is its own."""

    name = "raw"
    api_version = API_VERSION
    summary = "a partition without a known file system"

    def probe(self, volume: Volume) -> Probe:
        """Never mine: a raw partition is what is left when nobody else wants it."""
        return Probe(Verdict.NOT_MINE)

    def open(self, volume: Volume) -> Filesystem:
        """Never fails."""
        return RawPartition(volume)
