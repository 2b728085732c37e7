"""A disk with a table, damaged and repaired under the eyes of sfdisk and sgdisk; what tests of repairs share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from inpart.partitions import PartitionTable, Repair, SavedAreas, apply_repair, read_table, repair_entry, save_table
from inpart.testing.tools import run
from inpart.volume import Access, FileVolume, Volume

MIB = 1 << 20
DISK = 128 * MIB
MBR = (
    "label: dos\nlabel-id: 0x1234abcd\nsize=10M,type=c,bootable\nsize=10M,type=83\ntype=5\n"
    "size=8M,type=83\nsize=9M,type=7\nsize=10M,type=6\nsize=11M,type=83\n"
)
GPT = "label: gpt\nsize=10M,type=U,name=one\nsize=20M,name=two\nsize=30M,name=three\n"


class Bench:
    """A disk with a table, what was saved of it, and what the tools say of it now."""

    def __init__(self, path: Path, script: str) -> None:
        self.path = path
        FileVolume.create(path, DISK).close()
        run("sfdisk", "--quiet", path, stdin=script)
        self.dump = self.listing()
        with FileVolume(path) as volume:
            self.table = self.read(volume)
            self.saved = save_table(volume, self.table)

    @staticmethod
    def read(volume: Volume) -> PartitionTable:
        table = read_table(volume)
        assert table is not None
        return table

    def listing(self) -> object:
        return json.loads(run("sfdisk", "--json", self.path))["partitiontable"]

    def wipe(self, *runs: tuple[int, int]) -> None:
        with FileVolume(self.path, Access.WRITE) as volume:
            for start, length in runs:
                volume.write(start, bytes(length))

    def sfdisk(self, *arguments: str, stdin: str = "") -> None:
        run("sfdisk", "--quiet", *arguments, self.path, stdin=stdin)

    def repair(self, compute: Callable[[Volume, SavedAreas], Repair]) -> Repair:
        """Compute, apply, and let the tools judge."""
        with FileVolume(self.path, Access.WRITE) as volume:
            before = volume.read(0, MIB)
            made = compute(volume, self.saved)
            assert volume.read(0, MIB) == before
            apply_repair(volume, made)
            assert self.read(volume) == made.table
        if made.table.kind == "gpt":
            assert "No problems found" in run("sgdisk", "--verify", self.path)
        run("sfdisk", "--verify", self.path)
        return made

    def entry(self, number: int) -> Callable[[Volume, SavedAreas], Repair]:
        found = self.table.find(number)
        assert found is not None
        start = found.start
        return lambda volume, saved: repair_entry(volume, saved, start)
