"""TinyFS conforms to the kit of file-system readers."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.testing.filesystem_kit import FilesystemReaderKit, Specimen
from inpart.volume import Volume
from inpart_tinyfs.plugin import TinyProvider
from mktinyfs import CLUSTER_SIZE, check_tinyfs, make_tinyfs


class TestTinyfs(FilesystemReaderKit):
    provider = TinyProvider()
    variants = ("empty", "half", "full")

    def make(self, variant: str) -> Specimen:
        used = {"empty": 0, "half": 500, "full": 1001}[variant]
        return Specimen(make_tinyfs(used), files={}, used_bytes=used * CLUSTER_SIZE, has_copies=False)

    def complaints(self, volume: Volume) -> Sequence[str]:
        return check_tinyfs(volume.read(0, volume.size))
