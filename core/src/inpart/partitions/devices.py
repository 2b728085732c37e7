"""Block devices in sysfs: which disk a partition lies on and where, and which device node a partition has."""

from __future__ import annotations

import fcntl
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from inpart.volume.loops import SYS_DEV, SYSFS_SECTOR

BLKRRPART = 0x125F
_DEV = Path("/dev")


@dataclass(frozen=True)
class DevicePartition:
    """A partition that the kernel knows: its node, its disk's node, its number, its place in bytes of the disk."""

    node: Path
    disk: Path
    number: int
    start: int
    size: int


def device_partition(path: Path) -> DevicePartition | None:
    """The partition behind a block device node such as /dev/sda1; None for whole disks, mappings and files."""
    directory = _sys_directory(path)
    return _described(directory) if directory and (directory / "partition").exists() else None


def partitions_of_device(path: Path) -> tuple[DevicePartition, ...]:
    """All partitions that the kernel knows on a whole disk; empty for anything else."""
    directory = _sys_directory(path)
    if directory is None:
        return ()
    found = (_described(entry.parent) for entry in directory.glob("*/partition"))
    return tuple(sorted((part for part in found if part), key=lambda part: part.number))


def node_of(path: Path, start: int, size: int) -> Path | None:
    """The device node, if there is one, for exactly this part of a disk."""
    nodes = [part.node for part in partitions_of_device(path) if (part.start, part.size) == (start, size)]
    return next((node for node in nodes if node.exists()), None)


def _sys_directory(path: Path) -> Path | None:
    try:
        status = path.stat()
    except OSError:
        return None
    if not stat.S_ISBLK(status.st_mode):
        return None
    link = SYS_DEV / f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return link.resolve() if link.exists() else None


def _described(directory: Path) -> DevicePartition | None:
    """None if the partition disappears while it is looked at, or shows no numbers."""
    try:
        number, start, size = (int((directory / field).read_text()) for field in ("partition", "start", "size"))
        return DevicePartition(
            _node(directory), _node(directory.parent), number, start * SYSFS_SECTOR, size * SYSFS_SECTOR
        )
    except (OSError, ValueError):
        return None


def _node(directory: Path) -> Path:
    """The device node that the kernel names in ``uevent``, which differs from the sysfs name for ``cciss!c0d0``."""
    for line in (directory / "uevent").read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "DEVNAME":
            return _DEV / value
    return _DEV / directory.name.replace("!", "/")


def reread_partitions(path: Path) -> bool:
    """Ask the kernel to read the table of a block device again; false if it will not, as when one is busy."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.ioctl(fd, BLKRRPART)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
