"""Saving a partition table with an image: small, complete for one partition, and read back without trust."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from inpart.errors import IntegrityError, UsageError
from inpart.partitions import apply_repair, repair_entry, repair_table, save_table, saved_table
from inpart.testing.tools import run
from inpart.volume import Access, FileVolume, MemoryVolume
from partition_bench import DISK, GPT, MBR, MIB, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[str], Bench]:
    return lambda script: Bench(tmp_path / "disk.img", script)


@pytest.mark.parametrize("script", [MBR, GPT])
def test_what_is_saved_is_small_and_says_the_same(bench: Callable[[str], Bench], script: str) -> None:
    made = bench(script)
    assert sum(len(data) for _, data in made.saved.values()) < 4096
    again = saved_table(made.saved)
    assert (again.kind, again.disk_id, again.entries) == (made.table.kind, made.table.disk_id, made.table.entries)


def test_a_gpt_too_large_to_save_is_saved_for_one_partition(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    FileVolume.create(path, DISK).close()
    run("sgdisk", "--resize-table=4096", *(f"--new={n}:0:+64K" for n in (*range(1, 20), 4000)), path)
    with FileVolume(path) as volume:
        table = Bench.read(volume)
        entry = table.find(4000)
        assert entry is not None
        saved = save_table(volume, table, entry, limit=4096)
    assert sum(len(data) for _, data in saved.values()) <= 4096
    assert saved_table(saved).entries == (entry,)
    run("sgdisk", "--delete=4000", path)
    with FileVolume(path, Access.WRITE) as volume:
        apply_repair(volume, repair_entry(volume, saved, entry.start))
        assert Bench.read(volume).entries == table.entries
    assert "No problems found" in run("sgdisk", "--verify", path)


def test_the_partitions_own_boot_record_is_saved_first(bench: Callable[[str], Bench]) -> None:
    made = bench(MBR)
    entry = made.table.find(7)
    assert entry is not None
    with FileVolume(made.path) as volume:
        saved = save_table(volume, made.table, entry, limit=1200)
    assert set(saved) == {"mbr", "ebr-3"}


def test_a_disk_of_larger_sectors_is_refused(bench: Callable[[str], Bench]) -> None:
    made = bench(GPT)
    with pytest.raises(UsageError, match="sectors of 512 bytes, memory in 4096"):
        repair_table(MemoryVolume(DISK, sector_size=4096), made.saved)


def test_other_areas_are_none_of_the_table(bench: Callable[[str], Bench]) -> None:
    made = bench(MBR)
    assert saved_table(made.saved | {"boot-sector": (0, bytes(512))}).entries == made.table.entries


def test_what_was_saved_may_be_damaged(bench: Callable[[str], Bench]) -> None:
    made = bench(GPT)
    mbr, header, entries = (made.saved[name] for name in ("mbr", "gpt-header", "gpt-entries"))
    disk = MemoryVolume(DISK)
    for saved in (
        {},
        {"mbr": (0, b"short")},
        {"mbr": (0, bytes(512))},
        {"mbr": mbr, "gpt-header": (512, b"junk"), "gpt-entries": entries},
        {"mbr": mbr, "gpt-header": header},
        {"mbr": mbr, "gpt-header": header, "gpt-entries": (-5, entries[1])},
        {"mbr": mbr, "gpt-header": header, "gpt-entries": (1 << 70, entries[1])},
    ):
        with pytest.raises(IntegrityError):
            repair_entry(disk, saved, MIB)
        with pytest.raises(IntegrityError):
            repair_table(disk, saved)
    with pytest.raises(UsageError, match="names no partition at 5"):
        repair_entry(disk, made.saved, 5)
