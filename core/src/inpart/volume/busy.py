"""Who uses a file or block device: mounts on it, on its partitions, and on loop devices over it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_SYS_DEV = Path("/sys/dev/block")
_SYS_BLOCK = Path("/sys/block")
_MOUNTS = Path("/proc/self/mountinfo")


def users_of(path: Path) -> list[str]:
    """One sentence for each use of ``path``: mounted, swapped on, or held by a device that is."""
    try:
        found = path.stat()
    except OSError:
        return []
    if stat.S_ISBLK(found.st_mode):
        number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        return _users_of_devices([number, *_partitions(number)])
    return _users_of_file(path)


def _users_of_file(path: Path) -> list[str]:
    wanted = path.resolve()
    uses: list[str] = []
    for loop in sorted(_SYS_BLOCK.glob("loop*")):
        if _text(loop / "loop/backing_file") == str(wanted):
            number = _text(loop / "dev")
            uses += [f"behind /dev/{loop.name}, {use}" for use in _users_of_devices([number, *_partitions(number)])]
    return uses


def _users_of_devices(numbers: list[str]) -> list[str]:
    mounts = {number: where for number, where in _mounted() if number in numbers}
    uses = [f"mounted on {where}" for where in mounts.values()]
    for number in numbers:
        holders = _SYS_DEV / number / "holders"
        if holders.is_dir():
            uses += [f"held by {holder.name}" for holder in sorted(holders.iterdir())]
    return uses


def _mounted() -> list[tuple[str, str]]:
    """(major:minor, mount point) of every mount, also of those whose device number is only in the source path."""
    found: list[tuple[str, str]] = []
    for line in _text(_MOUNTS).splitlines():
        fields = line.split(" ")
        where = fields[4].encode().decode("unicode_escape")
        found.append((fields[2], where))
        source = fields[fields.index("-") + 2]
        number = _device_number(source)
        if number and number != fields[2]:
            found.append((number, where))
    return found


def _device_number(source: str) -> str | None:
    """major:minor of a mount source such as ``/dev/fuse-backed``; FUSE mounts show only this."""
    if not source.startswith("/dev/"):
        return None
    try:
        found = Path(source).stat()
    except OSError:
        return None
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}" if stat.S_ISBLK(found.st_mode) else None


def _partitions(number: str) -> list[str]:
    """Device numbers of the partitions of a whole disk."""
    return [_text(entry.parent / "dev") for entry in (_SYS_DEV / number).glob("*/partition")]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
