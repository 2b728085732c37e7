"""NTFS conforms to the kit of file-system trees, with clusters and sectors of several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from inpart.testing.filesystem_kit import FilesystemReaderKit, Specimen, volume_file
from inpart.volume import Volume
from inpart_ntfs.plugin import inpart_filesystems
from ntfsjudge import judge, ntfsinfo_used
from ntfsmaker import SMALL, Recipe, make_filled

RECIPES = {
    recipe.name: recipe
    for recipe in (
        SMALL,
        Recipe("c512", 512, size=6 * (1 << 20), entries=30, pieces=60),
        Recipe("s4k", 4096, 4096, size=8 * (1 << 20), entries=30, pieces=40),
        Recipe("c128k", 128 << 10, size=24 * (1 << 20), entries=20, pieces=8),
    )
}


class TestNtfs(FilesystemReaderKit):
    provider = inpart_filesystems()[0]
    variants = tuple(RECIPES)

    def make(self, variant: str) -> Specimen:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "partition.img"
            files = make_filled(path, RECIPES[variant])
            return Specimen(path.read_bytes(), files, ntfsinfo_used(path), has_copies=True)

    def complaints(self, volume: Volume) -> Sequence[str]:
        with volume_file(volume) as path:
            return judge(path)
