"""check() flags what e2fsck -fn flags in quotas, attributes, orphan file, journal, casefolded directories."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from extmaker import Recipe, debugfs, e2fsck, ext, make_partition, mounted
from inpart.contracts import Severity
from inpart.testing.tools import copied, run
from inpart.volume import FileVolume
from inpart_ext.editor import ExtEditor
from inpart_ext.inodes import Inodes
from inpart_ext.quota import quota_inodes, read_usage
from inpart_ext.structs import INODE, XATTR_ENTRY, XATTR_HEADER, field_offset
from inpart_ext.sums import crc
from inpart_ext.xattr import Attribute, block_attributes, inode_attributes

QUOTA = ext("hidden-quota", "-t ext4 -b 1024 -O quota,project,^metadata_csum -E quotatype=usrquota:grpquota:prjquota")
LARGE = ext("hidden-ea-inode", "-t ext4 -b 1024 -O ea_inode,^has_journal -I 256")
ORPHANS = ext("hidden-orphan-file", "-t ext4 -b 1024 -O orphan_file")
FOLDED = ext("hidden-casefold", "-t ext4 -b 1024 -O casefold,^has_journal", 12)
BARE = ext("hidden-no-attributes", "-t ext2 -b 1024 -O ^ext_attr", 4)


def make(path: Path, recipe: Recipe) -> Path:
    """A small file system with what the recipe is about."""
    make_partition(path, recipe)
    if recipe is FOLDED:
        return _casefolded(path)
    if recipe is not QUOTA:
        with mounted(path) as root:
            _fill(root, large=recipe is LARGE, attributes=recipe is not BARE)
        return path
    source = path.with_suffix(".dir")
    source.mkdir()
    for number, owner in enumerate((0, 1000, 70000)):
        (source / f"file {number}").write_bytes(b"x" * 5000 * number)
        os.chown(source / f"file {number}", owner, owner + 1)
    make_partition(path, recipe, "-d", source)
    run("e2fsck", "-fy", path, check=False)  # mke2fs does not count what it copies
    return path


def _fill(root: Path, *, large: bool, attributes: bool) -> None:
    (root / "file").write_bytes(b"content" * 1000)
    (root / "gone").write_bytes(b"content")
    if attributes:
        os.setxattr(root / "file", "user.small", b"in the inode")
        os.setxattr(root / "file", "user.block", random.Random(1).randbytes(400))
    if large:
        os.setxattr(root / "file", "user.large", random.Random(2).randbytes(900))
    os.sync()
    (root / "gone").unlink()


def _casefolded(path: Path) -> Path:
    """A casefolded directory of several blocks with an index, which e2fsck makes."""
    names = "\n".join(f"write /dev/null /folder/Entry-NUMBER-{number:04d}-With-A-Longer-Name" for number in range(150))
    debugfs(path, "mkdir /folder", "sif /folder flags 0x40080000", *names.splitlines())
    run("e2fsck", "-fyD", path, check=False)
    return path


class Bench:
    """A partition that is damaged by writing into its structures; checksums of inodes are put right again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.filesystem = ExtEditor(FileVolume(path))
        self.superblock = self.filesystem.superblock

    def poke(self, offset: int, data: bytes) -> None:
        with self.path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def peek(self, offset: int, length: int) -> bytes:
        return self.filesystem.volume.read(offset, length)

    def seal(self, inode: Inodes) -> None:
        """Put the checksum of an inode right after its bytes have changed."""
        changed = self.filesystem.inodes.one(int(inode.numbers[0]))
        value = int(changed.checksums[0])
        self.poke(int(changed.places[0]) + field_offset(INODE, "i_checksum_lo"), (value & 0xFFFF).to_bytes(2, "little"))
        self.poke(int(changed.places[0]) + field_offset(INODE, "i_checksum_hi"), (value >> 16).to_bytes(2, "little"))

    def field(self, path: str | int, name: str, value: int) -> None:
        inode = self.filesystem.inode(path) if isinstance(path, str) else self.filesystem.inodes.one(path)
        width = 4 if name != "i_file_acl_high" else 2
        self.poke(int(inode.places[0]) + field_offset(INODE, name), value.to_bytes(width, "little"))
        if self.superblock.metadata_csum:
            self.seal(inode)

    def attribute_block(self, path: str) -> int:
        return int(self.filesystem.inode(path).file_acl[0])

    def in_attribute_block(self, path: str, offset: int, data: bytes) -> None:
        """Change a block of attributes and put its checksum right."""
        block = self.attribute_block(path)
        size, at = self.superblock.block_size, field_offset(XATTR_HEADER, "h_checksum")
        raw = bytearray(self.peek(block * size, size))
        raw[offset : offset + len(data)] = data
        raw[at : at + 4] = bytes(4)
        seed = crc(self.superblock.csum_seed, block.to_bytes(8, "little"))
        raw[at : at + 4] = crc(seed, raw).to_bytes(4, "little")
        self.poke(block * size, bytes(raw))

    def value_inode(self) -> int:
        """The inode that holds the large value."""
        size = self.superblock.block_size
        entries = [*inode_attributes(self.filesystem.inode("/file").raw[0].tobytes())]
        if self.attribute_block("/file"):
            entries += block_attributes(self.peek(self.attribute_block("/file") * size, size))
        return next(entry.value_inum for entry in entries if isinstance(entry, Attribute) and entry.value_inum)


