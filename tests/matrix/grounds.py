"""The columns of the matrix, and the disk that each of them starts from."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from inpart import plugins
from inpart.contracts import Claim, FilesystemEditor, SystemArea
from inpart.operations.aids.upkeep import aid_write
from inpart.operations.create import CreateOptions, create
from inpart.operations.filesystems import find_filesystem
from inpart.operations.session import Policy, Session
from inpart.plugins import Plugins
from inpart.testing.tools import copied, run
from inpart.units import MIB
from inpart.volume import FileVolume, SliceVolume

from matrix.kinds import KINDS, Facts, Kind

LAYOUTS = ("contiguous", "blocks")
AIDS: dict[str, frozenset[str]] = {
    "none": frozenset(kind.name for kind in KINDS),
    "file": frozenset(kind.name for kind in KINDS),
    "reserved": frozenset({"fat32", "ext4", "ntfs"}),
    "partition": frozenset({"fat32", "ext4", "ntfs"}),
}
"""Recovery aids, and the file systems with which they are tried."""

HOME_SIZE = MIB
"""Of the recovery partition behind the other one."""

TABLES = ("mbr", "gpt")
START = MIB
BEHIND = 4 * MIB
OLDER, NEWER = "factory-1", "mine"


@dataclass(frozen=True)
class Column:
    """A column of the matrix: file system, layout, recovery aid."""

    kind: str
    layout: str
    aid: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.layout}-{self.aid}"


COLUMNS = tuple(
    Column(kind.name, layout, aid)
    for kind in KINDS
    for layout in LAYOUTS
    for aid, kinds in AIDS.items()
    if kind.name in kinds
)


@dataclass(frozen=True)
class Ground:
    """A disk with one partition that holds two images; ``older`` and ``newer`` are the files that they hold.

    ``start`` is where the partition is now, which a damage may change.
    """

    path: Path
    kind: Kind
    column: Column
    aid: str
    older: Facts
    newer: Facts
    areas: tuple[SystemArea, ...]
    claims: tuple[Claim, ...]
    start: int = START

    def copied(self, path: Path) -> Ground:
        """The same on a copy of the disk."""
        copied(self.path, path)
        return replace(self, path=path)


@cache
def loaded() -> Plugins:
    """The plugins, once for each process."""
    return plugins.load()


def make_ground(column: Column, table: str, folder: Path, base: Path) -> Ground:
    """Make the disk of a column from the filled file system in the file ``base``."""
    kind = next(kind for kind in KINDS if kind.name == column.kind)
    part, disk = folder / f"{table}.part", folder / f"{table}.img"
    copied(base, part)
    older = kind.facts(part)
    make_disk(disk, kind, table)
    put(part, disk, START)
    aid = {"none": "", "file": f"file:{folder / table}.ipaid"}.get(column.aid, column.aid)
    session = Session(loaded(), Policy(layout=column.layout))
    create(session, f"{disk}#1", CreateOptions(OLDER, "factory"))
    take(disk, START, kind.size, part)
    kind.add(part)
    newer = kind.facts(part)
    put(part, disk, START)
    create(session, f"{disk}#1", CreateOptions(NEWER))
    if aid:
        aid_write(session, f"{disk}#1", (aid,), create=HOME_SIZE if aid == "partition" else None)
    part.unlink()
    with FileVolume(disk) as volume:
        filesystem = find_filesystem(session, partition := SliceVolume(volume, START, kind.size)).open(partition)
        assert isinstance(filesystem, FilesystemEditor)
        areas, claims = filesystem.system_areas(), filesystem.claims()
    return Ground(disk, kind, column, aid, older, newer, areas, claims)


def make_disk(path: Path, kind: Kind, table: str) -> None:
    """A blank disk with one entry for the partition."""
    with path.open("wb") as file:
        file.truncate(START + kind.size + BEHIND)
    if table == "gpt":
        run("sgdisk", "--new", f"1:{START // 512}:{(START + kind.size) // 512 - 1}", path)
    else:
        write_table(path, [(START, kind.size, kind.mbr_type)])


def write_table(path: Path, entries: list[tuple[int, int, str]]) -> None:
    """An MBR by sfdisk with these (start, size, type); nothing else is touched."""
    lines = [f"start={start // 512}, size={size // 512}, type={kind}" for start, size, kind in entries]
    quiet = ("--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never", "--wipe-partitions", "never")
    script = "\n".join(["label: dos", "unit: sectors", *lines, ""])
    subprocess.run(["sfdisk", *quiet, path], input=script, text=True, check=True, capture_output=True)


def take(disk: Path, start: int, size: int, part: Path) -> None:
    """Copy a part of the disk into a file of its own."""
    with disk.open("rb") as source, part.open("wb") as target:
        source.seek(start)
        while size > 0:
            data = source.read(min(size, MIB))
            if not data:
                break
            target.write(data) if data.strip(b"\0") else target.seek(len(data), 1)
            size -= len(data)
        target.truncate()


def put(part: Path, disk: Path, start: int) -> None:
    """Copy a file onto the disk, zeros too."""
    with part.open("rb") as source, disk.open("r+b") as target:
        target.seek(start)
        shutil.copyfileobj(source, target, MIB)
