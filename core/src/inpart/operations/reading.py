"""Opening a live file system for commands that only read: a warning for what is not right, and on they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inpart.contracts import Filesystem, State
from inpart.operations.filesystems import UNCLEAN, find_filesystem
from inpart.operations.session import Session
from inpart.partitions import open_target
from inpart.volume import Volume


def filesystem_on(session: Session, volume: Volume) -> Filesystem:
    """The file system of ``volume``, with warnings about its state. Raises FilesystemError, UsageError."""
    filesystem = find_filesystem(session, volume).open(volume)
    for note in filesystem.info.notes:
        session.warn(note)
    if filesystem.info.state is not State.CLEAN:
        session.warn(f"{volume.name}: the file system {UNCLEAN[filesystem.info.state]}")
    return filesystem


@contextmanager
def open_filesystem(session: Session, address: str) -> Iterator[tuple[Volume, Filesystem]]:
    """The partition at ``address`` and its file system. Raises FilesystemError, UsageError."""
    with open_target(address) as target:
        yield target.volume, filesystem_on(session, target.volume)
