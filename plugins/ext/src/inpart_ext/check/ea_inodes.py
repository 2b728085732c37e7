"""Pass 1 and 4: inodes that hold the values of large attributes, and who refers to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding
from numpy.typing import NDArray

from inpart_ext.check.attribute_lists import is_hash
from inpart_ext.check.report import error, note
from inpart_ext.inodes import Inodes
from inpart_ext.structs import EA_INODE_FL
from inpart_ext.xattr import Attribute

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem


class ValueInodes:
    """Judges references to inodes of values; ``references`` counts them by inode.

    Such an inode has the checksum of its value in i_atime, and in i_ctime and i_version how many refer to it. Those
    of Lustre have the number and generation of their only owner in i_mtime and i_generation instead.
    """

    def __init__(self, filesystem: ExtFilesystem) -> None:
        self.table = filesystem.inodes
        self.superblock = filesystem.superblock
        self.references: Counter[int] = Counter()

    def judge(self, entry: Attribute, where: str, owner: int) -> Iterator[Finding]:
        """One attribute with a value inode, in the inode of number ``owner`` or in its block of attributes."""
        number = entry.value_inum
        if not self.superblock.first_inode <= number <= self.superblock.inodes_count:
            yield error("attribute-value", where, f"an attribute has its value in inode {number}, which cannot be")
            return
        self.references[number] += 1
        inode = self.table.one(number)
        if not entry.value_size:
            yield note("attribute-value", where, f"an attribute has an empty value in inode {number}")
        elif int(inode.size[0]) != entry.value_size:
            yield error("attribute-value", where, f"an attribute has not the size of its value in inode {number}")
        elif not int(inode.flags[0]) & EA_INODE_FL:
            yield error("attribute-value", where, f"an attribute has its value in inode {number}, a common file")
        elif not is_hash(entry, int(inode["i_atime"][0]).to_bytes(4, "little")) and not self._is_lustre(inode, owner):
            yield error("attribute", where, "an attribute has a wrong hash")

    def counts(self) -> Iterator[Finding]:
        """What the inodes say of how many refer to them, when all references are known."""
        numbers = np.array(sorted(self.references), dtype=np.int64)
        inodes = self.table.read(numbers)
        stored = (inodes["i_ctime"] << 32 | inodes["i_version"]).tolist()
        lustre = (inodes["i_ctime"] == inodes["i_atime"]).tolist()
        for number, count, old in zip(numbers.tolist(), stored, lustre, strict=True):
            found = self.references[number]
            if count != found and not old:
                yield error("attribute-count", f"inode {number}", f"a value counts {count} users and has {found}")

    @property
    def targets(self) -> NDArray[np.int64]:
        """Inodes that at least one attribute refers to."""
        return np.array(sorted(self.references), dtype=np.int64)

    def _is_lustre(self, inode: Inodes, owner: int) -> bool:
        generation = int(self.table.one(owner)["i_generation"][0])
        return (int(inode["i_mtime"][0]), int(inode["i_generation"][0])) == (owner, generation)
