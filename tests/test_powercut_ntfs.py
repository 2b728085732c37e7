"""NTFS with the contiguous layout under power cuts, judged by the NTFS tools and ntfs-3g."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from inpart.contracts import Severity
from inpart.extents import Extents
from inpart.operations.check import check_filesystem
from inpart.operations.create import CreateOptions, create
from inpart.operations.resume import resume
from inpart.testing.cut_files import change_files, put_files, sample_files
from inpart.testing.cut_kit import Bench
from inpart.testing.cuts import Sample
from inpart.testing.delete_kit import DeleteKit
from inpart.units import KIB, MIB
from inpart.volume import FileVolume
from inpart_ntfs.editor.editor import NtfsEditor
from ntfsjudge import contents, judge, mounted, tolerable
from ntfsmaker import Recipe, make_partition

RECIPES = {
    recipe.name: recipe for recipe in (Recipe("c1k", KIB, size=6 * MIB), Recipe("c4k-s4k", 4 * KIB, 4096, size=8 * MIB))
}


class TestNtfs(DeleteKit):
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
        return files | self._at_the_end(path)

    def _at_the_end(self, path: Path) -> dict[str, bytes]:
        """Fill the partition with files, and keep a few that lie at its end."""
        dice = random.Random(path.name)
        pieces = {f"piece{number}.bin": dice.randbytes(60_000) for number in range(80)}
        with mounted(path) as root, suppress(OSError):
            put_files(root, pieces)
        with FileVolume(path) as volume:
            tree, end = NtfsEditor(volume), Extents.span(int(volume.size * 0.95), volume.size)
            found = {entry.path[1:]: entry.size for entry in tree.list()}
            whole = [name for name in pieces if found.get(name) == 60_000]
            kept = set([name for name in whole if tree.runs(f"/{name}").extents() & end][:3])
        with mounted(path) as root:
            for name in set(pieces) & set(found) - kept:
                (root / name).unlink()
        return {name: pieces[name] for name in kept}

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

    def test_create_instead_of_resume(self, bench: Bench, cuts: Sample | None) -> None:
        """Nobody resumes, the partition is used, and the next create finds nothing in its way."""
        recording = self._record(bench, lambda path: create(bench.session, path, CreateOptions("new")))
        self._each(bench, recording, cuts, lambda: self._check_create_again(bench))

    def _check_create_again(self, bench: Bench) -> None:
        self.change(bench.cut)
        files, path = self.files(bench.cut), str(bench.cut)
        assert not [one for one in check_filesystem(bench.session, path) if one.severity is Severity.ERROR]
        resume(bench.session, path, discard=True)
        create(bench.session, path, CreateOptions("again"))
        assert "again" in bench.committed(bench.cut)
        assert self.files(bench.cut) == files
        assert not [line for line in self.complaints(bench.cut) if not self.harmless(line)]
