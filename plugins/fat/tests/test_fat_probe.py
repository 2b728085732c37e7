"""Probing: what is not FAT is never taken for it, and FAT is told from rubbish that looks like it."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from fatmaker import MATRIX, Recipe, make_partition
from inpart.contracts import Verdict
from inpart.errors import FilesystemUnsupported
from inpart.extents import Extents
from inpart.testing.faults import FaultyVolume
from inpart.units import MIB
from inpart.volume import FileVolume, MemoryVolume, Volume
from inpart_fat.provider import FatProvider

MAKERS = {
    "ntfs": ["mkntfs", "-F", "-Q", "-q"],
    "ext4": ["mke2fs", "-q", "-t", "ext4"],
    "ext2": ["mke2fs", "-q", "-t", "ext2"],
    "swap": ["mkswap"],
}


def verdict(volume: Volume) -> Verdict:
    return FatProvider().probe(volume).verdict


@pytest.mark.parametrize("name", MAKERS)
def test_other_file_systems_are_denied(name: str, tmp_path: Path) -> None:
    path = tmp_path / "other.img"
    with open(path, "wb") as file:
        file.truncate(16 * MIB)
    subprocess.run([*MAKERS[name], str(path)], check=True, capture_output=True)
    assert verdict(FileVolume(path)) is Verdict.NOT_MINE
    with pytest.raises(FilesystemUnsupported):
        FatProvider().open(FileVolume(path))


@pytest.mark.parametrize("table", ["dos", "gpt"])
def test_whole_disks_are_denied(table: str, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    make_partition(tmp_path / "partition.img", MATRIX[0])
    path.write_bytes(bytes(MIB) + (tmp_path / "partition.img").read_bytes() + bytes(MIB))
    script = f"label: {table}\nstart=2048, size=2048\n"
    subprocess.run(["sfdisk", "-q", str(path)], input=script.encode(), check=True, capture_output=True)
    assert verdict(FileVolume(path)) is Verdict.NOT_MINE


def test_random_bytes_are_denied() -> None:
    chance = random.Random(1)
    for _ in range(200):
        noise = bytearray(chance.randbytes(64 * 1024))
        noise[510:512] = b"\x55\xaa"
        assert verdict(MemoryVolume(noise)) is Verdict.NOT_MINE


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 4096])
@pytest.mark.parametrize("fill", [0, 0xFF])
def test_small_and_blank_volumes_are_denied(size: int, fill: int) -> None:
    assert verdict(MemoryVolume(bytes([fill]) * size)) is Verdict.NOT_MINE


@pytest.mark.parametrize("sector_size", [512, 1024, 2048, 4096])
def test_a_lost_boot_sector_of_fat32_is_found_at_any_sector_size(sector_size: int, tmp_path: Path) -> None:
    recipe = Recipe("fat32", 8 * MIB, ("-F32", f"-S{sector_size}", "-s1"))
    volume = MemoryVolume(make_partition(tmp_path / "partition.img", recipe).read_bytes())
    before = FatProvider().open(volume).info
    volume.write(0, b"\xff" * sector_size)
    assert verdict(volume) is Verdict.DAMAGED
    assert FatProvider().open(volume).info.size == before.size


def test_an_unreadable_boot_sector_is_replaced(tmp_path: Path) -> None:
    recipe = Recipe("fat32", 8 * MIB, ("-F32", "-s1"))
    whole = MemoryVolume(make_partition(tmp_path / "partition.img", recipe).read_bytes())
    volume = FaultyVolume(whole, unreadable=Extents.span(0, 512))
    assert verdict(volume) is Verdict.DAMAGED
    filesystem = FatProvider().open(volume)
    assert filesystem.info.uuid == "1234-ABCD"
    assert [finding.code for finding in filesystem.check()] == ["fat.boot-sector"]


def test_a_backup_sector_of_another_place_is_not_believed(tmp_path: Path) -> None:
    """The copy must stand where its own BPB_BkBootSec says, or a partition's first sector could pass for one."""
    volume = MemoryVolume(make_partition(tmp_path / "p.img", Recipe("f", 8 * MIB, ("-F32", "-s1"))).read_bytes())
    boot = bytearray(volume.read(0, 512))
    boot[50:52] = (9).to_bytes(2, "little")
    volume.write(6 * 512, boot)
    volume.write(0, bytes(512))
    assert verdict(volume) is Verdict.NOT_MINE


def test_a_boot_sector_without_tables_is_believed_by_its_name_only(tmp_path: Path) -> None:
    recipe = next(recipe for recipe in MATRIX if recipe.name == "fat16-512")
    volume = MemoryVolume(make_partition(tmp_path / "p.img", recipe).read_bytes())
    geometry = FatProvider().open(volume).geometry
    volume.write(geometry.fat_starts[0], bytes(2 * geometry.fat_bytes))
    assert verdict(volume) is Verdict.MINE
    assert "fat.media" in {finding.code for finding in FatProvider().open(volume).check()}
    volume.write(54, b"SOMETHIN")
    assert verdict(volume) is Verdict.NOT_MINE
