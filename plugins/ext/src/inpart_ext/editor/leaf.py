"""One block of directory entries: finding, adding and removing a name, and the checksum in its tail."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.errors import FilesystemDamaged

from inpart_ext.structs import DIR_TAIL_SIZE, FT_DIR_CSUM

HEAD = 8
"""Bytes of an entry before its name."""
_MAX_REC = 65535


@dataclass(frozen=True)
class DirSlot:
    """An entry in a block: where it is, how long, and what it says; ``inode`` is 0 for one that is free."""

    at: int
    length: int
    inode: int
    name: bytes
    file_type: int

    @property
    def needed(self) -> int:
        """Bytes that the entry needs."""
        return slot_size(self.name) if self.inode else 0


def slot_size(name: bytes) -> int:
    """Bytes that an entry of this name takes."""
    return HEAD + (len(name) + 3 & ~3)


def usable(block_size: int, *, tail: bool) -> int:
    """Bytes of a block for entries."""
    return block_size - (DIR_TAIL_SIZE if tail else 0)


def slots_of(block: bytes | bytearray, end: int) -> list[DirSlot]:
    """The entries of a block up to byte ``end``. Raises FilesystemDamaged."""
    found: list[DirSlot] = []
    at = 0
    while at < end:
        length = int.from_bytes(block[at + 4 : at + 6], "little")
        if length in (0, _MAX_REC):
            length = len(block)
        name_length = block[at + 6]
        if length < HEAD + 4 or length % 4 or at + length > len(block) or name_length + HEAD > length:
            raise FilesystemDamaged("a directory block is damaged", hint="run e2fsck on it first")
        inode = int.from_bytes(block[at : at + 4], "little")
        found.append(DirSlot(at, length, inode, bytes(block[at + HEAD : at + HEAD + name_length]), block[at + 7]))
        at += length
    return found


def put_slot(block: bytearray, slot: DirSlot) -> None:
    """Write an entry; what was behind its name stays."""
    length = _MAX_REC if slot.length > _MAX_REC else slot.length
    head = slot.inode.to_bytes(4, "little") + length.to_bytes(2, "little") + bytes([len(slot.name), slot.file_type])
    block[slot.at : slot.at + HEAD + len(slot.name)] = head + slot.name


def add_name(block: bytearray, end: int, name: bytes, inode: int, file_type: int) -> bool:
    """Add an entry where there is room; False if there is none."""
    size = slot_size(name)
    for slot in slots_of(block, end):
        if slot.length - slot.needed >= size:
            if slot.inode:
                put_slot(block, DirSlot(slot.at, slot.needed, slot.inode, slot.name, slot.file_type))
            at = slot.at + slot.needed
            put_slot(block, DirSlot(at, slot.length - slot.needed, inode, name, file_type))
            return True
    return False


def drop_name(block: bytearray, end: int, name: bytes) -> bool:
    """Remove an entry, joining its room to the one before it; False if it is not there."""
    before: DirSlot | None = None
    for slot in slots_of(block, end):
        if slot.inode and slot.name == name:
            if before is None:
                block[slot.at : slot.at + 4] = bytes(4)
            else:
                put_slot(block, DirSlot(before.at, before.length + slot.length, *_content(before)))
            return True
        before = slot
    return False


def _content(slot: DirSlot) -> tuple[int, bytes, int]:
    return slot.inode, slot.name, slot.file_type


def filled(block_size: int, entries: list[tuple[bytes, int, int]], *, tail: bool) -> bytearray:
    """A new block with entries of name, inode and file type, which must fit; the last one takes the rest."""
    block, end, at = bytearray(block_size), usable(block_size, tail=tail), 0
    for index, (name, inode, file_type) in enumerate(entries):
        length = slot_size(name) if index < len(entries) - 1 else end - at
        put_slot(block, DirSlot(at, length, inode, name, file_type))
        at += length
    if not entries:
        put_slot(block, DirSlot(0, end, 0, b"", 0))
    if tail:
        block[end:] = bytes(4) + DIR_TAIL_SIZE.to_bytes(2, "little") + bytes([0, FT_DIR_CSUM]) + bytes(4)
    return block
