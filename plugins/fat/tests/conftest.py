"""Partitions for the tests of the FAT plugin, made once for each recipe; makes ``fatmaker`` importable."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from inpart.testing.tools import copied

sys.path.insert(0, str(Path(__file__).parent))

from fatediting import EDITED, prepared
from fatmaker import MATRIX, Recipe, fill, make_partition


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Recipe], tuple[Path, dict[str, bytes]]]:
    """A function that gives a filled partition of a recipe, made once, and the files in it. Not to be changed."""
    folder = tmp_path_factory.mktemp("fat")

    @cache
    def give(recipe: Recipe) -> tuple[Path, dict[str, bytes]]:
        path = make_partition(folder / f"{recipe.name}.img", recipe)
        return path, fill(path)

    return give


@pytest.fixture(params=MATRIX, ids=lambda recipe: recipe.name)
def partition(
    request: pytest.FixtureRequest, filled: Callable[[Recipe], tuple[Path, dict[str, bytes]]], tmp_path: Path
) -> tuple[Path, dict[str, bytes]]:
    """A copy of a filled partition of each recipe, and the files in it."""
    path, files = filled(request.param)
    return copied(path, tmp_path / "partition.img"), files


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Recipe], Path]:
    """A function that gives a partition with files all over it, made once for each recipe; not to be changed."""
    folder = tmp_path_factory.mktemp("edited")

    @cache
    def give(recipe: Recipe) -> Path:
        return prepared(recipe, folder / f"{recipe.name}.img")

    return give


@pytest.fixture(params=EDITED, ids=lambda recipe: recipe.name)
def path(request: pytest.FixtureRequest, make: Callable[[Recipe], Path], tmp_path: Path) -> Path:
    """A copy of such a partition of every kind that editors are tried on."""
    return copied(make(request.param), tmp_path / "partition.img")
