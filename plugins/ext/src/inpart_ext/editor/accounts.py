"""Quotas kept right: what users, groups and projects gain and lose by the inodes that are written."""

from __future__ import annotations

from collections import Counter

import numpy as np
from inpart.contracts import Edits, Stage
from inpart.errors import FilesystemDamaged, FilesystemUnsupported

from inpart_ext.inodes import Inodes, InodeTable
from inpart_ext.quota import ENTRY, quota_inodes, read_usage
from inpart_ext.structs import field_offset
from inpart_ext.usage import KINDS, counts, owners

_SPACE, _INODES = field_offset(ENTRY, "dqb_curspace"), field_offset(ENTRY, "dqb_curinodes")
_WIDTH = 8
_SECTOR = 512
_HINT = "run e2fsck on it first"


class Accounts:
    """The quota files of a file system; without quotas it does nothing."""

    def __init__(self, tx: Edits, table: InodeTable) -> None:
        self.tx = tx
        self.table = table
        self.files = quota_inodes(table.superblock)
        self._space: Counter[tuple[str, int]] = Counter()
        self._inodes: Counter[tuple[str, int]] = Counter()

    def note(self, number: int, offset: int, after: bytes) -> None:
        """An inode is about to get these bytes; what it has now stands in the view."""
        if self.files:
            self._add(number, offset, self.tx.view.read(offset, len(after)), -1)
            self._add(number, offset, after, 1)

    def _add(self, number: int, offset: int, raw: bytes, sign: int) -> None:
        row = np.frombuffer(raw, dtype=np.uint8)[np.newaxis]
        inode = Inodes(self.table.superblock, np.array([number]), np.array([offset]), row)
        if not int(inode.links[0]) or not counts(inode)[0]:
            return
        for kind, ids in zip(KINDS, owners(inode), strict=True):
            key = kind, int(ids[0])
            self._space[key] += sign * int(inode.blocks[0]) * _SECTOR
            self._inodes[key] += sign

    def settle(self) -> None:
        """Enter all changes into the quota files, each count in one sector, when everything else has been switched.

        Raises FilesystemUnsupported if a quota file has no entry for an owner, FilesystemDamaged.
        """
        for kind, number in self.files.items():
            changes = [key for key in {*self._space, *self._inodes} if key[0] == kind]
            changes = [key for key in changes if self._space[key] or self._inodes[key]]
            if not changes:
                continue
            usage = read_usage(self.tx.view, self.table, kind, number)
            places = dict(zip(usage.ids.tolist(), usage.place.tolist(), strict=True))
            for key in sorted(changes):
                if key[1] not in places:
                    raise FilesystemUnsupported(
                        f"the quota file of {kind}s has no entry for {kind} {key[1]}", hint="mount the file system once"
                    )
                self._enter(places[key[1]] + _SPACE, self._space[key])
                self._enter(places[key[1]] + _INODES, self._inodes[key])
        self._space.clear()
        self._inodes.clear()

    def _enter(self, place: int, change: int) -> None:
        value = int.from_bytes(self.tx.view.read(place, _WIDTH), "little") + change
        if value < 0:
            raise FilesystemDamaged("a quota file counts less than what there is", hint=_HINT)
        self.tx.edit(place, value.to_bytes(_WIDTH, "little"), Stage.RELEASE)
