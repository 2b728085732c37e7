"""A file system that comes to a smaller partition; judged by fsck.fat and mtools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from fatediting import CORE, edited, fsinfo, patch, possessions
from fatmaker import Recipe, copy_in, fsck, make_partition, typical_files
from inpart.contracts import Edits, Place
from inpart.errors import NoSpace
from inpart.units import MIB
from inpart.volume import FileVolume
from inpart_fat.editor.editor import FatEditor
from inpart_fat.filesystem import FatFilesystem

LARGE = Recipe("fat32-large", 300 * MIB, ("-F32", "-s8", "-h7"))


def cut(path: Path, size: int) -> None:
    """Make the partition smaller, and adapt what is in it."""
    with path.open("r+b") as file:
        file.truncate(size)
    edited(path, lambda fs, tx: fs.adapt(Place(0, size), tx))


def used_end(path: Path) -> int:
    with FileVolume(path) as volume:
        return FatFilesystem(volume).allocated().end


@pytest.mark.parametrize("recipe", CORE, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("tail", [0, 100])
def test_it_shrinks_to_where_the_files_end(recipe: Recipe, tail: int, tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", recipe)
    copy_in(path, typical_files(recipe.size // 64))
    files = possessions(path)
    with FileVolume(path) as volume:
        geometry = FatFilesystem(volume).geometry
        whole = FatFilesystem(volume).info
    # FAT16 needs 4085 clusters, and FAT32 keeps 65525 where it had them.
    least = {12: 1, 16: 4085, 32: 65525 if geometry.cluster_count >= 65525 else 4085}[geometry.fat_bits]
    size = max(used_end(path), geometry.data_start + least * geometry.cluster_size)
    cut(path, size + tail)
    judged = fsck(path)
    assert not judged.complaints
    assert possessions(path) == files
    with FileVolume(path) as volume:
        info = FatFilesystem(volume).info
        assert not list(FatFilesystem(volume).check())
    assert (info.size, info.used_bytes, info.kind) == (size, whole.used_bytes, whole.kind)
    if geometry.fat32:
        assert fsinfo(path) == (info.free_bytes // geometry.cluster_size, 0xFFFFFFFF)


def test_it_never_becomes_another_kind_of_fat(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", LARGE)
    with FileVolume(path) as volume:
        least = FatFilesystem(volume).geometry.data_start + 65525 * 4096
    path_of_less = tmp_path / "less.img"
    path_of_less.write_bytes(path.read_bytes()[: least - 4096])
    with pytest.raises(NoSpace, match=f"can shrink to {least} bytes, its new partition has {least - 4096}"):
        edited(path_of_less, lambda fs, tx: fs.adapt(Place(0, least - 4096), tx))
    cut(path, least)
    assert "FAT32" in subprocess.run(["minfo", "-i", path, "::"], capture_output=True, text=True, check=True).stdout
    assert not fsck(path).complaints


def test_used_clusters_are_never_given_up(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", LARGE)
    copy_in(path, {"/a": bytes(MIB)})
    end = used_end(path)

    def too_far(editor: FatEditor, tx: Edits) -> None:
        editor.adapt(Place(0, end - 512), tx)

    with pytest.raises(NoSpace):
        edited(path, too_far)


def test_a_sector_that_is_no_fsinfo_stays_as_it_is(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", LARGE)
    patch(path, 512, b"something else" + bytes(498))
    before = path.read_bytes()[512:1024]
    cut(path, LARGE.size - MIB)
    assert path.read_bytes()[512:1024] == before
