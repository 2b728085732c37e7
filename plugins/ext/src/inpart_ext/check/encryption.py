"""Encryption: the policy that each encrypted inode carries, and that a directory's entries have the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding
from numpy.typing import NDArray

from inpart_ext.check.report import for_inodes
from inpart_ext.inodes import Inodes
from inpart_ext.structs import ENCRYPT_FL, S_IFDIR, S_IFLNK, S_IFREG
from inpart_ext.xattr import Attribute, block_attributes, inode_attributes

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem

SHORTEST_NAME = 16
"""Bytes of an encrypted name, at least."""
NONE, UNKNOWN = -1, -2
_PREFIX, _NAME = 9, b"c"
"""e_name_index and name of the attribute that holds an fscrypt context."""
_NONCE = 16
_SIZES = {1: 28, 2: 40}
"""Bytes of an fscrypt context by its first byte, the version; it ends with the nonce."""

Numbers = NDArray[np.int64]


class Policies:
    """The policies of encrypted inodes as numbers, by inode."""

    def __init__(self, filesystem: ExtFilesystem) -> None:
        self.volume = filesystem.volume
        self.superblock = filesystem.superblock
        self._known: dict[bytes, int] = {}
        self._numbers: list[int] = []
        self._policies: list[int] = []

    def inodes(self, inodes: Inodes) -> Iterator[Finding]:
        """Note the policies of encrypted inodes of a window, which come in order of their numbers."""
        wanted = (inodes.flags & ENCRYPT_FL > 0) & np.isin(inodes.format, [S_IFREG, S_IFDIR, S_IFLNK])
        chosen = inodes.pick(wanted)
        contexts = [self._context(chosen, index) for index in range(len(chosen))]
        absent = np.array([context is None for context in contexts], dtype=bool)
        broken = np.array([context is not None and not _is_sound(context) for context in contexts], dtype=bool)
        yield from for_inodes("encryption", chosen.numbers, absent, "it is encrypted and has no encryption context")
        yield from for_inodes("encryption", chosen.numbers, broken, "it has a damaged encryption context")
        self._numbers += chosen.numbers.tolist()
        self._policies += [self._policy(context) for context in contexts]

    def of(self, numbers: Numbers) -> Numbers:
        """The policy of each inode, ``NONE`` for those without, ``UNKNOWN`` for damaged and for unknown ones."""
        known = np.array(self._numbers, dtype=np.int64)
        if not len(known):
            return np.full(len(numbers), NONE, dtype=np.int64)
        place = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return np.where(known[place] == numbers, np.array(self._policies, dtype=np.int64)[place], NONE)

    def _context(self, inodes: Inodes, index: int) -> bytes | None:
        raw = inodes.raw[index].tobytes()
        value = _value(raw, list(inode_attributes(raw)))
        block, superblock = int(inodes.file_acl[index]), self.superblock
        if value is None and superblock.first_data_block < block < superblock.blocks_count:
            content = self.volume.read(block * superblock.block_size, superblock.block_size)
            value = _value(content, list(block_attributes(content)))
        return value

    def _policy(self, context: bytes | None) -> int:
        if context is None:
            return NONE
        if not _is_sound(context) or context[0] not in _SIZES:
            return UNKNOWN
        return self._known.setdefault(context[:-_NONCE], len(self._known))


def _value(raw: bytes, entries: list[object]) -> bytes | None:
    for entry in entries:
        if isinstance(entry, Attribute) and (entry.prefix, entry.name, entry.value_inum) == (_PREFIX, _NAME, 0):
            return raw[entry.value_place : entry.value_place + entry.value_size]
    return None


def _is_sound(context: bytes) -> bool:
    """True for a context that has the size of its version, or a version that is not known."""
    if not context or not context[0]:
        return False
    return len(context) == _SIZES.get(context[0], len(context))
