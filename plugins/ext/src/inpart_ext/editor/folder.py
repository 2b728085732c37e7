"""Directories: names are found, added and removed in copies of their blocks; one switch of the inode shows them all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from inpart.errors import FilesystemDamaged, FilesystemUnsupported
from inpart.extents import Extents
from inpart.volume import Volume

from inpart_ext.editor.htree import Node, Root, read_node, read_root
from inpart_ext.editor.leaf import add_name, drop_name, filled, slot_size, slots_of, usable
from inpart_ext.editor.records import Inode
from inpart_ext.editor.trees import COUNT, LOGICAL, PHYSICAL, UNWRITTEN, Numbers
from inpart_ext.features import Incompat
from inpart_ext.hashing import UNSIGNED_HASH_FLAG, name_hash
from inpart_ext.structs import CASEFOLD_FL, DIR_TAIL_SIZE, INDEX_FL
from inpart_ext.sums import crc

MAX_BYTES = 1 << 30
_CLASSIC_VERSIONS = 3
_HINT = "run e2fsck on it first"


class Folder:
    """A directory whose content lies where ``rows`` say; changed blocks are kept in memory by number in the file."""

    def __init__(self, volume: Volume, inode: Inode, rows: Numbers) -> None:
        """Raises FilesystemDamaged for a directory with holes or an impossible size."""
        self.volume = volume
        self.inode = inode
        self.superblock = inode.superblock
        self.block_size = self.superblock.block_size
        self.rows = rows
        self.changed: dict[int, bytearray] = {}
        self.indices: set[int] = set()
        self.tail = self.superblock.metadata_csum
        self.end = usable(self.block_size, tail=self.tail)
        count = inode.size // self.block_size
        if inode.size % self.block_size or inode.size > MAX_BYTES or self._mapped() < count:
            raise FilesystemDamaged(f"directory {inode.number} has {inode.size} bytes and holes", hint=_HINT)
        self.count = count

    def _mapped(self) -> int:
        return int(self.rows[:, COUNT].sum()) if not self.rows[:, UNWRITTEN].any() else 0

    def block(self, logical: int) -> bytearray:
        """The content of one block."""
        if logical in self.changed:
            return self.changed[logical]
        index = int(np.searchsorted(self.rows[:, LOGICAL], logical, side="right")) - 1
        row = self.rows[max(index, 0)].tolist() if len(self.rows) else [0, 0, 0, 0]
        if not row[LOGICAL] <= logical < row[LOGICAL] + row[COUNT]:
            raise FilesystemDamaged(f"directory {self.inode.number} has no block {logical}", hint=_HINT)
        place = (row[PHYSICAL] + logical - row[LOGICAL]) * self.block_size
        return bytearray(self.volume.read(place, self.block_size))

    def find(self, name: bytes) -> int:
        """The inode of a name, 0 if it is not there."""
        for logical in range(self.count):
            block = self.block(logical)
            if name in block:
                for slot in slots_of(block, self._end(block)):
                    if slot.inode and slot.name == name:
                        return slot.inode
        return 0

    def names(self) -> dict[bytes, int]:
        """All names but ``.`` and ``..``, with their inodes."""
        found: dict[bytes, int] = {}
        for logical in range(self.count):
            block = self.block(logical)
            for slot in slots_of(block, self._end(block)):
                if slot.inode and slot.name not in (b".", b".."):
                    found[slot.name] = slot.inode
        return found

    def remove(self, name: bytes) -> None:
        """Remove a name that is there."""
        for logical in range(self.count):
            block = self.block(logical)
            if name in block and drop_name(block, self._end(block), name):
                self.changed[logical] = block
                return

    def insert(self, name: bytes, inode: int, file_type: int) -> None:
        """Add a name. Raises FilesystemUnsupported for an index that cannot take it."""
        kind = file_type if self.superblock.has(Incompat.FILETYPE) else 0
        if self.inode["i_flags"] & INDEX_FL:
            self._insert_by_hash(name, inode, kind)
            return
        for logical in range(self.count):
            block = self.block(logical)
            if add_name(block, self._end(block), name, inode, kind):
                self.changed[logical] = block
                return
        self._append([(name, inode, kind)])

    def start(self, parent: int, file_type: int) -> None:
        """Make a new directory's first block."""
        kind = file_type if self.superblock.has(Incompat.FILETYPE) else 0
        self._append([(b".", self.inode.number, kind), (b"..", parent, kind)])

    def _append(self, entries: list[tuple[bytes, int, int]]) -> int:
        logical = self.count
        self.changed[logical] = filled(self.block_size, entries, tail=self.tail)
        self.count += 1
        self.inode.size = self.count * self.block_size
        return logical

    def _end(self, block: bytearray) -> int:
        """Where the entries end: before the tail, if this is no block of an index, which has none."""
        if not self.tail:
            return len(block)
        tail = block[-DIR_TAIL_SIZE:]
        return self.end if tail[:4] == bytes(4) and tail[4:6] == DIR_TAIL_SIZE.to_bytes(2, "little") else len(block)

    def _insert_by_hash(self, name: bytes, inode: int, kind: int) -> None:
        root = read_root(self.block(0))
        value = self._hash(root, name)
        path = [root.node]
        logical = root.node.follow(value)
        for _ in range(root.levels):
            path.append(read_node(logical, self.block(logical)))
            logical = path[-1].follow(value)
        leaf = self.block(logical)
        if add_name(leaf, self.end, name, inode, kind):
            self.changed[logical] = leaf
            return
        self._split(root, path[-1], logical, leaf, (name, inode, kind))

    def _hash(self, root: Root, name: bytes) -> int:
        version = root.hash_version
        if version < _CLASSIC_VERSIONS and self.superblock["s_flags"] & UNSIGNED_HASH_FLAG:
            version += _CLASSIC_VERSIONS
        try:
            return name_hash(name, version, self.superblock.record["s_hash_seed"].tolist())
        except KeyError:
            raise FilesystemUnsupported(f"the root directory has names hashed in way {root.hash_version}") from None

    def _split(self, root: Root, node: Node, logical: int, leaf: bytearray, new: tuple[bytes, int, int]) -> None:
        """Move the upper half of a full leaf, by hash, to a new one, and add the name to the one it belongs to."""
        if self.inode["i_flags"] & CASEFOLD_FL:
            raise FilesystemUnsupported("a full block of a casefold root directory cannot be split")
        old = [(slot.name, slot.inode, slot.file_type) for slot in slots_of(leaf, self.end) if slot.inode]
        entries = sorted((self._hash(root, entry[0]), entry) for entry in [*old, new])
        sizes = np.cumsum([slot_size(entry[0]) for _, entry in entries])
        middle = int(np.clip(np.searchsorted(sizes, sizes[-1] // 2), 1, len(entries) - 1))
        border = entries[middle][0]
        collision = int(entries[middle - 1][0] == border)
        added = self._append([entry for _, entry in entries[middle:]])
        self.changed[logical] = filled(self.block_size, [entry for _, entry in entries[:middle]], tail=self.tail)
        node.insert(border | collision, added)
        self.changed[node.logical] = node.data
        self.indices.add(node.logical)

    def store(self, take: Callable[[], int], fresh: Extents) -> tuple[dict[int, bytes], Numbers]:
        """Blocks for all that has changed, with checksums, by their new place; and the places that they replace.

        Blocks in ``fresh``, which nothing on the disk leads to yet, keep their place.
        """
        seed, content = self.inode.seed, {}
        replaced: list[int] = []
        moved: dict[int, int] = {}
        for logical, block in sorted(self.changed.items()):
            if self.tail and self._is_index(logical):
                (read_root(block).node if logical == 0 else read_node(logical, block)).seal(seed)
            elif self.tail:
                block[-4:] = crc(seed, block[: self.end]).to_bytes(4, "little")
            place = self._place(logical)
            moved[logical] = place if fresh.contains(place) else take()
            content[moved[logical]] = bytes(block)
        keep: list[list[int]] = []
        for row in self.rows.tolist():
            first, last = row[LOGICAL], row[LOGICAL] + row[COUNT]
            cuts = [logical for logical in moved if first <= logical < last]
            at = first
            for cut in [*sorted(cuts), last]:
                if cut > at:
                    keep.append([at, row[PHYSICAL] + at - first, cut - at, 0])
                if cut < last and row[PHYSICAL] + cut - first != moved[cut]:
                    replaced.append(row[PHYSICAL] + cut - first)
                at = cut + 1
        keep += [[logical, place, 1, 0] for logical, place in moved.items()]
        self.rows = np.array(sorted(keep), dtype=np.int64).reshape(-1, 4)
        self.changed, self.indices = {}, set()
        return content, np.array([(block, 1) for block in replaced], dtype=np.int64).reshape(-1, 2)

    def _place(self, logical: int) -> int:
        """Where a block lies now; -1 if it is new."""
        for row in self.rows[self.rows[:, LOGICAL] <= logical].tolist():
            if logical < row[LOGICAL] + row[COUNT]:
                return int(row[PHYSICAL] + logical - row[LOGICAL])
        return -1

    def _is_index(self, logical: int) -> bool:
        return logical in self.indices or (logical == 0 and bool(self.inode["i_flags"] & INDEX_FL))
