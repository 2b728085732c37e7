"""One node of a $I30 index in memory: parsed from and written as an INDX block or the value of $INDEX_ROOT."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from inpart.errors import FilesystemDamaged

from inpart_ntfs.codes import REFERENCE_MASK, IndexFlag
from inpart_ntfs.fixups import seal_fixups
from inpart_ntfs.structs import (
    BLOCK,
    FILE_NAME,
    INDEX_BLOCK,
    INDEX_ENTRY,
    INDEX_HEADER,
    INDEX_ROOT,
    MAGIC_INDX,
    field_offset,
)

_ENTRY = struct.Struct("<QHHHH")
_HEADER = struct.Struct("<IIIB3x")
_BLOCK = struct.Struct("<IHHQq")
_VCN = struct.Struct("<q")
_BLOCK_INDEX = field_offset(INDEX_BLOCK, "index")
_ROOT_INDEX = field_offset(INDEX_ROOT, "index")
_LENGTH_AT = field_offset(FILE_NAME, "file_name_length")
_LARGE = 1
_HINT = "run chkdsk on it first"


@dataclass(frozen=True)
class Entry:
    """An entry: the file reference and its key, a FILE_NAME value."""

    reference: int
    key: bytes

    @property
    def name(self) -> bytes:
        """The name in the key, UTF-16LE."""
        return self.key[FILE_NAME.itemsize : FILE_NAME.itemsize + 2 * self.key[_LENGTH_AT]]

    @property
    def parent(self) -> int:
        """The directory that the key is for, by the number of its record."""
        return int.from_bytes(self.key[:6], "little")

    @property
    def namespace(self) -> int:
        """The file_name_type of the key."""
        return self.key[_LENGTH_AT + 1]

    @property
    def record(self) -> int:
        """Number of the record that the entry leads to."""
        return self.reference & REFERENCE_MASK

    @property
    def sequence(self) -> int:
        """The sequence number that this record should have."""
        return self.reference >> 48

    @property
    def size(self) -> int:
        """Bytes of the entry in a leaf."""
        return INDEX_ENTRY.itemsize + (len(self.key) + 7 & ~7)


@dataclass
class Node:
    """Entries in order; ``children`` is empty in a leaf, else it has one more than there are entries."""

    entries: list[Entry] = field(default_factory=list)
    children: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all entries with the end entry."""
        return sum(entry.size for entry in self.entries) + INDEX_ENTRY.itemsize + _VCN.size * len(self.children)

    def pack(self) -> bytes:
        """All entries as bytes; ``children`` are VCNs."""
        parts = []
        for index, entry in enumerate(self.entries):
            child = self._child(index)
            size = entry.size + len(child)
            flags = IndexFlag.NODE if child else 0
            parts.append(_ENTRY.pack(entry.reference, size, len(entry.key), flags, 0))
            parts.append(entry.key.ljust(size - len(child) - _ENTRY.size, b"\0") + child)
        child = self._child(len(self.entries))
        flags = IndexFlag.END | (IndexFlag.NODE if child else 0)
        parts.append(_ENTRY.pack(0, _ENTRY.size + len(child), 0, flags, 0) + child)
        return b"".join(parts)

    def _child(self, index: int) -> bytes:
        return _VCN.pack(self.children[index]) if self.children else b""


def parse_entries(raw: bytes, at: int, what: str) -> Node:
    """A node whose INDEX_HEADER stands at byte ``at``. Raises FilesystemDamaged."""
    first, length, _, _ = _HEADER.unpack_from(raw, at)
    end, place, node = at + length, at + first, Node()
    while True:
        if first < INDEX_HEADER.itemsize or end > len(raw) or place + _ENTRY.size > end:
            raise FilesystemDamaged(f"{what} is damaged", hint=_HINT)
        reference, size, key_length, flags, _ = _ENTRY.unpack_from(raw, place)
        is_last, has_child = bool(flags & IndexFlag.END), bool(flags & IndexFlag.NODE)
        needed = _ENTRY.size + (0 if is_last else max(key_length, FILE_NAME.itemsize)) + _VCN.size * has_child
        if size < needed or size % 8 or place + size > end:
            raise FilesystemDamaged(f"{what} is damaged at byte {place}", hint=_HINT)
        if has_child:
            node.children.append(_VCN.unpack_from(raw, place + size - _VCN.size)[0])
        if is_last:
            break
        entry = Entry(reference, raw[place + _ENTRY.size : place + _ENTRY.size + key_length])
        if len(entry.name) != 2 * entry.key[_LENGTH_AT]:
            raise FilesystemDamaged(f"{what} has a name that is longer than its key", hint=_HINT)
        node.entries.append(entry)
        place += size
    if node.children and len(node.children) != len(node.entries) + 1:
        raise FilesystemDamaged(f"{what} has entries with and without a node below them", hint=_HINT)
    return node


def parse_block(raw: bytes, vcn: int, what: str) -> Node:
    """The node in an INDX block whose update sequence is undone. Raises FilesystemDamaged."""
    magic, _, _, _, own = _BLOCK.unpack_from(raw)
    if magic != MAGIC_INDX or own != vcn:
        raise FilesystemDamaged(f"{what} has no index block at VCN {vcn}", hint=_HINT)
    return parse_entries(raw, _BLOCK_INDEX, f"{what}, index block {vcn},")


def parse_root(value: bytes, what: str) -> Node:
    """The node in the value of $INDEX_ROOT. Raises FilesystemDamaged."""
    if len(value) < INDEX_ROOT.itemsize:
        raise FilesystemDamaged(f"{what} is too short", hint=_HINT)
    return parse_entries(value, _ROOT_INDEX, what)


def block_capacity(block_size: int) -> int:
    """Bytes for entries in an INDX block."""
    return block_size - _first_entry(block_size)


def pack_block(node: Node, vcn: int, block_size: int) -> bytes:
    """A node as an INDX block that can go to disk."""
    start, content = _first_entry(block_size), node.pack()
    usa, strides = INDEX_BLOCK.itemsize, block_size // BLOCK
    raw = bytearray(block_size)
    raw[:usa] = _BLOCK.pack(MAGIC_INDX, usa, strides + 1, 0, vcn) + _header(
        start - _BLOCK_INDEX, start - _BLOCK_INDEX + len(content), block_size - _BLOCK_INDEX, node
    )
    raw[start : start + len(content)] = content
    seal_fixups(raw, bump=True)
    return bytes(raw)


def pack_root(node: Node, before: bytes) -> bytes:
    """A node as the value of $INDEX_ROOT; what stands before its index is kept from the value ``before``."""
    content = node.pack()
    size = INDEX_HEADER.itemsize + len(content)
    return before[:_ROOT_INDEX] + _header(INDEX_HEADER.itemsize, size, size, node) + content


def _header(first: int, length: int, allocated: int, node: Node) -> bytes:
    return _HEADER.pack(first, length, allocated, _LARGE if node.children else 0)


def _first_entry(block_size: int) -> int:
    return INDEX_BLOCK.itemsize + 2 * (block_size // BLOCK + 1) + 7 & ~7
