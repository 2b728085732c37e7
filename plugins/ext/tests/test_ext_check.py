"""check() flags what e2fsck -fn flags: damage made by debugfs and by hand, in every kind of structure."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from extmaker import Recipe, debugfs, e2fsck, ext, make_filled
from inpart.errors import FilesystemError
from inpart.testing.tools import copied
from inpart.volume import FileVolume
from inpart_ext.filesystem import ExtFilesystem
from inpart_ext.structs import GROUP_DESC, INODE, field_offset

Filled = Callable[[Recipe], tuple[Path, dict[str, bytes]]]

PLAIN = ext("check-ext4-plain", "-t ext4 -b 1024 -O ^metadata_csum,^has_journal")
SUMMED = ext("check-ext4-summed", "-t ext4 -b 1024")
OLD = ext("check-ext2", "-t ext2 -b 1024")

COMMANDS = {
    "block marked as used": ("setb 11000 3", "ext.block-bitmap"),
    "block marked as free": ("freeb 300 3", "ext.block-bitmap"),
    "inode marked as used": ("seti <900>", "ext.inode-bitmap"),
    "inode marked as free": ("freei /tiny", "ext.inode-bitmap"),
    "link count": ("sif /tiny links_count 3", "ext.link-count"),
    "link count of a directory": ("sif /a links_count 1", "ext.link-count"),
    "link count zero": ("sif /tiny links_count 0", "ext."),
    "no name": ("unlink /tiny", "ext.inode-unattached"),
    "directory without name": ("unlink /a", "ext.dir-unconnected"),
    "second name of a directory": ("ln /a /again", "ext.dir-linked-twice"),
    "mode": ("sif /tiny mode 0", "ext.inode-mode"),
    "mode of another type": ("sif /tiny mode 0120644", "ext."),
    "time of deletion": ("sif /tiny dtime 20200101", "ext.inode-dtime"),
    "size of a directory": ("sif /a size 100", "ext.inode-size"),
    "size of a file": ("sif /medium.bin size 5000", "ext.inode-size"),
    "size beyond all limits": ("sif /sparse.bin size 9999999999999999", "ext.inode-size"),
    "count of blocks": ("sif /medium.bin blocks 2", "ext.inode-blocks"),
    "size of a symbolic link": ("sif '/fast link' size 5", "ext.symlink"),
    "size of a device": ("sif /null size 5", "ext.inode-size"),
    "extra size": ("sif /tiny extra_isize 3", "ext.inode-extra-size"),
    "attributes beyond the volume": ("sif /tiny file_acl 99999999", "ext.attribute-block"),
    "attributes that are none": ("sif /empty file_acl 400", "ext."),
    "free blocks": ("ssv free_blocks_count 17", "ext."),
    "free inodes": ("ssv free_inodes_count 17", "ext."),
    "free blocks of a group": ("set_bg 0 free_blocks_count 17", "ext.group-count"),
    "free inodes of a group": ("set_bg 0 free_inodes_count 17", "ext.group-count"),
    "directories of a group": ("set_bg 0 used_dirs_count 17", "ext.group-count"),
    "inode table that cannot be": ("set_bg 0 inode_table 99999999", "ext.group-descriptor"),
    "block bitmap that cannot be": ("set_bg 0 block_bitmap 99999999", "ext.group-descriptor"),
    "root removed": ("clri <2>", "ext."),
    "inode cleared": ("clri /tiny", "ext.entry-unused"),
    "directory cleared": ("clri /many", "ext."),
    "journal cleared": ("clri <8>", "ext."),
    "state": ("ssv state 2", "ext.state"),
}


def codes(path: Path) -> list[str]:
    """What check() finds, or that the file system cannot even be opened."""
    try:
        return [finding.code for finding in ExtFilesystem(FileVolume(path)).check()]
    except FilesystemError:
        return ["refused"]


@pytest.mark.parametrize("recipe", [PLAIN, SUMMED], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("damage", COMMANDS)
def test_damage_by_debugfs(filled: Filled, tmp_path: Path, recipe: Recipe, damage: str) -> None:
    command, code = COMMANDS[damage]
    path = copied(filled(recipe)[0], tmp_path / "partition.img")
    debugfs(path, command)
    complaints = e2fsck(path)
    found = codes(path)
    if complaints:
        expected = (code, "ext.group-descriptor") if "set_bg" in command else (code,)
        assert any(name.startswith(expected) for name in found), f"{sorted(set(found))}; e2fsck: {complaints[:5]}"
    elif recipe is PLAIN:
        assert not any(name.startswith("ext.") and name != "ext.state" for name in found), found


class Bench:
    """A partition that is damaged by writing into its structures."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.filesystem = ExtFilesystem(FileVolume(path))
        self.size = self.filesystem.superblock.block_size

    def poke(self, offset: int, data: bytes) -> None:
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def peek(self, offset: int, length: int) -> bytes:
        return self.filesystem.volume.read(offset, length)

    def inode(self, name: str) -> int:
        return int(self.filesystem.inode(name).places[0])

    def block(self, name: str, number: int = 0) -> int:
        return self.filesystem.runs(name).slice(number * self.size, 1).extents().start

    def entry(self, folder: str, name: bytes) -> int:
        return self.filesystem.reader.entries(int(self.filesystem.inode(folder).numbers[0]))[name].place


