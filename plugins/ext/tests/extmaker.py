"""Partitions for tests: made by mke2fs, filled through the kernel, judged by e2fsck, dumpe2fs and partclone."""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inpart.extents import Extents
from inpart.testing.tools import run
from inpart.units import MIB


@dataclass(frozen=True)
class Recipe:
    """How to make a partition: ``options`` for mke2fs, ``size`` in bytes, how many entries the large folder has.

    Where the kernel cannot mount it (no quota, no casefolding), mke2fs fills it.
    """

    name: str
    options: tuple[str, ...]
    size: int = 12 * MIB
    entries: int = 120
    mountable: bool = True


def ext(name: str, options: str, size: int = 12, **more: int | bool) -> Recipe:
    """A recipe; ``size`` in MiB."""
    return Recipe(name, tuple(options.split()), size * MIB, **more)  # type: ignore[arg-type]


MATRIX = (
    ext("ext2-1k", "-t ext2 -b 1024"),
    ext("ext2-4k", "-t ext2 -b 4096"),
    ext("ext2-old-inodes", "-t ext2 -b 2048 -I 128"),
    ext("ext2-many-groups", "-t ext2 -b 1024 -g 1024 -O ^sparse_super,^resize_inode"),
    ext("ext3-1k", "-t ext3 -b 1024"),
    ext("ext3-2k", "-t ext3 -b 2048", 16),
    ext("ext4-1k", "-t ext4 -b 1024", 24, entries=1200),
    ext("ext4-2k", "-t ext4 -b 2048"),
    ext("ext4-4k", "-t ext4 -b 4096", 24),
    ext("ext4-no-journal", "-t ext4 -b 4096 -O ^has_journal", 8),
    ext("ext4-no-csum", "-t ext4 -b 1024 -O ^metadata_csum"),
    ext("ext4-uninit-bg", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg", 20),
    ext("ext4-no-64bit", "-t ext4 -b 1024 -O ^64bit", 24),
    ext("ext4-no-flex", "-t ext4 -b 1024 -O ^flex_bg", 24),
    ext("ext4-meta-bg", "-t ext4 -b 1024 -g 512 -O meta_bg,^resize_inode", 24),
    ext("ext4-sparse-super2", "-t ext4 -b 1024 -O sparse_super2,^resize_inode", 24),
    ext("ext4-bigalloc", "-t ext4 -b 1024 -O bigalloc,^resize_inode -C 8192", 12),
    ext("ext4-bigalloc-4k", "-t ext4 -b 4096 -O bigalloc -C 16384", 24),
    ext("ext4-inline", "-t ext4 -b 1024 -O inline_data -I 256"),
    ext("ext4-ea-inode", "-t ext4 -b 1024 -O ea_inode,large_dir"),
    ext("ext4-quota", "-t ext4 -b 1024 -O quota,project -E quotatype=usrquota:grpquota:prjquota", mountable=False),
    ext("ext4-orphan-file", "-t ext4 -b 1024 -O orphan_file"),
    ext("ext4-mmp", "-t ext4 -b 1024 -O mmp"),
    ext("ext4-casefold", "-t ext4 -b 1024 -O casefold,encrypt,verity", mountable=False),
    ext("ext4-csum-seed", "-t ext4 -b 1024 -O metadata_csum_seed -U 12345678-1234-5678-9abc-def012345678"),
)


def make_partition(path: Path, recipe: Recipe, *more: str | Path) -> Path:
    """A new file system."""
    if path.exists():
        path.unlink()
    run("mke2fs", "-q", "-F", *recipe.options, *more, path, f"{recipe.size // 1024}k")
    return path


@contextmanager
def mounted(path: Path, options: str = "") -> Iterator[Path]:
    """The folder where the kernel shows the file system."""
    with tempfile.TemporaryDirectory(prefix="inpart-ext-") as folder:
        run("mount", "-o", ",".join(filter(None, ("loop", options))), path, folder)
        try:
            yield Path(folder)
        finally:
            run("umount", folder)


def make_filled(path: Path, recipe: Recipe, entries: int | None = None) -> dict[str, bytes]:
    """A new file system with files of every kind; the content of the regular ones by path."""
    count = recipe.entries if entries is None else entries
    if recipe.mountable:
        make_partition(path, recipe)
        with mounted(path) as root:
            populate(root, count)
            return contents(root)
    with tempfile.TemporaryDirectory(prefix="inpart-ext-") as folder:
        populate(Path(folder), count)
        make_partition(path, recipe, "-d", folder)
        for _ in range(2):  # mke2fs does not count what it copies against quotas, and e2fsck not what it mends
            run("e2fsck", "-fy", path, check=False)
        return contents(Path(folder))


def populate(root: Path, entries: int = 120, seed: int = 1) -> None:
    """Put files of every kind into a folder."""
    chance = random.Random(seed)
    _fragment(root, chance)
    _plain_files(root, chance)
    _sparse_files(root, chance)
    folder = root / "many"
    folder.mkdir()
    for number in range(entries):
        (folder / f"entry number {number:05d} with a longer name.txt").write_bytes(b"%d\n" % number * (number % 7))
    _odd_inodes(root, chance)
    _attributes(root, chance)
    os.sync()


def contents(root: Path) -> dict[str, bytes]:
    """All regular files below a folder, by path."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink():
                found["/" + str(file.relative_to(root))] = file.read_bytes()
    return found


def everything(root: Path) -> list[str]:
    """All paths below a folder."""
    return sorted("/" + str(item.relative_to(root)) for item in root.rglob("*"))


def _fragment(root: Path, chance: random.Random) -> None:
    """Two files written in turns between many small ones, half of which go again."""
    folder = root / "fragments"
    folder.mkdir()
    with open(folder / "first.bin", "wb") as first, open(folder / "second.bin", "wb") as second:
        for number in range(40):
            for file in (first, second):
                file.write(chance.randbytes(5000))
                file.flush()
                os.fsync(file.fileno())
            (folder / f"small{number}").write_bytes(chance.randbytes(700))
    os.sync()
    for number in range(0, 40, 2):
        (folder / f"small{number}").unlink()
    (folder / "third.bin").write_bytes(chance.randbytes(150_000))
    os.sync()


def _plain_files(root: Path, chance: random.Random) -> None:
    (root / "empty").write_bytes(b"")
    (root / "tiny").write_bytes(b"tiny")
    (root / "medium.bin").write_bytes(chance.randbytes(400_000))
    deep = root / "a" / "deep" / "er" / "folder"
    deep.mkdir(parents=True)
    (deep / "grüße aus ünicode.txt").write_text("hello\n")


def _sparse_files(root: Path, chance: random.Random) -> None:
    with open(root / "sparse.bin", "wb") as file:
        for place in (0, 70_000, 300_000, 900_000):
            file.seek(place)
            file.write(chance.randbytes(3000))
        file.truncate(1_000_000)
    with open(root / "preallocated.bin", "wb") as file:
        file.write(chance.randbytes(10_000))
        file.flush()
        try:
            os.posix_fallocate(file.fileno(), 0, 200_000)
        except OSError:
            file.truncate(200_000)
        file.seek(100_000)
        file.write(chance.randbytes(5000))


def _odd_inodes(root: Path, chance: random.Random) -> None:
    (root / "fast link").symlink_to("medium.bin")
    (root / "slow link").symlink_to("/".join(["a"] * 100) + "/end")
    (root / "hard link").hardlink_to(root / "medium.bin")
    os.mknod(root / "null", 0o020644, os.makedev(1, 3))
    os.mknod(root / "block", 0o060600, os.makedev(259, 70_000))
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "sock"))


def _attributes(root: Path, chance: random.Random) -> None:
    for number, name in enumerate(("tiny", "medium.bin", "a")):
        os.setxattr(root / name, "user.comment", b"short" * (number + 1))
        os.setxattr(root / name, "user.longer", chance.randbytes(300 + 100 * number))


def debugfs(path: Path, *commands: str) -> str:
    """Run debugfs commands that may write."""
    with tempfile.NamedTemporaryFile("w", suffix=".debugfs") as script:
        script.write("\n".join(commands) + "\n")
        script.flush()
        return run("debugfs", "-w", "-f", script.name, path)


def e2fsck(path: Path) -> list[str]:
    """What e2fsck -fn finds; nothing for a healthy file system."""
    done = subprocess.run(["e2fsck", "-fn", path], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode == 0:
        return []
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return [line for line in lines if not line.startswith(("e2fsck 1.", "Pass "))] or [f"exit {done.returncode}"]


def dumpe2fs_used(path: Path) -> tuple[Extents, int]:
    """The blocks that dumpe2fs does not list as free, and its count of used blocks; both in bytes."""
    text = run("dumpe2fs", path)

    def number(name: str, default: int = 0) -> int:
        found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
        return int(found[1]) if found else default

    size, count = number("Block size"), number("Block count")
    ratio = number("Cluster size", size) // size
    free = []
    for line in re.findall(r"^  Free blocks: (.*)$", text, re.MULTILINE):
        for part in filter(None, (part.strip() for part in line.split(","))):
            first, _, last = part.partition("-")
            free.append((int(first) * size, (int(last or first) + ratio) * size))  # names the first block of a cluster
    return Extents(free).complement(0, count * size), (count - number("Free blocks")) * size


def partclone_used(path: Path) -> int:
    """Bytes of the blocks that partclone.extfs would copy."""
    binary = shutil.which("partclone.extfs")
    assert binary is not None, "partclone.extfs is not installed"
    text = run(binary, "-c", "-s", path, "-o", "/dev/null", "-L", "/dev/null", "-F")
    size = re.search(r"Block size:\s+(\d+)", text)
    used = re.search(r"Space in use:.*= (\d+) Blocks", text)
    assert size is not None, text
    assert used is not None, text
    return int(used[1]) * int(size[1])
