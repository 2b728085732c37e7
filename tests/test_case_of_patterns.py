"""Patterns fit names without regard to case where the file system finds them so, on NTFS and FAT, and not on ext."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from inpart.operations.create import CreateOptions, create
from inpart.operations.extraction import OutputTree
from inpart.operations.files import extract, open_tree
from inpart.operations.selection import Selection
from inpart.operations.session import Session
from inpart.units import MIB

FILES = ("Holiday.JPG", "Ärger.TXT", "plain.bin")
CONTENT = b"some content\n" * 1000


def make(path: Path, kind: str, source: Path) -> Path:
    """A file system with ``FILES``."""
    with path.open("wb") as disk:
        disk.truncate(64 * MIB)
    files = [source / name for name in FILES]
    for file in files:
        file.write_bytes(CONTENT)
    if kind == "ext4":
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-F", "-d", source, path], check=True)
    elif kind == "ntfs":
        subprocess.run(["mkntfs", "-q", "-F", "-Q", path], check=True, capture_output=True)
        for file in files:
            subprocess.run(["ntfscp", "-f", path, file, file.name], check=True, capture_output=True)
    else:
        subprocess.run(["mkfs.fat", "-F", "32", "-s", "1", path], check=True, capture_output=True)
        subprocess.run(["mcopy", "-i", path, *files, "::"], check=True, capture_output=True)
    return path


@pytest.mark.parametrize(("kind", "folds"), [("ntfs", True), ("fat", True), ("ext4", False)])
def test_patterns_fit_as_names_do(session: Session, tmp_path: Path, kind: str, folds: bool) -> None:
    (tmp_path / "source").mkdir()
    disk = str(make(tmp_path / "disk", kind, tmp_path / "source"))
    with open_tree(session, disk) as tree:
        chosen = Selection(include=("holiday.[j]pg", "/ÄRGER.*"), exclude=("*.txt",))
        report = extract(session, tree, ["/"], OutputTree(tmp_path / "out"), chosen)
        exact = extract(session, tree, ["/"], OutputTree(tmp_path / "same"), Selection(include=FILES[:2]))
    assert report.paths == (["/Holiday.JPG"] if folds else [])
    assert sorted(exact.paths) == ["/Holiday.JPG", "/Ärger.TXT"]
    made = create(session, disk, CreateOptions("some", selection=Selection(exclude=("*.jpg", "PLAIN.BIN"))))
    assert made.left_out == (2 if folds else 0)
