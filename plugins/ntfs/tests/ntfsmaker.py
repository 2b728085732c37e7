"""Partitions for tests: made by mkntfs and filled through ntfs-3g."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inpart.testing.tools import run
from inpart.units import KIB, MIB
from ntfsjudge import contents, mounted

ATTRIB = "system.ntfs_attrib_be"
COMPRESSED = (0x800).to_bytes(4, "big")
HIDDEN_SYSTEM = (0x06).to_bytes(4, "big")
JUNCTION_TAG = 0xA0000003


@dataclass(frozen=True)
class Recipe:
    """How to make a partition: sizes in bytes, how many entries the large folder and pieces the torn files have.

    ``permissions`` lets ntfs-3g keep descriptors in $Secure; without it each file has an attribute of its own.
    ``torn_mft`` breaks $MFT into many runs.
    """

    name: str
    cluster: int = 4 * KIB
    sector: int = 512
    size: int = 24 * MIB
    entries: int = 200
    pieces: int = 120
    permissions: bool = False
    torn_mft: bool = False

    @property
    def compresses(self) -> bool:
        """NTFS compresses in units of 16 clusters of at most 4 KiB."""
        return self.cluster <= 4 * KIB


MATRIX = (
    Recipe("c512", 512, size=12 * MIB, pieces=600),
    Recipe("c1k", KIB, size=12 * MIB, pieces=300),
    Recipe("c2k", 2 * KIB, size=16 * MIB),
    Recipe("c4k", size=24 * MIB, pieces=400),
    Recipe("c4k-secure", size=24 * MIB, permissions=True, entries=600),
    Recipe("c4k-torn-mft", size=24 * MIB, torn_mft=True),
    Recipe("c8k", 8 * KIB, size=24 * MIB),
    Recipe("c64k", 64 * KIB, size=48 * MIB, pieces=40),
    Recipe("c128k", 128 * KIB, size=64 * MIB, pieces=24),
    Recipe("c2m", 2 * MIB, size=512 * MIB, pieces=4, entries=60),
    Recipe("s1k", 4 * KIB, 1024),
    Recipe("s2k", 4 * KIB, 2048),
    Recipe("s4k", 4 * KIB, 4096, size=32 * MIB, pieces=400),
    Recipe("s4k-c64k", 64 * KIB, 4096, size=64 * MIB, pieces=40),
)

SMALL = Recipe("small", KIB, size=6 * MIB, entries=40, pieces=60)
"""For tests that make many copies; $LogFile takes 2 MiB of it."""


def make_partition(path: Path, recipe: Recipe, *more: str) -> Path:
    """A new file system."""
    with open(path, "wb") as file:
        file.truncate(recipe.size)
    sizes = ("-c", str(recipe.cluster), "-s", str(recipe.sector))
    run("mkntfs", "-q", "-F", "-Q", *sizes, "-p", "0", "-H", "255", "-S", "63", "-L", recipe.name, *more, path)
    return path


def make_filled(path: Path, recipe: Recipe) -> dict[str, bytes]:
    """A new file system with files of every kind; the content of the regular ones by path."""
    make_partition(path, recipe)
    options = "compression" + (",permissions" if recipe.permissions else "")
    if recipe.torn_mft:
        with mounted(path) as root:
            tear_mft(root, recipe)
    with mounted(path, options) as root:
        populate(root, recipe)
    with mounted(path, "ro") as root:
        return contents(root)


def populate(root: Path, recipe: Recipe, seed: int = 1) -> None:
    """Put files of every kind into a folder."""
    chance = random.Random(seed)
    _plain_files(root, chance)
    _sparse_files(root, recipe, chance)
    if recipe.compresses:
        _compressed_files(root, recipe, chance)
    tear(root / "fragments", recipe.cluster, recipe.pieces, chance)
    fill_folder(root / "many", recipe.entries)
    _names(root)
    _streams(root, recipe, chance)
    _reparse_points(root)


def tear(folder: Path, cluster: int, pieces: int, chance: random.Random) -> None:
    """Two files with a run for each cluster, being written backwards; a third in the gaps that small ones leave."""
    folder.mkdir()
    with open(folder / "first.bin", "wb", 0) as first, open(folder / "second.bin", "wb", 0) as second:
        for number in reversed(range(pieces)):
            for file in (first, second):
                file.seek(number * cluster)
                file.write(chance.randbytes(cluster))
    for number in range(20):
        (folder / f"small{number}").write_bytes(chance.randbytes(max(1200, cluster // 2)))
    for number in range(0, 20, 2):
        (folder / f"small{number}").unlink()
    (folder / "third.bin").write_bytes(chance.randbytes(5 * cluster + 17))


def tear_mft(root: Path, recipe: Recipe) -> None:
    """Fill the volume with two interleaved files, remove one, and let $MFT grow in the gaps."""
    one, other = root / "filler1", root / "filler2"
    with suppress(OSError), open(one, "wb", 0) as first, open(other, "wb", 0) as second:
        while True:
            first.write(b"\x11" * recipe.cluster)
            second.write(b"\x22" * recipe.cluster)
    one.unlink()
    fill_folder(root / "torn", recipe.entries * 2)
    other.unlink()


def fill_folder(folder: Path, entries: int) -> None:
    """A folder of small files."""
    folder.mkdir()
    for number in range(entries):
        name = folder / f"entry number {number:05d} with a longer name.txt"
        name.write_bytes(b"%d\n" % number * (number % 7))


def fill_up(root: Path, share: float, cluster: int, seed: int = 3) -> None:
    """Files of many sizes, which zstd makes small, until ``share`` of the volume is in use; every third goes again."""
    chance = random.Random(seed)
    folder = root / "filling"
    folder.mkdir()
    number = 0
    while True:
        state = os.statvfs(root)
        if state.f_bfree <= state.f_blocks * (1 - share):
            return
        size = min(chance.randrange(1, 40 * cluster), state.f_bfree * state.f_frsize // 3)
        (folder / f"{number}.bin").write_bytes((chance.randbytes(256) * (size // 256 + 1))[:size])
        if number % 3 == 2:
            (folder / f"{number - 1}.bin").unlink()
        number += 1


def _plain_files(root: Path, chance: random.Random) -> None:
    (root / "empty").write_bytes(b"")
    (root / "tiny").write_bytes(b"tiny")
    (root / "medium.bin").write_bytes(chance.randbytes(300_000))
    (root / "pagefile.sys").write_bytes(chance.randbytes(70_000))
    deep = root / "a"
    for level in range(30):
        deep = deep / f"level {level}"
    deep.mkdir(parents=True)
    (deep / "grüße aus ünicode \U0001f600.txt").write_text("hello\n")


def _sparse_files(root: Path, recipe: Recipe, chance: random.Random) -> None:
    unit = max(16 * min(recipe.cluster, 4 * KIB), recipe.cluster)
    with open(root / "sparse.bin", "wb") as file:
        for place in (0, 7, 30, 90):
            file.seek(place * unit)
            file.write(chance.randbytes(3000))
        file.truncate(100 * unit + 5)
    with open(root / "hole only", "wb") as file:
        file.truncate(50 * unit)


def _compressed_files(root: Path, recipe: Recipe, chance: random.Random) -> None:
    folder = root / "compressed"
    folder.mkdir()
    os.setxattr(folder, ATTRIB, COMPRESSED)
    unit = 16 * recipe.cluster
    text = b"".join(b"line %d of a text that compresses well\n" % number for number in range(unit // 10))
    (folder / "text").write_bytes(text)
    (folder / "zeros").write_bytes(bytes(3 * unit))
    (folder / "noise").write_bytes(chance.randbytes(2 * unit + 100))
    mixed = b"".join((text[:unit], bytes(unit), chance.randbytes(unit), text[:777]))
    (folder / "mixed").write_bytes(mixed * 3)
    with open(folder / "torn", "wb", 0) as first, open(root / "between", "wb", 0) as second:
        for number in range(40):
            first.write(text[number * 100 :][: unit // 2] + chance.randbytes(unit // 2))
            second.write(chance.randbytes(recipe.cluster))


def _names(root: Path) -> None:
    folder = root / "names"
    folder.mkdir()
    (folder / "a name with a short one.text").write_bytes(b"short")
    os.setxattr(folder / "a name with a short one.text", "system.ntfs_dos_name", b"ANAMEW~1.TEX")
    (root / "hard link").hardlink_to(root / "medium.bin")
    target = folder / "linked often"
    target.write_bytes(b"many names")
    for number in range(24):
        (folder / f"{number} {'long ' * 12}name").hardlink_to(target)
    for name in ("Case", "case", "CASE", "x" * 255):
        (folder / name).write_text(name)
    os.setxattr(folder / "case", ATTRIB, HIDDEN_SYSTEM)


def _streams(root: Path, recipe: Recipe, chance: random.Random) -> None:
    for number, name in enumerate(("tiny", "medium.bin", "a", "empty")):
        os.setxattr(root / name, "user.short", b"stream" * (number + 1))
        os.setxattr(root / name, "user.longer", chance.randbytes(5000 + 100 * number))
    os.setxattr(root / "tiny", "user.third", chance.randbytes(60_000))
    many = root / "many streams"
    many.write_bytes(chance.randbytes(3000))
    for number in range(30):
        os.setxattr(many, f"user.stream {number}", chance.randbytes(50 + 40 * number))


def _reparse_points(root: Path) -> None:
    (root / "link").symlink_to("medium.bin")
    os.mkfifo(root / "pipe")
    junction = root / "junction"
    junction.mkdir()
    names = "\\??\\C:\\a\0".encode("utf-16-le"), "C:\\a\0".encode("utf-16-le")
    fields = (0, len(names[0]) - 2, len(names[0]), len(names[1]) - 2)
    body = b"".join(field.to_bytes(2, "little") for field in fields) + b"".join(names)
    header = JUNCTION_TAG.to_bytes(4, "little") + len(body).to_bytes(2, "little") + bytes(2)
    os.setxattr(junction, "system.ntfs_reparse_data", header + body)
    os.setxattr(root / "tiny", "system.ntfs_object_id", bytes(range(64)))
