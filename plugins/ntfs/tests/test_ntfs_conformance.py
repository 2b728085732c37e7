"""NTFS conforms to the kit of file systems, with clusters and sectors of several sizes; judged by the NTFS tools."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from inpart.testing.filesystem_kit import FilesystemEditorKit, Specimen, volume_file
from inpart.units import KIB, MIB
from inpart.volume import Volume
from inpart_ntfs.plugin import inpart_filesystems
from ntfsjudge import everything, judge, mounted, ntfsinfo_used, tolerable
from ntfsmaker import SMALL, Recipe, make_filled

RECIPES = {
    recipe.name: recipe
    for recipe in (
        SMALL,
        Recipe("c512", 512, size=6 * MIB, entries=30, pieces=60),
        Recipe("s4k", 4 * KIB, 4096, size=8 * MIB, entries=30, pieces=40),
        Recipe("c128k", 128 * KIB, size=40 * MIB, entries=20, pieces=8),
    )
}
OTHERS = ("/hard link", "/medium.bin", "/compressed/", "/names/")
"""Names of one file, and clusters that do not hold what is read: the kit takes neither for granted."""
EDITED = ("small", "c128k")
"""The two that differ most: changes take their time."""
SWAP = ("/pagefile.sys", "/swapfile.sys")


def streams(root: Path, paths: list[str]) -> Iterator[str]:
    """Paths of alternate streams, which ntfs-3g shows as extended attributes."""
    for path in paths:
        file = root / path[1:]
        if not file.is_symlink():
            yield from (f"{path}:{name[5:]}" for name in os.listxattr(file) if name.startswith("user."))


class TestNtfs(FilesystemEditorKit):
    provider = inpart_filesystems()[0]
    variants = tuple(RECIPES)
    editor_variants = EDITED
    resident_limit = 4 * KIB
    cuts = 6

    def make(self, variant: str) -> Specimen:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "partition.img"
            files = make_filled(path, RECIPES[variant])
            files = {name: data for name, data in files.items() if not name.startswith(OTHERS)}
            with mounted(path, "ro") as root:
                paths = everything(root)
                others = {*paths, *streams(root, paths)} - set(files)
            used = ntfsinfo_used(path)
            specimen = Specimen(path.read_bytes(), files, used, has_copies=True)
            others -= specimen.directories()
            swap = tuple(name for name in files if name in SWAP)
            return Specimen(path.read_bytes(), files, used, has_copies=True, others=tuple(others), dispensable=swap)

    def complaints(self, volume: Volume) -> Sequence[str]:
        with volume_file(volume) as path:
            return judge(path)

    def tolerable(self, complaint: str) -> bool:
        return tolerable(complaint)
