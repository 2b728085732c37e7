"""Following one cluster chain, fragment by fragment, on any table."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import numpy as np
from inpart.errors import FilesystemDamaged
from numpy.typing import NDArray

from inpart_fat.geometry import Clusters, Geometry

Fetch = Callable[[int, int], NDArray[np.uint32]]
"""``fetch(first, count)`` gives table entries without reserved bits; the range lies inside the table."""

_SMALL, _LARGE = 16, 1 << 16


class Ending(IntEnum):
    """How a chain ends."""

    END = 0
    FREE = 1
    BAD = 2
    OUT_OF_RANGE = 3
    LOOP = 4


_WHAT = {
    Ending.FREE: "leads to a free cluster",
    Ending.BAD: "leads to a bad cluster",
    Ending.OUT_OF_RANGE: "leads to a cluster that does not exist",
    Ending.LOOP: "runs in a loop",
}


def follow(fetch: Fetch, geometry: Geometry, start: int, *, limit: int | None = None, strict: bool = True) -> Clusters:
    """The cluster numbers of the chain from ``start`` on, at most ``limit``; none if ``start`` is 0.

    Raises FilesystemDamaged if the chain loops or leads to a free, bad or missing cluster before ``limit`` is reached;
    with ``strict`` off, what comes before the damage is returned. No cluster is returned twice.
    """
    pieces, ending = _pieces(fetch, geometry, start, limit)
    chain = _clusters(pieces)
    if _overlapping(pieces):
        ending = Ending.LOOP
        chain = chain[: _first_repeated(chain)]
    if strict:
        _refuse_broken(start, ending)
    return chain


def fragments(fetch: Fetch, geometry: Geometry, start: int) -> NDArray[np.int64]:
    """First cluster and count of the pieces of a whole chain, shape (n, 2). Raises FilesystemDamaged as ``follow``."""
    pieces, ending = _pieces(fetch, geometry, start, None)
    _refuse_broken(start, Ending.LOOP if _overlapping(pieces) else ending)
    return pieces


def _refuse_broken(start: int, ending: Ending | None) -> None:
    if ending not in (Ending.END, None):
        raise FilesystemDamaged(
            f"the cluster chain from {start} on {_WHAT[ending]}",
            hint="see what `inpart verify --level fs` finds, and let fsck.fat repair it",
        )


def _pieces(fetch: Fetch, geometry: Geometry, start: int, limit: int | None) -> tuple[NDArray[np.int64], Ending | None]:
    """(first cluster, count) of the fragments, shape (n, 2), and how the chain ends; None where ``limit`` ended it.

    A loop ends when a fragment is entered at the same cluster again, so its clusters can be there twice.
    """
    pieces: list[tuple[int, int]] = []
    entered: set[int] = set()
    left = geometry.entry_count * 2 if limit is None else limit
    at, size, ending = start, _SMALL, Ending.END if start == 0 else None
    while ending is None and left > 0:
        if not geometry.valid(at) or at in entered:
            ending = Ending.LOOP if at in entered else Ending.OUT_OF_RANGE
            break
        if size == _SMALL:
            entered.add(at)
        count = min(size, left, geometry.entry_count - at)
        entries = fetch(at, count)
        stops = np.flatnonzero(entries != np.arange(at + 1, at + count + 1))
        run = int(stops[0]) if len(stops) else count
        value = int(entries[run]) if run < count else at + run
        ending = _ending(value, geometry) if run < count else None
        hollow = run == count or ending in (Ending.FREE, Ending.BAD)
        length = run if hollow else run + 1
        pieces.append((at, length))
        left -= length
        at, size = value, min(size * 8, _LARGE) if run == count else _SMALL
    return np.array(pieces, dtype=np.int64).reshape(-1, 2), ending


def _ending(value: int, geometry: Geometry) -> Ending | None:
    """How an entry ends a chain; None if it is a cluster number, existing or not."""
    if value == 0:
        return Ending.FREE
    if value == geometry.bad:
        return Ending.BAD
    return Ending.END if value > geometry.bad else None


def _clusters(pieces: NDArray[np.int64]) -> Clusters:
    counts = pieces[:, 1]
    nth = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(np.repeat(pieces[:, 0], counts) + nth, dtype=np.int64)


def _overlapping(pieces: NDArray[np.int64]) -> bool:
    ordered = pieces[np.argsort(pieces[:, 0], kind="stable")]
    return bool((ordered[1:, 0] < (ordered[:-1, 0] + ordered[:-1, 1])).any())


def _first_repeated(chain: Clusters) -> int:
    """Index of the first cluster that was there before."""
    _, firsts = np.unique(chain, return_index=True)
    repeated = np.ones(len(chain), dtype=bool)
    repeated[firsts] = False
    return int(np.argmax(repeated)) if repeated.any() else len(chain)
