"""An image that has lost system areas of which its table of contents has copies."""

from __future__ import annotations

from collections.abc import Mapping

from inpart.errors import IntegrityError, VolumeError
from inpart.image import ImageVolume
from inpart.volume import ProxyVolume


class MendedVolume(ProxyVolume):
    """Shows ``image``; a read that fails, and for which one of the copies is enough, is answered from that."""

    def __init__(self, image: ImageVolume, system: Mapping[str, tuple[int, bytes]]) -> None:
        """``system`` are (start, bytes) by name; those of the disk outside the partition do not count."""
        super().__init__(image)
        self._copies = [copy for name, copy in system.items() if not name.startswith("disk:")]

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        try:
            super().readinto(offset, buffer)
        except (IntegrityError, VolumeError):
            end = offset + len(buffer)
            enough = (data[offset - start : end - start] for start, data in self._copies
                      if start <= offset and end <= start + len(data))  # fmt: skip
            copy = next(enough, None)
            if copy is None:
                raise
            buffer[:] = copy
