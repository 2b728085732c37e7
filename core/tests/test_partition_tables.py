"""Partition tables made by sfdisk, sgdisk and parted, read back and compared with what those tools say of them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from inpart.errors import PartitionTableDamaged
from inpart.extents import Extents
from inpart.partitions import PartitionTable, TableKind, parse_chs, read_table, table_areas
from inpart.testing.faults import FaultyVolume
from inpart.testing.tools import run
from inpart.volume import Access, FileVolume, MemoryVolume, OverlayVolume, Volume

MIB = 1 << 20
DISK = 256 * MIB
LOGICALS = "label: dos\nlabel-id: 0x1234abcd\nsize=20M,type=c,bootable\nsize=20M,type=83\ntype=f\n" + "".join(
    f"size={size}M,type={kind}\n" for size, kind in [(9, "83")] + [(3, "7"), (2, "6"), (1, "82"), (4, "b")] * 6
)
MESSAGES = b"\r\nRemove disks or other media.\xff\r\nDisk error\xff\r\nPress any key to restart\r\n".ljust(64, b"\xff")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    FileVolume.create(path, DISK).close()
    return path


def made(disk: Path, script: str) -> Path:
    run("sfdisk", "--quiet", disk, stdin=script)
    return disk


def content(disk: Path) -> OverlayVolume:
    """The disk, to be damaged in memory."""
    return OverlayVolume(FileVolume(disk))


def table_of(volume: Volume) -> PartitionTable:
    table = read_table(volume)
    assert table is not None
    return table


def codes(table: PartitionTable) -> list[str]:
    return [note.code for note in table.notes]


def listed(disk: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("sfdisk", "--json", disk))["partitiontable"]
    return found


def same_as_sfdisk(table: PartitionTable, disk: Path) -> None:
    """Every number, place, type, name and identity agrees."""
    wanted = listed(disk)
    assert table.kind == {"dos": TableKind.MBR, "gpt": TableKind.GPT}[wanted["label"]]
    assert table.disk_id == wanted["id"]
    assert len(table.entries) == len(wanted["partitions"])
    for part in wanted["partitions"]:
        entry = table.find(int(part["node"].removeprefix(str(disk))))
        assert entry is not None
        assert (entry.start, entry.size) == (part["start"] * 512, part["size"] * 512)
        if table.kind is TableKind.GPT:
            assert (entry.type, entry.partuuid) == (part["type"], part["uuid"].lower())
            assert entry.name == part.get("name", "")
        else:
            assert entry.type == f"0x{int(part['type'], 16):02x}"
            assert entry.bootable == part.get("bootable", False)


def test_primaries_and_many_logicals_agree_with_sfdisk(disk: Path) -> None:
    with FileVolume(made(disk, LOGICALS)) as volume:
        table = table_of(volume)
    same_as_sfdisk(table, disk)
    assert table.notes == ()
    assert [entry.number for entry in table.partitions] == [1, 2, *range(5, 30)]
    container = table.find(3)
    assert container is not None
    assert container.is_extended
    assert not table.partitions[0].is_extended
    assert table.partitions[-1].partuuid == "1234abcd-1d"
    assert {entry.type_name for entry in table.entries} >= {"W95 FAT32 (LBA)", "W95 Ext'd (LBA)", "Linux", "FAT16"}


def test_the_fields_of_an_mbr_have_their_names(disk: Path) -> None:
    with FileVolume(made(disk, LOGICALS)) as volume:
        mbr = table_of(volume).mbr
    assert mbr is not None
    first = mbr.entries[0]
    assert (first.boot_indicator, first.type, first.start_lba, first.sector_count) == (0x80, 0x0C, 2048, 40960)
    assert parse_chs(first.start_chs) == (0, 32, 33)
    assert mbr.disk_signature == 0x1234ABCD
    assert mbr.entries[3].empty


def test_types_that_nobody_knows_are_told_by_their_code(disk: Path) -> None:
    entries = table_of(content(made(disk, "label: dos\nsize=20M,type=99\nsize=20M,type=c\n"))).partitions
    assert [entry.type_name for entry in entries] == ["unknown type 99", "W95 FAT32 (LBA)"]


def test_gpt_agrees_with_sfdisk(disk: Path) -> None:
    script = 'label: gpt\nsize=20M,type=U,name="EFI system"\nsize=50M,name="Größe 大"\nstart=180000,size=9M,type=S\n'
    with FileVolume(made(disk, script)) as volume:
        table = table_of(volume)
        same_as_sfdisk(table, disk)
        assert table.notes == ()
        assert [entry.type_name for entry in table.entries] == ["EFI System", "Linux filesystem", "Linux swap"]


@pytest.mark.parametrize("script", [LOGICALS, "label: gpt\nsize=20M\nsize=50M\n"])
def test_the_areas_are_exactly_what_the_tools_write(disk: Path, script: str) -> None:
    """Whatever sfdisk put on the blank disk lies in the areas, and nothing but zeros outside them."""
    with FileVolume(made(disk, script)) as volume:
        table = table_of(volume)
        covered = Extents([(area.start, area.start + area.length) for area in table_areas(table)])
        assert covered == table.extents()
        for start, end in (volume.data_extents() - covered).split(MIB).tolist():
            assert volume.read(start, end - start) == bytes(end - start)
        for area in table_areas(table):
            assert any(volume.read(area.start, area.length)), area


def test_parted_and_sgdisk_make_tables_that_are_read_alike(disk: Path) -> None:
    steps = ["mklabel msdos", "mkpart primary fat32 1MiB 40MiB", "mkpart extended 40MiB 100%", "set 1 boot on"]
    steps += [f"mkpart logical ext2 {at}MiB {at + 9}MiB" for at in range(41, 240, 10)]
    run("parted", "-s", disk, *" ".join(steps).split())
    with FileVolume(disk) as volume:
        same_as_sfdisk(table_of(volume), disk)
        assert len(table_of(volume).partitions) == 21
    run("sgdisk", "--zap-all", disk)
    run("sgdisk", "-n", "1:2048:+10M", "-c", "1:boot", "-n", "7:0:+50M", "-t", "7:0700", "-A", "7:set:2", disk)
    with FileVolume(disk) as volume:
        table = table_of(volume)
        same_as_sfdisk(table, disk)
        assert [entry.number for entry in table.entries] == [1, 7]
        assert [entry.bootable for entry in table.entries] == [False, True]
        assert table.entries[1].type_name == "Microsoft basic data"


def test_a_gpt_of_many_entries(disk: Path) -> None:
    run("sgdisk", "--resize-table=4096", "-n", "3000:0:+1M", disk)
    with FileVolume(disk) as volume:
        table = table_of(volume)
        assert [entry.number for entry in table.entries] == [3000]
        assert sum(area.length for area in table_areas(table)) == 512 + 2 * (512 + 4096 * 128)


def test_a_hybrid_mbr_is_a_gpt(disk: Path) -> None:
    run("sgdisk", "-n", "1:2048:+10M", "-n", "2:0:+20M", "-n", "3:0:0", disk)
    run("sgdisk", "--hybrid=2:3", disk)
    with FileVolume(disk) as volume:
        table = table_of(volume)
    assert (table.kind, table.hybrid, len(table.entries)) == (TableKind.GPT, True, 3)
    assert codes(table) == ["gpt.hybrid"]
    assert table.mbr is not None
    assert len(table.mbr.used) == 3


def test_no_table(disk: Path) -> None:
    with FileVolume(disk) as volume:
        assert read_table(volume) is None
    assert read_table(MemoryVolume(0)) is None
    assert read_table(MemoryVolume(100)) is None
    assert read_table(MemoryVolume(b"\xff" * 100_000)) is None


def test_an_empty_table_is_a_table(disk: Path) -> None:
    for script in ("label: dos\nlabel-id: 0x00000007\n", "label: gpt\n"):
        with FileVolume(made(disk, script)) as volume:
            table = table_of(volume)
            assert table.entries == ()
            assert table.disk_id == listed(disk)["id"]


@pytest.mark.parametrize(
    "maker",
    [
        ["mkfs.fat", "-F", "12", "-S", "1024", "-s", "128"],
        ["mkfs.fat", "-F", "16"],
        ["mkfs.fat", "-F", "32"],
        ["mkfs.fat", "--mbr=y"],
        ["mkfs.fat", "-S", "4096"],
        ["mkntfs", "-F", "-Q", "-q"],
        ["mke2fs", "-q", "-F"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("messages", [b"", MESSAGES])
def test_a_file_system_on_the_whole_disk_is_no_table(disk: Path, maker: list[str], messages: bytes) -> None:
    """With zeros where the entries would be, and with the texts that other formatting programs put there."""
    run(*maker, disk)
    volume = content(disk)
    if messages and "--mbr=y" not in maker and maker[0] != "mke2fs":
        volume.write(446, messages)
    assert read_table(volume) is None


def test_a_wrecked_boot_sector_does_not_become_a_table(disk: Path) -> None:
    run("mkfs.fat", "-F", "32", "--mbr=y", disk)
    volume = content(disk)
    volume.write(0, bytes(90))
    assert read_table(volume) is None
    volume.write(440, bytes(70))
    table = table_of(volume)
    assert table.entries == ()


def test_an_old_boot_sector_below_a_table_does_not_hide_it(disk: Path) -> None:
    """fdisk leaves the first 440 bytes alone, and with them the parameter block of a file system that was there."""
    run("mkfs.fat", disk)
    run("sfdisk", "--quiet", "--wipe", "never", disk, stdin="label: dos\nsize=20M\nsize=30M\n")
    with FileVolume(disk) as volume:
        assert volume.read(54, 8).startswith(b"FAT")
        same_as_sfdisk(table_of(volume), disk)


def test_the_backup_gpt_is_trusted_when_the_primary_is_damaged(disk: Path) -> None:
    made(disk, "label: gpt\nsize=20M,name=one\nsize=50M,name=two\n")
    healthy = table_of(FileVolume(disk))
    for damaged, length in ((512, 8), (512 + 40, 1), (1024, 4), (1024, 16384), (512, 32 * 1024 + 512)):
        volume = content(disk)
        volume.write(damaged, b"\xff" * length)
        table = table_of(volume)
        assert table.entries == healthy.entries
        assert codes(table) == ["gpt.primary-damaged"]
        assert "backup is trusted" in table.notes[0].message
        assert set(table_areas(table)) == set(table_areas(healthy))
    volume = content(disk)
    volume.write(0, bytes(34 * 512))
    assert codes(table_of(volume)) == ["gpt.primary-damaged", "gpt.no-protective-mbr"]


def test_a_damaged_backup_gpt_is_said(disk: Path) -> None:
    made(disk, "label: gpt\nsize=20M\n")
    for damaged in (DISK - 512, DISK - 33 * 512):
        volume = content(disk)
        volume.write(damaged, b"\xff")
        assert codes(table_of(volume)) == ["gpt.backup-damaged"]


def test_both_copies_damaged_is_an_error(disk: Path) -> None:
    made(disk, "label: gpt\nsize=20M\n")
    for wipe in (1, 512, 16384):
        volume = content(disk)
        volume.write(512, b"\0" * wipe)
        volume.write(DISK - 512, b"\0" * min(wipe, 512))
        with pytest.raises(PartitionTableDamaged, match=r"no copy is valid: primary.*backup") as caught:
            read_table(volume)
        assert caught.value.hint
        assert caught.value.exit_code == 13


def test_copies_that_differ_and_a_disk_that_grew_are_said(disk: Path) -> None:
    made(disk, "label: gpt\nsize=20M\n")
    old = content(disk)
    tail = old.read(DISK - 33 * 512, 33 * 512)
    run("sgdisk", "-n", "2:0:+10M", disk)
    volume = content(disk)
    volume.write(DISK - 33 * 512, tail)
    assert codes(table_of(volume)) == ["gpt.copies-differ"]
    with disk.open("r+b") as file:
        file.truncate(2 * DISK)
    assert codes(table_of(FileVolume(disk))) == ["gpt.backup-place"]
    grown = content(disk)
    grown.write(512, bytes(512))
    assert codes(table_of(grown)) == ["gpt.primary-damaged"]
    assert table_of(grown).entries == table_of(FileVolume(disk)).entries
    with disk.open("r+b") as file:
        file.truncate(100 * MIB)
    assert codes(table_of(FileVolume(disk))) == ["gpt.backup-damaged"]


def test_a_table_that_replaced_a_gpt_wins(disk: Path) -> None:
    made(disk, "label: gpt\nsize=20M\n")
    saved = content(disk)
    made(disk, "label: dos\nsize=30M\nsize=40M\n")
    volume = content(disk)
    volume.write(512, saved.read(512, 33 * 512))
    assert table_of(volume).kind is TableKind.MBR


def test_a_hybrid_image_of_a_cd_has_its_partitions(disk: Path) -> None:
    """isohybrid: the first partition begins at sector 0, type 0; the second is the EFI system partition in it."""
    volume = content(disk)
    volume.write(446, struct.pack("<B3xB3xII", 0x80, 0, 0, 4000) + struct.pack("<B3xB3xII", 0, 0xEF, 64, 100))
    volume.write(510, b"\x55\xaa")
    assert [(entry.number, entry.start, entry.type) for entry in table_of(volume).entries] == [
        (1, 0, "0x00"),
        (2, 64 * 512, "0xef"),
    ]


def test_a_damaged_chain_keeps_what_comes_before(disk: Path) -> None:
    healthy = table_of(FileVolume(made(disk, LOGICALS)))
    third = healthy.ebrs[2]
    volume = content(disk)
    volume.write(third.lba * 512 + 510, b"\0\0")
    table = table_of(volume)
    assert table.entries == healthy.entries[:5]
    assert codes(table) == ["mbr.ebr-damaged"]
    assert str(third.lba) in table.notes[0].message


def test_a_chain_that_loops_ends(disk: Path) -> None:
    healthy = table_of(FileVolume(made(disk, LOGICALS)))
    assert healthy.ebrs[1].link is not None
    for target, code in ((healthy.ebrs[0].lba, "loop"), (healthy.ebrs[1].lba, "loop"), (1, "outside")):
        link = healthy.ebrs[1].link._replace(start_lba=(target - healthy.ebrs[0].lba) % (1 << 32))
        volume = content(disk)
        volume.write(healthy.ebrs[1].lba * 512, healthy.ebrs[1].record.replace(2, link))
        table = table_of(volume)
        assert codes(table) == [f"mbr.ebr-{code}"]
        assert table.entries == healthy.entries[:5]


def test_an_endless_chain_is_cut(disk: Path) -> None:
    volume = content(made(disk, "label: dos\nsize=200M,type=5\n"))
    container = table_of(volume).entries[0].start // 512
    record = table_of(volume).ebrs[0].record
    link = record.entries[0]._replace(type=5, sector_count=1)
    for index in range(1000):
        row = link._replace(type=0x83, start_lba=1, sector_count=1)
        raw = record.replace(1, row)[:462] + link._replace(start_lba=2 * index + 2).pack() + record.raw[478:]
        volume.write((container + 2 * index) * 512, raw)
    table = table_of(volume)
    assert len(table.partitions) == 256
    assert codes(table) == ["mbr.ebr-too-many"]


def test_overlaps_and_ends_beyond_the_disk_are_said(disk: Path) -> None:
    made(disk, "label: dos\nstart=2048,size=20M\nstart=100000,size=20M\nstart=450000,size=20M\n")
    mbr = table_of(FileVolume(disk)).mbr
    assert mbr is not None
    with FileVolume(disk, Access.WRITE) as file:
        file.write(0, mbr.replace(2, mbr.entries[1]._replace(start_lba=4096)))
    with disk.open("r+b") as shorter:
        shorter.truncate(200 * MIB)
    table = table_of(FileVolume(disk))
    assert codes(table) == ["table.beyond-disk", "table.overlap"]
    assert "#1 at 1048576" in table.notes[1].message


def with_bad_bytes(content: bytes, start: int, end: int) -> FaultyVolume:
    """A disk on which some bytes cannot be read."""
    return FaultyVolume(MemoryVolume(content), unreadable=Extents.span(start, end))


def test_sectors_that_cannot_be_read_count_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "small.img"
    FileVolume.create(path, 8 * MIB).close()
    whole = made(path, "label: gpt\nsize=2M\n").read_bytes()
    for start, end in ((512, 1024), (1024, 1536)):
        assert codes(table_of(with_bad_bytes(whole, start, end))) == ["gpt.primary-damaged"]
    assert codes(table_of(with_bad_bytes(whole, 0, 512))) == ["gpt.no-protective-mbr"]
    assert codes(table_of(with_bad_bytes(whole, 8 * MIB - 512, 8 * MIB))) == ["gpt.backup-damaged"]
    with pytest.raises(PartitionTableDamaged, match="Input/output error"):
        read_table(with_bad_bytes(whole, 512, 8 * MIB))
    script = "label: dos\nsize=5M,type=5\nsize=1M\nsize=1M\n"
    run("sfdisk", "--quiet", path, stdin=script)
    chained = table_of(FileVolume(path)).ebrs[0].lba * 512
    assert codes(table_of(with_bad_bytes(path.read_bytes(), chained, chained + 1))) == ["mbr.ebr-damaged"]
