"""FAT partitions made, filled, fragmented and judged by the real tools: mkfs.fat, mtools, fsck.fat, partclone.fat."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inpart.units import MIB

_HARMLESS = (
    "Warning: Filesystem is FAT32 according to fat_length and fat32_length fields,",
    "  but has only ",
    "  This may lead to problems on some systems.",
    "There is no backup boot sector.",
    "And there is no space for creating one!",
    "  Auto-creating backup boot block.",
    "No FSINFO sector",
    "  Not automatically creating it.",
    "Free cluster summary uninitialized",
)
"""What fsck.fat says about file systems that are healthy all the same."""


@dataclass(frozen=True)
class Recipe:
    """One kind of partition: its size in bytes and the options of mkfs.fat."""

    name: str
    size: int
    options: tuple[str, ...]


MATRIX = (
    Recipe("fat12-1m", MIB, ("-F12", "-s1")),
    Recipe("fat12-4k-clusters", 4 * MIB, ("-F12", "-s8", "-f1")),
    Recipe("fat12-64k-clusters", 64 * MIB, ("-F12", "-s128")),
    Recipe("fat12-sector-4096", 12 * MIB, ("-F12", "-S4096", "-s1")),
    Recipe("fat12-most-clusters", 4116 * 512, ("-F12", "-s1", "-r112", "-a")),
    Recipe("fat16-fewest-clusters", 4156 * 512, ("-F16", "-s1", "-a")),
    Recipe("fat16-512", 8 * MIB, ("-F16", "-s1")),
    Recipe("fat16-one-fat", 32 * MIB, ("-F16", "-f1", "-r64", "-a")),
    Recipe("fat16-sector-1024", 24 * MIB, ("-F16", "-S1024", "-s2", "-h2048")),
    Recipe("fat16-sector-2048", 32 * MIB, ("-F16", "-S2048", "-s2", "-n", "SECTORS")),
    Recipe("fat32-512", 40 * MIB, ("-F32", "-s1", "-n", "LABEL 32")),
    Recipe("fat32-one-fat", 36 * MIB, ("-F32", "-s1", "-f1", "-h63", "-a")),
    Recipe("fat32-odd-size", 67 * MIB + 3 * 512, ("-F32", "-s2", "-R64", "-b8")),
    Recipe("fat32-4k-clusters", 272 * MIB, ("-F32", "-s8")),
    Recipe("fat32-sector-4096", 272 * MIB, ("-F32", "-S4096", "-s1")),
)
"""The options of mkfs.fat that change the structures, in all three widths."""


EMPTY_ONLY = (
    Recipe("fat32-few-clusters", 4 * MIB, ("-F32", "-s1")),
    Recipe("fat32-few-large-clusters", 64 * MIB, ("-F32", "-s128", "-n", "FEW")),
    Recipe("fat12-floppy", 1440 * 1024, ()),
    Recipe("fat16-sector-32768", 256 * MIB, ("-F16", "-S32768", "-s1")),
    Recipe("fat12-other-media", 2 * MIB, ("-F12", "-s4", "-f2", "-M0xf0", "-D0")),
)
"""What mkfs.fat makes and mtools refuse to fill."""


def make_partition(path: Path, recipe: Recipe) -> Path:
    """A sparse file with an empty file system."""
    with open(path, "wb") as file:
        file.truncate(recipe.size)
    _run("mkfs.fat", "--invariant", *recipe.options, str(path))
    return path


def copy_in(path: Path, files: Mapping[str, bytes], directory: str = "/") -> None:
    """Copy files, given by their paths relative to ``directory``, with mcopy; parent directories are made."""
    with tempfile.TemporaryDirectory(prefix="inpart-fat-") as folder:
        for name, content in files.items():
            target = Path(folder) / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        sources = sorted(str(source) for source in Path(folder).iterdir())
        _run("mcopy", "-s", "-m", "-o", "-i", str(path), *sources, f"::{directory}")


def delete(path: Path, *names: str) -> None:
    """Delete files with mdel."""
    _run("mdel", "-i", str(path), *(f"::{name}" for name in names))


def search_from_start(path: Path) -> None:
    """FAT32: let mtools look for free clusters from the first one on, so that gaps are filled."""
    with open(path, "r+b") as file:
        boot = file.read(64)
        if int.from_bytes(boot[22:24], "little") == 0:
            file.seek(int.from_bytes(boot[11:13], "little") * int.from_bytes(boot[48:50], "little") + 492)
            file.write((2).to_bytes(4, "little"))


def set_attributes(path: Path, options: str, name: str) -> None:
    """Change attributes with mattrib; ``options`` such as ``+h``."""
    _run("mattrib", options, "-i", str(path), f"::{name}")


def typical_files(scale: int, seed: int = 0) -> dict[str, bytes]:
    """Files of all sorts, about 16 * ``scale`` bytes together: nested, long and short names, empty, odd sizes."""
    sizes = [0, 1, 511, 512, 513, scale, scale + 1, 2 * scale - 1]
    files = {f"/A long name, number {size}.data": _content(size, seed + size) for size in sizes}
    files |= {
        "/lower.txt": b"lower case in a short name",
        "/UPPER.TXT": b"upper case",
        "/Grüße & Ökonomie.txt": b"umlauts",
        "/sub/deep/deeper/the deepest file of them all, really.bin": _content(3 * scale, seed + 1),
        "/sub/deep/x": _content(scale // 2, seed + 2),
        "/pagefile.sys": _content(scale, seed + 3),
    }
    return files | {f"/many/file {number:04}.bin": _content(number % 97, seed + number) for number in range(60)}


def fill(path: Path) -> dict[str, bytes]:
    """Fill a partition with ``typical_files`` so that big files are fragmented by deletions; what it holds then."""
    scale = min(path.stat().st_size, 32 * MIB) // 64
    fillers = {f"/filler{number}.bin": _content(scale // 2, number) for number in range(8)}
    copy_in(path, fillers)
    gone = sorted(fillers)[::2]
    delete(path, *gone)
    search_from_start(path)
    files = typical_files(scale)
    copy_in(path, files)
    return files | {name: content for name, content in fillers.items() if name not in gone}


@dataclass(frozen=True)
class Judgement:
    """What fsck.fat -n says: its complaints line by line, and its counts of files and clusters."""

    complaints: tuple[str, ...]
    files: int
    used: int
    total: int


def fsck(path: Path) -> Judgement:
    """Run fsck.fat -n. Where it gives up, the counts are -1; on some damage it would run for hours."""
    try:
        found = subprocess.run(["fsck.fat", "-n", str(path)], capture_output=True, check=False, timeout=30)
    except subprocess.TimeoutExpired:
        return Judgement(("fsck.fat did not finish",), -1, -1, -1)
    lines = (found.stdout + found.stderr).decode("utf-8", "replace").splitlines()[1:]
    pattern = re.compile(re.escape(str(path)) + r": (\d+) files, (\d+)/(\d+) clusters")
    summary = next((match for line in lines if (match := pattern.match(line))), None)
    complaints = tuple(line for line in lines if line.strip() and not line.startswith((*_HARMLESS, str(path))))
    counts = [int(number) for number in summary.groups()] if summary else [-1, -1, -1]
    return Judgement(complaints, *counts)


def partclone_used_bytes(path: Path) -> int:
    """What partclone.fat would image, in bytes: system areas and used clusters."""
    found = subprocess.run(
        ["partclone.fat", "-c", "-s", str(path), "-o", "/dev/null", "-L", "/dev/null", "-F"],
        capture_output=True,
        check=True,
    )
    text = (found.stdout + found.stderr).decode("utf-8", "replace")
    blocks = re.search(r"Space in use:.*?=\s*(\d+)\s*Blocks", text)
    unit = re.search(r"Block size:\s*(\d+)\s*Byte", text)
    if blocks is None or unit is None:
        raise AssertionError(f"partclone.fat says nothing of space in use: {text}")
    return int(blocks[1]) * int(unit[1])


def _content(size: int, seed: int) -> bytes:
    """Bytes that differ from file to file and from cluster to cluster."""
    line = b"%08d %08d\n" % (seed, size)
    return b"".join(b"%08d%b" % (number, line) for number in range(size // len(line) // 2 + 1))[:size].ljust(size, b"=")


def _run(*command: str) -> None:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment)
