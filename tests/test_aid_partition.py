"""A recovery partition on real disks, GPT and MBR, with FAT and ext on them: made, kept, found, and never astray."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from extmaker import e2fsck
from fatmaker import Recipe, fill, fsck, make_partition
from inpart import plugins
from inpart.cli.app import run as run_cli
from inpart.contracts import AidState
from inpart.errors import ExitCode, NoImageFound, NoSpace, PlaceTaken, UsageError
from inpart.operations.aids.upkeep import aid_check, aid_show, aid_sync, aid_write
from inpart.operations.create import CreateOptions, create
from inpart.operations.images import list_images
from inpart.operations.locate import locate_images
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Policy, Session
from inpart.operations.stores import EVERY
from inpart.testing.powercut import recorded_file
from inpart.testing.tools import copied
from inpart.units import MIB

TYPE = "8519CBD3-67CA-439D-80B8-B282BFD329CB"
SIZE = 48 * MIB
PARTS = {1: (MIB, 16 * MIB), 2: (18 * MIB, 12 * MIB)}
"""(start, size) of the FAT16 and of the ext4 partition; in the MBR the latter is logical, with number 5."""
TABLES = {
    "gpt": "label: gpt\nstart=1M, size=16M, type=L\nstart=18M, size=12M, type=L\n",
    "mbr": "label: dos\nlabel-id: 0xfeedbeef\nstart=1M, size=16M, type=6\nstart=17M, size=30M, type=f\n"
    "start=18M, size=12M, type=83\n",
}
NUMBERS = {"gpt": (1, 2), "mbr": (1, 5)}
CREATE = 2 * MIB


@pytest.fixture(scope="session")
def session() -> Session:
    return Session(plugins.load(), Policy(aids=("partition",)))


@pytest.fixture(scope="session")
def plain(session: Session) -> Session:
    """Without aids in the configuration."""
    return replace(session, policy=Policy())


def put(disk: Path, at: int, data: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(data)


def make_disk(folder: Path, label: str) -> Path:
    disk = folder / f"{label}.img"
    with disk.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["sfdisk", "-q", disk], input=TABLES[label], text=True, check=True, capture_output=True)
    fat = make_partition(folder / "fat.img", Recipe("fat16", PARTS[1][1], ("-F16", "-s2")))
    fill(fat)
    put(disk, PARTS[1][0], fat.read_bytes())
    ext = folder / "ext.img"
    with ext.open("wb") as file:
        file.truncate(PARTS[2][1])
    (folder / "tree").mkdir()
    (folder / "tree/a file").write_bytes(b"content" * 9000)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", folder / "tree", ext], check=True)
    put(disk, PARTS[2][0], ext.read_bytes())
    return disk


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, session: Session, plain: Session) -> Callable[[str], Path]:
    """A disk with an image in each partition and a recovery partition, made once for each kind of table."""
    kept: dict[str, Path] = {}

    def give(label: str) -> Path:
        if label not in kept:
            disk = make_disk(tmp_path_factory.mktemp(label), label)
            first, second = NUMBERS[label]
            create(plain, f"{disk}#{first}", CreateOptions("one"))
            aid_write(plain, f"{disk}#{first}", ("partition",), create=CREATE)
            create(session, f"{disk}#{second}", CreateOptions("two"))
            kept[label] = disk
        return kept[label]

    return give


@pytest.fixture(params=TABLES)
def disk(request: pytest.FixtureRequest, made: Callable[[str], Path], tmp_path: Path) -> Path:
    return copied(made(request.param), tmp_path / f"{request.param}.img")


@pytest.fixture
def gpt(made: Callable[[str], Path], tmp_path: Path) -> Path:
    return copied(made("gpt"), tmp_path / "gpt.img")


def numbers(disk: Path) -> tuple[int, int]:
    return NUMBERS[disk.stem]


def lose_table(disk: Path) -> None:
    put(disk, 0, bytes(34 * 512))
    put(disk, PARTS[2][0] - MIB, bytes(512))
    put(disk, SIZE - 33 * 512, bytes(33 * 512))


def wreck(disk: Path, number: int) -> None:
    """The first 2 MiB of a partition."""
    put(disk, PARTS[number][0], bytes(2 * MIB))


def taken_out(disk: Path, number: int, folder: Path) -> Path:
    start, size = PARTS[number]
    part = folder / f"part{number}.img"
    with disk.open("rb") as file:
        file.seek(start)
        part.write_bytes(file.read(size))
    return part


def found(session: Session, address: str, whole: bool = False) -> list[tuple[str, str, int]]:
    listed = locate_images(session, address) if whole else list_images(session, address, EVERY)
    return sorted((row.name, row.method, row.base) for row in listed.images)


def names(session: Session, disk: Path) -> list[list[str]]:
    return [[image.name for image in record.images] for record in aid_show(session, str(disk))]


def home(disk: Path) -> tuple[int, int]:
    """(start, size) of the recovery partition as sfdisk sees it."""
    done = subprocess.run(["sfdisk", "--json", disk], check=True, capture_output=True, text=True)
    rows = json.loads(done.stdout)["partitiontable"]["partitions"]
    (row,) = [row for row in rows if str(row["type"]).upper() in {TYPE, "E9"}]
    return int(row["start"]) * 512, int(row["size"]) * 512


def test_it_holds_every_image_of_the_disk(session: Session, disk: Path, tmp_path: Path) -> None:
    assert names(session, disk) == [["two"], ["one"]]
    for number in numbers(disk):
        assert aid_check(session, f"{disk}#{number}").in_sync
    start, size = home(disk)
    assert (start % MIB, size) == (0, CREATE)
    assert (
        names(session, disk)
        == names(session, Path(f"{disk}@{start}"))
        == names(session, Path(f"partition:{disk}@{start}"))
    )
    two, one = aid_show(session, str(disk))
    assert (one.partition_start, two.partition_start) == (PARTS[1][0], PARTS[2][0])
    assert {"boot-sector", "fat-0", "root-directory", "disk:mbr"} <= one.system_areas.keys()
    assert {"superblock", "group-descriptors", "disk:mbr"} <= two.system_areas.keys()
    content = disk.read_bytes()
    for record in (one, two):
        for name, (offset, data) in record.system_areas.items():
            at = offset if name.startswith("disk:") else record.partition_start + offset
            assert content[at : at + len(data)] == data, name
    assert fsck(taken_out(disk, 1, tmp_path)).complaints == ()
    assert e2fsck(taken_out(disk, 2, tmp_path)) == []


def test_a_wrecked_partition_comes_back_by_it(session: Session, disk: Path, tmp_path: Path) -> None:
    first, second = numbers(disk)
    before = taken_out(disk, 2, tmp_path).read_bytes()
    for number, name in ((first, "one"), (second, "two")):
        wreck(disk, 1 if number == first else 2)
        assert found(session, f"{disk}#{number}") == [(name, "aid", 0)]
        assert restore(session, f"{disk}#{number}", RestoreOptions()).method == "aid"
        assert aid_check(session, f"{disk}#{number}").in_sync
    assert fsck(taken_out(disk, 1, tmp_path)).complaints == ()
    assert e2fsck(taken_out(disk, 2, tmp_path)) == []
    assert len(before) == PARTS[2][1]


def test_a_disk_without_its_table_shows_it_by_itself(session: Session, disk: Path, tmp_path: Path) -> None:
    lose_table(disk)
    wreck(disk, 1)
    wreck(disk, 2)
    both = [("one", "aid", PARTS[1][0]), ("two", "aid", PARTS[2][0])]
    assert found(session, str(disk), whole=True) == both
    assert names(session, disk) == [["two"], ["one"]]
    assert ("two", "aid", 0) in found(session, f"{disk}@{PARTS[2][0]}")
    for name in ("one", "two"):
        report = restore(session, str(disk), RestoreOptions(name, repair_table=True))
        assert report.method == "aid"
    assert fsck(taken_out(disk, 1, tmp_path)).complaints == ()
    assert e2fsck(taken_out(disk, 2, tmp_path)) == []


@pytest.mark.parametrize("slot", [0, 1])
def test_one_slot_is_enough_even_without_a_table(session: Session, gpt: Path, slot: int) -> None:
    aid_write(session, f"{gpt}#1")
    start, size = home(gpt)
    put(gpt, start + slot * size // 2, bytes(size // 2))
    assert sorted(names(session, gpt)) == [["one"], ["two"]]
    lose_table(gpt)
    assert sorted(names(session, gpt)) == [["one"], ["two"]]


def test_a_cut_at_any_write_of_its_update_leads_to_every_image(session: Session, plain: Session, gpt: Path) -> None:
    create(plain, f"{gpt}#2", CreateOptions("three"))
    with recorded_file(gpt) as recording:
        assert aid_sync(session, f"{gpt}#2").in_sync
    cuts = recording.cuts(torn=3)
    assert len(cuts) > 6
    for cut, after in recording.disks(cuts):
        gpt.write_bytes(after.data)
        assert found(session, f"{gpt}#1") == [("one", "aid", 0)], cut
        wreck(gpt, 2)
        assert [name for name, _, _ in found(session, f"{gpt}#2")] == ["three", "two"], cut
        lose_table(gpt)
        seen = [name for name, _, _ in found(session, str(gpt), whole=True)]
        assert seen == ["one", "three", "two"], cut


def change_entry(disk: Path, start: int, size: str) -> None:
    """Another place or size for partition 2, in the table only."""
    subprocess.run(["sfdisk", "-q", "-N2", disk], input=f"start={start // 512}, size={size}", text=True, check=True)


def stale(session: Session, address: str) -> str:
    """The reasons why the recovery partition is stale; the exit code says so as well."""
    assert run_cli(["aid", "check", address, "partition"]) == ExitCode.AID_STALE
    (row,) = aid_check(session, address).aids
    assert row.state is AidState.STALE
    return "; ".join(row.reasons)


def test_a_new_image_makes_it_stale(session: Session, plain: Session, disk: Path) -> None:
    first, second = numbers(disk)
    create(plain, f"{disk}#{second}", CreateOptions("three"))
    assert "image 'three' is new" in stale(session, f"{disk}#{second}")
    assert run_cli(["aid", "check", f"{disk}#{first}", "partition"]) == ExitCode.DONE
    wreck(disk, 2)
    assert [name for name, _, _ in found(session, f"{disk}#{second}")] == ["three", "two"]
    restore(plain, f"{disk}#{second}", RestoreOptions("three"))
    assert run_cli(["aid", "sync", f"{disk}#{second}", "partition"]) == ExitCode.DONE
    assert names(session, disk) == [["two", "three"], ["one"]]


def test_an_image_that_is_gone_makes_it_stale(session: Session, plain: Session, gpt: Path) -> None:
    create(session, f"{gpt}#2", CreateOptions("three"))
    assert aid_check(session, f"{gpt}#2").in_sync
    restore(plain, f"{gpt}#2", RestoreOptions("two", retain=False))
    assert "image 'three' is gone" in stale(session, f"{gpt}#2")
    wreck(gpt, 2)
    assert [name for name, _, _ in found(session, f"{gpt}#2")] == ["two"]


def test_a_partition_that_was_moved(session: Session, gpt: Path, tmp_path: Path) -> None:
    """By 2 MiB, by a tool that knows no images."""
    content = taken_out(gpt, 2, tmp_path).read_bytes()
    put(gpt, PARTS[2][0] + 2 * MIB, content)
    change_entry(gpt, PARTS[2][0] + 2 * MIB, "12M")
    assert f"the partition begins at {PARTS[2][0] + 2 * MIB}" in stale(session, f"{gpt}#2")
    put(gpt, PARTS[2][0] + 2 * MIB, bytes(2 * MIB))
    assert found(session, f"{gpt}#2") == [("two", "aid", 0)]
    restore(session, f"{gpt}#2", RestoreOptions())
    assert aid_check(session, f"{gpt}#2").in_sync
    assert names(session, gpt) == [["two"], ["one"]]


def test_a_partition_that_was_made_longer(session: Session, gpt: Path) -> None:
    subprocess.run(
        ["sfdisk", "-q", "-N2", str(gpt)], input=f"start={PARTS[2][0] // 512}, size=14M", text=True, check=True
    )
    assert f"the partition has {14 * MIB} bytes, in the aid {12 * MIB}" in stale(session, f"{gpt}#2")
    wreck(gpt, 2)
    assert found(session, f"{gpt}#2") == [("two", "aid", 0)]
    restore(session, f"{gpt}#2", RestoreOptions())
    assert aid_check(session, f"{gpt}#2").in_sync


def test_a_stale_one_does_not_lead_to_what_is_left_of_old_images(
    session: Session, plain: Session, gpt: Path, tmp_path: Path
) -> None:
    """A new file system over the old one, with its own images elsewhere: what the aid leads to is still whole."""
    part = taken_out(gpt, 2, tmp_path)
    old = part.read_bytes()[-2 * MIB :]
    with part.open("r+b") as file:
        file.truncate(24 * MIB)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "1024", part], check=True)
    create(plain, str(part), CreateOptions("newer"))
    put(part, PARTS[2][1] - 2 * MIB, old)
    put(gpt, PARTS[2][0], part.read_bytes())
    change_entry(gpt, PARTS[2][0], "24M")
    assert found(session, f"{gpt}#2")[0][:2] == ("newer", "claims")
    put(gpt, PARTS[2][0], bytes(MIB))
    assert ("newer", "fixed-place", 0) in found(session, f"{gpt}#2")


def test_a_stale_one_is_not_followed_where_the_table_is_gone(
    session: Session, plain: Session, gpt: Path, tmp_path: Path
) -> None:
    """The file system at the recorded place has other images by now, though the old ones are still whole."""
    part = taken_out(gpt, 2, tmp_path)
    subprocess.run(["mke2fs", "-q", "-F", "-E", "nodiscard", "-t", "ext4", part], check=True)
    create(plain, str(part), CreateOptions("newer", layout="blocks"))
    put(gpt, PARTS[2][0], part.read_bytes())
    lose_table(gpt)
    warnings: list[str] = []
    warned = replace(session, warn=warnings.append)
    assert "newer" in {name for name, _, _ in found(warned, str(gpt), whole=True)}
    assert "a recovery aid was not followed" in warnings[0]
    assert found(warned, f"{gpt}@{PARTS[2][0]}")[0][:2] == ("newer", "claims")


def test_all_partitions_of_a_disk_at_once(plain: Session, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start, size = home(disk)
    put(disk, start, bytes(size))
    capsys.readouterr()
    assert run_cli(["aid", "sync", str(disk), "partition", "--json"]) == ExitCode.DONE
    rows = json.loads(capsys.readouterr().out)["aids"]
    assert [row["device"] for row in rows] == [f"{disk}#{number}" for number in numbers(disk)]
    assert names(plain, disk) == [["two"], ["one"]]
    create(plain, f"{disk}#{numbers(disk)[1]}", CreateOptions("three"))
    assert run_cli(["aid", "check", str(disk), "partition"]) == ExitCode.AID_STALE
    assert f"{disk}#{numbers(disk)[0]} partition: in sync" in capsys.readouterr().out
    assert run_cli(["aid", "write", str(disk), "file:/tmp/nothing"]) == ExitCode.USAGE


def test_what_is_somebody_elses_is_left_alone(session: Session, plain: Session, gpt: Path, tmp_path: Path) -> None:
    start, size = home(gpt)
    subprocess.run(["mkfs.fat", "--offset", str(start // 512), gpt, str(size // 1024)], check=True, capture_output=True)
    create(plain, f"{gpt}#1", CreateOptions("stale"))
    before = gpt.read_bytes()
    with pytest.raises(UsageError, match="FAT file system"):
        aid_write(session, f"{gpt}#1")
    (row,) = aid_sync(session, f"{gpt}#1").aids
    assert "FAT file system" in row.reasons[-1]
    for address in (f"partition:{gpt}#2", f"partition:{gpt}"):
        with pytest.raises(UsageError):
            aid_write(plain, f"{gpt}#1", (address,))
    assert gpt.read_bytes() == before
    other = tmp_path / "other"
    other.write_bytes(b"something else" * 20_000)
    with pytest.raises(UsageError, match="belongs to something else"):
        aid_write(plain, f"{gpt}#1", (f"partition:{other}",))


@pytest.mark.parametrize(("label", "kind"), [("gpt", TYPE), ("mbr", "e9")])
def test_one_that_another_tool_made(plain: Session, tmp_path: Path, label: str, kind: str) -> None:
    """The type of a GPT is nobody else's; what has the type E9 in an MBR has to be blank."""
    disk = make_disk(tmp_path, label)
    address = f"{disk}#1"
    create(plain, address, CreateOptions("one"))
    script = f"start=31M, size=2M, type={kind}\n"
    subprocess.run(["sfdisk", "-q", "-a", disk], input=script, text=True, check=True)
    assert home(disk) == (31 * MIB, 2 * MIB)
    put(disk, 31 * MIB, b"what was there before" * 1000)
    if label == "mbr":
        with pytest.raises(UsageError, match="belongs to something else"):
            aid_write(plain, address, ("partition",))
        put(disk, 31 * MIB, bytes(64 * 1024))
    aid_write(plain, address, ("partition",))
    assert aid_check(plain, address, ("partition",)).in_sync


