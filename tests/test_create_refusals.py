"""What create refuses, by name and with not one byte changed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from fatmaker import Recipe, copy_in, fsck, make_partition
from inpart.contracts import State
from inpart.errors import (
    FilesystemDamaged,
    FilesystemUnclean,
    FilesystemUnsupported,
    InpartError,
    IntegrityError,
    NoSpace,
)
from inpart.operations.create import CreateOptions, create
from inpart.operations.images import list_images
from inpart.operations.session import Session
from inpart.units import MIB

RECIPE = Recipe("fat16", 16 * MIB, ("-F16", "-s2"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_partition(tmp_path / "p.img", RECIPE)


def refused(session: Session, path: Path, kind: type[InpartError], match: str) -> None:
    before = path.read_bytes()
    with pytest.raises(kind, match=match):
        create(session, str(path), CreateOptions("first"))
    assert path.read_bytes() == before


def mtools(*command: str | Path) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)


def test_an_unclean_file_system_unless_that_is_allowed(session: Session, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[37] |= 1
    path.write_bytes(content)
    refused(session, path, FilesystemUnclean, "was not unmounted cleanly")
    create(session, str(path), CreateOptions("first", allow=(State.DIRTY,)))
    assert [row.name for row in list_images(session, str(path)).images] == ["first"]


def test_a_full_root_directory(session: Session, path: Path) -> None:
    copy_in(path, {f"/F{number}": b"" for number in range(512)})
    refused(session, path, NoSpace, "room for 512 entries and 0 left")
    mtools("mdel", "-i", path, "::/F0", "::/F1")
    create(session, str(path), CreateOptions("first"))
    assert fsck(path).complaints == ()


def test_a_file_in_the_place_of_the_directory(session: Session, path: Path) -> None:
    copy_in(path, {"/.inpart": b"mine"})
    refused(session, path, FilesystemUnsupported, "is a file, not a directory")


def test_a_directory_of_that_name_with_something_else_in_it(session: Session, path: Path) -> None:
    copy_in(path, {"/.inpart/letter.txt": b"mine"})
    refused(session, path, IntegrityError, r"holds letter\.txt but no table of contents")


def test_an_empty_directory_of_that_name_is_used(session: Session, path: Path) -> None:
    mtools("mmd", "-i", path, "::/.inpart")
    create(session, str(path), CreateOptions("first"))
    assert fsck(path).complaints == ()
    assert [row.name for row in list_images(session, str(path)).images] == ["first"]


def test_a_damaged_file_system_and_no_file_is_left(session: Session, path: Path, tmp_path: Path) -> None:
    """Inside the partition it is checked before anything is written, outside while the file is written."""
    copy_in(path, {"lost.bin": bytes(range(256)) * 64})
    content = bytearray(path.read_bytes())
    root = content.find(b"LOST    BIN")
    content[root + 28 : root + 32] = (1 << 20).to_bytes(4, "little")
    path.write_bytes(content)
    assert fsck(path).complaints
    refused(session, path, FilesystemDamaged, "the file system is damaged")
    target = tmp_path / "out.ipi"
    with pytest.raises(FilesystemDamaged, match="the file system is damaged"):
        create(session, str(path), CreateOptions("first", to=target))
    with pytest.raises(FilesystemDamaged, match="the file system is damaged"):
        create(session, str(path), CreateOptions("first", to=target, dry_run=True))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name]
