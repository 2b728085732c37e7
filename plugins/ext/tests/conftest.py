"""Partitions for the tests of the ext plugin, made once for each recipe; makes ``extmaker`` importable."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from inpart.testing.tools import copied

sys.path.insert(0, str(Path(__file__).parent))

from extmaker import MATRIX, Recipe, make_filled


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Recipe], tuple[Path, dict[str, bytes]]]:
    """A function that gives a filled partition of a recipe, made once, and the files in it. Not to be changed."""
    folder = tmp_path_factory.mktemp("ext")

    @cache
    def give(recipe: Recipe) -> tuple[Path, dict[str, bytes]]:
        path = folder / f"{recipe.name}.img"
        return path, make_filled(path, recipe)

    return give


@pytest.fixture(params=MATRIX, ids=lambda recipe: recipe.name)
def partition(
    request: pytest.FixtureRequest, filled: Callable[[Recipe], tuple[Path, dict[str, bytes]]], tmp_path: Path
) -> tuple[Path, dict[str, bytes]]:
    """A copy of a filled partition of each recipe, and the files in it."""
    path, files = filled(request.param)
    return copied(path, tmp_path / "partition.img"), files
