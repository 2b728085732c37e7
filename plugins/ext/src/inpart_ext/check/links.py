"""Passes 3 and 4: every directory hangs below the root, every inode has as many names as it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import ENOUGH, Finding
from numpy.typing import NDArray

from inpart_ext.check.report import error, for_inodes
from inpart_ext.features import RoCompat
from inpart_ext.structs import ROOT_INO, S_IFDIR

if TYPE_CHECKING:
    from inpart_ext.check.census import Census
    from inpart_ext.check.names import Names

LINK_MAX = 65000

Numbers = NDArray[np.int64]


def check_links(census: Census, names: Names) -> Iterator[Finding]:
    """Parents, reachability and link counts. ``names`` are all names that pass 2 has found."""
    if ROOT_INO not in census.number:
        yield error("root", "inode 2", "there is no root directory")
        return
    yield from _check_tree(census, names)
    yield from _check_counts(census, names)


def _check_tree(census: Census, names: Names) -> Iterator[Finding]:
    """Directories without or with several names, wrong ``..`` entries, loops."""
    folders = np.flatnonzero(census.format == S_IFDIR)
    number = census.number[folders]
    place = census.index(names.target)
    is_dir = np.zeros(len(place), dtype=bool)
    is_dir[place >= 0] = census.format[place[place >= 0]] == S_IFDIR
    child, holder = names.target[is_dir], names.folder[is_dir]
    _, first, counts = np.unique(child, return_index=True, return_counts=True)
    for index in first[counts > 1][:ENOUGH].tolist():
        yield error("dir-linked-twice", f"inode {int(child[index])}", "a directory has several names")
    parent = np.full(len(number), -1, dtype=np.int64)
    known = np.searchsorted(number, child[first])
    parent[known] = np.searchsorted(number, holder[first])
    root = int(np.searchsorted(number, ROOT_INO))
    parent[root] = root
    nameless = parent < 0
    yield from for_inodes("dir-unconnected", number, nameless, "a directory has no name")
    parent[nameless] = np.flatnonzero(nameless)
    claimed = names.parent_of(number)
    real = number[parent]
    wrong = (claimed >= 0) & (claimed != real) & ~nameless
    for index in np.flatnonzero(wrong)[:ENOUGH].tolist():
        message = f"its .. leads to inode {int(claimed[index])}, and it lies in inode {int(real[index])}"
        yield error("dotdot", f"inode {int(number[index])}", message)
    top = parent
    for _ in range(len(parent).bit_length()):
        top = top[top]
    looping = (top != root) & ~nameless[top]
    yield from for_inodes("dir-loop", number, looping, "a directory lies inside itself")


def _check_counts(census: Census, names: Names) -> Iterator[Finding]:
    number, superblock = census.number, census.superblock
    place = census.index(np.concatenate([names.target, names.dot_targets]))
    counted = np.bincount(place[place >= 0], minlength=len(number))
    system = {superblock[name] for name in ("s_orphan_file_inum", "s_prj_quota_inum")}
    exempt = (number < superblock.first_inode) & (number != ROOT_INO) | np.isin(number, sorted(system))
    holders = census.index(census.attributes.values.targets)
    counted[holders[holders >= 0]] = 1
    unattached = (counted == 0) & ~exempt
    yield from for_inodes("inode-unattached", number, unattached, "it is in use and has no name")
    expected = counted
    if superblock.has(RoCompat.DIR_NLINK):
        expected = np.where((census.format == S_IFDIR) & (counted > LINK_MAX), 1, counted)
    wrong = (census.links != expected) & ~exempt & ~unattached
    for index in np.flatnonzero(wrong)[:ENOUGH].tolist():
        message = f"it counts {int(census.links[index])} links and has {int(counted[index])}"
        yield error("link-count", f"inode {int(number[index])}", message)
