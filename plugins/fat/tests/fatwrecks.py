"""A FAT partition with images: ways to wreck it, to see what is left of its files, and that it comes back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from fatmaker import Recipe, fill, fsck, make_partition
from inpart.operations.create import CreateOptions, create
from inpart.operations.filesystems import find_filesystem
from inpart.operations.images import list_images
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Session
from inpart.operations.stores import EVERY
from inpart.operations.verify import verify
from inpart.volume import FileVolume

Wreck = Callable[[Path], None]
Imaged = tuple[Path, dict[str, bytes]]


def contents(path: Path, folder: Path) -> dict[str, bytes]:
    """All user files, read by mtools."""
    folder.mkdir()
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1"}
    subprocess.run(
        ["mcopy", "-s", "-n", "-i", str(path), "::/*", str(folder)], check=True, capture_output=True, env=environment
    )
    found = [file for file in folder.rglob("*") if file.is_file() and ".inpart" not in file.parts]
    return {f"/{file.relative_to(folder)}": file.read_bytes() for file in found}


def zero(start: int, length: int) -> Wreck:
    def wreck(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(start)
            file.write(bytes(length))

    return wreck


def zero_areas(session: Session, *names: str) -> Wreck:
    def wreck(path: Path) -> None:
        with FileVolume(path) as volume:
            areas = find_filesystem(session, volume).open(volume).system_areas()
            chosen = [area for area in areas if area.name in names]
        assert chosen
        for area in chosen:
            for start, end in area.extents:
                zero(start, end - start)(path)

    return wreck


def reformat(*options: str) -> Wreck:
    def wreck(path: Path) -> None:
        subprocess.run(["mkfs.fat", *options, str(path)], check=True, capture_output=True)

    return wreck


WRECKS: dict[str, Callable[[Session, int], Wreck]] = {
    "boot-sectors": lambda session, size: zero_areas(session, "boot-sector", "backup-boot-sector"),
    "first-fat": lambda session, size: zero_areas(session, "fat-0"),
    "both-fats": lambda session, size: zero_areas(session, "fat-0", "fat-1"),
    "root-directory": lambda session, size: zero_areas(session, "root-directory"),
    "first-tenth": lambda session, size: zero(0, size // 10),
    "reformatted": lambda session, size: reformat(),
    "nothing": lambda session, size: zero(0, 0),
}


def make_imaged(path: Path, recipe: Recipe, session: Session, layout: str | None = None) -> Imaged:
    """A filled partition of a recipe with two images in it, and its files."""
    files = fill(make_partition(path, recipe))
    create(session, str(path), CreateOptions("factory-1", "factory", layout=layout))
    create(session, str(path), CreateOptions("mine", layout=layout))
    return path, files


def assert_comes_back(session: Session, imaged: Imaged, wreck: str, folder: Path) -> None:
    """Wreck the partition: both images are found where they were, and the newer one restores it."""
    path, files = imaged
    before = list_images(session, str(path)).images
    WRECKS[wreck](session, path.stat().st_size)(path)
    found = list_images(session, str(path), EVERY).images
    assert [(row.id, row.extents) for row in found] == [(row.id, row.extents) for row in before]
    restore(session, str(path), RestoreOptions())
    assert fsck(path).complaints == ()
    assert contents(path, folder) == files
    assert [row.name for row in list_images(session, str(path)).images] == ["factory-1", "mine"]
    assert verify(session, str(path)).ok
