"""Pass 2: the blocks of all indexes, a window of them at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from inpart.contracts import Finding
from inpart.units import KIB
from inpart.volume import RunsVolume

from inpart_ntfs.arrays import Rows, gather
from inpart_ntfs.bitmap import edges
from inpart_ntfs.check.report import Numbers, error, for_records
from inpart_ntfs.check.trees import Tree
from inpart_ntfs.directory import I30
from inpart_ntfs.index import open_blocks
from inpart_ntfs.structs import INDEX_BLOCK

if TYPE_CHECKING:
    from inpart_ntfs.check.census import Census

WINDOW = 512 * KIB
_LARGE = 0x01
"""The flag of an INDEX_HEADER whose entries have nodes below them."""


class Span(NamedTuple):
    """Blocks ``first`` up to ``last`` of a tree, whose blocks together are ``stream``."""

    tree: Tree
    stream: RunsVolume
    first: int
    last: int


def check_blocks(census: Census) -> Iterator[Finding]:
    """Read all blocks in use, then see how those of each index hang together; drops the indexes as it goes."""
    yield from _check_folders(census)
    batch: list[Span] = []
    whole: list[Tree] = []
    size = 0
    for key in sorted(census.indexes.trees):
        tree = census.indexes.trees.pop(key)
        spans, findings = _spans(census, tree)
        yield from findings
        for span in spans:
            batch.append(span)
            size += (span.last - span.first) * tree.block_size
            if size >= WINDOW:
                yield from _finish(census, batch, whole)
                size = 0
        whole.append(tree)
    yield from _finish(census, batch, whole)


def _finish(census: Census, batch: list[Span], whole: list[Tree]) -> Iterator[Finding]:
    """Read the blocks that wait; then look at the trees of which nothing waits any more."""
    for size, spans in groupby(sorted(batch, key=_block_size), key=_block_size):
        yield from _read(census, list(spans), size)
    for tree in whole:
        if tree.block_size:
            yield from tree.check(census.filesystem.boot.cluster_size)
    batch.clear()
    whole.clear()


def _block_size(span: Span) -> int:
    return span.tree.block_size


def _check_folders(census: Census) -> Iterator[Finding]:
    """Directories have an index of names, and nothing else has."""
    indexed = np.zeros(census.count, dtype=bool)
    folders = np.concatenate(census.indexes.folders)
    indexed[folders[folders < census.count]] = True
    numbers, base = np.arange(census.count), census.in_use & census.is_base
    lost = base & census.is_directory & ~indexed
    yield from for_records("index-root", numbers, lost, "it is a directory and has no index of names")
    wrong = base & ~census.is_directory & indexed
    yield from for_records("record-flags", numbers, wrong, "it has an index of names and is not marked as a directory")
    census.indexes.indexed = indexed


def _spans(census: Census, tree: Tree) -> tuple[list[Span], list[Finding]]:
    """The blocks of a tree that are in use, in parts of at most a window, and what is wrong with their place."""
    boot, volume = census.filesystem.boot, census.filesystem.volume
    if not tree.block_size and tree.name == I30 and tree.owner < census.count and census.indexes.indexed[tree.owner]:
        tree.block_size = boot.index_size  # its root is small, and has told nobody
    if not tree.rows:
        leads = tree.root is not None and tree.root.children
        return [], [error("index-root", tree.where, "its entries lead to blocks, and it has none")] if leads else []
    if not tree.block_size:
        return [], [error("index-root", tree.where, "the index has blocks and no sound $INDEX_ROOT")]
    stream, live = tree.stream(volume, boot.cluster_size), tree.live(volume, boot.cluster_size)
    if stream is None or live is None:
        what = "$INDEX_ALLOCATION" if stream is None else "$BITMAP"
        tree.block_size = 0
        return [], [error("index-root", tree.where, f"the index has no {what} that can be read")]
    count, findings = min(stream.size, volume.size) // tree.block_size, []
    if tree.size % tree.block_size or tree.size > stream.size:
        findings.append(error("size", tree.where, f"{tree.size} bytes are no whole blocks"))
    runs = edges(live)
    if len(runs) and int(runs[-1, 1]) > count:
        findings.append(error("index-bitmap", tree.where, f"its bitmap has more than its {count} blocks in use"))
    step = max(1, WINDOW // tree.block_size)
    parts = (
        Span(tree, stream, at, min(at + step, last))
        for first, last in np.minimum(runs, count).tolist()
        for at in range(first, last, step)
    )
    return list(parts), findings


def _read(census: Census, spans: list[Span], size: int) -> Iterator[Finding]:
    """Judge blocks of one size and put their nodes into their trees."""
    trees = [span.tree for span in spans for _ in range(span.first, span.last)]
    numbers = np.concatenate([np.arange(span.first, span.last, dtype=np.int64) for span in spans])
    data = np.empty((len(trees), size), dtype=np.uint8)
    at = 0
    for span in spans:
        count = span.last - span.first
        span.stream.readinto(span.first * size, data[at : at + count].data.cast("B"))
        at += count
    units = np.array([tree.unit(census.filesystem.boot.cluster_size) for tree in trees], dtype=np.int64)
    vcn = numbers * size // units
    places = [tree.place(one) for tree, one in zip(trees, vcn.tolist(), strict=True)]
    yield from _judge(census, data, trees, places, numbers, vcn)


def _judge(
    census: Census, data: Rows, trees: list[Tree], places: list[str], numbers: Numbers, vcn: Numbers
) -> Iterator[Finding]:
    blocks = open_blocks(data)
    rows = np.arange(len(data), dtype=np.int64)
    header = gather(data, rows, np.zeros_like(rows), INDEX_BLOCK)
    for wrong, message in (
        (~blocks.magic, "it does not start with INDX"),
        (blocks.magic & ~blocks.whole, "its update sequence is wrong, it was torn"),
        (blocks.magic & blocks.whole & ~blocks.header, "its header is impossible"),
        (blocks.sound & (header["index_block_vcn"] != vcn), "it says that it is another block"),
    ):
        for row in np.flatnonzero(wrong).tolist():
            yield error("index-block", places[row], message)
    nodes = yield from census.indexes.judge(blocks.parse(), trees, places)
    large = header["index"]["flags"] & _LARGE > 0
    for row, (tree, number) in enumerate(zip(trees, numbers.tolist(), strict=True)):
        node = nodes.get(row)
        tree.nodes[number] = node
        if node is not None and large[row] != (len(node.children) > 0):
            yield error("index-block", places[row], "its header says wrongly whether there are nodes below it")
