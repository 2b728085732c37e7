"""The provider of the null file system: three answers to "is this yours?", and opening."""

from __future__ import annotations

from inpart.contracts import Probe, Verdict
from inpart.errors import FilesystemError
from inpart.testing.null.editor import NullFilesystem
from inpart.testing.null.filesystem import KIND, find_superblock, has_magic
from inpart.volume import Volume


class NullFilesystemProvider:
    """Recognises the null file system by either superblock."""

    name = KIND
    api_version = 1
    summary = "tiny file system for tests, editable, without any tool"

    def probe(self, volume: Volume) -> Probe:
        """Never raises for strange bytes."""
        try:
            block, trusted = find_superblock(volume)
        except FilesystemError as error:
            return Probe(Verdict.DAMAGED, str(error)) if has_magic(volume) else Probe(Verdict.NOT_MINE)
        detail = f"null file system with {block.clusters} clusters"
        return Probe(Verdict.DAMAGED if trusted else Verdict.MINE, detail, trusted)

    def open(self, volume: Volume) -> NullFilesystem:
        """At the editor's level."""
        return NullFilesystem(volume)
