"""What the package offers to inpart: recognising a TinyFS and opening it."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import FilesystemProvider, Probe, Verdict
from inpart.errors import FilesystemError
from inpart.hookspecs import hookimpl
from inpart.volume import Volume

from inpart_tinyfs.filesystem import MAGIC, TinyFilesystem


class TinyProvider:
    """Knows a TinyFS by its magic number."""

    name = "tinyfs"
    api_version = 1
    summary = "TinyFS, the example of docs/PLUGINS.md: image and check"

    def probe(self, volume: Volume) -> Probe:
        if volume.size < len(MAGIC) or volume.read(0, len(MAGIC)) != MAGIC:
            return Probe(Verdict.NOT_MINE)
        try:
            info = TinyFilesystem(volume).info
        except FilesystemError as error:
            return Probe(Verdict.DAMAGED, error.message)
        return Probe(Verdict.MINE, f"TinyFS with clusters of {info.cluster_size} bytes")

    def open(self, volume: Volume) -> TinyFilesystem:
        return TinyFilesystem(volume)


@hookimpl
def inpart_filesystems() -> Sequence[FilesystemProvider]:
    """One file system."""
    return [TinyProvider()]
