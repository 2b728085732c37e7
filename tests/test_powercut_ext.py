"""ext2, ext3 and ext4 with the contiguous layout under power cuts, judged by e2fsck, debugfs and the kernel."""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import pytest
from extediting import tolerable
from extmaker import e2fsck, ext, make_partition, mounted, run
from inpart.contracts import State
from inpart.errors import IntegrityError, UnfinishedJournal
from inpart.extents import Extents
from inpart.operations.create import CreateOptions, create
from inpart.operations.resume import resume
from inpart.testing.cut_files import change_files, put_files, sample_files
from inpart.testing.cut_kit import Bench
from inpart.testing.cuts import Sample
from inpart.testing.delete_kit import DeleteKit
from inpart.volume import FileVolume, MemoryVolume
from inpart_ext.editor import ExtEditor

RECIPES = {
    recipe.name: recipe
    for recipe in (
        ext("ext2", "-t ext2 -b 1024 -N 128", 3),
        ext("ext3", "-t ext3 -b 1024 -N 128", 5),
        ext("ext4", "-t ext4 -b 1024 -g 1024 -N 128 -O ^has_journal", 6),
    )
}


class TestExt(DeleteKit):
    variants: ClassVar[Sequence[str]] = tuple(RECIPES)

    def make(self, path: Path, variant: str) -> dict[str, bytes]:
        make_partition(path, RECIPES[variant])
        files = sample_files(variant)
        with mounted(path) as root:
            (root / "filler").write_bytes(bytes(int(RECIPES[variant].size * 0.6)))
            put_files(root, files)
            (root / "filler").unlink()
        return files | self._at_the_end(path)

    def _at_the_end(self, path: Path) -> dict[str, bytes]:
        """Fill the partition with files, and keep those whole ones that lie at its end."""
        dice = random.Random(0)
        pieces = {f"piece{number}.bin": dice.randbytes(50_000) for number in range(100)}
        with mounted(path) as root, suppress(OSError):
            put_files(root, pieces)
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
        """First what a system does that boots; it must not ask anything."""
        assert subprocess.run(["e2fsck", "-p", path], check=False, capture_output=True).returncode in (0, 1)
        with mounted(path) as root:
            change_files(root)

    def test_create_after_a_boot(self, bench: Bench, cuts: Sample | None) -> None:
        """Who boots instead of resuming can create again, after what is left of the journal was given up."""
        recording = self._record(bench, lambda path: create(bench.session, path, CreateOptions("new")))
        self._each(bench, recording, cuts, lambda: self._check_boot(bench))

    def _check_boot(self, bench: Bench) -> None:
        path = str(bench.cut)
        if ExtEditor(MemoryVolume(bench.cut.read_bytes())).info.state is not State.CLEAN:
            with pytest.raises(UnfinishedJournal):
                create(bench.session, path, CreateOptions("other"))
        assert subprocess.run(["e2fsck", "-p", path], check=False, capture_output=True).returncode in (0, 1)
        assert self.complaints(bench.cut) == []
        try:
            resume(bench.session, path)
        except IntegrityError:
            resume(bench.session, path, discard=True)
        create(bench.session, path, CreateOptions("other"))
        assert bench.committed(bench.cut) in (["other"], ["new", "other"])
        assert self.complaints(bench.cut) == []
        assert self.files(bench.cut) == bench.files

    def complaints(self, path: Path) -> list[str]:
        return e2fsck(path)

    def harmless(self, complaint: str) -> bool:
        return tolerable(complaint)
