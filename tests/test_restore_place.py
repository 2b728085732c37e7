"""Restoring to its own place, elsewhere, and to a disk whose partition table is lost; judged by sfdisk and fsck.fat."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fatmaker import Recipe, copy_in, fsck, make_partition
from fatwrecks import contents
from inpart.errors import IntegrityError, NoImageFound, NoSpace, PlaceTaken, UsageError
from inpart.operations.aids.upkeep import aid_write
from inpart.operations.create import CreateOptions, create
from inpart.operations.exchange import import_image
from inpart.operations.images import list_images, open_image
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Session
from inpart.operations.stores import EVERY
from inpart.operations.verify import verify
from inpart.partitions.devices import partitions_of_device
from inpart.testing.tools import copied
from inpart.units import KIB, MIB

RECIPE = Recipe("fat16", 16 * MIB, ("-F16", "-s2", "-n", "DATA", "-h63"))
START = 4 * MIB
TABLE = (
    "label: dos\nlabel-id: 0xfeedbeef\nstart=2048,size=2M,type=83\n"
    f"start={START // 512},size=16M,type=6\nstart=47104,size=1M,type=83\n"
)
FILES = {"/a.bin": os.urandom(MIB), "/d/b.txt": b"text " * 40_000}


def dump(disk: Path) -> str:
    return subprocess.run(["sfdisk", "--dump", disk], capture_output=True, text=True, check=False).stdout


def taken_out(disk: Path, to: Path) -> Path:
    with disk.open("rb") as file:
        file.seek(START)
        to.write_bytes(file.read(RECIPE.size))
    return to


def overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, session: Session) -> Path:
    """A disk of three partitions, the second with files and an image of itself; not to be changed."""
    folder = tmp_path_factory.mktemp("disk")
    disk, part = folder / "disk.img", make_partition(folder / "p.img", RECIPE)
    copy_in(part, FILES)
    with disk.open("wb") as file:
        file.truncate(25 * MIB)
    subprocess.run(["sfdisk", "--quiet", disk], input=TABLE, text=True, check=True)
    overwrite(disk, START, part.read_bytes())
    create(session, f"{disk}#2", CreateOptions("shipped", "factory"))
    return disk


@pytest.fixture
def disk(made: Path, tmp_path: Path) -> Path:
    return copied(made, tmp_path / "disk.img")


def test_at_its_own_place_the_boot_sector_comes_back_as_it_was(disk: Path, session: Session, tmp_path: Path) -> None:
    with disk.open("rb") as file:
        file.seek(START)
        before = file.read(512)
    assert before[28:32] == (63).to_bytes(4, "little")
    overwrite(disk, START, bytes(MIB))
    restore(session, f"{disk}#2", RestoreOptions())
    part = taken_out(disk, tmp_path / "p.img")
    assert part.read_bytes()[:512] == before
    assert contents(part, tmp_path / "out") == FILES


def test_elsewhere_the_hidden_sectors_are_those_of_the_new_place(disk: Path, session: Session, tmp_path: Path) -> None:
    other = tmp_path / "other.img"
    with other.open("wb") as file:
        file.truncate(40 * MIB)
    table = "label: dos\nstart=8192,size=20M,type=6\n"
    subprocess.run(["sfdisk", "--quiet", other], input=table, text=True, check=True)
    restore(session, f"{disk}#2", RestoreOptions(to=f"{other}#1"))
    with other.open("rb") as file:
        file.seek(8192 * 512 + 28)
        assert file.read(4) == (8192).to_bytes(4, "little")


@pytest.mark.parametrize("existing", [True, False])
def test_a_smaller_target_that_holds_the_highest_used_byte_will_do(
    disk: Path, session: Session, tmp_path: Path, *, existing: bool
) -> None:
    target, size = tmp_path / "small.img", RECIPE.size - 3 * MIB // 2
    if existing:
        target.write_bytes(bytes(size))
    restore(session, f"{disk}#2", RestoreOptions(to=str(target)))
    assert target.stat().st_size == (size if existing else RECIPE.size)
    assert not fsck(target).complaints
    assert contents(target, tmp_path / "out") == FILES
    create(session, str(target), CreateOptions("again"))
    assert not fsck(target).complaints
    assert verify(session, str(target)).ok


def test_a_target_below_the_highest_used_byte_is_refused_with_the_numbers(
    disk: Path, session: Session, tmp_path: Path
) -> None:
    target = tmp_path / "small.img"
    target.write_bytes(bytes(MIB))
    with pytest.raises(NoSpace, match=rf"reaches up to byte \d+ .*, the target has {MIB} "):
        restore(session, f"{disk}#2", RestoreOptions(to=str(target)))
    assert target.read_bytes() == bytes(MIB)


def test_a_partition_that_lost_its_tail_cannot_keep_the_images_there(
    made: Path, session: Session, tmp_path: Path
) -> None:
    path, target = taken_out(made, tmp_path / "cut.img"), tmp_path / "new.img"
    os.truncate(path, RECIPE.size - 512)
    before = path.read_bytes()
    with pytest.raises(NoSpace, match=rf"reach up to byte {RECIPE.size} .* has {RECIPE.size - 512} "):
        restore(session, str(path), RestoreOptions())
    assert path.read_bytes() == before
    restore(session, str(path), RestoreOptions(to=str(target)))
    assert not fsck(target).complaints
    assert contents(target, tmp_path / "out") == FILES


def test_a_dry_run_names_the_target(disk: Path, session: Session, tmp_path: Path) -> None:
    target = str(tmp_path / "new.img")
    assert restore(session, f"{disk}#2", RestoreOptions(to=target, dry_run=True)).target == target


def test_one_entry_or_the_whole_table_is_put_back(disk: Path, session: Session, tmp_path: Path) -> None:
    table = dump(disk)
    overwrite(disk, 0, bytes(512))
    restore(session, str(disk), RestoreOptions(repair_table=True))
    assert dump(disk).count("start=") == 1
    assert contents(taken_out(disk, tmp_path / "p.img"), tmp_path / "out") == FILES
    overwrite(disk, 0, bytes(512))
    planned = restore(session, str(disk), RestoreOptions(repair_table_all=True, dry_run=True))
    assert dump(disk) == ""
    report = restore(session, str(disk), RestoreOptions(repair_table_all=True))
    assert report.table_entry == planned.table_entry
    assert dump(disk) == table
    assert fsck(taken_out(disk, tmp_path / "p.img")).complaints == ()
    assert [row.name for row in list_images(session, f"{disk}#2").images] == ["shipped"]


@pytest.mark.parametrize("label", ["dos", "gpt"])
def test_a_recovery_partition_that_is_younger_than_the_image_stays(
    disk: Path, session: Session, tmp_path: Path, label: str
) -> None:
    """The image's table does not know it; that of the recovery aid in it does."""
    if label == "gpt":
        kept = taken_out(disk, tmp_path / "p.img")
        overwrite(disk, 0, bytes(MIB))
        start = f"label: gpt\nstart=2048,size=1M\nstart={START // 512},size=16M\n"
        subprocess.run(["sfdisk", "--quiet", disk], input=start, text=True, check=True)
        overwrite(disk, START, kept.read_bytes())
        create(session, f"{disk}#2", CreateOptions("again"))
    aid_write(session, f"{disk}#2", ("partition",), create=512 * KIB)
    table = dump(disk)
    restore(session, str(disk), RestoreOptions(repair_table_all=True))
    assert dump(disk) == table
    overwrite(disk, 0, bytes(34 * 512))
    overwrite(disk, 25 * MIB - 33 * 512, bytes(33 * 512))
    report = restore(session, str(disk), RestoreOptions(repair_table_all=True))
    assert dump(disk) == table
    assert "1 more partitions than the image knows" in (report.table_entry or "")


