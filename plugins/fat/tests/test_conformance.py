"""FAT conforms to the kit of file-system trees, with every option of mkfs.fat; test_editor_kit.py has the editor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from fatmaker import MATRIX, fill, fsck, make_partition
from inpart.testing.filesystem_kit import FilesystemTreeKit, Specimen, volume_file
from inpart.units import MIB
from inpart.volume import Volume
from inpart_fat.plugin import inpart_filesystems

RECIPES = {recipe.name: recipe for recipe in MATRIX if recipe.size <= 8 * MIB}


class TestFat(FilesystemTreeKit):
    provider = inpart_filesystems()[0]
    variants = tuple(RECIPES)

    def make(self, variant: str) -> Specimen:
        with TemporaryDirectory() as folder:
            path = make_partition(Path(folder) / "partition.img", RECIPES[variant])
            files, content = fill(path), path.read_bytes()
            cluster = content[13] * int.from_bytes(content[11:13], "little")
            return Specimen(content, files, fsck(path).used * cluster, has_copies=False, dispensable=("/pagefile.sys",))

    def complaints(self, volume: Volume) -> Sequence[str]:
        with volume_file(volume) as path:
            return fsck(path).complaints
