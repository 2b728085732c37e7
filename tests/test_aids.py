"""Recovery aids on real FAT partitions: written after every change, leading back, and never astray."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path

import pytest
from fatmaker import Recipe, fill, fsck, make_partition
from fatwrecks import contents
from inpart import plugins
from inpart.cli.app import run as run_cli
from inpart.contracts import AidRecord, AidState, SearchMethod
from inpart.errors import ExitCode, NoImageFound, UsageError
from inpart.operations.aids.upkeep import aid_check, aid_show, aid_sync, aid_write
from inpart.operations.create import CreateOptions, create
from inpart.operations.exchange import export_image, import_image
from inpart.operations.images import ImageList, list_images
from inpart.operations.locate import locate_images
from inpart.operations.protection import repair_stores
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Policy, Session
from inpart.operations.stores import EVERY
from inpart.testing.tools import copied
from inpart.units import MIB
from inpart.volume import Access, FileVolume, MemoryVolume

FAT32 = Recipe("fat32", 40 * MIB, ("-F32", "-s1"))
FAT16 = Recipe("fat16", 24 * MIB, ("-F16", "-s2"))
Imaged = tuple[Path, dict[str, bytes]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, session: Session) -> Callable[[Recipe], Imaged]:
    """A filled partition with one image, made once."""

    @cache
    def give(recipe: Recipe) -> Imaged:
        path = make_partition(tmp_path_factory.mktemp(recipe.name) / "p.img", recipe)
        held = fill(path)
        create(session, str(path), CreateOptions("first", "factory"))
        return path, held

    return give


@pytest.fixture
def card(made: Callable[[Recipe], Imaged], tmp_path: Path) -> Path:
    return copied(made(FAT32)[0], tmp_path / "card.img")


@pytest.fixture
def stick(tmp_path: Path) -> str:
    (tmp_path / "stick").mkdir()
    return f"file:{tmp_path}/stick/box.ipaid"


def zero(path: Path, start: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(length))


def wreck(path: Path) -> None:
    """Boot sector and backup, FATs and root directory; the sectors in which an anchor lives are left."""
    zero(path, 0, 4096)
    zero(path, 32 * 512, 2 * MIB)


def names(found: ImageList) -> list[tuple[str, str]]:
    return [(row.name, row.method) for row in found.images]


def test_an_aid_says_what_the_disk_says(session: Session, card: Path, stick: str) -> None:
    report = aid_write(session, str(card), (stick, "reserved"))
    assert [(row.aid, row.state, row.written) for row in report.aids] == [
        (stick, AidState.IN_SYNC, True),
        ("reserved", AidState.IN_SYNC, True),
    ]
    (record,) = aid_show(session, stick)
    (row,) = list_images(session, str(card)).images
    (image,) = record.images
    assert (image.image_id, image.name, image.kind, image.layout) == (row.id, "first", "factory", "contiguous")
    assert sorted(image.extents) != []
    covered = sum(run.length for run in image.extents)
    assert row.stored_bytes <= covered + 4096 <= sum(length for _, length in row.extents) + 4096
    with FileVolume(card) as volume:
        stream = b"".join(volume.read(*run) for run in image.extents)[: image.stream_size]
        boot = record.system_areas["boot-sector"]
        assert volume.read(boot[0], len(boot[1])) == boot[1]
    exported = card.with_name("image.ipi")
    export_image(session, str(card), "first", exported)
    assert exported.read_bytes() == stream
    assert (record.partition_size, record.filesystem) == (FAT32.size, "fat32")
    (anchor,) = aid_show(session, str(card))
    assert anchor.places == record.places
    assert fsck(card).complaints == ()


def test_an_anchor_changes_only_sectors_that_were_blank(session: Session, card: Path) -> None:
    before = card.read_bytes()
    aid_write(session, str(card), ("reserved",))
    after = card.read_bytes()
    changed = [at for at in range(0, len(before), 512) if before[at : at + 512] != after[at : at + 512]]
    assert changed
    assert max(changed) < 32 * 512
    assert all(before[at : at + 512] == bytes(512) for at in changed)
    subprocess.run(["mdir", "-i", card, "::"], check=True, capture_output=True)


@pytest.mark.parametrize("aid", ["file", "reserved"])
def test_a_wrecked_partition_comes_back_by_its_aid(
    session: Session,
    card: Path,
    stick: str,
    aid: str,
    tmp_path: Path,
    made: Callable[..., Imaged],
) -> None:
    aid_write(session, str(card), (stick if aid == "file" else "reserved",))
    wreck(card)
    given = replace(session, aids=(stick,)) if aid == "file" else session
    assert names(list_images(given, str(card), EVERY)) == [("first", "aid")]
    assert restore(given, str(card), RestoreOptions()).method == "aid"
    assert fsck(card).complaints == ()
    assert contents(card, tmp_path / "out") == made(FAT32)[1]


def test_stores_of_both_layouts(session: Session, card: Path) -> None:
    create(session, str(card), CreateOptions("second", layout="blocks"))
    aid_write(session, str(card), ("reserved",))
    assert sorted(names(list_images(session, str(card)))) == [("first", "aid"), ("second", "aid")]
    wreck(card)
    assert sorted(names(list_images(session, str(card)))) == [("first", "aid"), ("second", "aid")]
    assert restore(session, str(card), RestoreOptions("second")).method == "aid"
    assert fsck(card).complaints == ()


def test_the_end_of_the_partition_is_elsewhere(session: Session, card: Path, stick: str, tmp_path: Path) -> None:
    """Grown by a tool that knows no images, then wrecked: the fixed place is no longer at the end."""
    aid_write(session, str(card), (stick,))
    with card.open("r+b") as file:
        file.truncate(FAT32.size + 60 * MIB)
    wreck(card)
    with pytest.raises(NoImageFound):
        list_images(session, str(card), (SearchMethod.FIXED,))
    given = replace(session, aids=(stick,))
    assert names(list_images(given, str(card))) == [("first", "aid")]
    restore(given, str(card), RestoreOptions())
    assert fsck(card).complaints == ()
    report = aid_check(given, str(card), (stick,))
    assert report.aids[0].state is AidState.STALE
    assert any("the partition has" in reason for reason in report.aids[0].reasons)


def on_disk(card: Path, start: int) -> Path:
    disk = card.with_name("disk.img")
    disk.write_bytes(bytes(start) + card.read_bytes() + bytes(MIB))
    table = f"start={start // 512}, size={FAT32.size // 512}, type=c\n"
    subprocess.run(["sfdisk", "-q", str(disk)], input=table, text=True, check=True, capture_output=True)
    return disk


def test_a_disk_without_its_partition_table(session: Session, card: Path, stick: str) -> None:
    disk = on_disk(card, 2 * MIB)
    aid_write(session, f"{disk}#1", (stick, "reserved"))
    (record,) = aid_show(session, stick)
    assert (record.partition_start, record.disk_signature != "") == (2 * MIB, True)
    assert record.system_areas["disk:mbr"][1] == disk.read_bytes()[:512]
    zero(disk, 0, 512)
    given = replace(session, aids=(stick,))
    found = locate_images(given, str(disk), whole_disk=True)
    assert [(row.name, row.method, row.base) for row in found.images] == [("first", "aid", 2 * MIB)]
    assert names(list_images(given, f"{disk}@{MIB}")) == [("first", "aid")]
    wreck_at = 2 * MIB
    zero(disk, wreck_at, 4096)
    assert names(list_images(session, f"{disk}@{wreck_at}")) == [("first", "aid")]


def test_a_partition_that_begins_elsewhere_is_noticed(session: Session, card: Path, stick: str) -> None:
    disk = on_disk(card, 2 * MIB)
    aid_write(session, f"{disk}#1", (stick,))
    other = on_disk(card, 4 * MIB)
    (row,) = aid_check(session, f"{other}#1", (stick,)).aids
    assert row.state is AidState.STALE
    assert "the partition begins at 4194304, in the aid at 2097152" in row.reasons
    assert any("the disk is" in reason for reason in row.reasons)


def test_every_change_updates_the_configured_aids(card: Path, stick: str, tmp_path: Path) -> None:
    warnings: list[str] = []
    kept = Session(plugins.load(), Policy(aids=(stick, "reserved")), warn=warnings.append)

    def in_sync(names: list[str]) -> None:
        assert aid_check(kept, str(card)).in_sync
        for record in (*aid_show(kept, stick), *MemoryFind.records(kept, card)):
            assert [image.name for image in record.images] == names
        assert fsck(card).complaints == ()

    assert [row.state for row in aid_check(kept, str(card)).aids] == [AidState.MISSING, AidState.MISSING]
    create(kept, str(card), CreateOptions("second"))
    in_sync(["first", "second"])
    export_image(kept, str(card), "second", tmp_path / "second.ipi")
    restore(kept, str(card), RestoreOptions("first"))
    in_sync(["first", "second"])
    restore(kept, str(card), RestoreOptions("first", retain=False))
    in_sync(["first"])
    import_image(kept, str(card), tmp_path / "second.ipi")
    in_sync(["first", "second"])
    subprocess.run(["mattrib", "-r", "-s", "-h", "-i", card, "::.inpart/toc_begin"], check=True, capture_output=True)
    subprocess.run(["mdel", "-i", card, "::.inpart/toc_begin"], check=True, capture_output=True)
    repair_stores(kept, str(card))
    in_sync(["first", "second"])
    assert [warning for warning in warnings if "not followed" not in warning] == []


class MemoryFind:
    @staticmethod
    def records(session: Session, path: Path) -> list[AidRecord]:
        return session.plugins.aid("reserved").find(MemoryVolume(path.read_bytes()))


def test_an_aid_that_fails_does_not_fail_the_create(card: Path, tmp_path: Path) -> None:
    warnings: list[str] = []
    uses = (f"file:{tmp_path}/no stick/box", f"file:{tmp_path}/good.ipaid", "unheard-of")
    for use in (uses[:2], uses):
        kept = Session(plugins.load(), Policy(aids=use), warn=warnings.append)
        create(kept, str(card), CreateOptions(f"with {len(use)}"))
    assert "no stick" in warnings[0]
    assert any("unheard-of" in warning for warning in warnings)
    (record,) = aid_show(kept, f"file:{tmp_path}/good.ipaid")
    assert [image.name for image in record.images] == ["first", "with 2"]


@contextmanager
def stale_and_two_containers(session: Session, folder: Path, stick: str) -> Iterator[Path]:
    """An old container in the middle, described by the aid; a newer file system and container over all of it."""
    path = make_partition(folder / "two.img", FAT16)
    fill(path)
    create(session, str(path), CreateOptions("old"))
    aid_write(session, str(path), (stick,))
    with path.open("r+b") as file:
        file.truncate(FAT16.size * 2)
    subprocess.run(["mkfs.fat", "-F16", "-s4", path], check=True, capture_output=True)
    create(session, str(path), CreateOptions("new"))
    yield path


def test_a_stale_aid_never_leads_astray(session: Session, tmp_path: Path, stick: str) -> None:
    warnings: list[str] = []
    given = replace(session, aids=(stick,), warn=warnings.append)
    with stale_and_two_containers(session, tmp_path, stick) as path:
        assert names(list_images(given, str(path))) == [("new", "claims")]
        assert "not followed" in warnings[-1]
        zero(path, 0, 512)
        assert names(list_images(given, str(path))) == [("new", "fixed-place")]
        assert restore(given, str(path), RestoreOptions()).name == "new"
        assert fsck(path).complaints == ()
        (row,) = aid_sync(session, str(path), (stick,)).aids
        assert row.written
        assert {"image 'new' is new", "image 'old' is gone"} <= set(row.reasons)


def test_the_aid_of_another_disk_leads_nowhere(session: Session, card: Path, stick: str, tmp_path: Path) -> None:
    other = make_partition(tmp_path / "other.img", FAT32)
    fill(other)
    create(session, str(other), CreateOptions("of the other"))
    aid_write(session, str(other), (stick,))
    given = replace(session, aids=(stick,))
    assert names(list_images(given, str(card))) == [("first", "claims")]
    wreck(card)
    assert names(list_images(given, str(card))) == [("first", "fixed-place")]


def test_an_aid_is_not_forgotten_because_nothing_is_found(session: Session, card: Path, stick: str) -> None:
    aid_write(session, str(card), (stick,))
    before = Path(stick.partition(":")[2]).read_bytes()
    zero(card, 0, FAT32.size)
    for work in (aid_write, aid_sync, aid_check):
        with pytest.raises(NoImageFound):
            work(session, str(card), (stick,))
    assert Path(stick.partition(":")[2]).read_bytes() == before


def test_fat16_has_no_room_for_an_anchor(
    session: Session, made: Callable[..., Imaged], tmp_path: Path, stick: str
) -> None:
    card = copied(made(FAT16)[0], tmp_path / "card.img")
    before = card.read_bytes()
    report = aid_sync(session, str(card), ("reserved", stick))
    assert [row.state for row in report.aids] == [AidState.MISSING, AidState.IN_SYNC]
    assert any("no room" in reason for reason in report.aids[0].reasons)
    assert card.read_bytes() == before


def test_nothing_named_is_a_usage_error(session: Session, card: Path) -> None:
    with pytest.raises(UsageError):
        aid_write(session, str(card))
    with pytest.raises(UsageError):
        aid_write(session, str(card), (":x",))


def test_exit_codes_and_json(card: Path, stick: str, capsys: pytest.CaptureFixture[str]) -> None:
    def call(*arguments: str) -> tuple[int, dict[str, object]]:
        capsys.readouterr()
        code = run_cli([*arguments, "--json"])
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return code, found

    device = str(card)
    code, found = call("aid", "check", device, stick)
    assert (code, found["in_sync"]) == (ExitCode.AID_STALE, False)
    before = card.read_bytes()
    code, found = call("aid", "write", device, stick, "reserved", "--dry-run")
    assert (code, found["dry_run"]) == (ExitCode.DONE, True)
    assert card.read_bytes() == before
    assert not Path(stick.partition(":")[2]).exists()
    code, found = call("aid", "sync", device, stick, "--dry-run")
    assert code == ExitCode.AID_STALE
    assert call("aid", "sync", device, stick, "reserved")[0] == ExitCode.DONE
    code, found = call("aid", "check", device, stick, "reserved")
    assert (code, set(found)) == (ExitCode.DONE, {"in_sync", "aids", "dry_run"})
    code, found = call("aid", "show", stick)
    assert code == ExitCode.DONE
    assert [set(record) >= set(AidRecord.model_fields) for record in found["records"]] == [True]  # type: ignore[attr-defined]
    assert call("create", device, "--name", "second")[0] == ExitCode.DONE
    assert call("aid", "check", device, stick)[0] == ExitCode.AID_STALE
    assert call("aid", "check", device, "stone:tablet")[0] == ExitCode.USAGE
    assert call("aid", "check", device)[0] == ExitCode.USAGE
    assert call("aid", "show", "file:/nowhere/at/all")[0] == ExitCode.NO_IMAGE
    Path(stick.partition(":")[2]).write_bytes(b"\xff" * 100)
    assert call("aid", "show", stick)[0] == ExitCode.INTEGRITY
    assert call("aid", "check", device, stick)[0] == ExitCode.AID_STALE
    assert call("locate", device, "--aid", stick)[0] == ExitCode.DONE


def test_a_partition_in_use_keeps_its_anchor(session: Session, card: Path, stick: str) -> None:
    aid_write(session, str(card), ("reserved",))
    create(session, str(card), CreateOptions("second"))
    before = card.read_bytes()
    with FileVolume(card, Access.WRITE):
        assert run_cli(["aid", "write", str(card), "reserved"]) == ExitCode.BUSY
        assert run_cli(["aid", "sync", str(card), "reserved", stick]) == ExitCode.AID_STALE
        assert run_cli(["aid", "check", str(card), stick]) == ExitCode.DONE
    assert card.read_bytes() == before
    assert run_cli(["aid", "sync", str(card), "reserved"]) == ExitCode.DONE


def test_the_units_run_sync() -> None:
    units = {
        unit.name: ConfigParser(strict=False) for unit in package_files("inpart").joinpath("data/systemd").iterdir()
    }
    assert set(units) == {"inpart-aid-sync@.service", "inpart-aid-sync@.timer"}
    for name, parser in units.items():
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(package_files("inpart").joinpath("data/systemd", name).read_text().replace("%", "%%"))
    command = units["inpart-aid-sync@.service"]["Service"]["ExecStart"]
    assert command == "/usr/bin/env inpart aid sync --yes %f"
    assert units["inpart-aid-sync@.timer"]["Timer"]["OnBootSec"]
