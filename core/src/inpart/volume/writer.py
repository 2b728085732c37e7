"""Writing to a file or block device: large pieces around the page cache and behind the caller's back."""

from __future__ import annotations

import mmap
import os
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock

from inpart.units import MIB, align_down, align_up
from inpart.volume.base import Buffer

_BLOCK = 4096
_STEP = 4 * MIB
_LARGE = MIB
_WRITE_BACK = 16 * MIB
_THREADS = 2
_BUFFERS = 4
_EVERYTHING = 1 << 62


class FileWriter:
    """Writes at offsets of an open file; every method raises OSError. The owner of ``fd`` flushes and closes it.

    Whole blocks of large pieces are written with ``O_DIRECT``, if the file system offers it, while the caller goes on:
    copying gigabytes into the page cache takes as long as compressing them and leaves all the waiting to the
    flush. Before anything is read or flushed, ``settle`` must be called.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._cached = range(0)
        self._direct: _DirectWriter | None = None

    def write(self, offset: int, data: Buffer) -> None:
        """Take all of ``data``; an error of an earlier piece may be raised here."""
        view = memoryview(data)
        if len(view) < _LARGE:
            self._write_cached(offset, view)
            return
        if self._direct is None:
            self._direct = _DirectWriter(self._fd)
        first, end = align_up(offset, _BLOCK), align_down(offset + len(view), _BLOCK)
        self._write_cached(offset, view[: first - offset])
        for at in range(first, end, _STEP):
            self._direct.write(at, view[at - offset : min(at + _STEP, end) - offset])
        self._write_cached(end, view[end - offset :])

    def _write_cached(self, offset: int, view: memoryview) -> None:
        if self._direct is not None:
            self._direct.settle(range(offset, offset + len(view)))
        write_all(self._fd, offset, view)
        self._start_write_back(offset, offset + len(view))

    def _start_write_back(self, start: int, end: int) -> None:
        """Let the medium begin with every 16 MiB of a long stream, so that the flush at its end finds little to do.

        Linux starts to write dirty pages out, without waiting for them, when it is told that they are not needed.
        """
        self._cached = range(self._cached.start if self._cached.stop == start else start, end)
        if len(self._cached) >= _WRITE_BACK:
            os.posix_fadvise(self._fd, self._cached.start, len(self._cached), os.POSIX_FADV_DONTNEED)
            self._cached = range(end, end)

    def settle(self, offset: int = 0, length: int = _EVERYTHING) -> None:
        """Return when all pieces that overlap these bytes have been handed to the kernel; from any thread."""
        if self._direct is not None:
            self._direct.settle(range(offset, offset + length))

    def close(self) -> None:
        """Wait for what is under way and release what this writer opened itself. Closing twice is harmless."""
        if self._direct is not None:
            self._direct.close()
            self._direct = None


class _DirectWriter:
    """Writes whole 4 KiB blocks in threads of its own, from memory that is aligned as ``O_DIRECT`` wants it."""

    def __init__(self, fd: int) -> None:
        self._cached_fd = fd
        try:
            self._fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError:
            self._fd = -1
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="inpart-write")
        self._pending: list[tuple[range, Future[None]]] = []
        self._lock = Lock()
        self._free: SimpleQueue[mmap.mmap | None] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(None)

    def write(self, offset: int, view: memoryview) -> None:
        """Copy ``view``, at most 4 MiB, and write it soon; waits while there is no memory to copy it to."""
        place = range(offset, offset + len(view))
        self.settle(place)
        self._forget_done()
        memory = self._free.get() or mmap.mmap(-1, _STEP)
        memory[: len(view)] = view
        with self._lock:
            self._pending.append((place, self._pool.submit(self._send, place, memory)))

    def _send(self, place: range, memory: mmap.mmap) -> None:
        try:
            with memoryview(memory) as aligned:
                done = 0
                while self._fd >= 0 and done < len(place):
                    try:
                        sent = os.pwrite(self._fd, aligned[done : len(place)], place.start + done)
                    except OSError:
                        break
                    done += sent - sent % _BLOCK
                    if sent % _BLOCK:
                        break
                write_all(self._cached_fd, place.start + done, aligned[done : len(place)])
        finally:
            self._free.put(memory)

    def settle(self, place: range) -> None:
        """Wait for the pieces that overlap ``place``; raises the first error. May be called from any thread."""
        with self._lock:
            waiting = [future for other, future in self._pending if overlap(place, other)]
        for future in waiting:
            future.result()

    def _forget_done(self) -> None:
        """Raises the first error of a piece that is done."""
        with self._lock:
            done = [future for _, future in self._pending if future.done()]
            self._pending = [entry for entry in self._pending if not entry[1].done()]
        for future in done:
            future.result()

    def close(self) -> None:
        """Wait, without raising what went wrong, and release everything."""
        self._pool.shutdown()
        self._pending.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def write_all(fd: int, offset: int, view: memoryview) -> None:
    """Write all of ``view`` through the page cache."""
    done = 0
    while done < len(view):
        done += os.pwrite(fd, view[done:], offset + done)


def overlap(one: range, other: range) -> bool:
    """True if the two ranges have a byte in common."""
    return max(one.start, other.start) < min(one.stop, other.stop)