def test_a_new_table_is_not_replaced_by_the_saved_one(disk: Path, session: Session) -> None:
    subprocess.run(["sfdisk", "--quiet", disk], input="label: dos\nstart=45056,type=83\n", text=True, check=True)
    before = disk.read_bytes()
    with pytest.raises(PlaceTaken, match="saved table lacks") as refused:
        restore(session, str(disk), RestoreOptions(repair_table_all=True))
    assert "leaves all others alone" in str(refused.value.hint)
    assert disk.read_bytes() == before


def test_the_table_is_left_alone_if_the_image_is_damaged(disk: Path, session: Session) -> None:
    row = list_images(session, f"{disk}#2").images[0]
    overwrite(disk, START + row.extents[0][0] + row.extents[0][1] // 2, b"damage")
    overwrite(disk, 0, bytes(512))
    before = disk.read_bytes()
    with pytest.raises((IntegrityError, NoImageFound)):
        restore(session, str(disk), RestoreOptions(repair_table=True))
    assert disk.read_bytes() == before


def test_a_target_is_left_alone_if_the_image_is_damaged(disk: Path, session: Session, tmp_path: Path) -> None:
    target = make_partition(tmp_path / "target.img", RECIPE)
    before = target.read_bytes()
    row = list_images(session, f"{disk}#2").images[0]
    overwrite(disk, START + row.extents[0][0] + row.extents[0][1] // 2, b"damage")
    with pytest.raises(IntegrityError):
        restore(session, f"{disk}#2", RestoreOptions(to=str(target)))
    assert target.read_bytes() == before


def test_an_image_file_that_was_cut_short_is_damaged(disk: Path, session: Session, tmp_path: Path) -> None:
    stream = tmp_path / "image.ipi"
    create(session, f"{disk}#2", CreateOptions("outside", to=stream))
    os.truncate(stream, stream.stat().st_size // 2)
    with pytest.raises(IntegrityError, match="has lost"):
        restore(session, str(stream), RestoreOptions(to=str(tmp_path / "new.img")))
    assert not (tmp_path / "new.img").exists()


@pytest.fixture
def device(disk: Path) -> Iterator[Path]:
    found = subprocess.run(
        ["losetup", "--find", "--show", "--partscan", disk], capture_output=True, text=True, check=True
    )
    node = Path(found.stdout.strip())
    yield node
    subprocess.run(["losetup", "--detach", node], check=True)


def test_the_kernel_reads_the_repaired_table_again(device: Path, session: Session) -> None:
    """A partition that the kernel was told of and that no table names is forgotten when it reads the table."""
    with device.open("r+b") as file:
        file.write(bytes(512))
    subprocess.run(["blockdev", "--rereadpt", device], check=True)
    subprocess.run(["addpart", device, "1", "2048", "4096"], check=True)
    assert [part.start for part in partitions_of_device(device)] == [MIB]
    restore(session, str(device), RestoreOptions(repair_table=True))
    assert MIB not in [part.start for part in partitions_of_device(device)]


def test_files_where_the_directory_of_the_images_lies_now_are_moved(session: Session, tmp_path: Path) -> None:
    """An image that was made before the container, of files where its tables, images and directory are now."""
    path = make_partition(tmp_path / "p.img", Recipe("fat16", 16 * MIB, ("-F16", "-s2")))
    copy_in(path, {"/filler": bytes(9 * MIB)})
    files = {f"/end/{number}.bin": os.urandom(16 * 1024) for number in range(441)}
    copy_in(path, files)
    subprocess.run(["mdel", "-i", path, "::/filler"], check=True, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
    create(session, str(path), CreateOptions("outside", to=tmp_path / "outside.ipi"))
    subprocess.run(["mdeltree", "-i", path, "::/end"], check=True, env={**os.environ, "MTOOLS_SKIP_CHECK": "1"})
    create(session, str(path), CreateOptions("empty"))
    import_image(session, str(path), tmp_path / "outside.ipi")
    with open_image(session, str(path), "outside") as image:
        rooms = [store.claims().directory.extents() for store in image.located.stores]
        assert image.reader.extents & rooms[0]
    report = restore(session, str(path), RestoreOptions("outside"))
    assert report.moved_bytes > 0
    assert fsck(path).complaints == ()
    assert contents(path, tmp_path / "out") == files
    assert verify(session, str(path)).ok


def test_images_behind_the_end_of_the_restored_file_system_are_not_kept(session: Session, tmp_path: Path) -> None:
    small = make_partition(tmp_path / "small.img", Recipe("small", 20 * MIB, ("-F16", "-s4")))
    large = make_partition(tmp_path / "large.img", Recipe("large", 40 * MIB, ("-F16", "-s4")))
    stream = tmp_path / "small.ipi"
    create(session, str(small), CreateOptions("small", to=stream))
    create(session, str(large), CreateOptions("kept"))
    before = large.read_bytes()
    with pytest.raises(NoSpace, match="the file system of this image has clusters up to") as refused:
        restore(session, str(stream), RestoreOptions(to=str(large)))
    assert "--no-retain" in refused.value.hint
    assert large.read_bytes() == before
    restore(session, str(stream), RestoreOptions(to=str(large), retain=False))
    assert fsck(large) == fsck(small)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, session: Session) -> Path:
    """A disk of two FAT partitions, with an image of the same name in each; not to be changed."""
    folder = tmp_path_factory.mktemp("two")
    disk = folder / "disk.img"
    disk.write_bytes(bytes(40 * MIB))
    subprocess.run(
        ["sfdisk", "--quiet", disk], input="label: dos\nsize=16M,type=6\nsize=16M,type=6\n", text=True, check=True
    )
    for number in (1, 2):
        part = make_partition(folder / f"{number}.img", RECIPE)
        copy_in(part, FILES)
        overwrite(disk, MIB + (number - 1) * 16 * MIB, part.read_bytes())
        create(session, f"{disk}#{number}", CreateOptions("factory", kind="factory"))
        create(session, f"{disk}#{number}", CreateOptions(f"of-{number}"))
    return disk


@pytest.mark.parametrize("wanted", [None, "latest", "factory"])
def test_which_partition_of_a_disk_is_meant_is_not_guessed(
    tmp_path: Path, two: Path, session: Session, wanted: str | None
) -> None:
    disk = copied(two, tmp_path / "disk.img")
    overwrite(disk, 440, bytes(72))
    before = disk.read_bytes()
    with pytest.raises(UsageError, match=f"images of 2 partitions:(.|\n)*byte {MIB}(.|\n)*byte {17 * MIB}"):
        restore(session, str(disk), RestoreOptions(wanted, repair_table=True))
    assert disk.read_bytes() == before
    restore(session, str(disk), RestoreOptions("of-1", repair_table=True))
    assert f"start= {MIB // 512:>11}" in dump(disk)
    assert disk.read_bytes()[17 * MIB :] == before[17 * MIB :]


def test_in_partitions_that_were_merged_the_own_images_come_first(tmp_path: Path, two: Path, session: Session) -> None:
    disk = copied(two, tmp_path / "disk.img")
    subprocess.run(["sfdisk", "--quiet", "--delete", disk], check=True)
    subprocess.run(["sfdisk", "--quiet", disk], input="start=2048,size=32M,type=6\n", text=True, check=True)
    overwrite(disk, MIB, bytes(MIB))
    assert restore(session, f"{disk}#1", RestoreOptions()).name == "of-1"
    overwrite(disk, MIB, bytes(MIB))
    other = next(row.id for row in list_images(session, f"{disk}#1", EVERY).images if row.name == "of-2")
    with pytest.raises(UsageError, match=f"from byte {17 * MIB} of {disk} on") as refused:
        restore(session, f"{disk}#1", RestoreOptions(other))
    assert f"{disk}@{17 * MIB} {other[:12]}" in (refused.value.hint or "")


def test_a_partition_that_was_cut_short(tmp_path: Path, two: Path, session: Session) -> None:
    disk = copied(two, tmp_path / "disk.img")
    subprocess.run(["sfdisk", "--quiet", "-N", "1", disk], input="start=2048,size=12M\n", text=True, check=True)
    with pytest.raises(NoImageFound):
        list_images(session, f"{disk}#1", EVERY)
    restore(session, str(disk), RestoreOptions("of-1", repair_table=True))
    assert dump(disk) == dump(two).replace(str(two), str(disk))


def test_the_table_of_a_disk_to_which_the_partition_was_copied(tmp_path: Path, two: Path, session: Session) -> None:
    """The image carries the table of the disk that it was made on; an aid that was written since has the right one."""
    disk, aid, start = tmp_path / "copy.img", f"file:{tmp_path / 'box.ipaid'}", 5 * MIB
    disk.write_bytes(bytes(44 * MIB))
    table = f"label: dos\nstart={start // 512},size=16M,type=6\nsize=8M,type=83\n"
    subprocess.run(["sfdisk", "--quiet", disk], input=table, text=True, check=True)
    overwrite(disk, start, two.read_bytes()[MIB : 17 * MIB])
    aid_write(session, f"{disk}#1", (aid,))
    before = dump(disk)
    overwrite(disk, 440, bytes(72))
    for whole in (False, True):
        options = RestoreOptions("of-1", repair_table=not whole, repair_table_all=whole)
        with pytest.raises(UsageError, match=f"names no partition at {start}"):
            restore(session, str(disk), options)
        overwrite(disk, 440, bytes(72))
        restore(replace(session, aids=(aid,)), str(disk), options)
    assert dump(disk) == before
