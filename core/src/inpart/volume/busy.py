"""Who uses a file or block device: mounts and swap on it, on its partitions, and on loop devices over it."""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from inpart.volume.loops import SYS_DEV, loops, shows, sysfs_text, window_of

_MOUNTS = Path("/proc/self/mountinfo")
_SWAPS = Path("/proc/swaps")
_OCTAL = re.compile(r"\\([0-7]{3})")


def users_of(path: Path) -> list[str]:
    """One sentence for each use of ``path``: mounted, swapped on, or held by a device that is."""
    try:
        found = path.stat()
    except OSError:
        return []
    uses = _named_uses(path)
    if stat.S_ISBLK(found.st_mode):
        number = _number(found.st_rdev)
        uses += _users_of_devices([number, *_partitions(number)]) + _users_of_siblings(number)
    return list(dict.fromkeys(uses + _users_of_loops(path, found)))


def _named_uses(path: Path) -> list[str]:
    """Uses that the kernel lists by path: swap files, and FUSE file systems on a regular file."""
    wanted = path.resolve()
    swaps = [_unescaped(line.split(" ", 1)[0]) for line in sysfs_text(_SWAPS).splitlines()[1:]]
    uses = [f"used as swap ({name})" for name in swaps if Path(name) == wanted]
    return uses + [f"mounted on {where}" for _, where, source in _mounts() if Path(source) == wanted]


def _users_of_loops(path: Path, found: os.stat_result) -> list[str]:
    """Uses of a file through any loop device over it, whatever part of it that shows."""
    uses: list[str] = []
    for name, number in loops():
        if shows(name, path, found):
            behind = _users_of_devices([number, *_partitions(number)]) or _exclusive_use(name)
            uses += [f"behind /dev/{name}, {use}" for use in behind]
    return uses


def _users_of_siblings(number: str) -> list[str]:
    """Uses of the same bytes as those of a loop device through another one over the same file."""
    wanted = window_of(number)
    if wanted is None:
        return []
    uses: list[str] = []
    for name, whole in loops():
        for other in (whole, *_partitions(whole)):
            window = window_of(other) if whole != _whole(number) else None
            if window and window.meets(wanted):
                held = _users_of_devices([other]) or (_exclusive_use(name) if not _partitions(whole) else [])
                uses += [f"the same bytes as /dev/{name}, {use}" for use in held]
    return uses


def _exclusive_use(name: str) -> list[str]:
    """One use if the kernel refuses another one, as for a mount in another namespace."""
    try:
        os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        return ["in exclusive use"] if error.errno == errno.EBUSY else []
    return []


def _users_of_devices(numbers: list[str]) -> list[str]:
    uses = [f"mounted on {where}" for where in {n: w for n, w, _ in _mounts() if n in numbers}.values()]
    for line in sysfs_text(_SWAPS).splitlines()[1:]:
        name = _unescaped(line.split(" ", 1)[0])
        if _device_number(name) in numbers:
            uses.append(f"used as swap ({name})")
    for number in numbers:
        holders = SYS_DEV / number / "holders"
        if holders.is_dir():
            uses += [f"held by {holder.name}" for holder in sorted(holders.iterdir())]
    return uses


def _mounts() -> list[tuple[str, str, str]]:
    """(major:minor, mount point, source) of every mount, twice where the source is a device of another number.

    FUSE and btrfs show a number of their own; only the source tells the device.
    """
    found: list[tuple[str, str, str]] = []
    for line in sysfs_text(_MOUNTS).splitlines():
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


def _whole(number: str) -> str:
    """Device number of the disk of a partition; of a whole disk its own."""
    place = (SYS_DEV / number).resolve()
    return sysfs_text(place.parent / "dev") if (place / "partition").exists() else number


def _partitions(number: str) -> list[str]:
    """Device numbers of the partitions of a whole disk."""
    return [sysfs_text(entry.parent / "dev") for entry in (SYS_DEV / number).glob("*/partition")]


def _unescaped(name: str) -> str:
    r"""A path from /proc, where blanks and the like are written as ``\040``."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), name)
