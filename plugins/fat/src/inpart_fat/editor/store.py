"""The directory ``/.inpart`` as it stands: finding it, its files and their clusters."""

from __future__ import annotations

import numpy as np
from inpart.contracts import Claim
from inpart.errors import FilesystemDamaged
from inpart.extents import Runs

from inpart_fat.directory import DirEntry
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.structs import ATTR_HIDDEN, ATTR_READ_ONLY, ATTR_SYSTEM
from inpart_fat.table import AllocationTable, Entries

NAME = ".inpart"
PROTECTED = ATTR_READ_ONLY | ATTR_HIDDEN | ATTR_SYSTEM
MAX_FILE = (1 << 32) - 1

_HINT = "run fsck.fat on the file system; images can still be found with `inpart locate`"


def find_store(fs: FatFilesystem) -> DirEntry | None:
    """The entry named ``.inpart`` in the root directory, be it a directory or not."""
    for entry in fs.reader.slots(0).entries():
        if entry.name.lower() == NAME:
            return entry
    return None


def files_of(fs: FatFilesystem, store: DirEntry) -> dict[str, DirEntry]:
    """The files in the directory, by lower-case name."""
    entries = fs.reader.slots(store.cluster).entries()
    return {entry.name.lower(): entry for entry in entries if not entry.is_dir}


def claim_of(fs: FatFilesystem, entry: DirEntry) -> Claim:
    """What a file owns. Raises FilesystemDamaged if its chain is broken or does not fit its size."""
    runs = follow(fs.table, entry.cluster) if entry.cluster else Runs()
    if runs.total != -(-entry.size // fs.geometry.cluster_size) * fs.geometry.cluster_size:
        raise FilesystemDamaged(
            f"/{NAME}/{entry.name} has {entry.size} bytes in a cluster chain of {runs.total} bytes", hint=_HINT
        )
    return Claim(entry.name, runs, entry.size)


def follow(table: AllocationTable, start: int) -> Runs:
    """The bytes along the chain from ``start`` on, fragment by fragment. Raises FilesystemDamaged."""
    geometry, links = table.geometry, table.next
    pairs: list[tuple[int, int]] = []
    at, left = start, geometry.cluster_count
    while at <= geometry.bad:
        if not geometry.valid(at) or links[at] in (0, geometry.bad) or left <= 0:
            raise FilesystemDamaged(f"the cluster chain from {start} on is broken at cluster {at}", hint=_HINT)
        last = _last_in_row(links, at)
        pairs.append((geometry.offset(at), (last - at + 1) * geometry.cluster_size))
        left -= last - at + 1
        at = int(links[last])
    return Runs(pairs)


def _last_in_row(links: Entries, first: int) -> int:
    """The last of the clusters from ``first`` on that each lead to the next one on the disk."""
    step = 16
    while True:
        part = links[first : first + step]
        breaks = np.flatnonzero(part != np.arange(first + 1, first + 1 + len(part)))
        if not len(part):
            return first - 1
        if len(breaks):
            return first + int(breaks[0])
        first, step = first + len(part), min(step * 4, 1 << 16)