def i_block(bench: Bench, name: str) -> int:
    return bench.inode(name) + field_offset(INODE, "i_block")


def _extent_beyond(bench: Bench) -> None:
    bench.poke(i_block(bench, "/medium.bin") + 12 + 8, (99_999_999).to_bytes(4, "little"))


def _extent_of_another(bench: Bench) -> None:
    bench.poke(i_block(bench, "/medium.bin") + 12, bench.peek(i_block(bench, "/fragments/third.bin") + 12, 12))


def _extent_magic(bench: Bench) -> None:
    bench.poke(i_block(bench, "/medium.bin"), b"\0\0")


def _extent_count(bench: Bench) -> None:
    bench.poke(i_block(bench, "/medium.bin") + 2, b"\x09\0")


def _extent_in_metadata(bench: Bench) -> None:
    bench.poke(i_block(bench, "/tiny") + 12 + 8, (5).to_bytes(4, "little"))


def _inode_noise(bench: Bench) -> None:
    bench.poke(bench.inode("/medium.bin") + 100, b"\x55" * 4)


def _entry_inode(bench: Bench) -> None:
    bench.poke(bench.entry("/", b"tiny"), (7777777).to_bytes(4, "little"))


def _entry_type(bench: Bench) -> None:
    bench.poke(bench.entry("/", b"tiny") + 7, b"\x02")


def _entry_length(bench: Bench) -> None:
    bench.poke(bench.entry("/", b"tiny") + 4, b"\x07\0")


def _entry_slash(bench: Bench) -> None:
    bench.poke(bench.entry("/", b"tiny") + 8, b"t/ny")


def _entry_double(bench: Bench) -> None:
    first, second = bench.entry("/fragments", b"small1"), bench.entry("/fragments", b"small3")
    bench.poke(second + 8, bench.peek(first + 8, 6))


def _dot(bench: Bench) -> None:
    bench.poke(bench.block("/a"), (2).to_bytes(4, "little"))


def _dotdot(bench: Bench) -> None:
    bench.poke(bench.block("/a/deep") + 12, (2).to_bytes(4, "little"))


def _block_of_directory(bench: Bench) -> None:
    bench.poke(bench.block("/fragments"), bytes(bench.size))


def _htree_count(bench: Bench) -> None:
    bench.poke(bench.block("/many") + 32, b"\xff\x7f\xff\x7f")


def _htree_child(bench: Bench) -> None:
    bench.poke(bench.block("/many") + 40 + 4, (500).to_bytes(4, "little"))


def _htree_version(bench: Bench) -> None:
    bench.poke(bench.block("/many") + 28, b"\x77")


def _attribute_block(bench: Bench) -> None:
    block = int(bench.filesystem.inode("/medium.bin").file_acl[0])
    bench.poke(block * bench.size, bytes(4))


def _attribute_count(bench: Bench) -> None:
    block = int(bench.filesystem.inode("/medium.bin").file_acl[0])
    bench.poke(block * bench.size + 4, b"\x09")


def _inode_table(bench: Bench) -> None:
    table = int(bench.filesystem.groups.inode_table[0]) * bench.size
    bench.poke(table + 256 * 12, bytes(2048))


def _descriptor(bench: Bench) -> None:
    place = int(bench.filesystem.groups.offsets[0]) + field_offset(GROUP_DESC, "bg_inode_table_lo")
    bench.poke(place, b"\xff\xff")


