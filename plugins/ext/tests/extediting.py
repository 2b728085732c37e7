"""What the tests of editing share: all that the kernel shows of a file system, and what e2fsck may say after a cut."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from extmaker import mounted

HIDDEN = ".inpart"

TOLERABLE = re.compile(
    r"(Block|Inode) bitmap differences:(  -| Group \d+ (block|inode) bitmap does not match checksum)[^+]*$"
    r"|Group \d+ (block|inode) bitmap does not match checksum"
    r"|IGNORED"
    r"|Fix\? no|Connect to /lost\+found\? no"
    r"|Free (blocks|inodes) count wrong|Directories count wrong"
    r"|Unconnected directory inode \d+ \(was in /.*\)|Unattached (zero-length )?inode \d+"
    r"|Inode \d+ is a zero-length directory|Directory inode \d+ has an unallocated block #0\."
    r"|'\.\.' in (/\.inpart|\.\.\.) \(\d+\) is <The NULL inode> \(0\), should be (/ \(2\)|<The NULL inode> \(0\))"
    r"|Inode \d+ ref count is"
    r"|Update quota info for quota type \d\? no|\[QUOTA WARNING\]"
    r"|\S+: \*{10} WARNING: Filesystem still has errors"
    r"|\S+: \d+/\d+ files"
)


def tolerable(complaint: str) -> bool:
    """True for what a cut may leave behind: blocks and inodes taken and unused, counts that lag, an empty ``/.inpart``.

    That is what e2fsck -n names because it changes nothing; test_ext_boot.py shows that e2fsck -p mends all of it.
    """
    return TOLERABLE.match(complaint) is not None


def snapshot(path: Path) -> dict[str, tuple[object, ...]]:
    """Everything that the kernel shows of each file but ours: numbers, owners, times, attributes, content."""
    found: dict[str, tuple[object, ...]] = {}
    with mounted(path, "ro") as root:
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if Path(folder, name) != root / HIDDEN]
            for name in (*folders, *names):
                file = Path(folder, name)
                found["/" + str(file.relative_to(root))] = _facts(file)
    return found


def _facts(file: Path) -> tuple[object, ...]:
    status = file.lstat()
    content = b""
    if stat.S_ISREG(status.st_mode):
        content = hashlib.sha256(file.read_bytes()).digest()
    elif stat.S_ISLNK(status.st_mode):
        content = str(file.readlink()).encode()
    names = os.listxattr(file, follow_symlinks=False)
    attributes = {name: os.getxattr(file, name, follow_symlinks=False) for name in names}
    numbers = (status.st_ino, status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_rdev)
    size = status.st_size if not stat.S_ISDIR(status.st_mode) else 0
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return (numbers, size, times, sorted(attributes.items()), content)
