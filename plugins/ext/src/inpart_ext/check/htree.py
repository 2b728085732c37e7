"""Pass 2, indexes: the root and nodes of htree directories against the leaves that there are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_ext.bitmaps import read_blocks
from inpart_ext.check.report import error
from inpart_ext.entries import Slots, parse_blocks
from inpart_ext.features import Incompat
from inpart_ext.hashing import LEGACY_UNSIGNED, TEA, UNSIGNED_HASH_FLAG, name_hashes
from inpart_ext.structs import CASEFOLD_FL, DX_NODE_ENTRIES, DX_ROOT_ENTRIES, DX_ROOT_INFO, INDEX_FL
from inpart_ext.superblock import Superblock

if TYPE_CHECKING:
    from inpart_ext.check.census import Census
    from inpart_ext.check.directories import DirBlocks
    from inpart_ext.filesystem import ExtFilesystem

SIPHASH = 6
MAX_HASH = 0xFFFFFFFE
WINDOW = 1 << 20
INFO_OFFSET = 24

Numbers = NDArray[np.int64]


def check_indexes(filesystem: ExtFilesystem, census: Census, blocks: DirBlocks) -> Iterator[Finding]:
    """Each directory with an index: shape of the tree, order of hashes, every leaf named once."""
    indexed = census.flags[census.index(blocks.folder)] & INDEX_FL > 0
    chosen = blocks.pick(indexed)
    starts = np.flatnonzero(np.diff(chosen.folder, prepend=-1)).tolist()
    for first, last in pairwise([*starts, len(chosen)]):
        part = chosen.pick(slice(first, last))
        folds = bool(census.flags[census.index(part.folder[:1])][0] & CASEFOLD_FL)
        problem = _Index(filesystem.volume, filesystem.superblock, part.logical, part.block, folds).problem()
        if problem:
            yield error("htree", f"inode {int(part.folder[0])}", f"the index of the directory: {problem}")


class _Index:
    """The htree of one directory, whose blocks are ``logical`` and ``block``."""

    def __init__(
        self, volume: Volume, superblock: Superblock, logical: Numbers, block: Numbers, casefolded: bool
    ) -> None:
        """With ``casefolded`` hashes are made of folded names."""
        self.volume = volume
        self.superblock = superblock
        self.logical = logical
        self.block = block
        self.casefolded = casefolded

    def problem(self) -> str:
        """The first thing that is wrong, or nothing."""
        if not len(self.logical) or self.logical[0] != 0:
            return "its root is lost"
        root = self._read(np.zeros(1, dtype=np.int64))
        info = np.ascontiguousarray(root[:, INFO_OFFSET : INFO_OFFSET + 8]).view(DX_ROOT_INFO).reshape(-1)[0]
        levels = int(info["indirect_levels"])
        allowed = 2 if self.superblock.has(Incompat.LARGE_DIR) else 1
        if info["reserved_zero"] or info["info_length"] != DX_ROOT_INFO.itemsize:
            return "its root is damaged"
        if info["hash_version"] > SIPHASH or info["unused_flags"] & 1 or levels > allowed:
            return f"hash version {int(info['hash_version'])} with {levels + 1} levels is not possible"
        return self._descend(root, levels, int(info["hash_version"]))

    def _descend(self, root: NDArray[np.uint8], levels: int, version: int) -> str:
        nodes, hashes = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
        seen = [nodes]
        rows, start = root, DX_ROOT_ENTRIES
        for level in range(levels + 1):
            problem, hashes, children = self._entries(rows, start, hashes)
            if problem:
                return problem
            seen.append(children)
            if level < levels:
                rows, start = self._read(children), DX_NODE_ENTRIES
        named = np.concatenate(seen)
        if len(np.unique(named)) < len(named):
            return "two entries lead to one block"
        lost = len(self.logical) - len(named)
        return f"{lost} blocks are not in it" if lost else self._leaves(hashes, children, version)

    def _leaves(self, hashes: Numbers, children: Numbers, version: int) -> str:
        """Names in leaves whose hash lies outside the range of the leaf."""
        if version <= TEA and self.superblock["s_flags"] & UNSIGNED_HASH_FLAG:
            version += LEGACY_UNSIGNED
        seed = [int(word) for word in self.superblock.record["s_hash_seed"]]
        low = hashes & ~1
        high = np.append(low[1:], MAX_HASH)
        step = max(1, WINDOW // self.superblock.block_size)
        for start in range(0, len(children), step):
            slots = parse_blocks(self._read(children[start : start + step]))
            used, found = self._hashes(slots.pick(slots.inode > 0), version, seed)
            leaf = used.row + start
            wrong = np.flatnonzero((found < low[leaf]) | (found > high[leaf]))
            if len(wrong):
                return f"block {int(children[leaf[wrong[0]]])} holds names that belong elsewhere"
        return ""

    def _hashes(self, used: Slots, version: int, seed: list[int]) -> tuple[Slots, Numbers]:
        """The hashes of entries, or of those whose hash can be said.

        How other characters than those of ASCII are folded is a matter of the tables of Unicode 12.1.
        """
        if version == SIPHASH:
            return used, _stored_hashes(used)
        if not self.casefolded:
            return used, name_hashes(used.names(), version, seed)
        plain = used.pick(np.array([name.isascii() for name in used.names()], dtype=bool))
        return plain, name_hashes([name.lower() for name in plain.names()], version, seed)

    def _entries(self, rows: NDArray[np.uint8], start: int, hashes: Numbers) -> tuple[str, Numbers, Numbers]:
        """Smallest hash and block of all children of the nodes ``rows``, whose own smallest hashes are given."""
        none = np.empty(0, dtype=np.int64)
        room = rows.shape[1] - start - (8 if self.superblock.metadata_csum else 0)
        words = np.ascontiguousarray(rows[:, start : start + rows[:, start:].shape[1] // 8 * 8]).view("<u4")
        words = words.reshape(len(rows), -1, 2).astype(np.int64)
        limit, count = words[:, 0, 0] & 0xFFFF, words[:, 0, 0] >> 16
        if (limit != room // 8).any() or (count > limit).any() or (count < 1).any():
            return "the counts of a node are wrong", none, none
        used = np.arange(words.shape[1]) < count[:, np.newaxis]
        values, children = words[:, :, 0].copy(), words[:, :, 1] & 0x0FFFFFFF
        values[:, 0] = hashes
        order = np.diff(values, axis=1) < 0
        if (order & used[:, 1:]).any():
            return "hashes are out of order", none, none
        found = children[used]
        if not np.isin(found, self.logical[1:]).all():
            return "an entry leads to a block that is not in the directory", none, none
        return "", values[used], found

    def _read(self, logical: Numbers) -> NDArray[np.uint8]:
        return read_blocks(self.volume, self.superblock.block_size, self.block[np.searchsorted(self.logical, logical)])


def _stored_hashes(slots: Slots) -> Numbers:
    """The hashes that stand behind encrypted names, as nobody can compute them without the key."""
    places = (slots.offset + 8 + slots.name_len + 3) // 4
    words = np.pad(slots.data.view("<u4"), ((0, 0), (0, 1)))
    return np.asarray(words[slots.row, np.minimum(places, words.shape[1] - 1)], dtype=np.int64) & ~1
