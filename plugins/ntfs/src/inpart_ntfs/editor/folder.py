"""A directory while it is edited: its index as a tree, whose changed nodes go to blocks that nobody reads yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from weakref import proxy

import numpy as np
from inpart.contracts import Stage
from inpart.errors import FilesystemDamaged, FilesystemUnsupported
from inpart.volume import RunsVolume
from numpy.typing import NDArray

from inpart_ntfs.codes import AttributeFlag, AttributeType, Number, RecordFlag
from inpart_ntfs.directory import I30, valid_block_size
from inpart_ntfs.editor.clusters import Numbers
from inpart_ntfs.editor.drafts import Draft, DraftAttribute
from inpart_ntfs.editor.ground import Ground
from inpart_ntfs.editor.nodes import Node, block_capacity, pack_block, pack_root, parse_block, parse_root
from inpart_ntfs.editor.streams import NO_ROWS, extend, fill_up, length, lengthen_bitmap, put, rows_of_stream
from inpart_ntfs.editor.tree import ROOT, Tree
from inpart_ntfs.fixups import apply_fixups
from inpart_ntfs.names import Upcase
from inpart_ntfs.runs import byte_runs
from inpart_ntfs.structs import BLOCK

_HINT = "run chkdsk on it first"
_BARE_ROOT = Node(children=[0]).size
_COLLATION_FILE_NAME = 1
_BITMAP_UNIT = 8

Bits = NDArray[np.uint8]
Take = Callable[[int], Numbers]


class Folder:
    """The names in a directory, to be changed through ``tree``. ``draft`` is its file, changed by ``store``."""

    def __init__(self, ground: Ground, draft: Draft) -> None:
        """Raises FilesystemDamaged, FilesystemUnsupported for an index that cannot be edited."""
        self.ground = ground
        self.draft = draft
        self.title = "the root directory" if draft.number == Number.ROOT else f"directory {draft.number}"
        self.root = self._root()
        self.allocation = draft.find(AttributeType.INDEX_ALLOCATION, I30)
        self.bitmap = draft.find(AttributeType.BITMAP, I30)
        self.block_size = int.from_bytes(self._value[8:12], "little")
        self._check()
        cluster = ground.cluster_size
        self.step = max(1, self.block_size // cluster if self.block_size >= cluster else self.block_size // BLOCK)
        node = parse_root(self._value, self.title)
        self.tree = Tree(
            node,
            partial(Folder._load, proxy(self)),
            _order(ground.fs.upcase),
            root_limit=max(node.size, _BARE_ROOT),
            limit=block_capacity(self.block_size),
            what=self.title,
        )

    @property
    def is_empty(self) -> bool:
        """True if there is no name in it."""
        return next(self.tree.entries(), None) is None

    @property
    def clusters(self) -> Numbers:
        """First cluster and count of all that its index and the bitmap of that own."""
        streams = [one for one in (self.allocation, self.bitmap) if one is not None]
        return np.concatenate([np.empty((0, 2), dtype=np.int64), *(rows_of_stream(one)[:, 1:] for one in streams)])

    @property
    def _value(self) -> bytes:
        return self.root.value

    def store(self, take: Take) -> None:
        """Write changed nodes to free blocks in stage ALLOCATE, let ``draft`` lead to them; ``take`` gives clusters."""
        changed = self.tree.changed - {ROOT}
        if changed:
            allocation, bitmap = self._blocks()
            bits = self._free_bits(allocation, bitmap, len(changed), take)
            spent = self.ground.desk.blocks.setdefault(self.draft.number, set())
            free = [slot for slot in np.flatnonzero(bits == 0).tolist() if slot not in spent]
            slots = dict(zip(sorted(changed, reverse=True), free, strict=False))
            self._write(allocation, {number: slot * self.step for number, slot in slots.items()})
            gone = {number // self.step for number in changed | self.tree.dropped if number >= 0}
            spent |= gone
            self._mark(bitmap, bits, sorted(slots.values()), sorted(gone))
        self.root.value = pack_root(self.tree.node(ROOT), self._value)

    def _write(self, allocation: DraftAttribute, places: dict[int, int]) -> None:
        """Give nodes their VCNs and write them."""
        for number in [ROOT, *places]:
            node = self.tree.node(number)
            node.children = [places.get(child, child) for child in node.children]
        for number, vcn in places.items():
            raw = pack_block(self.tree.node(number), vcn, self.block_size)
            put(self.ground, allocation, vcn // self.step * self.block_size, raw, Stage.ALLOCATE)

    def _blocks(self) -> tuple[DraftAttribute, DraftAttribute]:
        """The blocks of the index and their bitmap; an index that had only its root gets them."""
        if self.allocation is None or self.bitmap is None:
            self.allocation = DraftAttribute(AttributeType.INDEX_ALLOCATION, I30, rows=NO_ROWS)
            self.bitmap = DraftAttribute(AttributeType.BITMAP, I30, value=bytes(_BITMAP_UNIT), data_size=_BITMAP_UNIT)
            self.draft.attributes += [self.allocation, self.bitmap]
        for stream in (self.allocation, self.bitmap):
            fill_up(self.ground, stream)
        return self.allocation, self.bitmap

    def _free_bits(self, allocation: DraftAttribute, bitmap: DraftAttribute, wanted: int, take: Take) -> Bits:
        """Which blocks are in use; the index is made longer until so many are free."""
        blocks = allocation.data_size // self.block_size
        bits = self._read_bits(bitmap, blocks)
        lost = self.ground.desk.blocks.get(self.draft.number, set())
        missing = wanted - int((bits == 0).sum()) + sum(slot < blocks and not bits[slot] for slot in lost)
        if missing <= 0:
            return bits
        blocks += missing
        clusters = -(-blocks * self.block_size // self.ground.cluster_size) - length(allocation)
        if clusters > 0:
            rows = take(clusters)
            extend(self.ground, allocation, rows)
            self.ground.blank(rows)
        allocation.data_size = allocation.initialized_size = blocks * self.block_size
        lengthen_bitmap(self.ground, bitmap, -(-blocks // 64) * _BITMAP_UNIT, take)
        return self._read_bits(bitmap, blocks)

    def _read_bits(self, bitmap: DraftAttribute, blocks: int) -> Bits:
        size = -(-blocks // 8)
        if bitmap.data_size < size:
            raise FilesystemDamaged(f"the bitmap of the index of {self.title} is too short", hint=_HINT)
        raw = bitmap.value if bitmap.rows is None else self._stream(bitmap).read(0, size)
        return np.unpackbits(np.frombuffer(raw[:size], dtype=np.uint8), bitorder="little")[:blocks]

    def _mark(self, bitmap: DraftAttribute, bits: Bits, new: list[int], gone: list[int]) -> None:
        """Enter blocks into the bitmap: in the record, which changes as a whole, or outside it before and after."""
        bits[new] = 1
        left = bits.copy()
        left[gone] = 0
        if bitmap.rows is None:
            packed = np.packbits(left, bitorder="little").tobytes()
            bitmap.value = packed + bitmap.value[len(packed) :]
            return
        runs = byte_runs(rows_of_stream(bitmap), self.ground.cluster_size)
        self.ground.set_bits(runs, 0, np.packbits(bits, bitorder="little").tobytes(), Stage.LINK)
        self.ground.edit_runs(runs, 0, np.packbits(left, bitorder="little").tobytes(), Stage.RELEASE)

    def _root(self) -> DraftAttribute:
        root = self.draft.find(AttributeType.INDEX_ROOT, I30)
        if not self.draft.get("flags") & RecordFlag.IS_DIRECTORY or root is None or root.rows is not None:
            raise FilesystemDamaged(f"{self.title} has no index of names", hint=_HINT)
        return root

    def _check(self) -> None:
        kind, rule = (int.from_bytes(self._value[at : at + 4], "little") for at in (0, 4))
        if kind != AttributeType.FILE_NAME or rule != _COLLATION_FILE_NAME or not valid_block_size(self.block_size):
            raise FilesystemDamaged(f"{self.title} has an impossible index", hint=_HINT)
        if (self.allocation is None) != (self.bitmap is None):
            raise FilesystemDamaged(f"{self.title} has an index without a bitmap, or one without an index", hint=_HINT)
        if self.ground.fs.upcase.standing_in:
            raise FilesystemDamaged("$UpCase is damaged, names cannot be put in order", hint=_HINT)
        special = AttributeFlag.SPARSE | AttributeFlag.COMPRESSION_MASK | AttributeFlag.ENCRYPTED
        for stream in (self.allocation, self.bitmap):
            if stream is None:
                continue
            if stream.flags & special and stream.rows is not None:
                raise FilesystemUnsupported(f"the index of {self.title} is compressed, sparse or encrypted")
            if (rows_of_stream(stream)[:, 1] < 0).any():
                raise FilesystemDamaged(f"the index of {self.title} has holes", hint=_HINT)

    def _load(self, vcn: int) -> Node:
        slot = vcn // self.step
        blocks = self.allocation.data_size // self.block_size if self.allocation is not None else 0
        if self.allocation is None or vcn % self.step or not 0 <= slot < blocks:
            raise FilesystemDamaged(f"{self.title} leads to a block at VCN {vcn}, which it does not have", hint=_HINT)
        raw = self._stream(self.allocation).read(slot * self.block_size, self.block_size)
        block = np.frombuffer(bytearray(raw), dtype=np.uint8).reshape(1, -1)
        if not apply_fixups(block).all():
            raise FilesystemDamaged(f"{self.title}: the block at VCN {vcn} is torn", hint=_HINT)
        return parse_block(block.tobytes(), vcn, self.title)

    def _stream(self, attribute: DraftAttribute) -> RunsVolume:
        runs = byte_runs(rows_of_stream(attribute), self.ground.cluster_size)
        return RunsVolume(self.ground.tx.view, runs, name=self.title)


def _order(upcase: Upcase) -> Callable[[bytes], tuple[bytes, bytes]]:
    """What COLLATION_FILE_NAME sorts names by: their units in upper case, then as they are."""

    @lru_cache(maxsize=4096)
    def key(name: bytes) -> tuple[bytes, bytes]:
        units = np.frombuffer(name, dtype="<u2")
        return upcase.table[units].astype(">u2").tobytes(), units.astype(">u2").tobytes()

    return key
