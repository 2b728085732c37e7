"""Walking: the same as ``find`` shows on a mounted file system, whatever is read ahead, and in few reads."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from extmaker import debugfs, ext, make_partition, mounted
from inpart.contracts import EntryType
from inpart.volume import CountingVolume, MemoryVolume
from inpart_ext import listing, walking
from inpart_ext.filesystem import ExtFilesystem

LIMITS: dict[str, dict[str, int]] = {"all": {}, "little": {"_TOGETHER": 3, "_KEPT": 20}, "none": {"_KEPT": 0}}
DIRECTORIES = 700


@pytest.fixture(scope="module", params=["ext2 -b 1024", "ext4 -b 4096 -O inline_data"])
def tree(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[bytes, set[str]]:
    """A file system, and all paths in it; some directories are larger than a block, one cannot be read ahead."""
    path = make_partition(tmp_path_factory.mktemp("walk") / "p.img", ext("walk", f"-t {request.param} -N 4096", 16))
    chance = random.Random(1)
    with mounted(path) as root:
        folders = [root]
        while len(folders) < DIRECTORIES:
            folder = chance.choice(folders)
            for number in range(chance.choice((1, 2, 30))):
                folders.append(folder / f"directory {len(folders)} {number}")
                folders[-1].mkdir()
            for number in range(chance.choice((0, 1, 5))):
                (folder / f"file {len(folders)} {number}").write_bytes(bytes(number))
        large = folders[5] / "large"
        large.mkdir()
        for number in range(300):
            (large / f"a long name {number:50}").symlink_to("x" * (number % 100 + 1))
        found = {"/" + str(item.relative_to(root)) for item in root.rglob("*")}
    return path.read_bytes(), found


@pytest.mark.parametrize("limits", LIMITS)
def test_walk_is_what_find_shows(tree: tuple[bytes, set[str]], limits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LIMITS[limits].items():
        monkeypatch.setattr(walking, name, value)
    if limits == "little":
        monkeypatch.setattr(listing, "TOGETHER", 8192)
    filesystem = ExtFilesystem(MemoryVolume(tree[0]))
    entries = list(filesystem.walk())
    assert {entry.path for entry in entries} == tree[1]
    assert len(entries) == len(tree[1])
    opened = [""]
    for entry in entries:
        parent = entry.path.rpartition("/")[0]
        while opened[-1] != parent:
            opened.pop()
        if entry.type is EntryType.DIR:
            opened.append(entry.path)
    by_folder = [entry for folder in ["/", *opened[1:]] for entry in filesystem.list(folder)]
    assert set(by_folder) <= set(entries)


def test_directories_are_read_together(tree: tuple[bytes, set[str]]) -> None:
    reads: list[int] = []
    filesystem = ExtFilesystem(CountingVolume(MemoryVolume(tree[0]), reads.append))
    assert sum(entry.type is EntryType.DIR for entry in filesystem.walk()) >= DIRECTORIES
    assert len(reads) < DIRECTORIES


def test_a_damaged_directory_hides_nothing_beside_it(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "p.img", ext("walk", "-t ext4 -b 1024 -O ^has_journal,^metadata_csum", 8))
    with mounted(path) as root:
        for number in range(20):
            (root / f"d{number}" / "inner").mkdir(parents=True)
    debugfs(path, "set_inode_field d7 block[2] 0x77777777")
    found = [entry.path for entry in ExtFilesystem(MemoryVolume(path.read_bytes())).walk()]
    assert {f"/d{number}" for number in range(20)} <= set(found)
    assert {f"/d{number}/inner" for number in range(20) if number != 7} <= set(found)