def test_on_another_disk(plain: Session, gpt: Path, tmp_path: Path) -> None:
    other = tmp_path / "stick"
    other.write_bytes(bytes(MIB))
    use = f"partition:{other}"
    aid_write(plain, f"{gpt}#1", (use,))
    aid_write(plain, f"{gpt}#2", (use,))
    assert [[image.name for image in record.images] for record in aid_show(plain, use)] == [["two"], ["one"]]
    start, size = home(gpt)
    put(gpt, start, bytes(size))
    wreck(gpt, 2)
    assert found(replace(plain, aids=(use,)), f"{gpt}#2") == [("two", "aid", 0)]


def test_restoring_to_another_partition_updates_what_lives_there(session: Session, gpt: Path, tmp_path: Path) -> None:
    """An image from elsewhere over the ext partition, whose own image stays; an aid outside is of the source."""
    source = taken_out(gpt, 1, tmp_path)
    stick = tmp_path / "box.ipaid"
    kept = replace(session, policy=Policy(aids=("partition", f"file:{stick}")))
    with source.open("r+b") as file:
        file.truncate(PARTS[2][1])
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", source], check=True)
    create(kept, str(source), CreateOptions("elsewhere"))
    of_source = stick.read_bytes()
    restore(kept, str(source), RestoreOptions(to=f"{gpt}#2"))
    (row,) = aid_check(session, f"{gpt}#2").aids
    assert row.state is AidState.IN_SYNC
    assert stick.read_bytes() == of_source
    assert e2fsck(taken_out(gpt, 2, tmp_path)) == []