def _quota_space(bench: Bench) -> None:
    usage = read_usage(bench.filesystem.volume, bench.filesystem.inodes, "user", 3)
    place = int(usage.place[usage.ids == 1000][0])
    bench.poke(place + 48, (1024).to_bytes(8, "little"))


def _quota_entry_gone(bench: Bench) -> None:
    usage = read_usage(bench.filesystem.volume, bench.filesystem.inodes, "group", 4)
    bench.poke(int(usage.place[usage.ids == 1001][0]), bytes(72))


def _quota_of_nobody(bench: Bench) -> None:
    number = quota_inodes(bench.superblock)["project"]
    usage = read_usage(bench.filesystem.volume, bench.filesystem.inodes, "project", number)
    bench.poke(int(usage.place[0]) + 24, (999).to_bytes(8, "little"))


def _orphan_checksum(bench: Bench) -> None:
    number = bench.superblock["s_orphan_file_inum"]
    start = bench.filesystem._mapping(number).extents().start
    bench.poke(start + bench.superblock.block_size - 4, b"\0\0\0\1")


def _orphan_magic(bench: Bench) -> None:
    number = bench.superblock["s_orphan_file_inum"]
    start = bench.filesystem._mapping(number).extents().start
    bench.poke(start + bench.superblock.block_size - 8, bytes(4))


def _journal(offset: int, data: bytes) -> Callable[[Bench], None]:
    def damage(bench: Bench) -> None:
        bench.poke(bench.filesystem._mapping(8).extents().start + offset, data)

    return damage


def _hash_in_inode(bench: Bench) -> None:
    inode = bench.filesystem.inode("/file")
    raw = inode.raw[0].tobytes()
    place = raw.index(b"small") - XATTR_ENTRY.itemsize + field_offset(XATTR_ENTRY, "e_hash")
    bench.poke(int(inode.places[0]) + place, b"\1\2\3\4")
    bench.seal(inode)


def _casefold_hash(bench: Bench) -> None:
    """An entry of the first leaf and one of the last change their names, which have the same length."""
    entries = bench.filesystem.reader.entries(int(bench.filesystem.inode("/folder").numbers[0])).values()
    first, last = min(entries, key=lambda entry: entry.place), max(entries, key=lambda entry: entry.place)
    for here, there in ((first, last), (last, first)):
        bench.poke(here.place + 8, there.name)
        _seal_leaf(bench, here.place)


