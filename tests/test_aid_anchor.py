"""Anchors in reserved places of ext and FAT32: found in a wrecked partition, and on a disk that lost its table."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from extmaker import e2fsck
from fatmaker import Recipe, fill, make_partition
from inpart import plugins
from inpart.cli.app import run as run_cli
from inpart.contracts import AidState
from inpart.errors import ExitCode, Interrupted
from inpart.operations import rewrite as rewriting
from inpart.operations.aids.upkeep import aid_check, aid_show, aid_sync, aid_write
from inpart.operations.create import CreateOptions, create
from inpart.operations.images import list_images
from inpart.operations.locate import locate_images
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.resume import resume
from inpart.operations.session import Policy, Session
from inpart.operations.stores import EVERY
from inpart.units import MIB

START = 3 * MIB
LOADER = b"\xeb\x3c\x90" + b"loader" * 80 + bytes(27) + b"\x55\xaa"


@pytest.fixture(scope="session")
def session() -> Session:
    return Session(plugins.load(), Policy(aids=("reserved",)))


def make_ext(path: Path, block: int) -> Path:
    with path.open("wb") as file:
        file.truncate(12 * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", str(block), path], check=True)
    return path


def put(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def on_disk(part: Path) -> Path:
    disk = part.with_name("disk.img")
    disk.write_bytes(bytes(START) + part.read_bytes() + bytes(2 * MIB))
    table = f"start={START // 512}, size={part.stat().st_size // 512}, type=83\n"
    subprocess.run(["sfdisk", "-q", disk], input=table, text=True, check=True, capture_output=True)
    return disk


def ways(session: Session, address: str) -> list[tuple[str, str]]:
    return [(row.name, row.method) for row in list_images(session, address, EVERY).images]


@pytest.mark.parametrize("block", [1024, 2048, 4096])
def test_an_anchor_in_ext_leads_back(session: Session, tmp_path: Path, block: int) -> None:
    path = make_ext(tmp_path / "part.img", block)
    for name in ("first", "second"):
        create(session, str(path), CreateOptions(name))
        (record,) = aid_show(session, str(path))
        assert [image.name for image in record.images][-1] == name
    assert aid_check(session, str(path)).in_sync
    assert e2fsck(path) == []
    put(path, 4096, bytes(4 * MIB))
    put(path, 1024, bytes(1024))
    assert ways(session, str(path)) == [("first", "aid"), ("second", "aid")]
    restore(session, str(path), RestoreOptions("first"))
    assert e2fsck(path) == []
    assert aid_check(session, str(path)).in_sync


@pytest.mark.parametrize(("block", "state"), [(1024, AidState.MISSING), (4096, AidState.IN_SYNC)])
def test_a_boot_loader_stays(session: Session, tmp_path: Path, block: int, state: AidState) -> None:
    path = make_ext(tmp_path / "part.img", block)
    put(path, 0, LOADER)
    create(session, str(path), CreateOptions("first"))
    (row,) = aid_sync(session, str(path)).aids
    assert row.state is state
    assert path.read_bytes()[:1024] == LOADER.ljust(1024, b"\0")
    assert e2fsck(path) == []


def test_a_boot_loader_that_came_later_stays(session: Session, tmp_path: Path) -> None:
    path = make_ext(tmp_path / "part.img", 1024)
    create(session, str(path), CreateOptions("first"))
    put(path, 0, LOADER)
    create(session, str(path), CreateOptions("second"))
    assert path.read_bytes()[:512] == LOADER
    assert aid_check(session, str(path)).aids[0].state is not AidState.IN_SYNC
    assert ways(session, str(path))[-1][0] == "second"
    restore(session, str(path), RestoreOptions("second"))
    assert path.read_bytes()[:512] == LOADER


@pytest.mark.parametrize("kind", ["ext", "fat32"])
def test_a_disk_without_its_table_shows_the_anchor(session: Session, tmp_path: Path, kind: str) -> None:
    if kind == "ext":
        part = make_ext(tmp_path / "part.img", 4096)
    else:
        part = make_partition(tmp_path / "part.img", Recipe("fat32", 40 * MIB, ("-F32", "-s1")))
        fill(part)
    disk = on_disk(part)
    create(session, f"{disk}#1", CreateOptions("first"))
    (record,) = aid_show(session, f"{disk}#1")
    put(disk, 0, bytes(512))
    put(disk, START + 1 * MIB, bytes(2 * MIB))
    assert aid_show(session, str(disk)) == (record,)
    found = locate_images(session, str(disk))
    assert [(row.name, row.method, row.base) for row in found.images] == [("first", "aid", START)]
    assert found.tried == ("aid",)
    assert restore(session, str(disk), RestoreOptions(repair_table=True)).method == "aid"
    assert aid_check(session, f"{disk}#1").in_sync


def test_a_table_that_no_longer_names_it(session: Session, tmp_path: Path) -> None:
    disk = on_disk(make_ext(tmp_path / "part.img", 1024))
    create(session, f"{disk}#1", CreateOptions("first"))
    subprocess.run(["sfdisk", "-q", disk], input="start=2048, size=1M\n", text=True, check=True, capture_output=True)
    assert aid_show(session, str(disk))[0].partition_start == START
    assert aid_show(session, f"{disk}@{START}")[0].images[0].name == "first"
    aid_write(session, f"{disk}@{START}")
    assert aid_show(session, f"{disk}@{START}")[0].generation == 2


def test_an_anchor_in_ntfs_leads_back(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "part.img"
    with path.open("wb") as file:
        file.truncate(32 * MIB)
    subprocess.run(["mkntfs", "-q", "-F", path], check=True, capture_output=True)
    create(session, str(path), CreateOptions("first"))
    assert aid_check(session, str(path)).in_sync
    subprocess.run(["ntfsfix", "-n", path], check=True, capture_output=True)
    put(path, 0, bytes(512))
    put(path, MIB, bytes(10 * MIB))
    assert ways(session, str(path)) == [("first", "aid")]
    restore(session, str(path), RestoreOptions())
    subprocess.run(["ntfsfix", "-n", path], check=True, capture_output=True)
    assert aid_check(session, str(path)).in_sync


def test_after_a_commit_nobody_is_asked_again(session: Session, tmp_path: Path) -> None:
    """To configure an aid was to agree; only ``aid write`` and ``aid sync`` ask."""
    path = make_ext(tmp_path / "part.img", 4096)
    questions: list[str] = []
    asked = replace(session, confirm=lambda question: not questions.append(question))
    create(asked, str(path), CreateOptions("first"))
    assert len(questions) == 1
    assert aid_check(session, str(path)).in_sync
    aid_write(asked, str(path))
    assert questions[1:] == [f"Write the recovery aids reserved to {path}?"]


@pytest.mark.parametrize("cut", [False, True])
def test_an_anchor_of_no_configuration_outlives_a_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """It was written by hand, once; the restore overwrites its sectors, and a resumed one knows that it was there."""
    plain, path = Session(plugins.load()), make_ext(tmp_path / "part.img", 1024)
    create(plain, str(path), CreateOptions("first"))
    assert restore(plain, str(path), RestoreOptions()).aids == ()
    aid_write(plain, str(path), ("reserved",))
    if cut:
        with monkeypatch.context() as patch:
            patch.setattr(rewriting, "_copy", interrupt)
            with pytest.raises(Interrupted):
                restore(plain, str(path), RestoreOptions())
        put(path, 0, bytes(1024))
        resume(plain, str(path))
    else:
        assert restore(plain, str(path), RestoreOptions()).aids == ("reserved",)
    assert aid_check(plain, str(path), ("reserved",)).in_sync


def test_what_a_record_says_leads_to_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever prepares a disk must not have a file written that is not on it."""
    said: list[str] = []
    plain, path = Session(plugins.load(), warn=said.append), make_ext(tmp_path / "part.img", 1024)
    create(plain, str(path), CreateOptions("first"))
    with monkeypatch.context() as patch:
        patch.setattr(rewriting, "_copy", interrupt)
        with pytest.raises(Interrupted):
            restore(plain, str(path), RestoreOptions(aids=(f"file:{tmp_path}/elsewhere",)))
    assert (restored := resume(plain, str(path)).restored) is not None
    assert restored.aids == ()
    assert [file.name for file in tmp_path.iterdir()] == ["part.img"]
    assert said == []


def interrupt(*_: object, **__: object) -> NoReturn:
    raise KeyboardInterrupt


def test_aids_of_the_configuration_for_some_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "inpart.toml"
    settings.write_text('[[device]]\nmatch = "*/card.img"\naids.use = ["reserved"]\nlayout.name = "blocks"\n')
    monkeypatch.setenv("INPART_CONFIG", str(settings))
    for name, code in (("card", ExitCode.DONE), ("other", ExitCode.USAGE)):
        path = make_ext(tmp_path / f"{name}.img", 4096)
        assert run_cli(["create", str(path), "--name", "first"]) == ExitCode.DONE
        assert run_cli(["aid", "check", str(path)]) == code
        capsys.readouterr()
        assert run_cli(["list", str(path), "--json"]) == ExitCode.DONE
        (image,) = json.loads(capsys.readouterr().out)["images"]
        assert image["layout"] == ("blocks" if name == "card" else "contiguous")
    assert run_cli(["config", "show", str(tmp_path / "card.img")]) == ExitCode.DONE
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["aids.use", "[reserved]", f"{settings}:", "device", "*/card.img"] in shown
