"""The layout of blocks on real FAT partitions: image, wreck, scan, restore; beside a container; damaged at random."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from fatmaker import Recipe, copy_in, delete, fill, fsck, make_partition
from fatwrecks import WRECKS, Imaged, assert_comes_back, contents, make_imaged, zero
from inpart import plugins
from inpart.contracts import LayoutOptions, SearchMethod
from inpart.errors import IntegrityError, NoImageFound
from inpart.extents import Extents
from inpart.image import ImageVolume
from inpart.operations.create import CreateOptions, create
from inpart.operations.filesystems import find_filesystem
from inpart.operations.images import list_images, open_reader
from inpart.operations.protection import repair_stores
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Policy, Session
from inpart.operations.stores import EVERY, locate
from inpart.operations.trim import forget_images
from inpart.operations.verify import verify
from inpart.testing.tools import copied
from inpart.transaction import Transaction
from inpart.units import KIB, MIB
from inpart.volume import Access, FileVolume
from inpart_fat.editor import FatEditor
from inpart_storage_blocks.structs import MAGIC

RECIPES = (
    Recipe("fat12", 4 * MIB, ("-F12", "-s2")),
    Recipe("fat16", 32 * MIB, ("-F16", "-s4")),
    Recipe("fat32", 48 * MIB, ("-F32", "-s1")),
)


@pytest.fixture(scope="module")
def imaged(tmp_path_factory: pytest.TempPathFactory, session: Session) -> Callable[[Recipe], Imaged]:
    """A filled partition of a recipe with two images in it, made once; not to be changed."""

    @cache
    def give(recipe: Recipe) -> Imaged:
        return make_imaged(tmp_path_factory.mktemp("blocks") / "p.img", recipe, session, "blocks")

    return give


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def partition(request: pytest.FixtureRequest, imaged: Callable[[Recipe], Imaged], tmp_path: Path) -> Imaged:
    path, files = imaged(request.param)
    return copied(path, tmp_path / "p.img"), files


def test_create_leaves_a_healthy_file_system(partition: Imaged, session: Session, tmp_path: Path) -> None:
    path, files = partition
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "out") == files
    rows = list_images(session, str(path)).images
    assert [(row.name, row.layout, row.method) for row in rows] == [
        ("factory-1", "blocks", "claims"),
        ("mine", "blocks", "claims"),
    ]
    assert verify(session, str(path)).ok


@pytest.mark.parametrize("wreck", WRECKS)
def test_wrecked_partition_comes_back(partition: Imaged, session: Session, tmp_path: Path, wreck: str) -> None:
    assert_comes_back(session, partition, wreck, tmp_path / "out")


def small_blocks(session: Session, **policy: object) -> Session:
    return Session(session.plugins, policy=Policy(options=LayoutOptions(**policy)))  # type: ignore[arg-type]


def test_nearly_full_and_fragmented(session: Session, tmp_path: Path) -> None:
    """Free clusters in single pieces between files: the container would have to move them all, blocks move nothing."""
    path = make_partition(tmp_path / "p.img", Recipe("full", 8 * MIB, ("-F16", "-s1")))
    copy_in(path, {f"/f{number:03}": b"%03d" % number * KIB for number in range(400)})
    judged = fsck(path)
    copy_in(path, {"/rest": bytes((judged.total - judged.used) * 512)})
    delete(path, *(f"/f{number:03}" for number in range(0, 400, 2)))
    files = contents(path, tmp_path / "before")
    create(Session(session.plugins, Policy(min_free=0)), str(path), CreateOptions("one", layout="blocks"))
    rows = list_images(session, str(path)).images
    assert len(rows[0].extents) > 20
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "after") == files
    zero(0, 64 * KIB)(path)
    restore(session, str(path), RestoreOptions())
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "out") == files
    assert verify(session, str(path)).ok


def test_files_are_split_at_the_limit(session: Session, tmp_path: Path) -> None:
    path = make_partition(tmp_path / "p.img", RECIPES[1])
    files = fill(path)
    small = small_blocks(session, file_limit=40_000, block_size=1024)
    create(small, str(path), CreateOptions("grüße", layout="blocks"))
    (row,) = list_images(small, str(path)).images
    assert row.files[:2] == ("gr_e.ipb", "gr_e.ipb.001")
    assert len(row.files) > 2
    assert fsck(path).complaints == ()
    WRECKS["reformatted"](session, path.stat().st_size)(path)
    assert list_images(session, str(path), EVERY).images[0].files == row.files
    restore(session, str(path), RestoreOptions())
    assert contents(path, tmp_path / "out") == files
    assert list_images(session, str(path)).images[0].files == row.files


@pytest.mark.parametrize("wreck", ["nothing", "first-tenth", "reformatted"])
@pytest.mark.parametrize("chosen", ["solid", "scattered"])
def test_both_layouts_in_one_partition(session: Session, tmp_path: Path, wreck: str, chosen: str) -> None:
    path = make_partition(tmp_path / "p.img", RECIPES[1])
    files = fill(path)
    create(session, str(path), CreateOptions("scattered", "factory", layout="blocks"))
    create(session, str(path), CreateOptions("solid", layout="contiguous"))
    create(session, str(path), CreateOptions("scattered-2", layout="blocks"))
    assert fsck(path).complaints == ()
    assert verify(session, str(path)).ok
    WRECKS[wreck](session, path.stat().st_size)(path)
    restore(session, str(path), RestoreOptions(chosen))
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "out") == files
    names = {row.name: row.layout for row in list_images(session, str(path)).images}
    assert names == {"scattered": "blocks", "solid": "contiguous", "scattered-2": "blocks"}
    assert verify(session, str(path)).ok


def test_stale_blocks_never_come_back(session: Session, tmp_path: Path) -> None:
    """Images are removed and others made over a part of their blocks; a scan sees only those that were kept."""
    path = make_partition(tmp_path / "p.img", RECIPES[0])
    fill(path)
    for number in range(3):
        copy_in(path, {"/new.bin": os.urandom(600_000 - 200_000 * number)})
        create(session, str(path), CreateOptions(f"gone-{number}", layout="blocks"))
        delete(path, "/new.bin")
        with FileVolume(path, Access.WRITE) as volume:
            located = locate(session, volume)
            forget_images(volume, located.stores, [one.summary.image_id for one in located.images])
        with FileVolume(path, Access.WRITE) as volume:
            tx = Transaction(volume)
            editor = FatEditor(tx.view)
            editor.release([claim.name for claim in editor.claims()], tx)
            tx.commit(None)
        assert fsck(path).complaints == ()
    files = contents(path, tmp_path / "before")
    create(session, str(path), CreateOptions("kept", layout="blocks"))
    WRECKS["reformatted"](session, path.stat().st_size)(path)
    with FileVolume(path) as volume:
        located = locate(session, volume, (SearchMethod.PARTITION,))
        assert [one.summary.name for one in located.images] == ["kept"]
        assert [finding.code for finding in located.stores[0].findings] == ["blocks.garbage"]
    restore(session, str(path), RestoreOptions())
    assert contents(path, tmp_path / "out") == files
    assert verify(session, str(path)).ok


def test_files_where_a_dropped_image_had_its_head_come_back(tmp_path: Path) -> None:
    """The place for journals of the newest image goes with it: nothing may be written there when files are back."""
    session = Session(plugins.load(), Policy(min_free=0))
    path = make_partition(tmp_path / "p.img", Recipe("fat16", 16 * MIB, ("-F16", "-s2")))
    copy_in(path, {"/filler": bytes(9 * MIB)})
    with FileVolume(path) as volume:
        left = find_filesystem(session, volume).open(volume).info.free_bytes
    files = {"/to-the-last-cluster": os.urandom(left)}
    copy_in(path, files)
    delete(path, "/filler")
    create(session, str(path), CreateOptions("first", layout="blocks"))
    delete(path, "/to-the-last-cluster")
    create(session, str(path), CreateOptions("second", layout="blocks"))
    rows = list_images(session, str(path)).images
    report = restore(session, str(path), RestoreOptions("first", retain=False))
    assert (report.retained, report.dropped) == (("first",), ("second",))
    assert contents(path, tmp_path / "out") == files
    assert fsck(path).complaints == ()
    assert [row.id for row in list_images(session, str(path), EVERY).images] == [rows[0].id]
    assert verify(session, str(path)).ok


def test_restore_without_the_others_gives_their_clusters_back(imaged: Callable[[Recipe], Imaged], session: Session,
                                                              tmp_path: Path) -> None:  # fmt: skip
    made, files = imaged(RECIPES[0])
    path = copied(made, tmp_path / "p.img")
    restore(session, str(path), RestoreOptions("factory", retain=False))
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "out") == files
    assert [row.name for row in list_images(session, str(path)).images] == ["factory-1"]
    assert list_images(session, str(path), (SearchMethod.PARTITION,)).images[-1].state == "committed"


def test_lost_seals_are_written_again(imaged: Callable[[Recipe], Imaged], session: Session, tmp_path: Path) -> None:
    made, _ = imaged(RECIPES[0])
    path = copied(made, tmp_path / "p.img")
    before = path.read_bytes()
    with FileVolume(path) as volume:
        (store,) = locate(session, volume).stores
        places = [next(iter(claim.runs))[0] for claim in store.claims().claims]
    for place in places:
        zero(place, 512)(path)
    assert [row.name for row in list_images(session, str(path)).images] == ["factory-1", "mine"]
    assert {finding.code for finding in verify(session, str(path)).findings} == {"blocks.copy-lost"}
    repair_stores(session, str(path))
    assert verify(session, str(path)).ok
    assert all(path.read_bytes()[place : place + 512] == before[place : place + 512] for place in places)


def wipe_controls(path: Path) -> None:
    """Zero every seal and every description."""
    content = path.read_bytes()
    at = -1
    while (at := content.find(MAGIC, at + 1)) >= 0:
        if content[at + 12] in (2, 3):
            zero(at, 512)(path)


@pytest.mark.parametrize("wreck", ["nothing", "first-tenth", "reformatted"])
def test_data_blocks_alone_bring_everything_back(partition: Imaged, session: Session, tmp_path: Path,
                                                 wreck: str) -> None:  # fmt: skip
    path, files = partition
    wipe_controls(path)
    WRECKS[wreck](session, path.stat().st_size)(path)
    told: list[str] = []
    session = Session(session.plugins, warn=told.append)
    rows = list_images(session, str(path), EVERY).images
    assert [(row.name, row.kind, row.state) for row in rows] == [
        ("factory-1", "factory", "partial" if wreck == "nothing" else "stray"),
        ("mine", "user", "partial" if wreck == "nothing" else "stray"),
    ]
    report = restore(session, str(path), RestoreOptions())
    assert (report.name, report.lost_bytes) == ("mine", 0)
    assert any("only the data were found" in message for message in told) == (wreck != "nothing")
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "out") == files


def damaged_copy(made: Path, path: Path, where: Extents, permille: int, seed: int) -> Path:
    """A share of all sectors of ``where`` replaced by noise."""
    copied(made, path)
    sectors = [at for start, end in where for at in range(start, end, 512)]
    chance = random.Random(seed)
    with path.open("r+b") as file:
        for at in chance.sample(sectors, len(sectors) * permille // 1000):
            file.seek(at)
            file.write(chance.randbytes(512))
    return path


@pytest.mark.parametrize(("permille", "seed"), [(1, 1), (10, 2), (50, 3), (200, 4)])
def test_random_damage_is_named_and_the_rest_restored(
    imaged: Callable[[Recipe], Imaged], session: Session, tmp_path: Path, permille: int, seed: int
) -> None:
    """Whatever is restored and not named has the right bytes."""
    made, _ = imaged(RECIPES[1])
    path = damaged_copy(made, tmp_path / "p.img", Extents.span(0, made.stat().st_size), permille, seed)
    target = tmp_path / "target.img"
    wanted = RestoreOptions("mine", to=str(target), allow_incomplete=True)
    if permille >= 50:
        try:
            report = restore(session, str(path), wanted)
        except (IntegrityError, NoImageFound):
            return
    else:
        report = restore(session, str(path), wanted)
    original = made.read_bytes()
    restored = target.read_bytes()
    with FileVolume(made) as volume:
        located = locate(session, volume)
        reader = open_reader(session, located, located.select("mine"))
        whole = ImageVolume(reader)
        wrong = [at for start, end in reader.extents for at in range(start, end, 512)
                 if restored[at : at + 512] != whole.read(at, 512)]  # fmt: skip
    assert len(original) == len(restored)
    assert len(wrong) * 512 <= report.lost_bytes
    assert bool(report.lost_bytes) == bool(report.affected)
    assert all(restored[at : at + 512] == bytes(512) for at in wrong)


def test_damaged_block_costs_its_chunk_only(session: Session, tmp_path: Path) -> None:
    path = make_partition(tmp_path / "p.img", RECIPES[1])
    files = {f"/{number}.bin": os.urandom(MIB) for number in range(12)}
    copy_in(path, files)
    create(session, str(path), CreateOptions("one", layout="blocks"))
    with FileVolume(path) as volume:
        located = locate(session, volume)
        reader = open_reader(session, located, located.images[0])
        assert len(reader.chunks) > 2
        middle = reader.chunks[-1]["frame_offset"] + reader.chunks[-1]["body_length"] // 2
        piece = reader.stream.read(int(middle), 2 * KIB)
    at = path.read_bytes().rindex(piece[1000:1064])
    zero(at, 1)(path)
    with pytest.raises(IntegrityError):
        restore(session, str(path), RestoreOptions())
    before = path.read_bytes()
    dry = restore(session, str(path), RestoreOptions(allow_incomplete=True, dry_run=True))
    assert path.read_bytes() == before
    report = restore(session, str(path), RestoreOptions(allow_incomplete=True))
    assert (dry.lost_bytes, dry.affected) == (report.lost_bytes, report.affected)
    assert 0 < report.lost_bytes <= reader.chunk_size
    assert fsck(path).complaints == ()
    left = contents(path, tmp_path / "out")
    assert left.keys() == files.keys()
    different = {name for name in files if left[name] != files[name]}
    assert different
    assert different <= set(report.affected)
    assert [row.name for row in list_images(session, str(path)).images] == ["one"]
