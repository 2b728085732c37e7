"""Loop devices: which file each shows, and which bytes of it."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SYS_DEV = Path("/sys/dev/block")
SYSFS_SECTOR = 512
"""sysfs counts in 512-byte units whatever the device's sectors are."""
_SYS_BLOCK = Path("/sys/block")
_GET_STATUS64 = 0x4C05
_INFO_SIZE = 232
_INFO_HEAD = struct.Struct("=QQQQ")
"""``struct loop_info64`` of linux/loop.h begins: lo_device, lo_inode, lo_rdevice, lo_offset."""


@dataclass(frozen=True)
class Window:
    """The bytes ``start`` to ``end`` of the file that is known by ``device`` and ``inode``."""

    device: int
    inode: int
    start: int
    end: int

    def meets(self, other: Window) -> bool:
        """True if both show some byte of one file."""
        same = (self.device, self.inode) == (other.device, other.inode)
        return same and self.start < other.end and other.start < self.end


def loops() -> Iterator[tuple[str, str]]:
    """(name, major:minor) of each loop device that shows a file, in the order of their names."""
    for loop in sorted(_SYS_BLOCK.glob("loop*")):
        if (loop / "loop/backing_file").exists():
            yield loop.name, sysfs_text(loop / "dev")


def shows(name: str, path: Path, found: os.stat_result) -> bool:
    """True if the loop device shows this file: by its path, or by device and inode for another name of the same."""
    if Path(sysfs_text(_SYS_BLOCK / name / "loop/backing_file")) == path.resolve():
        return True
    head = _head(name)
    return head is not None and stat.S_ISREG(found.st_mode) and head[:2] == (found.st_dev, found.st_ino)


def window_of(number: str) -> Window | None:
    """What the loop device ``number`` (major:minor), or a partition of one, shows; None for any other device."""
    place = (SYS_DEV / number).resolve()
    part = (place / "partition").exists()
    head = _head(place.parent.name if part else place.name)
    size = sysfs_text(place / "size")
    if head is None or not size:
        return None
    start = head[2] + (int(sysfs_text(place / "start")) * SYSFS_SECTOR if part else 0)
    return Window(head[0], head[1], start, start + int(size) * SYSFS_SECTOR)


def sysfs_text(path: Path) -> str:
    """What the kernel shows in one file, "" where there is none."""
    try:
        return path.read_text(errors="surrogateescape").strip()
    except OSError:
        return ""


def _head(name: str) -> tuple[int, int, int] | None:
    """lo_device, lo_inode and lo_offset of a loop device."""
    if not name.startswith("loop"):
        return None
    try:
        fd = os.open(f"/dev/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        device, inode, _, offset = _INFO_HEAD.unpack_from(fcntl.ioctl(fd, _GET_STATUS64, bytes(_INFO_SIZE)))
    except OSError:
        return None
    finally:
        os.close(fd)
    return device, inode, offset
