"""NTFS with the contiguous layout under power cuts, judged by the NTFS tools and ntfs-3g."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from inpart.testing.cut_files import change_files, put_files, sample_files
from inpart.testing.cut_kit import PowerCutKit
from inpart.units import KIB, MIB
from ntfsjudge import contents, judge, mounted, tolerable
from ntfsmaker import Recipe, make_partition

RECIPES = {
    recipe.name: recipe for recipe in (Recipe("c1k", KIB, size=6 * MIB), Recipe("c4k-s4k", 4 * KIB, 4096, size=8 * MIB))
}


class TestNtfs(PowerCutKit):
    variants: ClassVar[Sequence[str]] = tuple(RECIPES)

    def make(self, path: Path, variant: str) -> dict[str, bytes]:
        """Some records are left free, as on all volumes that have been in use: $MFT need not grow."""
        make_partition(path, RECIPES[variant])
        files = sample_files(variant, (300, 5000, 30000))
        with mounted(path) as root:
            spare = [root / f"spare {number}" for number in range(100)]
            for file in spare:
                file.touch()
            (root / "filler").write_bytes(bytes(int(RECIPES[variant].size * 0.4)))
            put_files(root, files)
            for file in (*spare, root / "filler"):
                file.unlink()
        return files

    def files(self, path: Path) -> dict[str, bytes]:
        with mounted(path, "ro") as root:
            return {name[1:]: content for name, content in contents(root).items() if name.endswith(".bin")}

    def change(self, path: Path) -> None:
        with mounted(path) as root:
            change_files(root)

    def complaints(self, path: Path) -> list[str]:
        return judge(path)

    def harmless(self, complaint: str) -> bool:
        return tolerable(complaint)
