"""Putting entries back, judged by sfdisk and sgdisk; every cut between two edits leaves a readable table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from inpart.errors import IntegrityError, NoSpace, PlaceTaken
from inpart.partitions import (
    apply_repair,
    repair_entry,
    repair_table,
    save_table,
)
from inpart.testing.tools import run
from inpart.volume import Access, FileVolume, MemoryVolume, OverlayVolume
from partition_bench import DISK, GPT, MBR, MIB, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[str], Bench]:
    return lambda script: Bench(tmp_path / "disk.img", script)


@pytest.mark.parametrize("script", [MBR, GPT])
def test_a_sound_table_needs_no_edit(bench: Callable[[str], Bench], script: str) -> None:
    made = bench(script)
    with FileVolume(made.path) as volume:
        assert repair_table(volume, made.saved).edits == ()
        for entry in made.table.partitions:
            repair = repair_entry(volume, made.saved, entry.start)
            assert (repair.edits, repair.description, repair.entry) == ((), (), entry)


@pytest.mark.parametrize(
    ("script", "damage"),
    [
        (MBR, [(0, 512)]),
        (MBR, [(0, MIB)]),
        (MBR, [(21 * MIB, 512), (30 * MIB, 512)]),
        (GPT, [(0, 512)]),
        (GPT, [(0, MIB)]),
        (GPT, [(512, 512)]),
        (GPT, [(DISK - MIB, MIB)]),
        (GPT, [(0, MIB), (DISK - MIB, MIB)]),
        (GPT, [(1024, 1), (DISK - 512, 1)]),
    ],
)
def test_a_whole_table_comes_back(bench: Callable[[str], Bench], script: str, damage: list[tuple[int, int]]) -> None:
    made = bench(script)
    made.wipe(*damage)
    repair = made.repair(repair_table)
    assert repair.edits
    assert made.listing() == made.dump
    assert made.repair(repair_table).edits == ()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_gpt_entry_comes_back(bench: Callable[[str], Bench], number: int) -> None:
    made = bench(GPT)
    run("sfdisk", "--quiet", "--delete", made.path, str(number))
    assert made.listing() != made.dump
    repair = made.repair(made.entry(number))
    assert made.listing() == made.dump
    assert [line for line in repair.description if line[0] in "+-!"] == [
        f"+ {made.table.entries[number - 1].describe()}"
    ]


@pytest.mark.parametrize("number", [1, 2, 5, 6, 7, 8])
def test_one_mbr_entry_comes_back(bench: Callable[[str], Bench], number: int) -> None:
    made = bench(MBR)
    run("sfdisk", "--quiet", "--delete", made.path, str(number))
    repair = made.repair(made.entry(number))
    wanted = made.table.find(number)
    assert wanted is not None
    assert repair.entry is not None
    assert (repair.entry.start, repair.entry.size, repair.entry.type) == (wanted.start, wanted.size, wanted.type)
    assert {(e.start, e.size) for e in repair.table.entries} == {(e.start, e.size) for e in made.table.entries}
    if number != 5:
        assert made.listing() == made.dump


def test_an_entry_alone_comes_back_where_no_table_is_left(bench: Callable[[str], Bench]) -> None:
    made = bench(GPT)
    made.wipe((0, MIB), (DISK - MIB, MIB))
    repair = made.repair(made.entry(2))
    assert [entry.number for entry in repair.table.entries] == [2]
    assert repair.description[:2] == (
        "! there is no partition table now",
        "! 2 more partitions of the saved table are not put back",
    )
    made.repair(made.entry(3))
    made.repair(made.entry(1))
    assert made.listing() == made.dump


def test_a_logical_partition_brings_its_container_back(bench: Callable[[str], Bench]) -> None:
    made = bench(MBR)
    made.wipe((0, 512))
    repair = made.repair(made.entry(7))
    assert [entry.number for entry in repair.table.entries] == [3, 5, 6, 7, 8]
    made.repair(made.entry(1))
    made.repair(made.entry(2))
    assert made.listing() == made.dump


def test_boot_code_and_disk_signature_come_back(bench: Callable[[str], Bench]) -> None:
    made = bench(MBR)
    with FileVolume(made.path, Access.WRITE) as volume:
        volume.write(0, b"\xfa\x33\xc0" * 100)
        made.saved = save_table(volume, made.read(volume))
        whole = volume.read(0, 512)
    made.wipe((0, 512))
    made.repair(repair_table)
    assert made.path.read_bytes()[:512] == whole
    with FileVolume(made.path, Access.WRITE) as volume:
        volume.write(0, b"\xeb\x63\x90" * 100)
        volume.write(446, bytes(64))
    made.repair(repair_table)
    assert made.path.read_bytes()[:300] == b"\xeb\x63\x90" * 100
    assert made.path.read_bytes()[440:512] == whole[440:]


@pytest.mark.parametrize("damaged", [0, 1, 2, 3])
def test_a_broken_chain_is_mended(bench: Callable[[str], Bench], damaged: int) -> None:
    made = bench(MBR)
    made.wipe((made.table.ebrs[damaged].lba * 512, 512))
    made.repair(made.entry(8))
    assert made.listing() == made.dump


def test_all_boot_records_lost(bench: Callable[[str], Bench]) -> None:
    made = bench(MBR)
    made.wipe((0, 512), *((ebr.lba * 512, 512) for ebr in made.table.ebrs))
    made.repair(made.entry(6))
    assert [entry.number for entry in made.read(FileVolume(made.path)).entries] == [3, 5, 6, 7, 8]


def test_the_active_flag_is_not_given_twice(bench: Callable[[str], Bench]) -> None:
    made = bench(MBR)
    run("sfdisk", "--quiet", "--delete", made.path, "1")
    run("sfdisk", "--quiet", "--activate", made.path, "2")
    repair = made.repair(made.entry(1))
    assert [entry.number for entry in repair.table.entries if entry.bootable] == [2]


def test_a_changed_entry_is_put_right(bench: Callable[[str], Bench]) -> None:
    made = bench(GPT)
    run("sgdisk", "-d", "2", "-n", "2:22528:+5M", "-c", "2:small", made.path)
    repair = made.repair(made.entry(2))
    assert made.listing() == made.dump
    assert [line[0] for line in repair.description[:2]] == ["-", "+"]
    assert "'small'" in repair.description[0]
    other = bench_of(made.path.with_name("mbr.img"), MBR)
    run("sfdisk", "--quiet", "--part-type", other.path, "1", "83")
    run("sfdisk", "--quiet", "--part-type", other.path, "6", "83")
    other.repair(other.entry(1))
    other.repair(other.entry(6))
    assert other.listing() == other.dump


def bench_of(path: Path, script: str) -> Bench:
    return Bench(path, script)


def test_a_taken_number_gives_another(bench: Callable[[str], Bench]) -> None:
    made = bench("label: dos\nsize=10M\nsize=10M\n")
    made.sfdisk(stdin="label: dos\nstart=150000,size=10M\n")
    repair = made.repair(made.entry(1))
    assert repair.entry is not None
    assert repair.entry.number == 2
    assert "! number 1 is taken: the partition becomes number 2" in repair.description
    gpt = bench_of(made.path.with_name("gpt.img"), GPT)
    gpt.sfdisk("--wipe", "always", stdin="label: gpt\nstart=200000,size=5M\n")
    repair = gpt.repair(gpt.entry(1))
    assert [entry.number for entry in repair.table.entries] == [1, 2]
    assert repair.entry == repair.table.entries[1]


@pytest.mark.parametrize(
    ("script", "number", "now", "numbers"),
    [
        (MBR, 1, "label: dos\nstart=4096,size=5M\n", ("1048576", "2097152")),
        (MBR, 2, "label: dos\nstart=2048,size=50M,type=5\nsize=20M\n", ("#1 at 1048576", "11534336")),
        (MBR, 7, "label: dos\nstart=2048,size=90M\n", ("#1 at 1048576",)),
        (MBR, 7, "label: dos\nstart=2048,size=110M,type=5\nstart=4096,size=80M\n", ("#5 at 2097152",)),
        (GPT, 2, "label: gpt\nstart=2048,size=30M\n", ("#1 at 1048576", "31457280")),
        (GPT, 1, "label: dos\nsize=1M\n", ("another kind",)),
        (MBR, 1, "label: gpt\nsize=1M\n", ("another kind",)),
    ],
)
def test_existing_partitions_are_never_overlapped(
    bench: Callable[[str], Bench], script: str, number: int, now: str, numbers: tuple[str, ...]
) -> None:
    made = bench(script)
    run("sfdisk", "--quiet", "--wipe", "always", made.path, stdin=now)
    with FileVolume(made.path) as volume:
        with pytest.raises(PlaceTaken) as caught:
            made.entry(number)(volume, made.saved)
        assert all(text in caught.value.message for text in numbers)
        assert caught.value.hint
        assert caught.value.exit_code == 14
        with pytest.raises(PlaceTaken, match="partitions that the saved table lacks"):
            repair_table(volume, made.saved)


def test_a_full_table_is_refused(bench: Callable[[str], Bench]) -> None:
    made = bench("label: dos\nsize=10M\n")
    rows = "\n".join(f"start={30000 + index * 20000},size=1M" for index in range(4))
    made.sfdisk(stdin=f"label: dos\n{rows}\n")
    with FileVolume(made.path) as volume, pytest.raises(PlaceTaken, match="all four entries"):
        made.entry(1)(volume, made.saved)


@pytest.mark.parametrize("script", [MBR, GPT])
def test_a_smaller_disk_is_refused_with_the_numbers(bench: Callable[[str], Bench], script: str) -> None:
    made = bench(script)
    last = made.table.partitions[-1]
    small = MemoryVolume(last.end - 512)
    for compute in (repair_table, lambda volume, saved: repair_entry(volume, saved, last.start)):
        with pytest.raises(NoSpace, match=str(last.end)):
            compute(small, made.saved)
    if script == GPT:
        with pytest.raises(NoSpace, match="do not fit between the GPT structures"):
            repair_table(MemoryVolume(last.end + 512), made.saved)


@pytest.mark.parametrize("size", [100 * MIB, 200 * MIB])
def test_a_gpt_is_fitted_to_a_disk_of_another_size(bench: Callable[[str], Bench], size: int) -> None:
    made = bench(GPT)
    with made.path.open("r+b") as file:
        file.truncate(0)
        file.truncate(size)
    made.repair(repair_table)
    with FileVolume(made.path) as volume:
        table = made.read(volume)
    assert table.entries == made.table.entries
    assert table.notes == ()
    assert table.areas[-1].start == size - 512


def test_a_file_system_over_the_table_is_said(bench: Callable[[str], Bench]) -> None:
    made = bench(MBR)
    run("mkfs.fat", "-I", "--mbr=n", made.path)
    repair = made.repair(made.entry(1))
    assert repair.description[0].startswith("! sector 0 belongs to a FAT file system")


@pytest.mark.parametrize(("script", "number"), [(MBR, 7), (MBR, 2), (GPT, 2)])
def test_a_cut_between_two_edits_leaves_all_other_partitions(
    bench: Callable[[str], Bench], script: str, number: int
) -> None:
    made = bench(script)
    run("sfdisk", "--quiet", "--delete", made.path, str(number))
    with FileVolume(made.path) as volume:
        others = {(entry.start, entry.size) for entry in made.read(volume).partitions}
        repair = made.entry(number)(volume, made.saved)
        assert len(repair.edits) > (1 if number != 2 or script == GPT else 0)
        half = OverlayVolume(volume)
        for edit in repair.edits:
            half.write(edit.offset, edit.after)
            found = {(entry.start, entry.size) for entry in made.read(half).partitions}
            assert others <= found


def test_a_disk_that_changed_meanwhile_is_not_written(bench: Callable[[str], Bench]) -> None:
    made = bench(GPT)
    run("sfdisk", "--quiet", "--delete", made.path, "2")
    with FileVolume(made.path, Access.WRITE) as volume:
        repair = made.entry(2)(volume, made.saved)
        volume.write(repair.edits[-1].offset, b"changed!")
        before = volume.read(0, MIB)
        with pytest.raises(IntegrityError, match="has changed meanwhile"):
            apply_repair(volume, repair)
        assert volume.read(0, MIB) == before