def _bitmap_noise(bench: Bench) -> None:
    place = int(bench.filesystem.groups.block_bitmap[0]) * bench.size
    bench.poke(place + 700, np.random.default_rng(1).bytes(40))


def _bitmap_tail(bench: Bench) -> None:
    place = int(bench.filesystem.groups.inode_bitmap[0]) * bench.size
    bench.poke(place + bench.size - 4, bytes(4))


def _journal(bench: Bench) -> None:
    start = bench.filesystem.system_areas()[-1].extents.start
    bench.poke(start, bytes(64))


DAMAGES = {function.__name__.strip("_"): function for function in (
    _extent_beyond, _extent_of_another, _extent_magic, _extent_count, _extent_in_metadata, _inode_noise, _entry_inode,
    _entry_type, _entry_length, _entry_slash, _entry_double, _dot, _dotdot, _block_of_directory, _htree_count,
    _htree_child, _htree_version, _attribute_block, _attribute_count, _inode_table, _descriptor, _bitmap_noise,
    _bitmap_tail, _journal,
)}  # fmt: skip


@pytest.mark.parametrize("recipe", [PLAIN, SUMMED], ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_by_hand(filled: Filled, tmp_path: Path, recipe: Recipe, damage: str) -> None:
    if damage in {"journal", "inode_noise"}:
        recipe = SUMMED
    path = copied(filled(recipe)[0], tmp_path / "partition.img")
    DAMAGES[damage](Bench(path))
    complaints = e2fsck(path)
    assert complaints, "e2fsck does not mind: the damage is none"
    assert codes(path), f"nothing found; e2fsck: {complaints[:5]}"


@pytest.mark.parametrize("recipe", [OLD, PLAIN, SUMMED], ids=lambda recipe: recipe.name)
def test_random_damage(filled: Filled, tmp_path: Path, recipe: Recipe) -> None:
    """Noise in metadata and directories: wherever e2fsck complains, so does check()."""
    source, _ = filled(recipe)
    bench = Bench(source)
    areas = [span for area in bench.filesystem.system_areas() if area.name != "journal" for span in area.extents]
    areas += [span for name in ("/", "/many", "/fragments") for span in bench.filesystem.runs(name).extents()]
    chance = random.Random(7)
    missed = []
    for number in range(25):
        path = copied(source, tmp_path / "partition.img")
        start, end = chance.choice(areas)
        place = chance.randrange(start, end - 8)
        Bench(path).poke(place, chance.randbytes(chance.choice((1, 2, 4, 8))))
        if e2fsck(path) and not codes(path):
            missed.append((number, place, e2fsck(path)[:3]))
    assert not missed


def test_indirect_blocks(filled: Filled, tmp_path: Path) -> None:
    for offset, number in ((0, 99_999_999), (48, 99_999_999), (52, 3), (4, 5)):
        path = copied(filled(OLD)[0], tmp_path / "partition.img")
        bench = Bench(path)
        bench.poke(i_block(bench, "/medium.bin") + offset, number.to_bytes(4, "little"))
        assert e2fsck(path)
        assert {"ext.block-range", "ext.block-twice"} & set(codes(path)), codes(path)


def test_many_findings_are_summed_up(tmp_path: Path) -> None:
    path = tmp_path / "partition.img"
    make_filled(path, ext("many", "-t ext4 -b 1024", 12, entries=400))
    bench = Bench(path)
    table = int(bench.filesystem.groups.inode_table[0]) * bench.size
    bench.poke(table + 256 * 100, bytes(256 * 300))
    findings = list(ExtFilesystem(FileVolume(path)).check())
    assert sum(finding.code == "ext.entry-unused" for finding in findings) == 100 + 1
    assert any(finding.message == "there are more of this kind" for finding in findings)


@pytest.mark.parametrize(
    "options", ["-b 1024 -O bigalloc -C 16384", "-b 1024 -O bigalloc,sparse_super2", "-b 1024 -g 1024", "-b 4096"]
)
def test_reserved_descriptor_blocks(tmp_path: Path, options: str) -> None:
    """With bigalloc and blocks of 1 KiB the superblock of group 0 lies in block 1, that of group 1 in its block 0."""
    path = tmp_path / "partition"
    with path.open("wb") as file:
        file.truncate(160 << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", *options.split(), str(path)], check=True)
    assert e2fsck(path) == []
    assert codes(path) == []
