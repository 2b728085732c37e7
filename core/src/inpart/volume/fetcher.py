"""Reading from a file or block device what will be looked at once, without filling the page cache with it."""

from __future__ import annotations

import os


class FileFetcher:
    """Takes from the page cache what is there, and the rest from the medium with ``O_DIRECT``; from any thread.

    Reading a disk through the page cache costs more processor time than looking through it. Does not own ``fd``.
    """

    def __init__(self, fd: int) -> None:
        self._cached = fd
        try:
            self._direct = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError:
            self._direct = -1

    def fetch(self, offset: int, buffer: memoryview) -> int:
        """How many bytes from the beginning of ``buffer`` on were read; what is missing must be read in another way."""
        done = _read(self._cached, offset, buffer, os.RWF_NOWAIT)
        while done < len(buffer) and self._direct >= 0:
            got = _read(self._direct, offset + done, buffer[done:], 0)
            if not got:
                break
            done += got
        return done

    def close(self) -> None:
        """Closing twice is harmless."""
        if self._direct >= 0:
            os.close(self._direct)
            self._direct = -1


def _read(fd: int, offset: int, buffer: memoryview, flags: int) -> int:
    """Bytes that were read; 0 if none could be."""
    try:
        return os.preadv(fd, [buffer], offset, flags)
    except OSError:
        return 0
