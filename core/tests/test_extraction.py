"""Extraction: nothing outside the directory is written, nothing in it is lost by accident, times come along."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from inpart.contracts import Entry, EntryType
from inpart.errors import FilesystemDamaged, UsageError
from inpart.operations.extraction import OutputTree

WHEN = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)


def file(path: str) -> Entry:
    return Entry(path, EntryType.FILE, 3, WHEN)


def directory(path: str) -> Entry:
    return Entry(path, EntryType.DIR, 0, WHEN)


def link(path: str, target: str) -> Entry:
    return Entry(path, EntryType.SYMLINK, 0, WHEN, target=target)


def test_files_directories_links_and_their_times(tmp_path: Path) -> None:
    output = OutputTree(tmp_path / "new" / "out")
    output.directory(directory("/a"))
    assert output.file(file("/a/f"), [b"on", b"e"]) == 3
    assert output.file(file("/not/listed/f"), [b"two"]) == 3
    output.symlink(link("/a/l", "f"))
    output.finish()
    root = tmp_path / "new" / "out"
    assert (root / "a" / "f").read_bytes() == b"one"
    assert (root / "a" / "l").read_text() == "one"
    assert (root / "not" / "listed" / "f").read_bytes() == b"two"
    for path in (root / "a", root / "a" / "f"):
        assert path.stat().st_mtime == WHEN.timestamp()


@pytest.mark.parametrize("path", ["/../evil", "/a/../../evil", "/..", "/", "/a\0b"])
def test_names_that_lead_elsewhere(tmp_path: Path, path: str) -> None:
    output = OutputTree(tmp_path / "out")
    with pytest.raises(UsageError, match="not a name that can be written"):
        output.file(file(path), [b"evil"])
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208
    assert not list((tmp_path / "out").iterdir())


def test_no_link_is_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "f").write_text("precious")
    output = OutputTree(tmp_path / "out", overwrite=True)
    output.symlink(link("/a", str(victim)))
    for entry in (file("/a/f"), file("/a/new")):
        with pytest.raises(UsageError, match="something else than a directory is in the way"):
            output.file(entry, [b"evil"])
    output.symlink(link("/f", str(victim / "f")))
    output.file(file("/f"), [b"new"])
    assert sorted(path.name for path in victim.iterdir()) == ["f"]
    assert (victim / "f").read_text() == "precious"
    assert (tmp_path / "out" / "f").read_text() == "new"


def test_what_exists_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    (root / "f").write_text("mine")
    with pytest.raises(UsageError, match="/f exists already") as caught:
        OutputTree(root).file(file("/f"), [b"new"])
    assert caught.value.hint == "--overwrite replaces it"
    assert (root / "f").read_text() == "mine"
    OutputTree(root, overwrite=True).file(file("/f"), [b"new"])
    assert (root / "f").read_text() == "new"


def test_a_file_that_cannot_be_read_to_its_end_is_not_left_behind(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise FilesystemDamaged("its chain ends early")

    root = tmp_path / "out"
    with pytest.raises(FilesystemDamaged):
        OutputTree(root).file(file("/f"), pieces())
    assert not list(root.iterdir())
    (root / "f").write_text("mine")
    with pytest.raises(FilesystemDamaged):
        OutputTree(root, overwrite=True).file(file("/f"), pieces())
    assert [path.name for path in root.iterdir()] == ["f"]
    assert (root / "f").read_text() == "mine"


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    output = OutputTree(tmp_path / "out", dry_run=True)
    output.directory(directory("/a"))
    assert output.file(file("/a/f"), [b"one"]) == 3
    output.symlink(link("/a/l", "f"))
    output.finish()
    assert not list(tmp_path.iterdir())


def test_a_root_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(UsageError, match="is not a directory"):
        OutputTree(tmp_path / "f")
    with pytest.raises(UsageError, match="cannot be made: Not a directory"):
        OutputTree(tmp_path / "f/g")
