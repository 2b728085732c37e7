"""The windows of a scan in their order, and reading them past what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inpart.errors import VolumeError
from inpart.units import GIB, align_down
from inpart.volume import Volume

Report = Callable[[int, int], None]
Progress = Callable[[int], None]

_SMALLEST_READ = 4096
_SPAN = GIB


def windows_of(
    volume: Volume, start: int, stop: int, step: int, size: int, backward: bool, progress: Progress | None
) -> Iterator[tuple[int, int]]:
    """Runs of at most ``size`` bytes that may hold data, on the grid of steps from ``start``; holes are left out.

    ``progress`` counts the holes.
    """
    span = max(_SPAN - _SPAN % size, size)
    lows = range(start, stop, span)
    for low in reversed(lows) if backward else lows:
        high = min(low + span, stop)
        data = volume.data_extents(low, high).shift(-start).align_out(step)
        pieces = (data.clip(low - start, high - start).split(size) + start).tolist()
        if progress is not None:
            progress(high - low - sum(last - first for first, last in pieces))
        yield from reversed(pieces) if backward else pieces


def read_window(volume: Volume, offset: int, view: memoryview, unreadable: Report | None) -> None:
    """Fill ``view``; halves what fails down to a few sectors, zeroes those and tells them to ``unreadable``."""
    try:
        volume.fetch(offset, view)
    except VolumeError:
        if len(view) <= _SMALLEST_READ:
            view[:] = bytes(len(view))
            if unreadable is not None:
                unreadable(offset, offset + len(view))
            return
        half = max(align_down(len(view) // 2, _SMALLEST_READ), _SMALLEST_READ)
        read_window(volume, offset, view[:half], unreadable)
        read_window(volume, offset + half, view[half:], unreadable)
