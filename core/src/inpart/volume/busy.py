"""Who uses a file or block device: mounts and swap on it, on its partitions, and on loop devices over it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
from pathlib import Path

_SYS_DEV = Path("/sys/dev/block")
_SYS_BLOCK = Path("/sys/block")
_MOUNTS = Path("/proc/self/mountinfo")
_SWAPS = Path("/proc/swaps")
_OCTAL = re.compile(r"\\([0-7]{3})")
LOOP_GET_STATUS64 = 0x4C05
_LOOP_INFO_SIZE = 232


def users_of(path: Path) -> list[str]:
    """One sentence for each use of ``path``: mounted, swapped on, or held by a device that is."""
    try:
        found = path.stat()
    except OSError:
        return []
    uses = _named_uses(path)
    if stat.S_ISBLK(found.st_mode):
        number = _number(found.st_rdev)
        uses += _users_of_devices([number, *_partitions(number)])
    return list(dict.fromkeys(uses + _users_of_loops(path, found)))


def _named_uses(path: Path) -> list[str]:
    """Uses that the kernel lists by path: swap files, and FUSE file systems on a regular file."""
    wanted = path.resolve()
    swaps = [_unescaped(line.split(" ", 1)[0]) for line in _text(_SWAPS).splitlines()[1:]]
    uses = [f"used as swap ({name})" for name in swaps if Path(name) == wanted]
    return uses + [f"mounted on {where}" for _, where, source in _mounts() if Path(source) == wanted]


def _users_of_loops(path: Path, found: os.stat_result) -> list[str]:
    uses: list[str] = []
    for loop in sorted(_SYS_BLOCK.glob("loop*")):
        if not _is_behind(loop, path, found):
            continue
        number = _text(loop / "dev")
        numbers = [number, *_partitions(number)]
        behind = _users_of_devices(numbers) or (["in exclusive use"] if _claimed(loop) else [])
        uses += [f"behind /dev/{loop.name}, {use}" for use in behind]
    return uses


def _is_behind(loop: Path, path: Path, found: os.stat_result) -> bool:
    """True if the loop device shows this file: by its path, or by device and inode for another name of the same."""
    name = _text(loop / "loop/backing_file")
    if not name:
        return False
    if Path(name) == path.resolve():
        return True
    try:
        fd = os.open(f"/dev/{loop.name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        status = fcntl.ioctl(fd, LOOP_GET_STATUS64, bytes(_LOOP_INFO_SIZE))
    except OSError:
        return False
    finally:
        os.close(fd)
    device, inode = struct.unpack_from("=QQ", status)
    return stat.S_ISREG(found.st_mode) and (device, inode) == (found.st_dev, found.st_ino)


def _claimed(loop: Path) -> bool:
    """True if the kernel refuses exclusive use, as for a mount in another namespace."""
    try:
        os.close(os.open(f"/dev/{loop.name}", os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def _users_of_devices(numbers: list[str]) -> list[str]:
    uses = [f"mounted on {where}" for where in {n: w for n, w, _ in _mounts() if n in numbers}.values()]
    for line in _text(_SWAPS).splitlines()[1:]:
        name = _unescaped(line.split(" ", 1)[0])
        if _device_number(name) in numbers:
            uses.append(f"used as swap ({name})")
    for number in numbers:
        holders = _SYS_DEV / number / "holders"
        if holders.is_dir():
            uses += [f"held by {holder.name}" for holder in sorted(holders.iterdir())]
    return uses


def _mounts() -> list[tuple[str, str, str]]:
    """(major:minor, mount point, source) of every mount, twice where the source is a device of another number.

    FUSE and btrfs show a number of their own; only the source tells the device.
    """
    found: list[tuple[str, str, str]] = []
    for line in _text(_MOUNTS).splitlines():
        fields = line.split(" ")
        where, source = _unescaped(fields[4]), _unescaped(fields[fields.index("-") + 2])
        numbers = dict.fromkeys((fields[2], _device_number(source) or fields[2]))
        found += [(number, where, source) for number in numbers]
    return found


def _device_number(source: str) -> str | None:
    """major:minor of a block device node; None for anything else."""
    if not source.startswith("/dev/"):
        return None
    try:
        found = Path(source).stat()
    except OSError:
        return None
    return _number(found.st_rdev) if stat.S_ISBLK(found.st_mode) else None


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _partitions(number: str) -> list[str]:
    """Device numbers of the partitions of a whole disk."""
    return [_text(entry.parent / "dev") for entry in (_SYS_DEV / number).glob("*/partition")]


def _unescaped(name: str) -> str:
    r"""A path from /proc, where blanks and the like are written as ``\040``."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), name)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape").strip()
    except OSError:
        return ""
