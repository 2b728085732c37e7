"""Nodes of index trees: keys that can be compared, their order inside each node, and the nodes below."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np

from inpart_ntfs.arrays import unit_rows
from inpart_ntfs.check.report import Mask, Numbers
from inpart_ntfs.index import KEY, Entries, compare
from inpart_ntfs.names import Upcase


class Rule(Enum):
    """How the keys of an index are sorted."""

    NAMES = "names"
    NUMBERS = "numbers"
    BYTES = "bytes"
    UNKNOWN = "unknown"


RULES = {0x00: Rule.BYTES, 0x01: Rule.NAMES, 0x10: Rule.NUMBERS, 0x12: Rule.NUMBERS, 0x13: Rule.NUMBERS}
"""By the number of the collation rule; the keys of the last three are 32-bit numbers. Those of 0x11 are SIDs,
whose order is not documented."""


class Child(NamedTuple):
    """A node below another one: its VCN, and the key before which all of its keys come, None for the last."""

    vcn: int
    upper: bytes | None


@dataclass(frozen=True, slots=True)
class Node:
    """Its first and last key, None if it has none, and the nodes below it in order."""

    first: bytes | None
    last: bytes | None
    children: tuple[Child, ...]


class Fault(NamedTuple):
    """Something wrong with the entry that is number ``place``."""

    place: int
    message: str


def sorting_units(entries: Entries, rule: Rule, upcase: Upcase) -> Numbers:
    """A row of numbers for each entry that sorts as its key does; empty rows for ends and for unknown rules."""
    if rule is Rule.NAMES:
        units = upcase.units(entries.name_units)
        units[~entries.is_name] = -1
        return units
    known = ~entries.is_end if rule is not Rule.UNKNOWN else np.zeros(len(entries), dtype=bool)
    size, kind = (1, "u1") if rule is Rule.BYTES else (4, "<u4")
    count = np.where(known, entries["key_length"] // size, 0)
    return unit_rows(entries.data, entries.row, entries.offset + KEY, count, kind)


def misplaced(entries: Entries, units: Numbers, rule: Rule) -> Iterator[Fault]:
    """Keys that do not come after the one before them in the same node."""
    if len(entries) < 2 or rule is Rule.UNKNOWN:
        return
    follows = (entries.row[1:] == entries.row[:-1]) & ~entries.is_end[1:]
    order = compare(units[:-1], units[1:])
    for index in np.flatnonzero(follows & (order > 0)).tolist():
        yield Fault(index + 1, "its key comes before the one in front of it")
    same = follows & (order == 0)
    if rule is Rule.NAMES and same.any():
        same &= (entries.name_units[:-1] == entries.name_units[1:]).all(axis=1)
    for index in np.flatnonzero(same).tolist():
        yield Fault(index + 1, "its key is there twice")


def nodes_of(entries: Entries, units: Numbers, rule: Rule) -> dict[int, Node]:
    """The nodes that the entries belong to, by row."""
    kind = {Rule.NAMES: ">u2", Rule.BYTES: "u1"}.get(rule, ">u4")
    lengths = (units >= 0).sum(axis=1)
    sortable = np.maximum(units, 0).astype(kind)
    starts = np.flatnonzero(np.diff(entries.row, prepend=-1))
    found = {}
    for first, last in zip(starts.tolist(), [*starts[1:].tolist(), len(entries)], strict=True):

        def key(index: int) -> bytes:
            return bytes(sortable[index, : lengths[index]].tobytes())

        keyed = np.flatnonzero(~entries.is_end[first:last]) + first
        ends = (key(int(keyed[0])), key(int(keyed[-1]))) if len(keyed) else (None, None)
        children = tuple(
            Child(int(entries.child[index]), None if entries.is_end[index] else key(index))
            for index in (np.flatnonzero(entries.has_child[first:last]) + first).tolist()
        )
        found[int(entries.row[first])] = Node(ends[0], ends[1], children)
    return found


def uneven(entries: Entries) -> Mask:
    """Which entries have a node below them although the last entry of their node has none, or the other way round."""
    row, place = np.unique(entries.row, return_inverse=True)
    count = np.bincount(place, minlength=len(row))
    with_child = np.bincount(place, weights=entries.has_child, minlength=len(row)).astype(np.int64)
    mixed = (with_child > 0) & (with_child < count)
    return np.asarray(mixed[place] & ~entries.has_child)
