"""The editor against the conformance kit, judged by e2fsck, on small partitions of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from extediting import tolerable
from extmaker import MATRIX, dumpe2fs_used, e2fsck, make_filled
from inpart.testing.filesystem_kit import FilesystemEditorKit, Specimen, volume_file
from inpart.volume import Volume
from inpart_ext.provider import ExtProvider

NAMES = ("ext2-1k", "ext4-no-journal", "ext4-uninit-bg", "ext4-meta-bg", "ext4-quota")
RECIPES = {recipe.name: recipe for recipe in MATRIX if recipe.name in NAMES}
TWINS = ("/medium.bin", "/hard link")
OTHERS = ("/fast link", "/slow link", "/null", "/block", "/pipe", "/sock", "/lost+found", *TWINS)


class TestEditor(FilesystemEditorKit):
    provider = ExtProvider()
    variants = NAMES[:1]  # test_conformance.py has levels 1 and 2 of all
    editor_variants = NAMES
    resident_limit = 160
    cuts = 6

    def make(self, variant: str) -> Specimen:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "partition.img"
            files = make_filled(path, RECIPES[variant], entries=60)
            files = {name: data for name, data in files.items() if name not in OTHERS}
            used = dumpe2fs_used(path)[1]
            return Specimen(path.read_bytes(), files, used, has_copies=True, others=OTHERS)

    def complaints(self, volume: Volume) -> Sequence[str]:
        with volume_file(volume) as path:
            return e2fsck(path)

    def tolerable(self, complaint: str) -> bool:
        return tolerable(complaint)
