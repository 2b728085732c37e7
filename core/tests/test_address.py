"""Addresses of partitions in image files, and what is opened by them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.errors import DeviceBusy, OutOfBounds, PartitionTableDamaged, UsageError
from inpart.partitions import Address, open_target, parse_address
from inpart.volume import Access, FileVolume

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Callable[[str], Path]:
    def make(script: str, name: str = "disk.img") -> Path:
        path = tmp_path / name
        FileVolume.create(path, 64 * MIB).close()
        if script:
            subprocess.run(["sfdisk", "--quiet", path], input=script, text=True, check=True, capture_output=True)
        return path

    return make


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("disk.img", Address(Path("disk.img"))),
        ("disk.img#2", Address(Path("disk.img"), number=2)),
        ("/a/b@c/disk.img@1048576", Address(Path("/a/b@c/disk.img"), offset=1 << 20)),
        ("disk.img@1M", Address(Path("disk.img"), offset=1 << 20)),
        ("a@b#3", Address(Path("a@b"), number=3)),
        ("a#1@512", Address(Path("a#1"), offset=512)),
        ("dir#1/disk.img", Address(Path("dir#1/disk.img"))),
        ("#2", Address(Path("#2"))),
    ],
)
def test_addresses_are_taken_apart(text: str, wanted: Address) -> None:
    assert parse_address(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "a\0b", "disk#", "disk#x", "disk#0", "disk#-1", "disk#٣", "disk#123456789", "d@", "d@x"]
)
def test_what_is_no_address_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text())
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    try:
        address = parse_address(text)
    except UsageError:
        return
    assert address.number is None or 1 <= address.number <= 99999
    assert address.offset is None or address.offset >= 0


@pytest.mark.parametrize("name", ["disk.img#2", "disk@1048576", "a#1@5", "x" * 300])
def test_an_existing_file_is_itself(disk: Callable[..., Path], name: str) -> None:
    if len(name) > 255:
        assert parse_address(name) == Address(Path(name))
        return
    path = disk("", name)
    assert parse_address(str(path)) == Address(path)
    assert str(parse_address(f"{path}@512")) == f"{path}@512"
    with open_target(f"{path}@512") as target:
        assert (target.start, target.volume.size) == (512, 64 * MIB - 512)


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_partitions_by_number_and_offset(disk: Callable[..., Path], label: str) -> None:
    path = disk(f"label: {label}\nstart=2048,size=10M\nstart=40960,size=20M\n")
    with open_target(f"{path}#2", Access.WRITE) as target:
        assert target.entry is not None
        assert (target.entry.number, target.start, target.volume.size) == (2, 20 * MIB, 20 * MIB)
        assert target.whole is target.disk
        assert target.volume.name == f"{path}#2"
        target.volume.write(0, b"second")
        with pytest.raises(OutOfBounds):
            target.volume.write(20 * MIB, b"!")
        with pytest.raises(DeviceBusy):
            open_target(f"{path}#1", Access.WRITE)
    with open_target(f"{path}@20M") as target:
        assert target.volume.read(0, 6) == b"second"
        assert target.entry is not None
        assert (target.entry.number, target.volume.size) == (2, 20 * MIB)
    with open_target(f"{path}@{20 * MIB + 3}") as target:
        assert target.volume.read(0, 3) == b"ond"
        assert (target.entry, target.volume.size) == (None, 44 * MIB - 3)


def test_a_whole_disk_is_not_a_partition(disk: Callable[..., Path]) -> None:
    path = disk("label: dos\nsize=10M,type=c\ntype=5\nsize=20M,type=7\n")
    with pytest.raises(UsageError) as caught:
        open_target(str(path))
    assert caught.value.message.splitlines() == [
        f"{path} is a whole disk, its MBR names these partitions:",
        "  #1 at 1048576, 10485760 bytes (10.0 MiB), W95 FAT32 (LBA)",
        "  #5 at 12582912, 20971520 bytes (20.0 MiB), HPFS/NTFS/exFAT",
    ]
    assert caught.value.hint == f"name one of them, such as {path}#1"
    with open_target(str(path), whole_disk=True) as target:
        assert target.table is not None
        assert (target.volume.size, target.start, target.entry) == (64 * MIB, 0, None)


def test_the_hint_names_a_partition_that_exists(disk: Callable[..., Path]) -> None:
    path = disk("label: gpt\nsize=1M\nsize=1M\n")
    subprocess.run(["sfdisk", "--quiet", "--delete", path, "1"], check=True, capture_output=True)
    with pytest.raises(UsageError) as caught:
        open_target(str(path))
    assert caught.value.hint == f"name one of them, such as {path}#2"


def test_partitions_that_cannot_be_had(disk: Callable[..., Path], tmp_path: Path) -> None:
    path = disk("label: dos\nsize=10M\ntype=5\nsize=20M\n")
    with pytest.raises(UsageError, match=r"has no partition 3(?s:.*)#1 at 1048576"):
        open_target(f"{path}#3")
    with pytest.raises(UsageError, match="is an extended partition"):
        open_target(f"{path}#2")
    with pytest.raises(UsageError, match=f"has {64 * MIB} bytes"):
        open_target(f"{path}@1T")
    with pytest.raises(UsageError, match="no such file"):
        open_target(f"{tmp_path}/nothing#1")
    with pytest.raises(UsageError, match="neither a file nor a block device"):
        open_target(f"{tmp_path}#1")
    blank = disk("", "blank.img")
    with pytest.raises(UsageError, match="has no partition table"):
        open_target(f"{blank}#1")


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for address in ("empty", "empty@0"):
        with pytest.raises(UsageError, match="empty is empty"):
            open_target(str(tmp_path / address))


def test_a_disk_that_was_cut_short(disk: Callable[..., Path]) -> None:
    path = disk("label: dos\nstart=40960,size=20M\n")
    with path.open("r+b") as file:
        file.truncate(30 * MIB)
    with pytest.raises(
        UsageError, match=f"begins at {20 * MIB} and is {20 * MIB} bytes long; .* has {30 * MIB} bytes"
    ) as caught:
        open_target(f"{path}#1")
    assert caught.value.hint is not None
    assert f"{path}@{20 * MIB}" in caught.value.hint
    with open_target(f"{path}@20M") as target:
        assert target.volume.size == 10 * MIB


def test_a_file_system_without_a_table_is_its_own_partition(disk: Callable[..., Path]) -> None:
    path = disk("")
    subprocess.run(["mkfs.fat", path], check=True, capture_output=True)
    for text in (str(path), f"{path}@0"):
        with open_target(text, Access.WRITE) as target:
            assert (target.volume.size, target.table, target.entry) == (64 * MIB, None, None)


def test_an_empty_table_hides_nothing(disk: Callable[..., Path]) -> None:
    path = disk("label: dos\n")
    with open_target(str(path), Access.WRITE) as target:
        assert target.volume.size == 64 * MIB


def test_a_damaged_table_does_not_keep_from_offsets(disk: Callable[..., Path]) -> None:
    path = disk("label: gpt\nstart=2048,size=10M\n")
    with FileVolume(path, Access.WRITE) as volume:
        volume.write(512, b"\0")
        volume.write(64 * MIB - 512, b"\0")
    for text in (str(path), f"{path}#1"):
        with pytest.raises(PartitionTableDamaged):
            open_target(text)
    with open_target(f"{path}@1M", Access.WRITE) as target:
        assert (target.table, target.entry, target.start) == (None, None, MIB)
        assert target.volume.size == 63 * MIB
    with open_target(str(path), whole_disk=True) as target:
        assert (target.table, target.volume.size) == (None, 64 * MIB)
