"""The used map, the state, the areas and the content of every kind of ext file system against the real tools."""

from __future__ import annotations

import os
import random
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from extmaker import (
    MATRIX,
    Recipe,
    debugfs,
    dumpe2fs_used,
    e2fsck,
    ext,
    make_partition,
    mounted,
    partclone_used,
)
from inpart.contracts import EntryType, Severity, State, Verdict
from inpart.errors import FilesystemDamaged, FilesystemUnsupported
from inpart.extents import Extents
from inpart.testing.tools import copied
from inpart.units import KIB, MIB
from inpart.volume import FileVolume, MemoryVolume
from inpart_ext.features import Incompat
from inpart_ext.filesystem import ExtFilesystem
from inpart_ext.provider import ExtProvider
from inpart_ext.structs import SUPER_BLOCK, SUPERBLOCK_OFFSET, field_offset

GROUPED = ext("ext4-groups", "-t ext4 -b 1024", 24)


def opened(path: Path) -> ExtFilesystem:
    return ExtFilesystem(FileVolume(path))


def poke(path: Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def test_used_map_is_that_of_the_tools(partition: tuple[Path, dict[str, bytes]]) -> None:
    path, _ = partition
    used, count = dumpe2fs_used(path)
    filesystem = opened(path)
    assert filesystem.allocated() == used
    assert filesystem.info.used_bytes == used.total == count == partclone_used(path)
    assert filesystem.info.state is State.CLEAN


def test_content_and_silence(partition: tuple[Path, dict[str, bytes]]) -> None:
    path, files = partition
    assert not e2fsck(path)
    filesystem = opened(path)
    assert not list(filesystem.check())
    entries = {entry.path: entry for entry in filesystem.walk()}
    assert {name for name, entry in entries.items() if entry.type is EntryType.FILE} == set(files)
    for name, content in files.items():
        assert b"".join(filesystem.read(name)) == content, name
    assert entries["/fast link"].target == "medium.bin"
    assert entries["/slow link"].target == "/".join(["a"] * 100) + "/end"
    assert entries["/null"].type is entries["/pipe"].type is entries["/sock"].type is EntryType.SPECIAL


@pytest.mark.parametrize("name", ["ext4-uninit-bg", "ext4-meta-bg", "ext4-bigalloc", "ext4-sparse-super2"])
def test_fresh_file_systems(tmp_path: Path, name: str) -> None:
    """Most groups of a fresh file system are not initialised: their use has to be computed."""
    recipe = next(recipe for recipe in MATRIX if recipe.name == name)
    path = make_partition(tmp_path / "fresh.img", Recipe(name, recipe.options, 4 * recipe.size))
    used, count = dumpe2fs_used(path)
    assert opened(path).allocated() == used
    assert used.total == count
    assert not list(opened(path).check())


def test_block_zero_belongs_to_the_image(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "small.img", ext("ext2", "-t ext2 -b 1024", 2))
    assert opened(path).info.data_start == 1024
    assert opened(path).allocated().covers(Extents.span(0, 3 * KIB))


def test_eight_tebibytes(tmp_path: Path) -> None:
    path = tmp_path / "huge.img"
    with open(path, "wb") as file:
        file.truncate(8 << 40)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=1", path], check=True)
    tracemalloc.start()
    try:
        filesystem = opened(path)
        used = filesystem.allocated()
        assert filesystem.info.used_bytes == used.total
        assert tracemalloc.get_traced_memory()[1] < 256 * MIB
    finally:
        tracemalloc.stop()
        path.unlink()


@pytest.mark.parametrize("place", ["superblock", "first-mebibyte"])
def test_backup_superblock(tmp_path: Path, place: str) -> None:
    path = make_partition(tmp_path / "partition.img", GROUPED)
    healthy = opened(path).allocated()
    poke(path, 1024 if place == "superblock" else 0, bytes(1024 if place == "superblock" else 2048))
    probe = ExtProvider().probe(FileVolume(path))
    assert probe.verdict is Verdict.DAMAGED
    assert probe.trusted == "superblock at block 8193"
    assert opened(path).allocated() == healthy
    assert opened(path).info.state is State.ERRORS
    assert any("8193" in finding.message for finding in opened(path).check() if finding.severity is Severity.ERROR)


@pytest.mark.parametrize("options", ["-t ext4 -b 1024", "-t ext2 -b 1024", "-t ext4 -b 1024 -O meta_bg,^resize_inode"])
def test_backup_descriptors(tmp_path: Path, options: str) -> None:
    """Without the primary table everything in use is still in the image, and files can be read."""
    path = make_partition(tmp_path / "partition.img", ext("wrecked", options, 24))
    with mounted(path) as root:
        for number in range(40):
            (root / f"file{number}").write_bytes(random.Random(number).randbytes(300_000))
    healthy = opened(path)
    table = next(area for area in healthy.system_areas() if area.name == "group-descriptors")
    for start, end in table.extents:
        poke(path, start, bytes(end - start))
    damaged = opened(path)
    assert damaged.info.state is State.ERRORS
    assert "from the backup at block" in damaged.info.notes[0]
    assert damaged.allocated().covers(healthy.allocated())
    assert (damaged.allocated() - healthy.allocated()).total < MIB
    assert b"".join(damaged.read("/file39")) == random.Random(39).randbytes(300_000)


def test_unknown_feature_is_refused_by_name(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", ext("ext2", "-t ext2 -b 1024", 4))
    place = SUPERBLOCK_OFFSET + field_offset(SUPER_BLOCK, "s_feature_incompat")
    for bit, name in ((Incompat.COMPRESSION, "compression"), (Incompat.DIRDATA, "dirdata"), (1 << 25, "0x2000000")):
        poke(path, place, (2 | int(bit)).to_bytes(4, "little"))
        with pytest.raises(FilesystemUnsupported, match=name):
            opened(path)
        assert ExtProvider().probe(FileVolume(path)).verdict is Verdict.NOT_MINE


def test_cut_short(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", ext("ext2", "-t ext2 -b 1024 -g 1024", 8))
    os.truncate(path, 5 * MIB)
    assert ExtProvider().probe(FileVolume(path)).verdict is Verdict.DAMAGED
    with pytest.raises(FilesystemDamaged, match="reach up to"):
        opened(path).allocated()


@pytest.mark.parametrize(
    ("command", "state"),
    [
        ("feature needs_recovery", State.NEEDS_REPLAY),
        ("set_super_value state 2", State.ERRORS),
        ("set_super_value state 0", State.DIRTY),
        ("set_super_value last_orphan 12", State.DIRTY),
    ],
)
def test_states(tmp_path: Path, command: str, state: State) -> None:
    path = make_partition(tmp_path / "partition.img", ext("ext3", "-t ext3 -b 1024", 8))
    debugfs(path, command)
    assert opened(path).info.state is state


def test_journal_to_be_replayed(tmp_path: Path) -> None:
    """What a machine leaves behind that loses its power: copied while it is mounted."""
    path = make_partition(tmp_path / "partition.img", ext("ext4", "-t ext4 -b 1024", 12))
    with mounted(path) as root:
        (root / "file").write_bytes(b"content")
        os.sync()
        (root / "another").write_bytes(b"content")
        crashed = copied(path, tmp_path / "crashed.img")
    assert opened(crashed).info.state is State.NEEDS_REPLAY
    assert any(finding.code == "ext.needs-replay" for finding in opened(crashed).check())


def test_swap_files_are_dispensable_but_for_their_header(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", ext("ext4", "-t ext4 -b 1024", 12))
    with mounted(path) as root:
        (root / "swap file").write_bytes(random.Random(1).randbytes(400 * KIB))
        (root / "looks alike").write_bytes(random.Random(2).randbytes(400 * KIB))
        subprocess.run(["mkswap", "-q", root / "swap file"], check=True, capture_output=True)
    filesystem = opened(path)
    runs = filesystem.runs("/swap file")
    assert filesystem.dispensable() == runs.slice(4096, runs.total).extents()


def test_owners_of_a_hard_link_and_a_directory(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", ext("ext4", "-t ext4 -b 1024", 12))
    with mounted(path) as root:
        (root / "folder").mkdir()
        (root / "folder" / "file").write_bytes(b"content")
        (root / "link").hardlink_to(root / "folder" / "file")
    filesystem = opened(path)
    assert set(filesystem.owners(filesystem.runs("/link").extents())) == {"/link", "/folder/file"}
    assert list(filesystem.owners(filesystem.runs("/folder").extents())) == ["/folder"]
    assert list(filesystem.owners(filesystem.runs("/").extents())) == ["/"]


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", ext("ext4", "-t ext4 -b 1024", 12))
    with mounted(path) as root:
        Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9")).write_bytes(b"coffee")
    filesystem = opened(path)
    assert b"".join(filesystem.read("/caf\\xe9")) == b"coffee"


def test_large_directory_and_many_inodes(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", ext("ext4", "-t ext4 -b 1024 -N 16000", 24))
    with mounted(path) as root:
        folder = root / "many"
        folder.mkdir()
        for number in range(6_000):
            (folder / f"file number {number}").touch()
    assert not list(opened(path).check())
    names = {entry.path for entry in opened(path).list("/many")}
    assert names == {f"/many/file number {number}" for number in range(6_000)}
    assert not e2fsck(path)


def test_random_headers_are_not_ours() -> None:
    generator = np.random.default_rng(5)
    for _ in range(20):
        content = bytearray(generator.bytes(256 * KIB))
        content[1024 + 56 : 1024 + 58] = b"\x53\xef"
        assert ExtProvider().probe(MemoryVolume(bytes(content))).verdict is not Verdict.MINE
