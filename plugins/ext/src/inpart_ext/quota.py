"""Quota files: how much each user, group and project has, as the hidden inodes of the feature quota record it.

Source of facts: Linux, fs/quota/quota_tree.c and quotaio_v2.h: blocks of 1 KiB, a header, a tree of four levels that
leads from the bytes of an id to a block of 21 entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.extents import Runs
from inpart.volume import Volume
from numpy.typing import NDArray

from inpart_ext.features import RoCompat
from inpart_ext.inodes import InodeTable
from inpart_ext.mapping import map_inodes
from inpart_ext.structs import GRP_QUOTA_INO, USR_QUOTA_INO
from inpart_ext.superblock import Superblock

BLOCK = 1024
MAGICS = {"user": 0xD9C01F11, "group": 0xD9C01927, "project": 0xD9C03F14}
_FIELDS = {"user": "s_usr_quota_inum", "group": "s_grp_quota_inum", "project": "s_prj_quota_inum"}
_VERSION = 1
_LEVELS = 4
_HEADER = 16
_WINDOW = 1024

ENTRY: np.dtype[np.void] = np.dtype(
    [
        ("dqb_id", "<u4"),
        ("dqb_pad", "<u4"),
        ("dqb_ihardlimit", "<u8"),
        ("dqb_isoftlimit", "<u8"),
        ("dqb_curinodes", "<u8"),
        ("dqb_bhardlimit", "<u8"),
        ("dqb_bsoftlimit", "<u8"),
        ("dqb_curspace", "<u8"),
        ("dqb_btime", "<u8"),
        ("dqb_itime", "<u8"),
    ]
)
"""v2r1_disk_dqblk, 72 bytes."""
PER_BLOCK = (BLOCK - _HEADER) // ENTRY.itemsize

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Usage:
    """What ids have, one element each, ascending by id: ``space`` in bytes; ``place`` is where the entry stands."""

    ids: Numbers
    space: Numbers
    inodes: Numbers
    place: Numbers


def quota_inodes(superblock: Superblock) -> dict[str, int]:
    """The inodes of the quota files that there are, by ``user``, ``group``, ``project``."""
    if not superblock.has(RoCompat.QUOTA):
        return {}
    return {kind: superblock[name] for kind, name in _FIELDS.items() if superblock[name]}


def is_possible(superblock: Superblock, kind: str, number: int) -> bool:
    """True if the inode of a quota file is where it has to be."""
    if kind == "project":
        return superblock.first_inode <= number <= superblock.inodes_count
    return number == {"user": USR_QUOTA_INO, "group": GRP_QUOTA_INO}[kind]


def read_usage(volume: Volume, table: InodeTable, kind: str, number: int) -> Usage:
    """All entries of a quota file. Raises FilesystemDamaged."""
    inode = table.one(number)
    runs = map_inodes(volume, inode).require_sound().runs()
    count = min(runs.total, int(inode.size[0])) // BLOCK
    rows = _read(volume, runs, np.zeros(min(count, 1), dtype=np.int64))
    if not len(rows) or rows[0, :8].view("<u4").tolist() != [MAGICS[kind], _VERSION]:
        raise FilesystemDamaged(f"inode {number}: the {kind} quota file has no header", hint="run e2fsck on it")
    level = np.ones(1, dtype=np.int64)
    seen = np.zeros(count, dtype=bool)
    for _ in range(_LEVELS):
        level = _next(volume, runs, level, seen)
    return _entries(volume, runs, level)


def _next(volume: Volume, runs: Runs, level: Numbers, seen: NDArray[np.bool_]) -> Numbers:
    """The blocks that those of one level of the tree lead to; each is taken once."""
    found = []
    for start in range(0, len(level), _WINDOW):
        found.append(np.unique(_read(volume, runs, level[start : start + _WINDOW]).view("<u4")).astype(np.int64))
    below = np.unique(np.concatenate([np.zeros(1, dtype=np.int64), *found]))[1:]
    if len(below) and (below[-1] >= len(seen) or seen[below].any()):
        raise FilesystemDamaged("the tree of a quota file is damaged", hint="run e2fsck on it")
    seen[below] = True
    return below


def _entries(volume: Volume, runs: Runs, blocks: Numbers) -> Usage:
    parts = [np.empty((4, 0), dtype=np.int64)]
    for start in range(0, len(blocks), _WINDOW):
        window = blocks[start : start + _WINDOW]
        rows = _read(volume, runs, window)
        raw = np.ascontiguousarray(rows[:, _HEADER : _HEADER + PER_BLOCK * ENTRY.itemsize])
        used = raw.reshape(-1, ENTRY.itemsize).any(axis=1)
        entries = raw.view(ENTRY).reshape(-1)[used]
        inside = np.arange(PER_BLOCK, dtype=np.int64) * ENTRY.itemsize + _HEADER
        place = (positions(runs, window * BLOCK)[:, np.newaxis] + inside).reshape(-1)[used]
        fields = (entries[name].astype(np.int64) for name in ("dqb_id", "dqb_curspace", "dqb_curinodes"))
        parts.append(np.stack([*fields, place]))
    every = np.concatenate(parts, axis=1)
    ids, space, inodes, place = every[:, np.argsort(every[0], kind="stable")]
    return Usage(ids, space, inodes, place)


def _read(volume: Volume, runs: Runs, blocks: Numbers) -> NDArray[np.uint8]:
    """Blocks of a quota file, shape (n, ``BLOCK``); zeros for holes."""
    rows = np.zeros((len(blocks), BLOCK), dtype=np.uint8)
    for row, place in zip(rows, positions(runs, blocks * BLOCK).tolist(), strict=True):
        if place >= 0:
            volume.readinto(place, row.data)
    return rows


def positions(runs: Runs, offsets: Numbers) -> Numbers:
    """The byte of the volume at which each byte of a file stands, which must be in it; negative in holes."""
    starts, lengths = runs.array[:, 0], runs.array[:, 1]
    ends = np.cumsum(lengths)
    index = np.searchsorted(ends, offsets, side="right")
    inside = offsets - (ends - lengths)[index]
    return np.where(starts[index] == Runs.HOLE, -1, starts[index] + inside)
