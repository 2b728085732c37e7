"""ext2 and ext4 with the contiguous layout under power cuts, judged by e2fsck, debugfs and the kernel."""

from __future__ import annotations

import errno
import random
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from extediting import tolerable
from extmaker import e2fsck, ext, make_partition, mounted, run
from inpart.extents import Extents
from inpart.testing.cut_kit import PowerCutKit
from inpart.volume import FileVolume
from inpart_ext.editor import ExtEditor

RECIPES = {
    recipe.name: recipe
    for recipe in (
        ext("ext2", "-t ext2 -b 1024 -N 64", 3),
        ext("ext4", "-t ext4 -b 1024 -g 1024 -N 128 -O ^has_journal", 6),
    )
}


class TestExt(PowerCutKit):
    variants: ClassVar[Sequence[str]] = tuple(RECIPES)

    def make(self, path: Path, variant: str) -> dict[str, bytes]:
        make_partition(path, RECIPES[variant])
        dice = random.Random(variant)
        files = {
            f"dir{number % 3}/a file with a long name {number}.bin": dice.randbytes(dice.choice((700, 5000, 30000)))
            for number in range(12)
        }
        with mounted(path) as root:
            (root / "filler").write_bytes(bytes(int(RECIPES[variant].size * 0.6)))
            for name, content in files.items():
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_bytes(content)
            (root / "filler").unlink()
        return files | self._at_the_end(path, dice) if variant == "ext4" else files

    def _at_the_end(self, path: Path, dice: random.Random) -> dict[str, bytes]:
        """Fill the partition with files, and keep those whole ones that lie at its end."""
        pieces = {f"piece{number}.bin": dice.randbytes(50_000) for number in range(100)}
        with mounted(path) as root, suppress(OSError):
            for name, content in pieces.items():
                (root / name).write_bytes(content)
        with FileVolume(path) as volume:
            tree, end = ExtEditor(volume), Extents.span(int(volume.size * 0.96), volume.size)
            found = {entry.path[1:]: entry.size for entry in tree.list()}
            kept = {name for name in pieces if found.get(name) == 50_000 and tree.runs(f"/{name}").extents() & end}
        with mounted(path) as root:
            for name in set(pieces) & set(found) - kept:
                (root / name).unlink()
        return {name: pieces[name] for name in kept}

    def files(self, path: Path) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            run("debugfs", "-c", "-R", f"rdump / {folder}", path)
            found = {str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*.bin")}
        return {name: content for name, content in found.items() if not name.startswith(".inpart")}

    def change(self, path: Path) -> None:
        """A cut between a bitmap and its group's counts leaves a group that the kernel locks until e2fsck has run."""
        try:
            self._change(path)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            subprocess.run(["e2fsck", "-fy", path], check=False, capture_output=True)
            self._change(path)

    def _change(self, path: Path) -> None:
        with mounted(path) as root:
            (root / "dir1/a file with a long name 4.bin").unlink(missing_ok=True)
            (root / "dir0/a file with a long name 0.bin").write_bytes(b"changed")
            (root / "added.bin").write_bytes(bytes(3000))

    def wreck(self, path: Path) -> None:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size // 10))

    def complaints(self, path: Path) -> list[str]:
        return e2fsck(path)

    def harmless(self, complaint: str) -> bool:
        return tolerable(complaint)
