"""The main job on real ext2, ext3 and ext4: image, wreck, locate, restore; judged by e2fsck and the kernel."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from extediting import HIDDEN, snapshot
from extmaker import Recipe, dumpe2fs_used, e2fsck, ext, make_filled, make_partition, mounted
from inpart.contracts import Claim, FilesystemEditor
from inpart.errors import NoSpace
from inpart.extents import Runs
from inpart.operations.create import CreateOptions, create
from inpart.operations.filesystems import find_filesystem
from inpart.operations.images import list_images
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.resume import resume
from inpart.operations.session import Session
from inpart.operations.stores import EVERY
from inpart.operations.verify import verify
from inpart.testing.tools import copied
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import Access, FileVolume
from inpart_ext.editor import ExtEditor

RECIPES = (
    ext("ext2-1k", "-t ext2 -b 1024", 24, entries=60),
    ext("ext3-2k", "-t ext3 -b 2048", 32, entries=60),
    ext("ext4-4k", "-t ext4 -b 4096", 64, entries=60),
)
Facts = dict[str, tuple[object, ...]]
Wreck = Callable[[Path, Recipe], None]


@pytest.fixture(scope="module")
def imaged(tmp_path_factory: pytest.TempPathFactory, session: Session) -> Callable[[Recipe], tuple[Path, Facts]]:
    """A filled partition of a recipe with two images in it, made once; not to be changed."""

    @cache
    def give(recipe: Recipe) -> tuple[Path, Facts]:
        path = tmp_path_factory.mktemp("ext") / "p.img"
        make_filled(path, recipe)
        facts = snapshot(path)
        create(session, str(path), CreateOptions("factory-1", "factory"))
        create(session, str(path), CreateOptions("mine"))
        return path, facts

    return give


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    made = request.param
    assert isinstance(made, Recipe)
    return made


def editor(session: Session, volume: FileVolume) -> ExtEditor:
    filesystem = find_filesystem(session, volume).open(volume)
    assert isinstance(filesystem, ExtEditor)
    return filesystem


def zero(path: Path, start: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(length))


def zero_areas(path: Path, prefix: str) -> None:
    with FileVolume(path) as volume:
        chosen = [area for area in ExtEditor(volume).system_areas() if area.name.startswith(prefix)]
    assert chosen
    for area in chosen:
        for start, end in area.extents:
            zero(path, start, end - start)


def zero_inode_table(path: Path, recipe: Recipe) -> None:
    with FileVolume(path) as volume:
        filesystem = ExtEditor(volume)
        size = filesystem.superblock.block_size
        start = int(filesystem.groups.inode_table[0]) * size
        length = filesystem.superblock.inode_table_blocks * size
    zero(path, start, length)


def reformat(path: Path, recipe: Recipe) -> None:
    subprocess.run(["mke2fs", "-q", "-F", "-E", "nodiscard", *recipe.options, path], check=True, capture_output=True)


WRECKS: dict[str, Wreck] = {
    "boot-block-and-superblock": lambda path, recipe: zero(path, 0, 2048),
    "all-superblocks": lambda path, recipe: zero_areas(path, "superblock"),
    "all-descriptors": lambda path, recipe: zero_areas(path, "group-descriptors"),
    "first-inode-table": zero_inode_table,
    "first-tenth": lambda path, recipe: zero(path, 0, path.stat().st_size // 10),
    "reformatted": reformat,
    "nothing": lambda path, recipe: None,
}


def test_create_leaves_a_healthy_file_system(
    recipe: Recipe, imaged: Callable[[Recipe], tuple[Path, Facts]], session: Session, tmp_path: Path
) -> None:
    made, facts = imaged(recipe)
    path = copied(made, tmp_path / "p.img")
    assert e2fsck(path) == []
    assert snapshot(path) == facts
    assert [row.name for row in list_images(session, str(path)).images] == ["factory-1", "mine"]
    assert verify(session, str(path)).ok
    with FileVolume(path) as volume:
        filesystem = find_filesystem(session, volume).open(volume)
        assert isinstance(filesystem, FilesystemEditor)
        assert filesystem.info.used_bytes == dumpe2fs_used(path)[1]
        held = [run for claim in filesystem.claims() for run in claim.runs.extents()]
        immovable = filesystem.immovable()
        top = immovable.complement(filesystem.info.data_start, filesystem.info.data_end).end
        assert max(end for _, end in held) == top


@pytest.mark.parametrize("extra", [4 * KIB, 60 * KIB])
def test_no_image_lies_where_mke2fs_clears_the_end(session: Session, tmp_path: Path, extra: int) -> None:
    """It zeroes the last whole 64 KiB and what follows them."""
    path = tmp_path / "odd.img"
    recipe = Recipe("odd", ("-t", "ext4", "-b", "4096"), 16 * MIB + extra, entries=20)
    make_filled(path, recipe)
    facts = snapshot(path)
    create(session, str(path), CreateOptions("only"))
    reformat(path, recipe)
    assert path.read_bytes()[-extra - 64 * KIB :].count(0) == extra + 64 * KIB
    restore(session, str(path), RestoreOptions("only"))
    assert snapshot(path) == facts


def test_container_is_protected_from_a_root_shell(
    imaged: Callable[[Recipe], tuple[Path, Facts]], session: Session, tmp_path: Path
) -> None:
    path = copied(imaged(RECIPES[2])[0], tmp_path / "p.img")
    with mounted(path) as root:
        names = sorted((root / HIDDEN).iterdir())
        shown = subprocess.run(
            ["lsattr", "-d", root / HIDDEN, *root.glob(f"{HIDDEN}/*")], capture_output=True, text=True, check=True
        )
        assert all("i" in line.split()[0] for line in shown.stdout.splitlines())
        assert len(shown.stdout.splitlines()) == len(names) + 1
        assert subprocess.run(["rm", "-rf", root / HIDDEN], capture_output=True, check=False).returncode != 0
        assert sorted((root / HIDDEN).iterdir()) == names
        (root / "written later").write_bytes(os.urandom(MIB))
    assert e2fsck(path) == []
    assert verify(session, str(path)).ok


@pytest.mark.parametrize("wreck", WRECKS)
def test_wrecked_partition_comes_back(
    recipe: Recipe,
    imaged: Callable[[Recipe], tuple[Path, Facts]],
    session: Session,
    tmp_path: Path,
    wreck: str,
) -> None:
    made, facts = imaged(recipe)
    path = copied(made, tmp_path / "p.img")
    before = list_images(session, str(path)).images
    WRECKS[wreck](path, recipe)
    found = list_images(session, str(path), EVERY).images
    assert [(row.id, row.extents) for row in found] == [(row.id, row.extents) for row in before]
    restore(session, str(path), RestoreOptions())
    assert e2fsck(path) == []
    assert snapshot(path) == facts
    assert [row.name for row in list_images(session, str(path)).images] == ["factory-1", "mine"]
    assert verify(session, str(path)).ok


def test_image_that_cannot_fit_is_refused_untouched(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "full.img"
    make_filled(path, RECIPES[0])
    with mounted(path) as root:
        (root / "big.bin").write_bytes(os.urandom(18 * MIB))
    before = path.read_bytes()
    with pytest.raises(NoSpace, match=r"\d+"):
        create(session, str(path), CreateOptions("first"))
    assert path.read_bytes() == before


def test_a_journal_that_has_a_name_and_no_clusters_is_removed(tmp_path: Path, session: Session) -> None:
    """As a cut in the first commit of a create leaves it when nobody resumes."""
    path = make_partition(tmp_path / "p.img", ext("journal", "-t ext2 -b 1024", 8))
    with FileVolume(path, access=Access.WRITE) as volume:
        tx = Transaction(volume)
        ExtEditor(tx.view).claim([Claim("journal", Runs(), 0)], tx, directory=Runs())
        tx.commit(None)
    assert resume(session, str(path)).journals == 0
    assert e2fsck(path) == []
    with FileVolume(path) as volume:
        assert ExtEditor(volume).claims() == ()
    create(session, str(path), CreateOptions("first"))
    assert e2fsck(path) == []
