"""Block devices: who uses them, exclusive access, partitions by their nodes. Needs root and a free loop device."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from inpart.errors import DeviceBusy, UsageError
from inpart.extents import Extents
from inpart.partitions import open_target, read_table, reread_partitions
from inpart.partitions.devices import device_partition, partitions_of_device
from inpart.testing.tools import run
from inpart.volume import Access, FileVolume
from inpart.volume.busy import users_of

MIB = 1 << 20
TABLE = "label: dos\nlabel-id: 0xfeedbeef\nstart=2048,size=8M,type=c\nsize=8M,type=83\n"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    with FileVolume.create(path, 24 * MIB):
        pass
    run("sfdisk", "--quiet", path, stdin=TABLE)
    return path


@pytest.fixture
def attach() -> Iterator[Callable[..., Path]]:
    """Attaches a file to a loop device, and its partitions where the kernel does not look for them by itself."""
    attached: list[Path] = []

    def attach(path: Path, *options: str) -> Path:
        device = Path(run("losetup", "--find", "--show", *options, path).strip())
        attached.append(device)
        return device

    yield attach
    for device in attached:
        for part in partitions_of_device(device):
            subprocess.run(["umount", part.node], capture_output=True, check=False)
        subprocess.run(["umount", device], capture_output=True, check=False)
        subprocess.run(["partx", "--delete", device], capture_output=True, check=False)
        run("losetup", "--detach", device)


@pytest.fixture
def loop(disk: Path, attach: Callable[..., Path]) -> Path:
    device = attach(disk)
    run("partx", "--update", device)
    return device


@pytest.fixture
def mounted(loop: Path, tmp_path: Path) -> tuple[Path, Path]:
    """(loop device, mount point); the first partition is mounted there."""
    run("mke2fs", "-q", "-F", "-t", "ext4", f"{loop}p1")
    where = tmp_path / "mount point"
    where.mkdir()
    run("mount", f"{loop}p1", where)
    return loop, where


def test_a_device_has_the_size_and_sectors_of_the_kernel(disk: Path, attach: Callable[..., Path]) -> None:
    device = attach(disk, "--sector-size", "4096")
    with FileVolume(device) as volume:
        assert (volume.size, volume.sector_size, volume.is_device) == (24 * MIB, 4096, True)
        assert volume.data_extents(5, 10) == Extents.span(5, 10)
    with FileVolume(device, Access.WRITE) as volume:
        volume.write(MIB + 3, b"through")
        volume.forget()
    assert disk.read_bytes()[MIB + 3 : MIB + 10] == b"through"


def test_forget_shows_what_others_wrote(loop: Path) -> None:
    part = f"{loop}p1"
    with FileVolume(loop) as whole:
        before = whole.read(MIB, 4096)
        with FileVolume(part, Access.WRITE) as volume:
            volume.write(0, b"\xa5" * 4096)
            volume.flush()
        assert whole.read(MIB, 4096) == before
        whole.forget()
        assert whole.read(MIB, 4096) == b"\xa5" * 4096


def test_a_held_device_is_busy(loop: Path) -> None:
    with FileVolume(loop, Access.WRITE), FileVolume(loop) as shared:
        assert shared.size == 24 * MIB
        for access in (Access.WRITE, Access.ALONE):
            with pytest.raises(DeviceBusy, match="in use") as caught:
                FileVolume(loop, access)
            assert caught.value.hint
            with pytest.raises(DeviceBusy):
                FileVolume(f"{loop}p1", access)
    with FileVolume(loop, Access.ALONE):
        pass


def test_a_mounted_partition_makes_all_around_it_busy(disk: Path, mounted: tuple[Path, Path]) -> None:
    device, where = mounted
    for path in (Path(f"{device}p1"), device, disk):
        assert f"mounted on {where}" in users_of(path)[0]
        for access in (Access.WRITE, Access.ALONE):
            with pytest.raises(DeviceBusy, match=f"mounted on {where}"):
                FileVolume(path, access)
        FileVolume(path).close()
    with FileVolume(f"{device}p2", Access.WRITE):
        assert users_of(Path(f"{device}p2")) == []


def test_a_file_is_busy_under_all_its_names(disk: Path, mounted: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "hard").hardlink_to(disk)
    (tmp_path / "soft").symlink_to(disk)
    for name in ("hard", "soft"):
        with pytest.raises(DeviceBusy, match="behind /dev/loop"):
            FileVolume(tmp_path / name, Access.WRITE)


def test_a_file_behind_a_claimed_loop_device_is_busy(disk: Path, loop: Path) -> None:
    assert users_of(disk) == []
    holder = os.open(loop, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(DeviceBusy, match="in exclusive use"):
            FileVolume(disk, Access.WRITE)
    finally:
        os.close(holder)


def test_a_locked_file_is_busy(disk: Path) -> None:
    with FileVolume(disk, Access.ALONE), FileVolume(disk):
        for access in (Access.WRITE, Access.ALONE):
            with pytest.raises(DeviceBusy, match="locked by another program"):
                FileVolume(disk, access)
    FileVolume(disk, Access.WRITE).close()


def test_two_loop_devices_over_one_file_are_one(
    disk: Path, mounted: tuple[Path, Path], attach: Callable[..., Path]
) -> None:
    other = attach(disk)
    with pytest.raises(DeviceBusy, match=f"the same bytes as .*mounted on {mounted[1]}"):
        FileVolume(other, Access.WRITE)
    first = attach(disk, "--offset", str(MIB), "--sizelimit", str(8 * MIB))
    with pytest.raises(DeviceBusy, match=f"the same bytes as .*mounted on {mounted[1]}"):
        FileVolume(first, Access.ALONE)
    second = attach(disk, "--offset", str(9 * MIB), "--sizelimit", str(8 * MIB))
    run("umount", mounted[1])
    with FileVolume(second, Access.WRITE), pytest.raises(DeviceBusy, match=r"the same bytes as .*in exclusive use"):
        FileVolume(other, Access.ALONE)


def test_a_lock_held_for_a_moment_is_waited_for(loop: Path) -> None:
    holder = os.open(loop, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_SH)
    released = threading.Event()

    def release() -> None:
        released.set()
        os.close(holder)

    timer = threading.Timer(0.3, release)
    timer.start()
    with FileVolume(loop, Access.WRITE):
        assert released.is_set()
    timer.join()


def test_the_lock_of_another_process_counts(disk: Path) -> None:
    code = (
        "import sys; from inpart.volume import *; v = FileVolume(sys.argv[1], Access.WRITE); print('held', flush=True);"
        " sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, disk], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(DeviceBusy):
            FileVolume(disk, Access.ALONE)
        other.communicate()
    FileVolume(disk, Access.ALONE).close()


def test_a_swap_file_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "swap"
    path.write_bytes(bytes(4 * MIB))
    path.chmod(0o600)
    run("mkswap", path)
    run("swapon", path)
    try:
        assert users_of(path) == [f"used as swap ({path})"]
        with pytest.raises(DeviceBusy, match="used as swap"):
            FileVolume(path, Access.WRITE)
    finally:
        run("swapoff", path)


def test_partitions_of_a_device_are_known_by_node(loop: Path) -> None:
    first, second = partitions_of_device(loop)
    assert (first.node, first.disk, first.number) == (Path(f"{loop}p1"), loop, 1)
    assert (second.start, second.size) == (9 * MIB, 8 * MIB)
    assert device_partition(Path(f"{loop}p2")) == second
    assert device_partition(loop) is None
    assert partitions_of_device(Path(f"{loop}p2")) == ()
    assert partitions_of_device(Path("/dev/null")) == ()
    assert device_partition(Path("/nothing")) is None


def test_a_partition_node_brings_its_disk_and_entry(loop: Path) -> None:
    with open_target(f"{loop}p2", Access.WRITE) as target:
        assert target.entry is not None
        assert (target.start, target.volume.size, target.entry.partuuid) == (9 * MIB, 8 * MIB, "feedbeef-02")
        assert target.table is not None
        assert (target.table.disk_id, target.whole.size) == ("0xfeedbeef", 24 * MIB)
        assert (target.volume.writable, target.whole.writable) == (True, False)


def test_a_free_partition_of_a_busy_disk_can_be_held(mounted: tuple[Path, Path]) -> None:
    device, _ = mounted
    with open_target(f"{device}#2", Access.WRITE) as target:
        assert (target.start, target.volume.size, str(target.address)) == (9 * MIB, 8 * MIB, f"{device}#2")
        target.volume.write(0, b"second")
    with open_target(f"{device}@{9 * MIB}", Access.ALONE) as target:
        assert target.volume.read(0, 6) == b"second"
    with pytest.raises(DeviceBusy):
        open_target(f"{device}#1", Access.WRITE)
    with pytest.raises(DeviceBusy):
        open_target(device.as_posix(), Access.WRITE, whole_disk=True)
    with open_target(f"{device}#1") as target:
        assert target.volume.size == 8 * MIB


def test_a_whole_device_lists_its_partitions(loop: Path) -> None:
    with pytest.raises(UsageError, match=rf"{loop} is a whole disk.*\n.*#1 at {MIB}.*\n.*#2 at {9 * MIB}"):
        open_target(str(loop))
    with open_target(str(loop), whole_disk=True) as target:
        assert (target.entry, target.disk, target.whole.size) == (None, None, 24 * MIB)


def test_a_table_of_4096_byte_sectors(tmp_path: Path, attach: Callable[..., Path]) -> None:
    path = tmp_path / "4k.img"
    FileVolume.create(path, 64 * MIB).close()
    device = attach(path, "--sector-size", "4096")
    for label in ("gpt", "dos\nstart=256,size=63M,type=5"):
        run("sfdisk", "--quiet", "--wipe", "always", device, stdin=f"label: {label}\nsize=8M\nsize=8M\n")
        listed = json.loads(run("sfdisk", "--json", device))["partitiontable"]
        with FileVolume(device) as volume, FileVolume(path) as file:
            for table in (read_table(volume), read_table(file)):
                assert table is not None
                assert table.sector_size == listed["sectorsize"] == 4096
                wanted = [(part["start"] * 4096, part["size"] * 4096) for part in listed["partitions"]]
                assert [(entry.start, entry.size) for entry in table.entries] == wanted


def test_the_kernel_is_told_of_a_new_table(disk: Path, attach: Callable[..., Path], tmp_path: Path) -> None:
    assert reread_partitions(attach(disk, "--partscan"))
    assert not reread_partitions(attach(tmp_path / "disk.img"))
    assert not reread_partitions(tmp_path / "nothing")
    assert not reread_partitions(Path("/dev/null"))
