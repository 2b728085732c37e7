"""Reading what is on the medium instead of what the page cache remembers of it."""

from __future__ import annotations

import mmap
import os
import threading

from inpart.units import MIB, align_down, align_up
from inpart.volume.base import ReadOnlyVolume, Volume

_BLOCK = 4096
_STEP = 8 * MIB


class MediumVolume(ReadOnlyVolume):
    """A file or block device read with ``O_DIRECT``; where that is not offered, as ``base`` reads after ``forget``.

    Everything written must have been flushed. Proving gigabytes this way takes half the processor time and leaves
    the page cache to those who need it. Does not own ``base``.
    """

    def __init__(self, base: Volume, fd: int) -> None:
        """``fd`` is the open file behind ``base``."""
        self.base = base
        self.name = base.name
        self.size = base.size
        self.sector_size = base.sector_size
        self._local = threading.local()
        base.forget()
        try:
            self._fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        view, done = memoryview(buffer), 0
        while done < len(view):
            part = view[done : done + _STEP - _BLOCK]
            if not self._read_direct(offset + done, part):
                self.base.readinto(offset + done, part)
            done += len(part)

    def _read_direct(self, offset: int, part: memoryview) -> bool:
        """False if it has to be read in another way."""
        first = align_down(offset, _BLOCK)
        length = align_up(offset + len(part), _BLOCK) - first
        if self._fd < 0:
            return False
        memory = self._memory()
        with memoryview(memory) as view, view[:length] as aligned:
            try:
                got = os.preadv(self._fd, [aligned], first)
            except OSError:
                return False
            if got < offset + len(part) - first:
                return False
            part[:] = aligned[offset - first : offset - first + len(part)]
        return True

    def _memory(self) -> mmap.mmap:
        memory: mmap.mmap | None = getattr(self._local, "memory", None)
        if memory is None:
            memory = self._local.memory = mmap.mmap(-1, _STEP)
        return memory

    def forget(self) -> None:
        self.base.forget()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
