"""Files to put into a partition for power cuts, and how its user changes them meanwhile."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

Files = dict[str, bytes]
"""Contents by path, without a slash in front."""

DELETED, CHANGED, ADDED = "dir1/a file with a long name 4.bin", "dir0/a file with a long name 0.bin", "added.bin"
"""Paths for ``change_files``: of two of the ``sample_files``, and of a new one."""


def sample_files(seed: str, sizes: Sequence[int] = (700, 5000, 30000)) -> Files:
    """Twelve files of noise in three directories; ``sizes`` are those that they may have, in bytes."""
    dice = random.Random(seed)
    names = (f"dir{number % 3}/a file with a long name {number}.bin" for number in range(12))
    return {name: dice.randbytes(dice.choice(sizes)) for name in names}


def put_files(root: Path, files: Files) -> None:
    """Write files below the directory ``root``, such as the one where a file system is mounted."""
    for name, content in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)


def change_files(root: Path) -> None:
    """Change, add and delete files where a file system with ``sample_files`` is mounted."""
    put_files(root, {CHANGED: b"changed", ADDED: bytes(3000)})
    (root / DELETED).unlink()
