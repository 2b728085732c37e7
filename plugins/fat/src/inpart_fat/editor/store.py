"""The directory ``/.inpart`` as it stands: finding it, its files and their clusters."""

from __future__ import annotations

from inpart.contracts import Claim
from inpart.errors import FilesystemDamaged

from inpart_fat.directory import DirEntry
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.follow import fragments
from inpart_fat.structs import ATTR_HIDDEN, ATTR_READ_ONLY, ATTR_SYSTEM

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
    runs = fs.geometry.runs_of(fragments(fs.table.fetch, fs.geometry, entry.cluster))
    if runs.total != -(-entry.size // fs.geometry.cluster_size) * fs.geometry.cluster_size:
        raise FilesystemDamaged(
            f"/{NAME}/{entry.name} has {entry.size} bytes in a cluster chain of {runs.total} bytes", hint=_HINT
        )
    return Claim(entry.name, runs, entry.size)
