"""Searching a volume for structures that open with a magic number at a sector boundary, at the speed of reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from inpart.errors import UsageError
from inpart.scan.reading import Progress, Report, read_window, windows_of
from inpart.scan.shared import GRID, SharedVolume
from inpart.units import MIB, SECTOR
from inpart.volume import Volume

_KEY = 4


def scan_magics(
    volume: Volume,
    magics: Sequence[bytes],
    *,
    step: int = SECTOR,
    backward: bool = True,
    window: int = 4 * MIB,
    start: int = 0,
    end: int | None = None,
    progress: Progress | None = None,
    unreadable: Report | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, magic) wherever one of ``magics`` stands at ``start + k * step``, from the end or the start on.

    ``magics`` are 4 to ``step`` bytes long, none a prefix of another. Only whole steps of ``[start, end)`` are looked
    at, holes of sparse files are not read, and never more than ``window`` bytes are in memory. ``progress(bytes)``
    counts what is done with, holes included. What cannot be read is passed over and told to ``unreadable(start, end)``.
    """
    if step % _KEY or not all(_KEY <= len(magic) <= step for magic in magics):
        raise UsageError(f"magic numbers of a scan have {_KEY} to {step} bytes, and its step is a multiple of {_KEY}")
    keys = np.array(sorted({int.from_bytes(magic[:_KEY], "little") for magic in magics}), dtype="<u4")
    windows = scan_windows(
        volume, step=step, backward=backward, window=window, start=start, end=end, progress=progress,
        unreadable=unreadable,
    )  # fmt: skip
    for low, view in windows:
        offsets = _candidates(view, step, keys)
        for offset in offsets[::-1] if backward else offsets:
            for magic in magics:
                if view[offset : offset + len(magic)] == magic:
                    yield low + offset, magic


def scan_windows(
    volume: Volume,
    *,
    step: int = SECTOR,
    backward: bool = True,
    window: int = 4 * MIB,
    start: int = 0,
    end: int | None = None,
    progress: Progress | None = None,
    unreadable: Report | None = None,
) -> Iterator[tuple[int, memoryview]]:
    """The whole steps of ``[start, end)`` as (offset, bytes), for searches that look at many structures at a time.

    The bytes are valid until the next window is asked for; otherwise as ``scan_magics``. A backward search through
    all of a ``SharedVolume`` gets windows of its size.
    """
    stop = volume.size if end is None else end
    stop -= (stop - start) % step
    whole = start == 0 and volume.size - stop < step
    if isinstance(volume, SharedVolume) and backward and whole and GRID % step == 0:
        yield from _shared(volume, step, progress, unreadable)
        return
    buffer = bytearray(max(window - window % step, step))
    for low, high in windows_of(volume, start, stop, step, len(buffer), backward, progress):
        view = memoryview(buffer)[: high - low]
        read_window(volume, low, view, unreadable)
        yield low, view
        if progress is not None:
            progress(high - low)


def _shared(
    volume: SharedVolume, step: int, progress: Progress | None, unreadable: Report | None
) -> Iterator[tuple[int, memoryview]]:
    """The windows that all threads read together."""
    done = volume.size - volume.size % step
    for low, view, bad in volume.windows():
        if unreadable is not None:
            for first, last in bad:
                unreadable(first, last)
        yield low, view[: len(view) - len(view) % step]
        if progress is not None:
            progress(done - low)
            done = low
    if progress is not None:
        progress(done)


def _candidates(view: memoryview, step: int, keys: NDArray[np.uint32]) -> list[int]:
    """Offsets of the steps that open with the first bytes of one of the magics."""
    words = np.frombuffer(view, dtype="<u4")[:: step // _KEY]
    found = np.zeros(len(words), dtype=np.bool_)
    for key in keys:
        found |= words == key
    offsets: list[int] = (np.flatnonzero(found) * step).tolist()
    return offsets
