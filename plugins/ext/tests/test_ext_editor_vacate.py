"""Vacating on ext2, ext3 and ext4 that were filled and fragmented through the kernel, which then sees no difference."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from extediting import snapshot
from extmaker import Recipe, e2fsck, ext, make_filled, mounted
from inpart.contracts import Claim
from inpart.errors import FilesystemDamaged, NoSpace
from inpart.extents import Extents, Runs
from inpart.testing.tools import copied
from inpart.transaction import Transaction
from inpart.units import KIB
from inpart.volume import Access, FileVolume
from inpart_ext.editor import ExtEditor

RECIPES = (
    ext("ext2", "-t ext2 -b 1024", 24),
    ext("ext3", "-t ext3 -b 2048 -I 128", 32),
    ext("ext4", "-t ext4 -b 1024", 32),
    ext("ext4-4k", "-t ext4 -b 4096", 40),
    ext("ext4-uninit", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg", 40),
    ext("ext4-meta-bg", "-t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode,^flex_bg", 32),
)


def make_fragmented(path: Path, recipe: Recipe) -> Path:
    """80 % full, by files that grew side by side and of which some are gone."""
    make_filled(path, recipe, entries=80)
    chance = random.Random(recipe.name)
    with mounted(path) as root:
        (root / "grown").mkdir()
        files = [open(root / "grown" / f"{number}", "wb") for number in range(40)]  # noqa: SIM115
        room = os.statvfs(root)
        left = int(room.f_bavail * room.f_bsize * 0.97)
        while left > 0:
            size = chance.choice((1000, 4000, 20_000, 60_000))
            file = chance.choice(files)
            file.write(chance.randbytes(size))
            file.flush()
            if chance.random() < 0.05:
                os.fsync(file.fileno())
            left -= size
        for file in files:
            file.close()
        os.sync()
        for number in range(0, 40, 8):
            (root / "grown" / f"{number}").unlink()
    return path


def vacate(path: Path, region: Extents, avoid: Extents, capacity: int | None = None) -> int:
    """All batches; how many there were."""
    for batch in range(1, 1000):
        with FileVolume(path, access=Access.WRITE) as volume:
            tx = Transaction(volume, journal_capacity=capacity)
            done = ExtEditor(tx.view).vacate(region, tx, avoid=avoid)
            tx.commit(None)
        if not done.remaining:
            return batch
        assert done.moved
    raise AssertionError("not done after 1000 batches")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_full_and_fragmented_file_system(tmp_path: Path, recipe: Recipe) -> None:
    path = make_fragmented(tmp_path / "p.img", recipe)
    facts = snapshot(path)
    with FileVolume(path) as volume:
        info, free = ExtEditor(volume).info, ExtEditor(volume).free()
    assert info.used_bytes > 0.75 * (info.used_bytes + info.free_bytes)
    pieces = [(start, end - start) for start, end in free.split(16 * KIB)[10:40].tolist()]
    with FileVolume(path, access=Access.WRITE) as volume:
        tx = Transaction(volume)
        ExtEditor(tx.view).claim([Claim("image.ipi", Runs(pieces), Runs(pieces).total)], tx, directory=Runs())
        tx.commit(None)
    unit = info.cluster_size
    tenth = (info.data_end - info.data_start) // 10 // unit * unit
    for start, capacity in ((info.data_end - tenth, None), (info.data_start + tenth, 36 * KIB)):
        region = Extents.span(start, start + tenth)
        with FileVolume(path) as volume:
            free = ExtEditor(volume).free()
        avoid = Extents(free.split(unit * 8)[::9])
        vacate(path, region, avoid, capacity)
        assert e2fsck(path) == []
        with FileVolume(path) as volume:
            filesystem = ExtEditor(volume)
            assert filesystem.immovable().covers(filesystem.allocated() & region)
            assert not filesystem.allocated() & avoid & free
    assert snapshot(path) == facts


def test_attributes_that_files_share(tmp_path: Path) -> None:
    recipe = ext("shared", "-t ext4 -b 1024 -I 128", 16)
    path = tmp_path / "p.img"
    make_filled(path, recipe, entries=10)
    with mounted(path) as root:
        for number in range(20):
            (root / f"shares {number}").write_bytes(b"content")
            os.setxattr(root / f"shares {number}", "user.same", b"the same for all" * 5)
    facts = snapshot(path)
    with FileVolume(path) as volume:
        filesystem = ExtEditor(volume)
        inode = filesystem.inode("/shares 3")
        block = int(inode.file_acl[0]) * 1024
    assert block
    vacate(path, Extents.span(block, block + 1024), Extents())
    assert e2fsck(path) == []
    assert snapshot(path) == facts
    with FileVolume(path) as volume:
        assert ExtEditor(volume).free().contains(block)


def test_no_room_is_said_with_numbers(tmp_path: Path) -> None:
    path = make_fragmented(tmp_path / "p.img", RECIPES[2])
    before = path.read_bytes()
    with FileVolume(path, access=Access.WRITE) as volume:
        tx = Transaction(volume)
        filesystem = ExtEditor(tx.view)
        with pytest.raises(NoSpace, match=r"\d+ blocks .* have to move, but only \d+"):
            filesystem.vacate(Extents.span(0, filesystem.info.data_end), tx, avoid=Extents())
    assert path.read_bytes() == before


def test_blocks_that_belong_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "p.img"
    make_filled(path, RECIPES[0], entries=10)
    with FileVolume(path) as volume:
        filesystem = ExtEditor(volume)
        block = filesystem.free().end // 1024 - 1
        group, bit = divmod(block - 1, filesystem.superblock.blocks_per_group)
        place = int(filesystem.groups.block_bitmap[group]) * 1024 + bit // 8
    held = path.read_bytes()[place]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes([held | 1 << bit % 8]))
    region = Extents.span(block * 1024, block * 1024 + 1024)
    with FileVolume(path, access=Access.WRITE) as volume:
        tx = Transaction(volume)
        with pytest.raises(FilesystemDamaged, match="belong to no file"):
            ExtEditor(tx.view).vacate(region, tx, avoid=Extents())


def test_several_calls_in_one_transaction(tmp_path: Path) -> None:
    """As when a restore is composed: what one call moved, another one moves again."""
    path = tmp_path / "p.img"
    make_filled(path, RECIPES[3], entries=40)
    facts, twin = snapshot(path), copied(path, tmp_path / "twin.img")
    with FileVolume(path, access=Access.WRITE) as volume:
        tx = Transaction(volume)
        filesystem = ExtEditor(tx.view)
        info, used = filesystem.info, filesystem.allocated() - filesystem.immovable()
        first = used.clip(0, used.start + used.total // 2)
        assert filesystem.vacate(first, tx, avoid=Extents()).remaining == 0
        second = filesystem.allocated() - filesystem.immovable() - used
        assert second
        assert filesystem.vacate(second, tx, avoid=Extents()).remaining == 0
        spot = max(filesystem.free() - first - second - used, key=lambda run: run[1] - run[0])
        runs = Runs([(spot[0], min(spot[1] - spot[0], 40 * info.cluster_size))])
        filesystem.claim([Claim("image.ipi", runs, runs.total)], tx, directory=Runs())
        assert not list(filesystem.check())
        tx.commit(None)
    assert e2fsck(path) == e2fsck(twin) == []
    assert snapshot(path) == facts
