"""Data blocks that follow each other on the medium and in their image, as rows of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
from inpart.extents import Extents, Pairs
from numpy.typing import NDArray

PIECE = np.dtype(
    [
        ("image", "<u8", (2,)), ("store", "<u8", (2,)), ("partition", "<i8"), ("block", "<i8"), ("cluster", "<i8"),
        ("serial", "<i8"), ("base", "<i8"), ("sequence", "<i8"), ("place", "<i8"), ("count", "<i8"),
    ]
)  # fmt: skip

ALIKE = ("image", "store", "partition", "block", "cluster", "serial")
"""The fields that are the same in all pieces of an image."""

Pieces = NDArray[Any]
"""An array of ``PIECE``: ``count`` blocks from ``sequence`` on lie at ``place`` of the volume; the partition that they
were made for starts at ``base``."""


def merged(pieces: Pieces) -> Pieces:
    """Sorted by image, base and sequence; neighbours that continue each other made one, doubles left out."""
    if len(pieces) < 2:
        return pieces
    pieces = pieces[np.lexsort((pieces["sequence"], pieces["base"], pieces["image"][:, 1], pieces["image"][:, 0]))]
    pieces = _without_doubles(pieces)
    before, after = pieces[:-1], pieces[1:]
    joins = (
        _same_group(before, after)
        & (after["sequence"] == before["sequence"] + before["count"])
        & (after["place"] == before["place"] + before["count"] * before["block"])
    )
    starts = np.flatnonzero(np.concatenate([[True], ~joins]))
    made = pieces[starts]
    made["count"] = np.add.reduceat(pieces["count"], starts)
    return made


def groups(pieces: Pieces) -> list[Pieces]:
    """The merged pieces of each image at each base."""
    if not len(pieces):
        return []
    cuts = np.flatnonzero(~_same_group(pieces[:-1], pieces[1:])) + 1
    return list(np.split(pieces, cuts))


def sequences(pieces: Pieces) -> Extents:
    """The numbers of the blocks that ``pieces`` hold."""
    return Extents(np.stack([pieces["sequence"], pieces["sequence"] + pieces["count"]], axis=1))


def along(starts: Pairs, lengths: Pairs, like: Pieces) -> Pieces:
    """Pieces for blocks 0, 1, 2 ... that lie in runs of whole blocks; other fields as in the first of ``like``."""
    made = np.zeros(len(starts), dtype=PIECE)
    for name in ALIKE:
        made[name] = like[name][0]
    made["place"] = starts
    made["count"] = lengths // like["block"][0]
    made["sequence"] = np.cumsum(made["count"]) - made["count"]
    return made


def _same_group(before: Pieces, after: Pieces) -> NDArray[np.bool_]:
    same = (before["image"] == after["image"]).all(axis=1) & (before["store"] == after["store"]).all(axis=1)
    for name in ("partition", "block", "cluster", "serial", "base"):
        same &= before[name] == after[name]
    return np.asarray(same)


def _without_doubles(pieces: Pieces) -> Pieces:
    """Of each piece the blocks that no earlier one of the same image holds; sorted as ``merged`` sorts them.

    Numbers may be forged: they are compared as ranks, which nothing can make overflow.
    """
    fresh = np.concatenate([[True], ~_same_group(pieces[:-1], pieces[1:])])
    ends = pieces["sequence"] + pieces["count"]
    order = np.lexsort((ends, np.cumsum(fresh)))
    rank = np.empty(len(pieces), dtype=np.int64)
    rank[order] = np.arange(len(pieces))
    reached = ends[order[np.maximum.accumulate(rank)]]
    doubled = np.concatenate([[0], np.maximum(reached[:-1] - pieces["sequence"][1:], 0)])
    doubled[fresh] = 0
    kept = doubled < pieces["count"]
    pieces, doubled = pieces[kept], doubled[kept]
    pieces["sequence"] += doubled
    pieces["count"] -= doubled
    pieces["place"] += doubled * pieces["block"]
    return pieces
