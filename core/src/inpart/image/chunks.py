"""Cutting a partition into chunks, and reading the used bytes of one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from inpart.extents import Extents
from inpart.image.structs import MAX_CHUNK_SIZE
from inpart.units import KIB, MIB
from inpart.volume import Volume

DEFAULT_CHUNK_SIZE = 4 * MIB
_SMALLEST_CHUNK_SIZE = 64 * KIB
_FEWEST_CHUNKS = 256
_MANY_CHUNKS = 1 << 20
_BUFFERED = 32 * MIB
_SCATTERED = 8


def default_chunk_size(partition_size: int, used: Extents | None = None) -> int:
    """4 MiB; less for a small partition, so that a damaged chunk is a small part of it; up to 16 MiB for a huge one.

    ``used``, if known, are the bytes to be held. Less than 1 GiB of them go into at least 256 chunks, though not into
    chunks below 64 KiB; and chunks that would be three quarters empty on average are made larger.
    """
    held = used.total if used is not None else partition_size
    chunk_size = DEFAULT_CHUNK_SIZE
    while chunk_size > _SMALLEST_CHUNK_SIZE and held < chunk_size * _FEWEST_CHUNKS:
        chunk_size //= 2
    while chunk_size < MAX_CHUNK_SIZE and (
        partition_size > chunk_size * _MANY_CHUNKS
        or (used is not None and used.total < chunk_size // 4 * (touched_chunks(used, chunk_size) - 1))
    ):
        chunk_size *= 2
    return chunk_size


def touched_chunks(used: Extents, chunk_size: int) -> int:
    """How many chunks have used bytes."""
    first, last = used.array[:, 0] // chunk_size, (used.array[:, 1] - 1) // chunk_size
    return int((last - first + 1).sum() - np.count_nonzero(first[1:] == last[:-1]))


def pipeline_depth(chunk_size: int, memory: int = _BUFFERED) -> int:
    """How many chunks may be under way at once so that they stay within ``memory`` bytes; at least 3."""
    return max(3, min(16, memory // chunk_size))


def used_chunks(used: Extents, chunk_size: int) -> Iterator[tuple[int, Extents]]:
    """(number, used bytes in it) of each chunk that has any, in order."""
    at, end = used.start, used.end
    while at < end:
        number = at // chunk_size
        runs = used.clip(number * chunk_size, (number + 1) * chunk_size)
        if runs:
            yield number, runs
            at = (number + 1) * chunk_size
        else:
            at = used.clip(at, end).start


def gather(volume: Volume, runs: Extents, target: memoryview, scratch: bytearray) -> None:
    """Fill ``target`` with the bytes of ``runs`` one after the other.

    Many runs close together are read as one span into ``scratch``, which must hold it, and picked from there: one
    system call instead of one for each run.
    """
    span = runs.end - runs.start
    done = 0
    if len(runs) > _SCATTERED and span <= len(scratch) and span <= 4 * len(target):
        window = memoryview(scratch)[:span]
        volume.readinto(runs.start, window)
        for start, end in (runs.array - runs.start).tolist():
            target[done : done + end - start] = window[start:end]
            done += end - start
        return
    for start, end in runs:
        volume.readinto(start, target[done : done + end - start])
        done += end - start
