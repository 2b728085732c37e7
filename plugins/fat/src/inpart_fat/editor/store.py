"""The directory ``/.inpart`` as it stands: finding it, its files and their clusters."""

from __future__ import annotations

import numpy as np
from inpart.contracts import Claim
from inpart.errors import FilesystemDamaged
from inpart.extents import Runs

from inpart_fat.directory import DirEntry
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.geometry import Clusters, Geometry
from inpart_fat.structs import ATTR_HIDDEN, ATTR_READ_ONLY, ATTR_SYSTEM

NAME = ".inpart"
PROTECTED = ATTR_READ_ONLY | ATTR_HIDDEN | ATTR_SYSTEM
MAX_FILE = (1 << 32) - 1


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
    chain = fs.table.chain(entry.cluster)
    if len(chain) != -(-entry.size // fs.geometry.cluster_size):
        raise FilesystemDamaged(
            f"/{NAME}/{entry.name} has {entry.size} bytes and {len(chain)} clusters",
            hint="run fsck.fat on the file system; images can still be found with `inpart locate`",
        )
    return Claim(entry.name, path_of(fs.geometry, chain), entry.size)


def path_of(geometry: Geometry, chain: Clusters) -> Runs:
    """The bytes along a chain, made from its fragments."""
    if not len(chain):
        return Runs()
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(chain) != 1) + 1, [len(chain)]])
    sizes = np.diff(cuts) * geometry.cluster_size
    return Runs(np.stack([geometry.offsets(chain[cuts[:-1]]), sizes], axis=1))
