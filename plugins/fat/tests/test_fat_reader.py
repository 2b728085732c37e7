"""Reader and tree on healthy partitions, against what fsck.fat, partclone.fat and mtools say."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from fatmaker import EMPTY_ONLY, MATRIX, Recipe, copy_in, fsck, make_partition, partclone_used_bytes, set_attributes
from fattable import WholeTable
from inpart.contracts import EntryType, State, Verdict
from inpart.errors import UsageError
from inpart.extents import Extents
from inpart.units import GIB, MIB
from inpart.volume import Access, CountingVolume, FileVolume, MemoryVolume, RunsVolume, SliceVolume
from inpart_fat.filesystem import FatFilesystem
from inpart_fat.provider import FatProvider

Partition = tuple[Path, dict[str, bytes]]
Filled = Callable[[Recipe], Partition]


def test_agrees_with_fsck(partition: Partition) -> None:
    path, _ = partition
    filesystem = FatFilesystem(FileVolume(path))
    judgement, info = fsck(path), filesystem.info
    assert judgement.complaints == ()
    assert list(filesystem.check()) == []
    assert info.state is State.CLEAN
    assert info.used_bytes == judgement.used * info.cluster_size
    assert info.data_end - info.data_start == judgement.total * info.cluster_size
    assert info.free_bytes == (judgement.total - judgement.used) * info.cluster_size
    assert info.notes == ()
    clusters = filesystem.allocated().clip(info.data_start, info.data_end)
    assert clusters.total == info.used_bytes
    assert filesystem.allocated().covers(Extents.span(0, info.data_start))
    assert len(list(filesystem.walk())) == judgement.files - (info.label != "")


def test_content_of_many_files_is_that_of_each(partition: Partition) -> None:
    filesystem = FatFilesystem(FileVolume(partition[0]))
    files = [entry for entry in filesystem.walk() if entry.type is EntryType.FILE]
    assert len({entry.record for entry in files}) > 64
    for chosen in (files, files[1::2], files[:3], []):
        assert filesystem.content(chosen) == Extents.union(filesystem.runs(entry.path).extents() for entry in chosen)


@pytest.mark.parametrize("recipe", MATRIX + EMPTY_ONLY, ids=lambda recipe: recipe.name)
def test_kind_and_geometry_are_as_made(recipe: Recipe, tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", recipe)
    volume = FileVolume(path)
    probe, filesystem = FatProvider().probe(volume), FatProvider().open(volume)
    options = {option[:2]: option[2:] for option in recipe.options}
    assert probe.verdict is Verdict.MINE
    assert filesystem.info.kind == recipe.name.partition("-")[0]
    assert filesystem.geometry.sector_size == int(options.get("-S", "512"))
    assert len(filesystem.geometry.fat_starts) == int(options.get("-f", "2"))
    if "-s" in options:
        assert filesystem.info.cluster_size == int(options["-s"]) * filesystem.geometry.sector_size
    assert filesystem.info.uuid == "1234-ABCD"
    assert filesystem.info.label == next((text for text in recipe.options if text[0] != "-"), "")
    judgement = fsck(path)
    assert judgement.complaints == ()
    assert list(filesystem.check()) == []
    assert (judgement.used, judgement.total) == (
        filesystem.usage.used_clusters,
        filesystem.geometry.cluster_count,
    )


@pytest.mark.parametrize("name", ["fat16-one-fat", "fat32-4k-clusters", "fat32-512"])
def test_allocated_agrees_with_partclone(name: str, filled: Filled) -> None:
    """partclone.fat counts the sectors behind the last cluster as used; it misreads FAT12."""
    path, _ = filled(next(recipe for recipe in MATRIX if recipe.name == name))
    filesystem = FatFilesystem(FileVolume(path))
    tail = filesystem.info.size - filesystem.info.data_end
    assert partclone_used_bytes(path) == filesystem.allocated().total + tail


def test_everything_is_listed_and_read(partition: Partition) -> None:
    path, files = partition
    volume = FileVolume(path)
    filesystem = FatFilesystem(volume)
    entries = list(filesystem.walk())
    found = {entry.path: entry for entry in entries if entry.type is EntryType.FILE}
    assert {name: found[name].size for name in found} == {name: len(content) for name, content in files.items()}
    folders = {"/many", "/sub", "/sub/deep", "/sub/deep/deeper"}
    assert {entry.path for entry in entries if entry.type is EntryType.DIR} == folders
    seen = Extents()
    for name, content in files.items():
        assert b"".join(filesystem.read(name)) == content
        assert b"".join(filesystem.read(name, 3, 700)) == content[3:703]
        runs = filesystem.runs(name)
        assert RunsVolume(volume, runs, size=len(content)).read(0, len(content)) == content
        assert not runs.extents() & seen
        seen |= runs.extents()
    assert any(len(filesystem.runs(name)) > 1 for name in files), "the recipe is meant to fragment files"


def test_owners_of_everything(partition: Partition) -> None:
    path, files = partition
    filesystem = FatFilesystem(FileVolume(path))
    named = {name for name, content in files.items() if content}
    folders = {"/", "/many", "/sub", "/sub/deep", "/sub/deep/deeper"}
    assert set(filesystem.owners(filesystem.allocated())) == named | folders
    for name in ("/sub/deep/x", "/many/file 0011.bin"):
        last = filesystem.runs(name).extents().end
        assert list(filesystem.owners(Extents.span(last - 1, last))) == [name]
    assert list(filesystem.owners(filesystem.allocated().complement(0, filesystem.info.size))) == []


def test_slack_and_dispensable(partition: Partition) -> None:
    path, files = partition
    filesystem = FatFilesystem(FileVolume(path))
    expected = Extents()
    for name, content in files.items():
        extents = filesystem.runs(name)
        used = -(-len(content) // 512) * 512
        expected |= extents.slice(used, extents.total - used).extents()
    assert filesystem.slack() == expected
    assert filesystem.dispensable() == filesystem.runs("/pagefile.sys").extents()


def test_system_areas_cover_all_but_files(partition: Partition) -> None:
    path, _ = partition
    filesystem = FatFilesystem(FileVolume(path))
    areas = {area.name: area for area in filesystem.system_areas()}
    fats = [f"fat-{number}" for number in range(len(filesystem.geometry.fat_starts))]
    extra = ["fsinfo", "backup-boot-sector"] if filesystem.info.kind == "fat32" else []
    assert sorted(areas) == sorted(["boot-sector", "root-directory", *fats, *extra])
    anchors = {name for name, area in areas.items() if area.anchor}
    assert anchors == {"boot-sector", "backup-boot-sector"} & set(areas)
    for place in filesystem.reserved_places():
        assert not any(Extents.span(*place) & area.extents for area in areas.values())


def test_paths_ignore_case_and_know_short_names(filled: Filled) -> None:
    filesystem = FatFilesystem(FileVolume(filled(MATRIX[0])[0]))
    assert filesystem.stat("/SUB/Deep/X").path == "/sub/deep/x"
    assert filesystem.stat("/many/FILE00~1.BIN").path.startswith("/many/file 00")
    assert filesystem.stat("/lower.txt").path == "/lower.txt"
    assert filesystem.stat("//sub//deep/").type is EntryType.DIR
    below = {entry.path for entry in filesystem.walk("/sub/deep")}
    deepest = "/sub/deep/deeper/the deepest file of them all, really.bin"
    assert below == {"/sub/deep/deeper", deepest, "/sub/deep/x"}
    for path in ("/missing", "/lower.txt/below", "/sub/missing/x"):
        with pytest.raises(UsageError):
            filesystem.stat(path)


def test_times_and_attributes(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "partition.img", MATRIX[0])
    source = tmp_path / "dated.bin"
    source.write_bytes(b"x")
    moment = datetime(2031, 5, 17, 13, 45, 58)
    os.utime(source, (moment.timestamp(), moment.timestamp()))
    subprocess.run(["mcopy", "-m", "-i", str(path), str(source), "::"], check=True)
    set_attributes(path, "+h", "dated.bin")
    set_attributes(path, "+r", "dated.bin")
    entry = FatFilesystem(FileVolume(path)).stat("/dated.bin")
    assert entry.mtime == moment
    assert entry.attributes == ("read-only", "hidden", "archive")


def test_bad_clusters_count_as_used_and_are_not_imaged(filled: Filled) -> None:
    path, _ = filled(next(recipe for recipe in MATRIX if recipe.name == "fat16-512"))
    volume = MemoryVolume(path.read_bytes())
    before = FatFilesystem(volume)
    used, allocated = before.info.used_bytes, before.allocated()
    cluster = int(WholeTable.of(before).free().nonzero()[0][-1])
    for start in before.geometry.fat_starts:
        volume.write(start + cluster * 2, b"\xf7\xff")
    after = FatFilesystem(volume)
    assert after.info.used_bytes == used + 512
    assert after.allocated() == allocated
    assert list(after.check()) == []
    (path.parent / "bad.img").write_bytes(bytes(volume.data))
    judgement = fsck(path.parent / "bad.img")
    assert (judgement.used, judgement.complaints) == (after.usage.used_clusters, ())


def test_what_windows_writes_is_healthy(filled: Filled, tmp_path: Path) -> None:
    """Other boot code, hidden sectors, unknown counts, reserved bits of entries, another end mark, boot code in 12."""
    path, files = filled(next(recipe for recipe in MATRIX if recipe.name == "fat32-512"))
    volume = MemoryVolume(path.read_bytes())
    geometry, table = FatFilesystem(volume).geometry, WholeTable.of(FatFilesystem(volume))
    for boot in geometry.boot_offsets:
        volume.write(boot, b"\xebX\x90MSDOS5.0")
        volume.write(boot + 28, (2048).to_bytes(4, "little"))
        volume.write(boot + 90, bytes(range(256)))
    volume.write(12 * 512, b"boot code of Windows")
    volume.write(geometry.fsinfo_offset + 488, b"\xff" * 8)
    table.raw[2:] |= 0xA0000000
    table.raw[table.next >= 0x0FFFFFF8] = 0xFFFFFFF8
    table.raw[:2] = 0xFFFFFFF8, 0xFFFFFFFF
    table.write(volume)
    (tmp_path / "windows.img").write_bytes(volume.data)
    judgement, filesystem = fsck(tmp_path / "windows.img"), FatFilesystem(volume)
    assert judgement.complaints == ()
    assert list(filesystem.check()) == []
    assert filesystem.info.state is State.CLEAN
    assert filesystem.usage.used_clusters == judgement.used
    assert {name: b"".join(filesystem.read(name)) for name in files} == files
    assert not filesystem.reserved_places().contains(12 * 512)
    assert filesystem.reserved_places().contains(11 * 512)


def test_the_table_to_read_is_the_active_one(filled: Filled) -> None:
    path, files = filled(next(recipe for recipe in MATRIX if recipe.name == "fat32-512"))
    volume = MemoryVolume(path.read_bytes())
    geometry = FatFilesystem(volume).geometry
    volume.write(40, (0x81).to_bytes(2, "little"))
    volume.write(geometry.backup_offset + 40, (0x81).to_bytes(2, "little"))
    volume.write(geometry.fat_starts[0] + 8, bytes(geometry.fat_bytes - 8))
    filesystem = FatFilesystem(volume)
    assert (filesystem.geometry.active_fat, filesystem.geometry.mirrored) == (1, False)
    assert list(filesystem.check()) == []
    assert {name: b"".join(filesystem.read(name)) for name in files} == files


def test_a_partition_of_a_disk(filled: Filled) -> None:
    path, files = filled(MATRIX[0])
    disk = MemoryVolume(bytes(4096) + path.read_bytes() + bytes(4096))
    filesystem = FatProvider().open(SliceVolume(disk, 4096, path.stat().st_size))
    assert b"".join(filesystem.read("/UPPER.TXT")) == files["/UPPER.TXT"]


def test_the_table_of_a_large_partition_is_read_once(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "large.img", Recipe("fat32-6g", 6 * GIB, ("-F32", "-s8")))
    copy_in(path, {f"/file {number}": bytes(MIB) for number in range(8)})
    reads: list[int] = []
    filesystem = FatFilesystem(CountingVolume(FileVolume(path), reads.append))
    info, allocated = filesystem.info, filesystem.allocated()
    assert allocated.clip(info.data_start, info.data_end).total == info.used_bytes
    assert sum(reads) < filesystem.geometry.fat_bytes + MIB


def many_files(path: Path, directories: int) -> None:
    """Make as many directories with 500 empty files each: one by mcopy, the others as copies of it."""
    copy_in(path, {f"/d/A file with a long name {number}.txt": b"" for number in range(500)})
    filesystem = FatFilesystem(FileVolume(path))
    geometry, table = filesystem.geometry, WholeTable.of(filesystem)
    source = filesystem.chain(filesystem.stat("/d").record)
    slot = bytearray(filesystem.volume.read(geometry.root_start, 32))
    content = bytearray(b"".join(filesystem.volume.read(geometry.offset(one), 1024) for one in source.tolist()))
    with FileVolume(path, Access.WRITE) as volume:
        for number in range(1, directories):
            first = int(source[-1]) + 1 + (number - 1) * len(source)
            table.set(np.arange(first, first + len(source)), np.append(np.arange(first + 1, first + len(source)), -1))
            slot[:11], slot[12], slot[26:28] = f"D{number:<10}".encode(), 0, first.to_bytes(2, "little")
            content[26:28] = slot[26:28]
            volume.write(geometry.root_start + number * 32, slot)
            volume.write(geometry.offset(first), content)
            table.write(volume)


def test_walking_fifty_thousand_files_reads_each_directory_once(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "many.img", Recipe("fat16", 64 * MIB, ("-F16", "-s2")))
    many_files(path, 100)
    judgement = fsck(path)
    assert (judgement.files, judgement.complaints) == (50_100, ())
    reads: list[int] = []
    filesystem = FatFilesystem(CountingVolume(FileVolume(path), reads.append))
    used = filesystem.info.used_bytes
    reads.clear()
    assert sum(1 for _ in filesystem.walk()) == 50_100
    assert sum(reads) < used + MIB
    assert list(filesystem.check()) == []
    assert len(list(filesystem.owners(filesystem.allocated()))) == 101
