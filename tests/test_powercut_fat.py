"""FAT and both layouts under power cuts, judged by fsck.fat and mtools."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from inpart import plugins
from inpart.contracts import Stage
from inpart.errors import InpartError
from inpart.operations.session import Policy, Session
from inpart.testing.cut_files import ADDED, CHANGED, DELETED, put_files, sample_files
from inpart.testing.delete_kit import DeleteKit
from inpart.transaction import Transaction
from inpart.units import MIB
from inpart.volume import RunsVolume

ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1"}
HARMLESS = (
    "Reclaimed ",
    "FATs differ but appear to be intact.",
    "  Using first FAT.",
    "Free cluster summary wrong",
    "  Auto-correcting.",
    "Leaving filesystem unchanged.",
)
KINDS = {
    "fat12": (2 * MIB, ("-F12", "-s1")),
    "fat16": (9 * MIB, ("-F16", "-s4")),
    "fat32": (34 * MIB, ("-F32", "-s1")),
}


def tool(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT, text=True).stdout


class FatCuts(DeleteKit):
    variants: ClassVar[Sequence[str]] = tuple(KINDS)

    def make(self, path: Path, variant: str) -> dict[str, bytes]:
        size, options = KINDS[variant]
        with path.open("wb") as file:
            file.truncate(size)
        tool("mkfs.fat", "--invariant", *options, str(path))
        files = sample_files(variant)
        filler = int(size * (0.98 if variant == "fat32" else 0.95)) - sum(map(len, files.values()))
        self._put(path, {"filler": bytes(filler)})
        self._put(path, files)
        tool("mdel", "-i", str(path), "::filler")
        return files

    def _put(self, path: Path, files: dict[str, bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            put_files(Path(folder), files)
            sources = [str(source) for source in sorted(Path(folder).iterdir())]
            tool("mcopy", "-s", "-o", "-i", str(path), *sources, "::")

    def files(self, path: Path) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory() as folder:
            tool("mcopy", "-n", "-s", "-i", str(path), "::/", folder)
            found = {str(file.relative_to(folder)): file.read_bytes() for file in Path(folder).rglob("*.bin")}
        return {name: content for name, content in found.items() if not name.startswith(".inpart")}

    def change(self, path: Path) -> None:
        tool("mdel", "-i", str(path), f"::{DELETED}")
        self._put(path, {CHANGED: b"changed", ADDED: bytes(3000)})

    def complaints(self, path: Path) -> list[str]:
        done = subprocess.run(["fsck.fat", "-n", str(path)], check=False, capture_output=True, text=True)
        return [line for line in done.stdout.splitlines()[1:] if line.strip() and not line.startswith(str(path))]

    def harmless(self, complaint: str) -> bool:
        return complaint.startswith(HARMLESS)


class TestFat(FatCuts):
    """Run the kit."""


class TestFatBlocks(FatCuts):
    """The same for images in blocks, for which no file has to move."""

    variants: ClassVar[Sequence[str]] = ("fat12",)
    unmoved = variants
    sample: ClassVar[int] = 4

    def session(self) -> Session:
        return Session(plugins.load(), Policy(layout="blocks"))


def without_journal(patch: pytest.MonkeyPatch) -> None:
    commit = Transaction.commit
    patch.setattr(Transaction, "commit", lambda tx, journal, progress=None: commit(tx, None))


def stages_backward(patch: pytest.MonkeyPatch) -> None:
    init = Transaction.__init__

    def backward(tx: Transaction, *args: Any, **options: Any) -> None:
        init(tx, *args, **options)
        edit, last = tx.edit, max(Stage)
        patch.setattr(tx, "edit", lambda offset, data, stage: edit(offset, data, Stage(last - stage)))

    patch.setattr(Transaction, "__init__", backward)


def no_flush_around_the_commit_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RunsVolume, "flush", lambda volume: None)


@pytest.mark.parametrize("sabotage", [without_journal, stages_backward, no_flush_around_the_commit_record])
def test_the_kit_notices(
    sabotage: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kit = FatCuts()
    bench = kit.prepare(tmp_path, "fat12")
    sabotage(monkeypatch)
    with pytest.raises((AssertionError, InpartError, subprocess.CalledProcessError)) as caught:
        kit.test_c1_create_with_vacating(bench, None)
    assert "power cut w" in "".join(caught.value.__notes__)
