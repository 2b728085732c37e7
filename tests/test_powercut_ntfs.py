"""NTFS with the contiguous layout under power cuts, judged by the NTFS tools and ntfs-3g."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

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
        dice = random.Random(variant)
        files = {
            f"/dir{number % 3}/a file with a long name {number}.bin": dice.randbytes(dice.choice((300, 5000, 30000)))
            for number in range(12)
        }
        with mounted(path) as root:
            spare = [root / f"spare {number}" for number in range(100)]
            for file in spare:
                file.touch()
            (root / "filler").write_bytes(bytes(int(RECIPES[variant].size * 0.4)))
            for name, content in files.items():
                (root / name[1:]).parent.mkdir(exist_ok=True)
                (root / name[1:]).write_bytes(content)
            for file in (*spare, root / "filler"):
                file.unlink()
        return files

    def files(self, path: Path) -> dict[str, bytes]:
        with mounted(path, "ro") as root:
            return {name: content for name, content in contents(root).items() if name.endswith(".bin")}

    def change(self, path: Path) -> None:
        with mounted(path) as root:
            (root / "dir1/a file with a long name 4.bin").unlink()
            (root / "dir0/a file with a long name 0.bin").write_bytes(b"changed")
            (root / "added.bin").write_bytes(bytes(3000))

    def wreck(self, path: Path) -> None:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size // 10))

    def complaints(self, path: Path) -> list[str]:
        return judge(path)

    def harmless(self, complaint: str) -> bool:
        return tolerable(complaint)
