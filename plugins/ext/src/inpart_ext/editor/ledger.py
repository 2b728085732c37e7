"""The books of a file system: which blocks and inodes are in use, as bitmaps, group descriptors and the superblock say.

All that is taken appears in stage ALLOCATE, all that is given back in stage RELEASE. Where a bitmap is not initialised
it is filled first, and the group descriptor says so in stage LINK.

A bitmap, its checksum and its group's counts lie in several sectors. A cut between them leaves a group that the kernel
locks until e2fsck has run; so from MARK to PUBLISH the superblock says that the file system has to be checked.
"""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

import numpy as np
from inpart.contracts import Edits, Stage
from inpart.errors import FilesystemDamaged, NoSpace
from inpart.extents import Extents
from numpy.typing import NDArray

from inpart_ext.bitmaps import Bitmaps
from inpart_ext.editor.blocks import Numbers
from inpart_ext.editor.counts import to_be_checked, with_counts
from inpart_ext.features import Incompat
from inpart_ext.groups import Groups
from inpart_ext.structs import (
    BG_BLOCK_UNINIT,
    BG_INODE_UNINIT,
    GROUP_DESC,
    MIN_DESC_SIZE,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
    field_offset,
)
from inpart_ext.sums import ALL_ONES, crc, crc16_rows

_HINT = "run e2fsck on it first"
_SECTOR_BITS = 4096
Row = NDArray[np.uint8]


class Desk:
    """What one transaction has done so far, whichever editors served it.

    ``latest`` has the latest stage in which a structure, known by its place, was edited; ``freed`` are the blocks
    given back, which may not be filled again before the commit; ``spent`` are inodes given back. ``marked`` says that
    the superblock has its mark.
    """

    def __init__(self) -> None:
        self.latest: dict[int, Stage] = {}
        self.freed = Extents()
        self.spent: set[int] = set()
        self.marked = False


_DESKS: WeakKeyDictionary[Edits, Desk] = WeakKeyDictionary()


def desk_of(tx: Edits) -> Desk:
    """The one desk of a transaction."""
    return _DESKS.setdefault(tx, Desk())