def test_making_one(plain: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk = make_disk(tmp_path, "gpt")
    use = ("partition",)
    before = disk.read_bytes()
    with pytest.raises(NoImageFound):
        aid_write(plain, f"{disk}#1", use, create=CREATE)
    create(plain, f"{disk}#1", CreateOptions("one"))
    before = disk.read_bytes()
    assert run_cli(["aid", "check", f"{disk}#1", *use]) == ExitCode.AID_STALE
    assert run_cli(["aid", "write", f"{disk}#1", *use]) == ExitCode.USAGE
    with pytest.raises(NoSpace):
        aid_write(plain, f"{disk}#1", use, create=40 * MIB)
    capsys.readouterr()
    assert run_cli(["aid", "write", f"{disk}#1", *use, "--create", "2M", "--dry-run", "--json"]) == ExitCode.DONE
    shown = json.loads(capsys.readouterr().out)
    assert "inpart recovery" in shown["table_entry"]
    assert (shown["dry_run"], shown["aids"][0]["state"]) == (True, "missing")
    with pytest.raises(UsageError, match="partition of its own"):
        aid_write(plain, f"{disk}#1", (f"file:{tmp_path}/a",), create=CREATE)
    assert disk.read_bytes() == before
    aid_write(plain, f"{disk}#1", (*use, f"file:{tmp_path}/a"), create=CREATE)
    assert aid_check(plain, f"{disk}#1", (*use, f"file:{tmp_path}/a")).in_sync
    with pytest.raises(UsageError, match="already"):
        aid_write(plain, f"{disk}#1", use, create=CREATE)
    assert subprocess.run(["sgdisk", "-v", disk], capture_output=True, check=False).returncode == 0


def test_none_is_made_over_lost_images(plain: Session, tmp_path: Path) -> None:
    """The ext partition was deleted from the table: its space is free, and is not."""
    disk = make_disk(tmp_path, "gpt")
    for number in (1, 2):
        create(plain, f"{disk}#{number}", CreateOptions(f"image {number}"))
    subprocess.run(["sfdisk", "-q", "--delete", disk, "2"], check=True)
    rest = SIZE - PARTS[2][0] - PARTS[2][1]
    subprocess.run(["sfdisk", "-q", "-a", disk], input=f"start=30M, size={rest // MIB - 1}M\n", text=True, check=True)
    before = disk.read_bytes()
    with pytest.raises(PlaceTaken, match="parts of images"):
        aid_write(plain, f"{disk}#1", ("partition",), create=CREATE)
    assert disk.read_bytes() == before


def test_an_image_file_that_is_mounted_is_not_written(gpt: Path, plain: Session, tmp_path: Path) -> None:
    create(plain, f"{gpt}#2", CreateOptions("three"))
    folder, before = tmp_path / "mounted", gpt.read_bytes()
    folder.mkdir()
    start, size = PARTS[2]
    subprocess.run(["mount", "-o", f"ro,noload,loop,offset={start},sizelimit={size}", gpt, folder], check=True)
    try:
        assert run_cli(["aid", "check", f"{gpt}#2", "partition"]) == ExitCode.AID_STALE
        assert run_cli(["aid", "sync", f"{gpt}#2", "partition"]) == ExitCode.AID_STALE
        assert run_cli(["aid", "write", f"{gpt}#2", "partition"]) == ExitCode.BUSY
    finally:
        subprocess.run(["umount", folder], check=True)
    assert gpt.read_bytes() == before
    assert run_cli(["aid", "sync", f"{gpt}#2", "partition"]) == ExitCode.DONE
