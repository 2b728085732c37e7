"""Extended attributes: the entries inside an inode and those in a block of their own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from inpart_ext.structs import EXTRA_OFFSET, XATTR_ENTRY, XATTR_MAGIC

HEADER = 32
_ENTRY = struct.Struct("<BBHIII")
_PAD = 3
SYSTEM_PREFIX = 7
"""e_name_index of names that start with ``system.``."""


class Attribute(NamedTuple):
    """One entry; ``value_place`` counts from the start of the inode or block, ``value_inum`` is 0 or its inode."""

    prefix: int
    name: bytes
    value_place: int
    value_size: int
    value_inum: int
    hash: int
    place: int

    @property
    def end(self) -> int:
        """Where the next entry starts."""
        return self.place + XATTR_ENTRY.itemsize + len(self.name) + _PAD & ~_PAD


class AttributeDamage(NamedTuple):
    """Where a list of attributes cannot be followed any further."""

    place: int
    message: str


def inode_attributes(raw: bytes) -> Iterator[Attribute | AttributeDamage]:
    """What stands behind the extra fields of an inode of more than 128 bytes."""
    if len(raw) < EXTRA_OFFSET + 4:
        return
    start = EXTRA_OFFSET + int.from_bytes(raw[EXTRA_OFFSET : EXTRA_OFFSET + 2], "little")
    if start + 8 <= len(raw) and int.from_bytes(raw[start : start + 4], "little") == XATTR_MAGIC:
        yield from _entries(raw, start + 4, start + 4)


def block_attributes(raw: bytes) -> Iterator[Attribute | AttributeDamage]:
    """What stands in a block of attributes, behind its header."""
    yield from _entries(raw, HEADER, 0)


def _entries(raw: bytes, start: int, values: int) -> Iterator[Attribute | AttributeDamage]:
    """Entries from ``start`` up to four zeros; the places of values count from ``values``."""
    place = start
    while True:
        if place + 4 > len(raw):
            yield AttributeDamage(place, "the list of attributes has no end")
            return
        if raw[place : place + 4] == bytes(4):
            return
        if place + XATTR_ENTRY.itemsize > len(raw):
            yield AttributeDamage(place, "an attribute reaches beyond the end")
            return
        length, prefix, offset, inum, size, sum_ = _ENTRY.unpack_from(raw, place)
        end = place + XATTR_ENTRY.itemsize + length
        if end > len(raw) or (not inum and size and values + offset + size > len(raw)):
            yield AttributeDamage(place, "an attribute reaches beyond the end")
            return
        name = raw[place + XATTR_ENTRY.itemsize : end]
        yield Attribute(prefix, name, values + offset, size, inum, sum_, place)
        place = end + _PAD & ~_PAD


def name_hash(name: bytes, signed: bool) -> int:
    """The part of ``e_hash`` that comes from the name, whose characters are ``signed`` on some machines."""
    value = 0
    for code in name:
        value = (value << 5 ^ value >> 27 ^ (code - 256 if signed and code > 127 else code)) & 0xFFFFFFFF
    return value


def value_hash(value: int, data: bytes) -> int:
    """``e_hash`` from that of the name and the value, filled up to whole words."""
    for (word,) in struct.iter_unpack("<I", data):
        value = (value << 16 ^ value >> 16 ^ word) & 0xFFFFFFFF
    return value


def inline_place(raw: bytes) -> tuple[int, int]:
    """Where in an inode the rest of inline data stands that i_block has no room for: start and length."""
    for found in inode_attributes(raw):
        if isinstance(found, Attribute) and found.prefix == SYSTEM_PREFIX and found.name == b"data":
            return found.value_place, found.value_size if not found.value_inum else 0
    return len(raw), 0
