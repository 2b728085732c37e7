"""One list of extended attributes: whether its parts overlap, its names can be, and its hashes are right."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from inpart_ext.structs import XATTR_HEADER
from inpart_ext.xattr import Attribute, AttributeDamage, name_hash, value_hash

_END = 4
"""Bytes of zeros behind the last entry."""


def judge_list(raw: bytes, start: int, entries: Sequence[Attribute | AttributeDamage], *, in_inode: bool) -> str:
    """The first thing that is wrong with a list whose header stands at ``start`` of ``raw``, or nothing.

    In an inode entries need neither a hash nor a kind of name.
    """
    mark = start + (_END if in_inode else XATTR_HEADER.itemsize)
    taken = [(start, mark)]
    for entry in entries:
        if isinstance(entry, AttributeDamage):
            return entry.message
        if not in_inode and not entry.prefix:
            return "an attribute has no kind of name"
        mark = entry.end
        taken.append((entry.place, mark))
        if entry.value_inum:
            continue
        value = raw[entry.value_place : entry.value_place + (entry.value_size + 3 & ~3)]
        if value:
            taken.append((entry.value_place, entry.value_place + len(value)))
        if (entry.hash or not in_inode) and not is_hash(entry, value):
            return "an attribute has a wrong hash"
    taken = sorted([*taken, (mark, mark + _END)])
    overlap = any(low < before for (_, before), (low, _) in pairwise(taken))
    return "two attributes lie in the same place" if overlap else ""


def is_hash(entry: Attribute, value: bytes) -> bool:
    """True if ``e_hash`` is that of the name and ``value``; characters were signed or not, as the machine had them."""
    return entry.hash in {value_hash(name_hash(entry.name, signed), value) for signed in (False, True)}
