"""Pass 1, clusters: run lists, holes, and the sizes of attributes against their runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from inpart.contracts import ENOUGH, Finding

from inpart_ntfs.arrays import unit_rows
from inpart_ntfs.attributes import attribute_title
from inpart_ntfs.check.report import Mask, Numbers, error, for_attributes
from inpart_ntfs.codes import AttributeFlag, Number
from inpart_ntfs.hashing import hash_units
from inpart_ntfs.records import AttributeTable
from inpart_ntfs.runs import COUNT, HOLE, LCN, OWNER, PROBLEMS, Decoded, Problem

OWNER_COLUMN, TYPE, NAME, LOWEST, HIGHEST, ALLOCATED, COMPRESSED, STORED = range(8)
"""Columns of pieces; ALLOCATED and COMPRESSED are -1 where the piece does not say."""


@dataclass
class RunPass:
    """The clusters of all attributes: ``rows`` are owner, first cluster, count; ``pieces`` those to be put together."""

    cluster_size: int
    clusters: int
    rows: list[Numbers] = field(default_factory=lambda: [np.empty((0, 3), dtype=np.int64)])
    pieces: list[Numbers] = field(default_factory=lambda: [np.empty((0, 8), dtype=np.int64)])

    def take(self, table: AttributeTable) -> Iterator[Finding]:
        """Judge the non-resident attributes of a window of records and keep their clusters."""
        table = table.pick(table.non_resident)
        decoded = table.decode(self.clusters)
        for problem, text in PROBLEMS.items():
            yield from for_attributes("runs", table, decoded.problems == problem, text)
        readable = decoded.problems == Problem.NONE
        total, stored = _counts(table, decoded)
        lowest, highest = table.lowest_vcn, table.highest_vcn
        wrong = readable & (total != highest - lowest + 1)
        yield from for_attributes("runs", table, wrong, PROBLEMS[Problem.WRONG_LENGTH])
        yield from self._check_holes(table, readable & (stored < total))
        yield from self._check_sizes(table)
        first = lowest == 0
        allocated = np.where(first, table.allocated_size, -1)
        compressed = np.where(first & table.has_compressed_size, table.compressed_size, -1)
        complete = first & (allocated == (highest + 1) * self.cluster_size)
        wrong = readable & complete & (compressed >= 0) & (compressed != stored * self.cluster_size)
        yield from for_attributes("size", table, wrong, "its compressed size is not that of its clusters")
        self._keep(table, decoded)
        columns = (table.owner, table.type, _names(table), lowest, highest, allocated, compressed, stored)
        self.pieces.append(np.stack(columns, axis=1)[~complete & readable])

    def _keep(self, table: AttributeTable, decoded: Decoded) -> None:
        rows = decoded.rows[decoded.rows[:, LCN] != HOLE]
        self.rows.append(np.stack([table.owner[rows[:, OWNER]], rows[:, LCN], rows[:, COUNT]], axis=1))

    def _check_holes(self, table: AttributeTable, holed: Mask) -> Iterator[Finding]:
        """Only compressed and sparse attributes have holes, and the list of bad clusters."""
        special = table.flags & (AttributeFlag.SPARSE | AttributeFlag.COMPRESSION_MASK) > 0
        wrong = holed & ~special & (table.owner != Number.BAD_CLUS)
        yield from for_attributes("hole", table, wrong, "it has holes and is neither sparse nor compressed")
        packed = table.flags & AttributeFlag.COMPRESSION_MASK > 0
        unit = table.word(34, "u1")
        wrong = packed & (table.lowest_vcn == 0) & ((unit == 0) | (unit > 16))
        yield from for_attributes("compression", table, wrong, "it is compressed in units of no possible size")

    def _check_sizes(self, table: AttributeTable) -> Iterator[Finding]:
        """Sizes count in the first piece only."""
        first = table.lowest_vcn == 0
        yield from for_attributes("runs", table, table.lowest_vcn < 0, "it starts before its first cluster")
        allocated, size, written = table.allocated_size, table.data_size, table.initialized_size
        wrong = first & ((allocated < 0) | (allocated % self.cluster_size > 0))
        yield from for_attributes("size", table, wrong, "its allocated size is not one of whole clusters")
        wrong = first & ((size < 0) | (size > allocated))
        yield from for_attributes("size", table, wrong, "its size is larger than its clusters")
        wrong = first & ((written < 0) | (written > size))
        yield from for_attributes("size", table, wrong, "its initialized size is larger than its size")

    def check_pieces(self) -> Iterator[Finding]:
        """Attributes whose run list stands in several records: no gap, no overlap, the sizes of the whole."""
        pieces = np.concatenate(self.pieces)
        pieces = pieces[np.lexsort(pieces[:, [LOWEST, NAME, TYPE, OWNER_COLUMN]].T)]
        same = (pieces[1:, :LOWEST] == pieces[:-1, :LOWEST]).all(axis=1)
        starts = np.flatnonzero(np.concatenate([[True], ~same])) if len(pieces) else np.empty(0, dtype=np.int64)
        begins = np.zeros(len(pieces), dtype=bool)
        begins[starts] = True
        before = np.concatenate([[-1], pieces[:-1, HIGHEST]]) if len(pieces) else np.empty(0, dtype=np.int64)
        yield from _for_pieces(
            pieces[~begins & (pieces[:, LOWEST] != before + 1)], "pieces", "leaves a gap or overlaps"
        )
        headless = begins & (pieces[:, LOWEST] != 0)
        yield from _for_pieces(pieces[headless], "pieces", "has no piece that starts at cluster 0")
        ends = np.append(starts[1:], len(pieces)) - 1 if len(starts) else starts
        first, last = pieces[starts], pieces[ends]
        wrong = (first[:, LOWEST] == 0) & (first[:, ALLOCATED] != (last[:, HIGHEST] + 1) * self.cluster_size)
        yield from _for_pieces(first[wrong], "size", "has an allocated size that is not that of its runs")
        stored = np.add.reduceat(pieces[:, STORED], starts) if len(starts) else starts
        wrong = (first[:, COMPRESSED] >= 0) & (first[:, COMPRESSED] != stored * self.cluster_size)
        yield from _for_pieces(first[wrong], "size", "has a compressed size that is not that of its clusters")


def _for_pieces(pieces: Numbers, code: str, message: str) -> Iterator[Finding]:
    for piece in pieces[:ENOUGH].tolist():
        yield error(
            code,
            f"record {piece[OWNER_COLUMN]}, cluster {piece[LOWEST]}",
            f"{attribute_title(piece[TYPE])} {message}",
        )


def _counts(table: AttributeTable, decoded: Decoded) -> tuple[Numbers, Numbers]:
    """Clusters of each attribute, with and without its holes."""
    owner, count = decoded.rows[:, OWNER], decoded.rows[:, COUNT]
    total, stored = np.zeros(len(table), dtype=np.int64), np.zeros(len(table), dtype=np.int64)
    np.add.at(total, owner, count)
    np.add.at(stored, owner, np.where(decoded.rows[:, LCN] == HOLE, 0, count))
    return total, stored


def _names(table: AttributeTable) -> Numbers:
    """A number for the name of each attribute."""
    units = unit_rows(table.records.raw, table.row, table.offset + table.name_offset, table.name_length, "<u2")
    return hash_units(units).view(np.int64)
