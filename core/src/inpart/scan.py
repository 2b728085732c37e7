"""Searching a volume for structures that open with a magic number at a sector boundary, at the speed of reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from inpart.errors import UsageError, VolumeError
from inpart.units import MIB, SECTOR, align_down
from inpart.volume import Volume

Report = Callable[[int, int], None]

_KEY = 4
_SMALLEST_READ = 4096
_WINDOWS_PER_SPAN = 64


def scan_magics(
    volume: Volume,
    magics: Sequence[bytes],
    *,
    step: int = SECTOR,
    backward: bool = True,
    window: int = 4 * MIB,
    start: int = 0,
    end: int | None = None,
    progress: Callable[[int], None] | None = None,
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
    progress: Callable[[int], None] | None = None,
    unreadable: Report | None = None,
) -> Iterator[tuple[int, memoryview]]:
    """The whole steps of ``[start, end)`` as (offset, bytes), for searches that look at many structures at a time.

    The bytes are valid until the next window is asked for; otherwise as ``scan_magics``.
    """
    stop = volume.size if end is None else end
    stop -= (stop - start) % step
    buffer = bytearray(max(window - window % step, step))
    for low, high in _windows(volume, start, stop, step, len(buffer), backward, progress):
        view = memoryview(buffer)[: high - low]
        _read(volume, low, view, unreadable)
        yield low, view
        if progress is not None:
            progress(high - low)


def _windows(
    volume: Volume, start: int, stop: int, step: int, size: int, backward: bool, progress: Callable[[int], None] | None
) -> Iterator[tuple[int, int]]:
    """Runs of at most ``size`` bytes that may hold data, on the grid of steps from ``start``."""
    span = size * _WINDOWS_PER_SPAN
    lows = range(start, stop, span)
    for low in reversed(lows) if backward else lows:
        high = min(low + span, stop)
        data = volume.data_extents(low, high).shift(-start).align_out(step)
        pieces = (data.clip(low - start, high - start).split(size) + start).tolist()
        if progress is not None:
            progress(high - low - sum(last - first for first, last in pieces))
        yield from reversed(pieces) if backward else pieces


def _candidates(view: memoryview, step: int, keys: NDArray[np.uint32]) -> list[int]:
    """Offsets of the steps that open with the first bytes of one of the magics."""
    words = np.frombuffer(view, dtype="<u4")[:: step // _KEY]
    found = np.zeros(len(words), dtype=np.bool_)
    for key in keys:
        found |= words == key
    offsets: list[int] = (np.flatnonzero(found) * step).tolist()
    return offsets


def _read(volume: Volume, offset: int, view: memoryview, unreadable: Report | None) -> None:
    """Fill ``view``; halves what fails down to a few sectors, and zeroes those."""
    try:
        volume.readinto(offset, view)
    except VolumeError:
        if len(view) <= _SMALLEST_READ:
            view[:] = bytes(len(view))
            if unreadable is not None:
                unreadable(offset, offset + len(view))
            return
        half = max(align_down(len(view) // 2, _SMALLEST_READ), _SMALLEST_READ)
        _read(volume, offset, view[:half], unreadable)
        _read(volume, offset + half, view[half:], unreadable)
