"""The main job on real FAT partitions: image, wreck, locate, restore; judged by fsck.fat and mtools."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from fatmaker import Recipe, copy_in, fsck, make_partition
from fatwrecks import WRECKS, Imaged, assert_comes_back, contents, make_imaged, reformat, zero
from inpart.contracts import FilesystemEditor
from inpart.errors import IntegrityError, Interrupted, NoImageFound, NoSpace, UnfinishedJournal
from inpart.operations import rewrite as rewriting
from inpart.operations.create import CreateOptions, create
from inpart.operations.filesystems import find_filesystem
from inpart.operations.images import list_images
from inpart.operations.protection import repair_stores
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.resume import resume
from inpart.operations.session import Session
from inpart.operations.stores import EVERY
from inpart.operations.verify import verify
from inpart.testing.tools import copied
from inpart.units import MIB
from inpart.volume import FileVolume

RECIPES = (
    Recipe("fat12", 2 * MIB, ("-F12", "-s1")),
    Recipe("fat12-64k", 64 * MIB, ("-F12", "-s128")),
    Recipe("fat16", 32 * MIB, ("-F16", "-s2")),
    Recipe("fat32", 48 * MIB, ("-F32", "-s1")),
    Recipe("fat32-sector-4096", 272 * MIB, ("-F32", "-S4096", "-s1")),
)


@pytest.fixture(scope="module")
def imaged(tmp_path_factory: pytest.TempPathFactory, session: Session) -> Callable[[Recipe], Imaged]:
    """A filled partition of a recipe with two images in it, made once; not to be changed."""

    @cache
    def give(recipe: Recipe) -> Imaged:
        return make_imaged(tmp_path_factory.mktemp("fat") / "p.img", recipe, session)

    return give


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def partition(request: pytest.FixtureRequest, imaged: Callable[[Recipe], Imaged], tmp_path: Path) -> Imaged:
    path, files = imaged(request.param)
    return copied(path, tmp_path / "p.img"), files


def test_create_leaves_a_healthy_file_system(partition: Imaged, session: Session, tmp_path: Path) -> None:
    path, files = partition
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "out") == files
    report = list_images(session, str(path))
    assert [row.name for row in report.images] == ["factory-1", "mine"]
    assert verify(session, str(path)).ok
    with FileVolume(path) as volume:
        filesystem = find_filesystem(session, volume).open(volume)
        assert isinstance(filesystem, FilesystemEditor)
        info = filesystem.info
        judged = fsck(path)
        assert (info.used_bytes // info.cluster_size) == judged.used
        held = [run for claim in filesystem.claims() for run in claim.runs.extents()]
        assert max(end for _, end in held) == info.data_end


@pytest.mark.parametrize("wreck", WRECKS)
def test_wrecked_partition_comes_back(partition: Imaged, session: Session, tmp_path: Path, wreck: str) -> None:
    assert_comes_back(session, partition, wreck, tmp_path / "out")


def test_image_that_cannot_fit_is_refused_untouched(session: Session, tmp_path: Path) -> None:
    path = make_partition(tmp_path / "full.img", Recipe("full", 32 * MIB, ("-F16", "-s4")))
    copy_in(path, {"/big.bin": os.urandom(30 * MIB)})
    before = path.read_bytes()
    with pytest.raises(NoSpace, match=r"\d+"):
        create(session, str(path), CreateOptions("first"))
    assert path.read_bytes() == before


def test_interrupted_restore_is_named_and_resumed(
    imaged: Callable[[Recipe], Imaged],
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, files = imaged(RECIPES[2])
    path = copied(made, tmp_path / "p.img")

    def interrupted(request: object, progress: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(rewriting, "copy_extents", interrupted)
    with pytest.raises(Interrupted, match="does not mount"):
        restore(session, str(path), RestoreOptions("factory"))
    monkeypatch.undo()
    assert fsck(path).files == -1
    assert list_images(session, str(path)).unfinished is not None
    with pytest.raises(UnfinishedJournal, match="was cut short"):
        create(session, str(path), CreateOptions("second"))
    done = resume(session, str(path))
    assert done.restored is not None
    assert done.restored.name == "factory-1"
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "out") == files
    assert resume(session, str(path)).restored is None


def test_container_that_something_else_moved_is_named_and_mended(session: Session, tmp_path: Path) -> None:
    path = make_partition(tmp_path / "moved.img", Recipe("moved", 32 * MIB, ("-F16", "-s4")))
    copy_in(path, {"/a.bin": os.urandom(MIB)})
    create(session, str(path), CreateOptions("one"))
    folder = tmp_path / "taken"
    folder.mkdir()
    environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1"}
    subprocess.run(["mcopy", "-i", str(path), "::/.inpart/one.ipi", str(folder)], check=True, env=environment)
    subprocess.run(["mdel", "-i", str(path), "::/.inpart/one.ipi"], check=True, env=environment)
    subprocess.run(["mcopy", "-i", str(path), str(folder / "one.ipi"), "::/.inpart/"], check=True, env=environment)
    found = verify(session, str(path))
    assert [(finding.code, finding.where) for finding in found.findings] == [("store.unprotected", "/.inpart/one.ipi")]
    assert repair_stores(session, str(path)).claimed == ("one.ipi",)
    assert verify(session, str(path)).ok
    assert fsck(path).complaints == ()


def test_discard_of_free_clusters_costs_nothing_and_a_discarding_format_everything(
    imaged: Callable[[Recipe], Imaged], session: Session, tmp_path: Path
) -> None:
    made, files = imaged(RECIPES[2])
    path = copied(made, tmp_path / "p.img")
    with FileVolume(path) as volume:
        filesystem = find_filesystem(session, volume).open(volume)
        assert isinstance(filesystem, FilesystemEditor)
        free = filesystem.free()
    for start, end in free:
        zero(start, end - start)(path)
    assert verify(session, str(path)).ok
    restore(session, str(path), RestoreOptions())
    assert contents(path, tmp_path / "out") == files
    zero(0, path.stat().st_size)(path)
    reformat("-F16")(path)
    with pytest.raises(NoImageFound):
        list_images(session, str(path), EVERY)


@pytest.mark.parametrize("lost", [(0, 1), (0.01, 1), (0.1, 0.6)])
def test_default_is_the_newest_intact_image(
    imaged: Callable[[Recipe], Imaged], session: Session, tmp_path: Path, lost: tuple[float, float]
) -> None:
    """``lost`` is so much of the newest one that it has chunks among it that the factory image cannot lend."""
    made, files = imaged(RECIPES[2])
    path = copied(made, tmp_path / "p.img")
    newest = next(row for row in list_images(session, str(path)).images if row.name == "mine")
    start, length = newest.extents[0]
    zero(start + int(length * lost[0]), int(length * (lost[1] - lost[0])))(path)
    with pytest.raises(IntegrityError):
        restore(session, str(path), RestoreOptions("mine"))
    assert restore(session, str(path), RestoreOptions()).name == "factory-1"
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "out") == files
