"""The layout of blocks on real FAT partitions: image, wreck, scan, restore; beside a container; damaged at random."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fatmaker import Recipe, copied, fill, fsck, make_partition
from fatwrecks import WRECKS, contents
from inpart import plugins
from inpart.operations.create import CreateOptions, create
from inpart.operations.images import list_images
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Session
from inpart.operations.stores import EVERY
from inpart.operations.verify import verify
from inpart.units import MIB

RECIPES = (
    Recipe("fat12", 4 * MIB, ("-F12", "-s2")),
    Recipe("fat16", 32 * MIB, ("-F16", "-s4")),
    Recipe("fat32", 48 * MIB, ("-F32", "-s1")),
)
Imaged = tuple[Path, dict[str, bytes]]


@pytest.fixture(scope="session")
def session() -> Session:
    return Session(plugins.load())


@pytest.fixture(scope="module")
def imaged(tmp_path_factory: pytest.TempPathFactory, session: Session) -> Callable[[Recipe], Imaged]:
    """A filled partition of a recipe with two images in it, made once; not to be changed."""
    made: dict[str, Imaged] = {}

    def give(recipe: Recipe) -> Imaged:
        if recipe.name not in made:
            path = make_partition(tmp_path_factory.mktemp("blocks") / "p.img", recipe)
            files = fill(path)
            create(session, str(path), CreateOptions("factory-1", "factory", layout="blocks"))
            create(session, str(path), CreateOptions("mine", layout="blocks"))
            made[recipe.name] = path, files
        return made[recipe.name]

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
    path, files = partition
    before = list_images(session, str(path)).images
    WRECKS[wreck](session, path.stat().st_size)(path)
    found = list_images(session, str(path), EVERY).images
    assert [(row.id, row.extents) for row in found] == [(row.id, row.extents) for row in before]
    restore(session, str(path), RestoreOptions())
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "out") == files
    assert [row.name for row in list_images(session, str(path)).images] == ["factory-1", "mine"]
    assert verify(session, str(path)).ok
