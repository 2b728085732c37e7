"""A volume with bad places, for tests of what happens when a medium fails."""

from __future__ import annotations

from inpart.errors import VolumeError
from inpart.extents import Extents
from inpart.volume import Buffer, ProxyVolume, Volume


class FaultyVolume(ProxyVolume):
    """Passes everything on to ``base``, except for places that cannot be read or written.

    ``ends_at`` is where the medium really ends, although it claims the size of ``base``: a fake or failing card. All
    are in bytes. ``failures`` counts the refused accesses.
    """

    def __init__(
        self,
        base: Volume,
        *,
        unreadable: Extents | None = None,
        unwritable: Extents | None = None,
        ends_at: int | None = None,
    ) -> None:
        super().__init__(base)
        beyond = Extents() if ends_at is None else Extents.span(ends_at, base.size)
        self.unreadable = (unreadable or Extents()) | beyond
        self.unwritable = (unwritable or Extents()) | beyond
        self.failures = 0

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        self._refuse(self.unreadable.clip(offset, offset + len(buffer)), "read")
        super().readinto(offset, buffer)

    def write(self, offset: int, data: Buffer) -> None:
        self.check_bounds(offset, len(data))
        self._refuse(self.unwritable.clip(offset, offset + len(data)), "write")
        super().write(offset, data)

    def _refuse(self, bad: Extents, what: str) -> None:
        if bad:
            self.failures += 1
            raise VolumeError(f"{self.name}: cannot {what} at {bad.start}: Input/output error")