class Ledger:
    """Blocks and inodes taken and given back by one call of an editor. Numbers are blocks and inodes."""

    def __init__(self, tx: Edits, groups: Groups) -> None:
        """``groups`` are read from the view of ``tx``; they are changed along."""
        self.tx = tx
        self.desk = desk_of(tx)
        self.groups = groups
        self.superblock = groups.superblock
        self.bitmaps = Bitmaps(tx.view, groups)
        self._taken: list[Numbers] = []
        self._given: list[Numbers] = []
        self._sectors: set[int] = set()
        self._taken_inodes: dict[int, bool] = {}
        self._given_inodes: dict[int, bool] = {}
        self._inode_bits: dict[int, Row] = {}

    def edit(self, offset: int, data: bytes, stage: Stage) -> None:
        """Change one structure as a whole; never in an earlier stage than it was changed before."""
        stage = max(stage, self.desk.latest.get(offset, stage))
        self.desk.latest[offset] = stage
        self.tx.edit(offset, data, stage)

    def take(self, rows: Numbers) -> None:
        """Mark blocks as used, rows of first block and count."""
        self._taken.append(rows)

    def give(self, rows: Numbers) -> None:
        """Mark blocks as free, last of all."""
        self._given.append(rows)
        self._sectors.update((rows[:, 0] // _SECTOR_BITS).tolist())

    @property
    def pending(self) -> int:
        """About how many sectors ``settle`` will still edit: of bitmaps, and of descriptors."""
        return 2 * len(self._sectors)

    def new_inode(self, *, directory: bool) -> int:
        """The first free inode, taken from a group whose table is in use already if there is one. Raises NoSpace."""
        free = self.groups.free_inodes
        for group in np.lexsort((np.arange(len(free)), self.groups.inode_uninit, free == 0)).tolist():
            number = self._free_inode(group) if free[group] else 0
            if number:
                self._taken_inodes[number] = directory
                return number
        raise NoSpace("no inode is free for the files of the image", hint="delete some files")

    def _free_inode(self, group: int) -> int:
        superblock = self.superblock
        count = superblock.inodes_per_group
        if group not in self._inode_bits:
            row = self.bitmaps.inode_rows(np.array([group]))[0]
            self._inode_bits[group] = np.unpackbits(row[: count // 8], bitorder="little")
        bits = self._inode_bits[group]
        first = group * count + 1
        for index in np.flatnonzero(bits == 0).tolist():
            if first + index >= superblock.first_inode and first + index not in self.desk.spent:
                bits[index] = 1
                return int(first + index)
        return 0

    def give_inode(self, number: int, *, directory: bool) -> None:
        """Mark an inode as free, last of all."""
        self._given_inodes[number] = directory
        self.desk.spent.add(number)

    def settle_taken(self) -> None:
        """Enter what was taken so far into bitmaps and descriptors."""
        taken, self._taken = _joined(self._taken), []
        inodes, self._taken_inodes = self._taken_inodes, {}
        self._enter(taken, inodes, 1, Stage.ALLOCATE)

    def settle(self) -> None:
        """Enter everything, and the new counts into the superblock."""
        self.settle_taken()
        given, self._given, self._sectors = _joined(self._given), [], set()
        inodes, self._given_inodes = self._given_inodes, {}
        self._enter(given, inodes, 0, Stage.RELEASE)
        self.desk.freed |= given
        self._count()

    def _enter(self, blocks: Extents, inodes: dict[int, bool], value: int, stage: Stage) -> None:
        superblock = self.superblock
        by_group: dict[int, list[int]] = {}
        for number in inodes:
            by_group.setdefault((number - 1) // superblock.inodes_per_group, []).append(number)
        for group in sorted({*self._touched(blocks), *by_group}):
            numbers = by_group.get(group, [])
            desc = _Descriptor(self.groups, group)
            fresh = desc.flag(BG_BLOCK_UNINIT) or (bool(numbers) and desc.flag(BG_INODE_UNINIT))
            self._enter_blocks(desc, blocks, value, stage, also=bool(numbers))
            if numbers:
                self._enter_inodes(desc, {number: inodes[number] for number in numbers}, value, stage)
            self.edit(int(self.groups.offsets[group]), desc.sealed(), max(stage, Stage.LINK) if fresh else stage)

    def _touched(self, blocks: Extents) -> Iterable[int]:
        if not blocks:
            return ()
        per_group = self.superblock.blocks_per_group
        pieces = blocks.shift(-self.superblock.first_data_block).split(per_group)
        return [int(group) for group in np.unique(pieces[:, 0] // per_group)]

    def _enter_blocks(self, desc: _Descriptor, blocks: Extents, value: int, stage: Stage, *, also: bool) -> None:
        superblock, group = self.superblock, desc.group
        first, count = superblock.group_first_block(group), superblock.group_blocks(group)
        part = blocks.clip(first, first + count)
        uninit = desc.flag(BG_BLOCK_UNINIT)
        if not part and not (also and uninit):
            return
        number = np.array([group], dtype=np.int64)
        row = self.bitmaps.block_rows(number)
        bits = np.unpackbits(row[0], bitorder="little")
        if uninit:
            computed = self.bitmaps.computed(number)
            bits[:count] = Extents(computed).to_mask(1, count, first)
            bits[count:] = 1
            desc.clear(BG_BLOCK_UNINIT)
        mask = part.to_mask(1, count, first)
        wrong = np.flatnonzero(mask & (bits[:count] == value))
        if len(wrong):
            what = "is to be used, but it is in use" if value else "is to be freed, but it is free"
            raise FilesystemDamaged(f"block {first + int(wrong[0])} {what}", hint=_HINT)
        bits[:count][mask] = value
        packed = np.packbits(bits, bitorder="little")
        desc.add("bg_free_blocks_count", -part.total if value else part.total)
        desc.put_sum("bg_block_bitmap_csum", int(self.bitmaps.block_checksums(packed[np.newaxis])[0]))
        self.edit(int(self.groups.block_bitmap[group]) * superblock.block_size, packed.tobytes(), stage)

    def _enter_inodes(self, desc: _Descriptor, inodes: dict[int, bool], value: int, stage: Stage) -> None:
        superblock, group = self.superblock, desc.group
        count = superblock.inodes_per_group
        bits = np.unpackbits(self.bitmaps.inode_rows(np.array([group], dtype=np.int64))[0], bitorder="little")
        index = np.array(list(inodes), dtype=np.int64) - 1 - group * count
        if (bits[index] == value).any():
            raise FilesystemDamaged(f"the inode bitmap of group {group} does not fit its inodes", hint=_HINT)
        bits[index] = value
        if desc.flag(BG_INODE_UNINIT):
            bits[count:] = 1
            desc.clear(BG_INODE_UNINIT)
            desc["bg_itable_unused"] = count
        sign = -1 if value else 1
        desc.add("bg_free_inodes_count", sign * len(index))
        desc.add("bg_used_dirs_count", -sign * sum(inodes.values()))
        if superblock.group_csum and value:
            desc["bg_itable_unused"] = min(desc["bg_itable_unused"], count - 1 - int(index.max()))
        packed = np.packbits(bits, bitorder="little")
        desc.put_sum("bg_inode_bitmap_csum", int(self.bitmaps.inode_checksums(packed[np.newaxis])[0]))
        self.edit(int(self.groups.inode_bitmap[group]) * superblock.block_size, packed.tobytes(), stage)

    def _count(self) -> None:
        """The superblock's counts are the sums of those of the groups; until then it is marked."""
        view = self.tx.view
        raw = view.read(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE)
        if not self.desk.marked:
            self.edit(SUPERBLOCK_OFFSET, to_be_checked(raw, self.superblock, view.sector_size), Stage.MARK)
            self.desk.marked = True
        self.edit(SUPERBLOCK_OFFSET, with_counts(raw, self.groups, view.sector_size), Stage.PUBLISH)


class _Descriptor:
    """One group descriptor, changed in ``groups`` itself."""

    def __init__(self, groups: Groups, group: int) -> None:
        self.groups = groups
        self.group = group
        self.wide = groups.superblock.has(Incompat.BIT64)

    def __getitem__(self, name: str) -> int:
        record = self.groups.table[self.group]
        return int(record[f"{name}_lo"]) | (int(record[f"{name}_hi"]) << 16 if self.wide else 0)

    def __setitem__(self, name: str, value: int) -> None:
        self.groups.table[f"{name}_lo"][self.group] = value & 0xFFFF
        if self.wide:
            self.groups.table[f"{name}_hi"][self.group] = value >> 16 & 0xFFFF

    def add(self, name: str, change: int) -> None:
        """Raises FilesystemDamaged for a count that would be negative."""
        if self[name] + change < 0:
            raise FilesystemDamaged(f"{name} of group {self.group} is too small", hint=_HINT)
        self[name] += change

    def put_sum(self, name: str, value: int) -> None:
        """A checksum that only metadata_csum has."""
        if self.groups.superblock.metadata_csum:
            self[name] = value

    def flag(self, bit: int) -> bool:
        """True if a flag is set that counts."""
        return self.groups.superblock.group_csum and bool(int(self.groups.table["bg_flags"][self.group]) & bit)

    def clear(self, bit: int) -> None:
        """Clear a flag, also in what was derived from it."""
        self.groups.table["bg_flags"][self.group] &= ~bit & 0xFFFF
        for name in ("block_uninit", "inode_uninit"):
            self.groups.__dict__.pop(name, None)

    def sealed(self) -> bytes:
        """The bytes with the right checksum."""
        superblock = self.groups.superblock
        raw = bytearray(self.groups.raw[self.group].tobytes())
        known = min(len(raw), GROUP_DESC.itemsize) if self.wide else MIN_DESC_SIZE
        raw[:known] = self.groups.table[self.group].tobytes()[:known]
        at = field_offset(GROUP_DESC, "bg_checksum")
        number = self.group.to_bytes(4, "little")
        if superblock.metadata_csum:
            raw[at : at + 2] = bytes(2)
            raw[at : at + 2] = (crc(superblock.csum_seed, number + raw) & 0xFFFF).to_bytes(2, "little")
        elif superblock.group_csum:
            body = superblock.uuid_bytes + number + raw[:at] + (raw[MIN_DESC_SIZE:] if self.wide else b"")
            value = crc16_rows(ALL_ONES & 0xFFFF, np.frombuffer(body, dtype=np.uint8)[np.newaxis])[0]
            raw[at : at + 2] = int(value).to_bytes(2, "little")
        self.groups.raw[self.group] = np.frombuffer(bytes(raw), dtype=np.uint8)
        self.groups.table["bg_checksum"][self.group] = int.from_bytes(raw[at : at + 2], "little")
        return bytes(raw)


def _joined(rows: list[Numbers]) -> Extents:
    """All rows as one set. Raises FilesystemDamaged if a block is in it twice."""
    if not rows:
        return Extents()
    every = np.concatenate(rows)
    found = Extents.from_rows(every)
    if found.total != int(every[:, 1].sum()):
        raise FilesystemDamaged("a block is used twice", hint=_HINT)
    return found