def _seal_leaf(bench: Bench, place: int) -> None:
    size = bench.superblock.block_size
    block, inode = place // size * size, bench.filesystem.inode("/folder")
    value = crc(int(inode.csum_seeds[0]), bench.peek(block, size - 12))
    bench.poke(block + size - 4, value.to_bytes(4, "little"))


DAMAGE: dict[str, tuple[Recipe, Callable[[Bench], None], str]] = {
    "space of a user": (QUOTA, _quota_space, "ext.quota"),
    "group without entry": (QUOTA, _quota_entry_gone, "ext.quota"),
    "inodes of a project": (QUOTA, _quota_of_nobody, "ext.quota"),
    "orphan file, checksum": (ORPHANS, _orphan_checksum, "ext.orphan-file"),
    "orphan file, magic": (ORPHANS, _orphan_magic, "ext.orphan-file"),
    "journal of several": (ORPHANS, _journal(0x40, b"\0\0\0\2"), "ext.journal"),
    "journal too long": (ORPHANS, _journal(0x10, b"\0\xff\0\0"), "ext.journal"),
    "journal of unknown features": (ORPHANS, _journal(0x28, b"\0\1\0\0"), "ext.journal"),
    "hash in an inode": (LARGE, _hash_in_inode, "ext.attribute"),
    "hash in a block": (LARGE, lambda bench: bench.in_attribute_block("/file", 32 + 12, b"\1\1\1\1"), "ext.attribute"),
    "no kind of name": (LARGE, lambda bench: bench.in_attribute_block("/file", 32 + 1, b"\0"), "ext.attribute"),
    "users of a block": (LARGE, lambda bench: bench.in_attribute_block("/file", 4, b"\3"), "ext.attribute-count"),
    "users of a value": (LARGE, lambda bench: bench.field(bench.value_inode(), "i_version", 7), "ext.attribute-count"),
    "a value that is a file": (LARGE, lambda bench: bench.field(bench.value_inode(), "i_flags", 1 << 19), "ext."),
    "deleted inode": (LARGE, lambda bench: bench.poke(_gone(bench) + 100, b"\7\7"), "ext.inode-checksum"),
    "high part of a block": (BARE, lambda bench: bench.field("/file", "i_file_acl_high", 2), "ext.attribute-block"),
    "block without feature": (BARE, lambda bench: bench.field("/file", "i_file_acl_lo", 900), "ext.attribute-block"),
    "casefolded name in another leaf": (FOLDED, _casefold_hash, "ext.htree"),
}


def _gone(bench: Bench) -> int:
    """Where the inode of the deleted file stands."""
    window = next(bench.filesystem.inodes.windows())
    deleted = (window.links == 0) & (window["i_dtime"] > 0)
    return int(window.places[np.flatnonzero(deleted)[0]])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Recipe], Path]:
    """A function that gives the partition of a recipe, made once."""
    folder, known = tmp_path_factory.mktemp("hidden"), dict[str, Path]()

    def give(recipe: Recipe) -> Path:
        if recipe.name not in known:
            known[recipe.name] = make(folder / f"{recipe.name}.img", recipe)
        return known[recipe.name]

    return give


def codes(path: Path) -> set[str]:
    return {one.code for one in ExtEditor(FileVolume(path)).check() if one.severity is not Severity.NOTE}


@pytest.mark.parametrize("recipe", [QUOTA, LARGE, ORPHANS, FOLDED, BARE], ids=lambda recipe: recipe.name)
def test_healthy_ones_have_no_findings(made: Callable[[Recipe], Path], recipe: Recipe) -> None:
    assert e2fsck(made(recipe)) == []
    assert codes(made(recipe)) == set()


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_that_e2fsck_flags(made: Callable[[Recipe], Path], tmp_path: Path, damage: str) -> None:
    recipe, spoil, code = DAMAGE[damage]
    path = copied(made(recipe), tmp_path / "partition.img")
    spoil(Bench(path))
    assert e2fsck(path), "e2fsck finds nothing"
    assert any(found.startswith(code) for found in codes(path)), codes(path)
