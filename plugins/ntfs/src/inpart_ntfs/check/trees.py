"""One index tree with blocks: where they lie, which are in use, and how they hang together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from inpart.contracts import Finding
from inpart.volume import RunsVolume, Volume
from numpy.typing import NDArray

from inpart_ntfs.check.nodes import Node, Rule
from inpart_ntfs.check.report import Numbers, error, warning
from inpart_ntfs.runs import byte_runs, contiguous
from inpart_ntfs.structs import BLOCK


@dataclass(slots=True)
class Tree:
    """An index: ``root`` from its $INDEX_ROOT, ``rows`` and ``size`` of its blocks, ``bitmap`` of those in use.

    ``nodes`` are the blocks read so far, by number; a damaged one is None.
    """

    owner: int
    name: str
    rule: Rule = Rule.UNKNOWN
    block_size: int = 0
    root: Node | None = None
    rows: list[Numbers] = field(default_factory=list)
    size: int = 0
    bitmap: bytes | None = None
    bitmap_rows: list[Numbers] = field(default_factory=list)
    bitmap_size: int = 0
    nodes: dict[int, Node | None] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The index in words."""
        return f"record {self.owner}, {self.name}"

    def place(self, vcn: int) -> str:
        """A block in words."""
        return f"{self.where}, block at VCN {vcn}"

    def unit(self, cluster_size: int) -> int:
        """Bytes that VCNs of this index count: clusters, or 512 bytes where a cluster is larger than a block."""
        return cluster_size if cluster_size <= self.block_size else BLOCK

    def stream(self, volume: Volume, cluster_size: int) -> RunsVolume | None:
        """The blocks as a volume; None if their run list has gaps."""
        return _stream(volume, self.rows, cluster_size, self.size)

    def live(self, volume: Volume, cluster_size: int) -> NDArray[np.uint8] | None:
        """The bitmap of blocks, at most of so many as fit into the volume; None if it cannot be found."""
        if self.bitmap is not None:
            return np.frombuffer(self.bitmap, dtype=np.uint8)
        stream = _stream(volume, self.bitmap_rows, cluster_size, self.bitmap_size)
        if not self.bitmap_rows or stream is None:
            return None
        most = volume.size // self.block_size // 8 + 8
        return np.frombuffer(stream.read(0, min(stream.size, most)), dtype=np.uint8)

    def check(self, cluster_size: int) -> Iterator[Finding]:
        """After all are read: every block in use hangs in the tree once, between the keys beside which it hangs."""
        unit, seen = self.unit(cluster_size), set[int]()
        waiting = list(_below(self.root, None, None)) if self.root else []
        while waiting:
            vcn, lower, upper = waiting.pop()
            number, rest = divmod(vcn * unit, self.block_size)
            if vcn < 0 or rest or number >= self.size // self.block_size:
                yield error("index-child", self.where, f"an entry leads to a block at VCN {vcn}, which cannot be")
                continue
            if number in seen:
                yield error("index-loop", self.place(vcn), "several entries lead to this block")
                continue
            seen.add(number)
            if number not in self.nodes:
                yield error("index-bitmap", self.place(vcn), "it is part of the index and free in its bitmap")
                continue
            node = self.nodes[number]
            if node is None:
                continue
            if (lower is not None and node.first is not None and node.first < lower) or (
                upper is not None and node.last is not None and node.last > upper
            ):
                yield error("index-order", self.place(vcn), "its keys do not belong where it hangs")
            waiting.extend(_below(node, lower, upper))
        for number in sorted(set(self.nodes) - seen):
            message = "it is in use in the bitmap of the index and no entry leads to it"
            yield warning("index-bitmap", self.place(number * self.block_size // unit), message)


def _below(node: Node, lower: bytes | None, upper: bytes | None) -> Iterator[tuple[int, bytes | None, bytes | None]]:
    """VCN, lower and upper bound of the nodes below one that has such bounds itself."""
    for child in node.children:
        yield child.vcn, lower, upper if child.upper is None else child.upper
        lower = child.upper


def _stream(volume: Volume, pieces: list[Numbers], cluster_size: int, size: int) -> RunsVolume | None:
    rows = np.concatenate([np.empty((0, 3), dtype=np.int64), *pieces])
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    if not contiguous(rows) or (rows[:, 1] < 0).any():
        return None
    return RunsVolume(volume, byte_runs(rows, cluster_size), size=max(0, size))
