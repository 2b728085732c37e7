"""ext2, ext3 and ext4 conform to the kit of file-system trees, with every feature that mke2fs offers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from extmaker import MATRIX, dumpe2fs_used, e2fsck, make_filled
from inpart.testing.filesystem_kit import FilesystemTreeKit, Specimen, volume_file
from inpart.testing.tools import run
from inpart.volume import Volume
from inpart_ext.plugin import inpart_filesystems

NAMES = ("ext2-1k", "ext2-old-inodes", "ext4-bigalloc", "ext4-uninit-bg", "ext4-inline")
"""Those that differ most; test_ext_reader.py has all of them."""
RECIPES = {recipe.name: recipe for recipe in MATRIX if recipe.name in NAMES}
TWINS = ("/medium.bin", "/hard link")
"""Two names for one file: the kit takes for granted that each block has one owner."""
SPARSE = ("/sparse.bin", "/preallocated.bin")
"""With bigalloc holes start and end inside clusters, so that runs are not whole ones."""
OTHERS = ("/fast link", "/slow link", "/null", "/block", "/pipe", "/sock", "/lost+found", *TWINS)


class TestExt(FilesystemTreeKit):
    provider = inpart_filesystems()[0]
    variants = tuple(RECIPES)
    resident_limit = 160

    def make(self, variant: str) -> Specimen:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "partition.img"
            files = make_filled(path, RECIPES[variant], entries=60)
            others = OTHERS + (SPARSE if "bigalloc" in variant else ())
            files = {name: data for name, data in files.items() if name not in others}
            usual = "-g" not in RECIPES[variant].options  # other backups are found only if the first one names them
            copies = usual and "Backup superblock at" in run("dumpe2fs", path)
            used = dumpe2fs_used(path)[1]
            return Specimen(
                path.read_bytes(),
                files,
                used,
                has_copies=copies,
                others=others,
            )

    def complaints(self, volume: Volume) -> Sequence[str]:
        with volume_file(volume) as path:
            return e2fsck(path)
