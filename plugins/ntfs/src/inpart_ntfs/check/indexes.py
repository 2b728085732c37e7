"""Indexes: their roots in pass 1, their blocks in pass 2, entry by entry and node by node."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding

from inpart_ntfs.arrays import Rows, gather
from inpart_ntfs.check.nodes import RULES, Node, Rule, misplaced, nodes_of, sorting_units, uneven
from inpart_ntfs.check.report import Mask, Numbers, error, for_attributes
from inpart_ntfs.check.trees import Tree
from inpart_ntfs.codes import REFERENCE_MASK, AttributeType, Number
from inpart_ntfs.directory import I30, valid_block_size
from inpart_ntfs.index import ROOT_HEADER, Entries, Parsed, bounds, parse
from inpart_ntfs.records import AttributeTable
from inpart_ntfs.structs import INDEX_ROOT

if TYPE_CHECKING:
    from inpart_ntfs.check.census import Census

_SMALLEST = INDEX_ROOT.itemsize + 16

Judged = Generator[Finding, None, dict[int, Node]]


@dataclass
class IndexPass:
    """All indexes that have blocks, by record and name; ``folders`` are the records with an index of names."""

    census: Census
    trees: dict[tuple[int, str], Tree] = field(default_factory=dict)
    folders: list[Numbers] = field(default_factory=lambda: [np.empty(0, dtype=np.int64)])
    indexed: Mask = field(default_factory=lambda: np.empty(0, dtype=bool))
    """The same as ``folders`` with an element for each record; known after pass 1."""

    def take(self, table: AttributeTable) -> Iterator[Finding]:
        """Judge the roots in a window of records and keep where blocks lie."""
        yield from self._take_roots(table.pick((table.type == AttributeType.INDEX_ROOT) & ~table.non_resident))
        clusters = self.census.filesystem.boot.clusters
        allocations = table.pick((table.type == AttributeType.INDEX_ALLOCATION) & table.non_resident)
        decoded = allocations.decode(clusters)
        for index, (tree, one) in enumerate(self._trees(allocations)):
            tree.rows.append(decoded.of(index))
            tree.size = max(tree.size, int(one.data_size[0]) if not int(one.lowest_vcn[0]) else 0)
        bitmaps = table.pick((table.type == AttributeType.BITMAP) & (table.name_length > 0))
        decoded = bitmaps.decode(clusters)
        for index, (tree, one) in enumerate(self._trees(bitmaps)):
            if one.non_resident[0]:
                tree.bitmap_rows.append(decoded.of(index))
                tree.bitmap_size = max(tree.bitmap_size, int(one.data_size[0]) if not int(one.lowest_vcn[0]) else 0)
            else:
                start = int(one.place[0] + one.value_offset[0])
                tree.bitmap = one.data[start : start + int(one.value_length[0])].tobytes()

    def _trees(self, table: AttributeTable) -> Iterator[tuple[Tree, AttributeTable]]:
        for index, name in enumerate(table.names_of()):
            one = table.pick(np.array([index]))
            yield self._tree(int(one.owner[0]), name), one

    def _tree(self, owner: int, name: str) -> Tree:
        return self.trees.setdefault((owner, name), Tree(owner, name))

    def _take_roots(self, table: AttributeTable) -> Iterator[Finding]:
        short = table.value_length < _SMALLEST
        yield from for_attributes("index-root", table, short, "it is too short for an index")
        table = table.pick(~short)
        data, names = _values(table), table.names_of()
        rows = np.arange(len(table), dtype=np.int64)
        header = gather(data, rows, np.zeros_like(rows), INDEX_ROOT)
        size, rule = header["index_block_size"].astype(np.int64), header["collation_rule"].astype(np.int64)
        sizes = np.array([valid_block_size(one) for one in size.tolist()], dtype=bool)
        yield from for_attributes("index-root", table, ~sizes, "its blocks have an impossible size")
        named = np.array([name == I30 for name in names], dtype=bool)
        strange = named & ((rule != 1) | (header["type"] != AttributeType.FILE_NAME))
        yield from for_attributes("index-root", table, strange, "it does not sort names")
        self.folders.append(table.owner[named])
        at = np.full(len(table), ROOT_HEADER, dtype=np.int64)
        start, end, good = bounds(data, rows, at, table.value_length - at)
        yield from for_attributes("index-root", table, ~good, "its header is impossible")
        parsed = parse(data, rows[good], start[good], end[good])
        trees = [
            Tree(owner, name, RULES.get(number, Rule.UNKNOWN), one if fine else 0)
            for owner, name, number, one, fine in zip(
                table.owner.tolist(), names, rule.tolist(), size.tolist(), sizes.tolist(), strict=True
            )
        ]
        nodes = yield from self.judge(parsed, trees, [f"{tree.where}, $INDEX_ROOT" for tree in trees])
        for row, tree in enumerate(trees):
            node = nodes.get(row)
            if node is not None and (node.children or tree.name != I30):
                known = self._tree(tree.owner, tree.name)
                known.rule, known.block_size, known.root = tree.rule, tree.block_size, node

    def judge(self, parsed: Parsed, trees: Sequence[Tree], places: Sequence[str]) -> Judged:
        """What is wrong with the entries of some nodes, row i of which belongs to ``trees[i]``; returns the nodes."""
        for fault in parsed.faults:
            yield error("index-entry", f"{places[fault.row]}, byte {fault.offset}", fault.message)
        broken = {fault.row for fault in parsed.faults}
        rules = np.array([tree.rule.value for tree in trees], dtype=object)
        found: dict[int, Node] = {}
        for rule in Rule:
            entries = parsed.entries.pick(rules[parsed.entries.row] == rule.value)
            if not len(entries):
                continue
            units = sorting_units(entries, rule, self.census.filesystem.upcase)
            for index, message in misplaced(entries, units, rule):
                yield error("index-order", f"{places[entries.row[index]]}, byte {int(entries.offset[index])}", message)
            for index in np.flatnonzero(uneven(entries)).tolist():
                where = f"{places[entries.row[index]]}, byte {int(entries.offset[index])}"
                yield error("index-child", where, "it has no node below it, and others beside it have")
            found |= nodes_of(entries, units, rule)
            yield from self._hand_on(entries, trees, places, rule)
        return {row: node for row, node in found.items() if row not in broken}

    def _hand_on(self, entries: Entries, trees: Sequence[Tree], places: Sequence[str], rule: Rule) -> Iterator[Finding]:
        """Names to the pass of names, ids to the one of security."""
        owner = np.array([tree.owner for tree in trees], dtype=np.int64)[entries.row]
        if rule is not Rule.NAMES:
            for name, take in self.census.security.takers.items():
                chosen = np.array([(tree.owner, tree.name) == (Number.SECURE, name) for tree in trees], dtype=bool)
                take(entries.pick(chosen[entries.row] & ~entries.is_end))
            return
        bad = ~entries.is_end & ~entries.is_name
        for index in np.flatnonzero(bad).tolist():
            where = f"{places[entries.row[index]]}, byte {int(entries.offset[index])}"
            yield error("index-entry", where, "its key is no name")
        chosen = entries.is_name
        entries, owner = entries.pick(chosen), owner[chosen]
        parent = (entries.names["parent_directory"] & np.uint64(REFERENCE_MASK)).astype(np.int64)
        for index in np.flatnonzero(parent != owner).tolist():
            where = f"{places[entries.row[index]]}, byte {int(entries.offset[index])}"
            yield error("entry-parent", where, f"its name belongs into the directory {int(parent[index])}")
        self.census.names.take_entries(entries, owner)


def _values(table: AttributeTable) -> Rows:
    """The values of resident attributes as rows, zeros behind their ends."""
    widest = -(-int(table.value_length.max(initial=8)) // 8) * 8
    steps = np.arange(widest)
    place = np.minimum((table.place + table.value_offset)[:, np.newaxis] + steps, max(0, len(table.data) - 1))
    found = np.where(steps < table.value_length[:, np.newaxis], table.data[place], 0)
    return np.ascontiguousarray(found.astype(np.uint8))
