"""One more partition in free space: sfdisk and sgdisk see it, and everything else as it was."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from inpart.errors import NoSpace, PlaceTaken, UsageError
from inpart.partitions import add_partition, apply_repair, read_table
from inpart.testing.powercut import run_power_cuts
from inpart.units import MIB
from inpart.volume import Access, FileVolume, MemoryVolume

TYPES = ("0xe9", "8519CBD3-67CA-439D-80B8-B282BFD329CB")
SIZE = 32 * MIB
SCRIPTS = {
    "gpt": "label: gpt\nsize=8M, type=L\nsize=8M, type=L, name=data\n",
    "gpt, a gap in the middle": "label: gpt\nsize=8M, type=L\nstart=20M, size=+, type=L\n",
    "mbr": "label: dos\nsize=8M, type=c, bootable\nsize=8M, type=83\n",
    "mbr, three of four": "label: dos\n" + "size=4M, type=83\n" * 3,
    "mbr, extended full": "label: dos\nsize=8M, type=c\nsize=8M, type=5\nstart=10M, size=7M, type=83\n",
    "mbr, logical": "label: dos\nsize=8M, type=c\nsize=+, type=f\nsize=4M, type=83\nsize=2M, type=7\n",
    "mbr, empty extended": "label: dos\nsize=8M, type=c\nsize=+, type=5\n",
    "mbr, all primaries": "label: dos\n" + "size=2M, type=83\n" * 3 + "size=+, type=5\nsize=3M, type=83\n",
}


def disk(folder: Path, script: str) -> Path:
    path = folder / "disk"
    with path.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["sfdisk", "-q", path], input=script, text=True, check=True, capture_output=True)
    return path


def listed(path: Path) -> list[dict[str, object]]:
    done = subprocess.run(["sfdisk", "--json", path], check=True, capture_output=True, text=True)
    table = json.loads(done.stdout)["partitiontable"]
    return [{key: row[key] for key in row if key != "node"} for row in table["partitions"]]


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_is_there_for_everybody_and_nothing_else_changed(tmp_path: Path, name: str) -> None:
    path = disk(tmp_path, SCRIPTS[name])
    before = listed(path)
    with FileVolume(path, Access.WRITE) as volume:
        repair = add_partition(volume, 4 * MIB, TYPES, "inpart recovery")
        assert repair.edits
        assert sum(line.startswith("+") for line in repair.description) == 1
        assert not any(line.startswith("-") for line in repair.description)
        assert ("! it takes the last of the four entries of the MBR" in repair.description) == ("three" in name)
        apply_repair(volume, repair)
        table = read_table(volume)
    made = repair.entry
    assert table is not None
    assert made is not None
    assert table.find(made.number) == made
    assert not [note for note in table.notes if note.damage]
    after = listed(path)
    (new,) = [row for row in after if row not in before]
    assert [row for row in after if row != new] == before
    assert (new["start"], new["size"]) == (made.start // 512, 8192)
    assert made.start % MIB == 0
    assert str(new["type"]).upper() in {"E9", TYPES[1]}
    assert (made.ebr is not None) == ("logical" in name or "empty" in name or "primaries" in name)
    assert subprocess.run(["sfdisk", "--verify", path], capture_output=True, check=False).returncode == 0
    if name.startswith("gpt"):
        said = subprocess.run(["sgdisk", "-v", path], check=True, capture_output=True, text=True).stdout
        assert "No problems found" in said
        assert new["name"] == "inpart recovery"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_cut_leaves_the_table_as_it_was_or_as_it_is_meant(tmp_path: Path, name: str) -> None:
    path = disk(tmp_path, SCRIPTS[name])
    content = path.read_bytes()
    with FileVolume(path) as volume:
        repair = add_partition(volume, 4 * MIB, TYPES, "inpart recovery")
        old = read_table(volume)
    assert old is not None

    def check(after: MemoryVolume) -> None:
        found = read_table(after)
        assert found is not None
        assert found.entries in (old.entries, repair.table.entries)

    assert run_power_cuts(lambda: MemoryVolume(content), lambda volume: apply_repair(volume, repair), check) > 1


def test_a_second_one_gets_another_place(tmp_path: Path) -> None:
    path = disk(tmp_path, SCRIPTS["mbr, logical"])
    starts = set()
    with FileVolume(path, Access.WRITE) as volume:
        for _ in range(3):
            repair = add_partition(volume, 4 * MIB, TYPES, "")
            apply_repair(volume, repair)
            assert repair.entry is not None
            starts.add(repair.entry.start)
    assert len(starts) == 3
    assert len(listed(path)) == 7
    assert subprocess.run(["sfdisk", "--verify", path], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        ("label: gpt\nsize=+, type=L\n", NoSpace, "the largest gap"),
        ("label: dos\nsize=+, type=83\n", NoSpace, "the largest gap"),
        ("label: dos\n" + "size=4M, type=83\n" * 4, PlaceTaken, "all four entries"),
        ("label: gpt\ntable-length: 4\n" + "size=4M, type=L\n" * 4, PlaceTaken, "all 4 entries"),
    ],
)
def test_without_room_the_numbers_are_told(tmp_path: Path, script: str, error: type[NoSpace], said: str) -> None:
    path = disk(tmp_path, script)
    with FileVolume(path) as volume, pytest.raises(error, match=said):
        add_partition(volume, 4 * MIB, TYPES, "inpart recovery")


def test_no_table_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no partition table"):
        add_partition(MemoryVolume(SIZE), 4 * MIB, TYPES, "")
    path = disk(tmp_path, SCRIPTS["gpt"])
    content = bytearray(path.read_bytes())
    content[512:1024] = bytes(512)
    with pytest.raises(UsageError, match="not in order"):
        add_partition(MemoryVolume(content), 4 * MIB, TYPES, "")
