"""The ways of locating in their order, each named in the result, each tried only where those before found nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from extmaker import ext as ext_recipe
from extmaker import make_filled
from inpart import plugins
from inpart.cli.app import run as run_cli
from inpart.errors import ExitCode
from inpart.extents import Extents
from inpart.operations.aids.upkeep import aid_write
from inpart.operations.create import CreateOptions, create
from inpart.operations.session import Session
from inpart.operations.stores import EVERY, QUICK
from inpart.operations.stores import locate as find
from inpart.partitions import open_target
from inpart.testing.faults import FaultyVolume
from inpart.units import MIB

START = MIB
SIZE = 16 * MIB
LAYOUTS = ("contiguous", "blocks")
FIXED = {"contiguous": "fixed-place", "blocks": "partition-scan"}
"""The layout ``blocks`` has no fixed place: next comes the scan for its blocks."""

Locate = Callable[..., tuple[list[tuple[str, str]], list[str]]]


@pytest.fixture(scope="module", params=LAYOUTS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with an ext4 partition that holds an image, and an aid beside it."""
    folder = tmp_path_factory.mktemp(request.param)
    disk, part = folder / f"{request.param}.img", folder / "part"
    make_filled(part, ext_recipe("ext4", "-t ext4 -b 1024", SIZE // MIB), entries=20)
    disk.write_bytes(bytes(START) + part.read_bytes() + bytes(MIB))
    table = f"start={START // 512}, size={SIZE // 512}, type=83\n"
    subprocess.run(["sfdisk", "-q", disk], input=table, text=True, check=True, capture_output=True)
    session = Session(plugins.load())
    create(session, f"{disk}#1", CreateOptions("one", layout=request.param))
    aid_write(session, f"{disk}#1", (f"file:{folder}/box.ipaid",))
    return disk


@pytest.fixture
def disk(made: Path, tmp_path: Path) -> Path:
    path = tmp_path / made.name
    path.write_bytes(made.read_bytes())
    (tmp_path / "box.ipaid").write_bytes((made.parent / "box.ipaid").read_bytes())
    return path


@pytest.fixture
def locate(capsys: pytest.CaptureFixture[str]) -> Locate:
    def call(*arguments: str, code: ExitCode = ExitCode.DONE) -> tuple[list[tuple[str, str]], list[str]]:
        capsys.readouterr()
        assert run_cli(["locate", *arguments, "--json"]) == code
        shown = json.loads(capsys.readouterr().out)
        return [(row["name"], row["method"]) for row in shown["images"]], shown["tried"]

    return call


def zero(disk: Path, start: int, end: int) -> None:
    with disk.open("r+b") as file:
        file.seek(start)
        file.write(bytes(end - start))


def test_each_way_in_its_turn(disk: Path, locate: Locate) -> None:
    address, aid = f"{disk}#1", f"file:{disk.parent}/box.ipaid"
    fixed = FIXED[disk.stem]
    assert locate(address, "--aid", aid) == ([("one", "aid")], ["aid"])
    assert locate(address) == ([("one", "claims")], ["claims"])
    zero(disk, START, START + 4 * MIB)
    passed = ["fixed-place"] if fixed == "partition-scan" else []
    assert locate(address) == ([("one", fixed)], [*passed, fixed])
    assert locate(address, "--aid", aid) == ([("one", "aid")], ["aid"])
    zero(disk, 0, 512)
    assert locate(str(disk), "--whole-disk") == ([("one", "disk-scan")], ["disk-scan"])
    assert locate(str(disk), "--aid", aid) == ([("one", "aid")], ["aid"])
    assert locate(str(disk))[0][0][0] == "one"


def test_where_the_end_is_elsewhere_the_partition_is_scanned(disk: Path, locate: Locate) -> None:
    zero(disk, START, START + 4 * MIB)
    with disk.open("r+b") as file:
        file.truncate(START + 2 * SIZE)
    longer = f"start={START // 512}, size={2 * SIZE // 512}"
    subprocess.run(["sfdisk", "-q", "-N1", disk], input=longer, text=True, check=True)
    assert locate(f"{disk}#1") == ([("one", "partition-scan")], ["fixed-place", "partition-scan"])


def test_nothing_found_says_what_was_tried(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zero(disk, START, START + SIZE)
    aid = f"file:{disk.parent}/box.ipaid"
    capsys.readouterr()
    assert run_cli(["list", f"{disk}#1", "--aid", aid]) == ExitCode.NO_IMAGE
    assert "tried: aid, fixed-place" in capsys.readouterr().err
    assert run_cli(["locate", f"{disk}#1", "--aid", aid]) == ExitCode.NO_IMAGE
    assert "tried: aid, fixed-place, partition-scan" in capsys.readouterr().err
    capsys.readouterr()
    assert run_cli(["locate", str(disk), "--whole-disk"]) == ExitCode.NO_IMAGE
    message, _, hint = capsys.readouterr().err.rpartition("hint:")
    assert "tried: disk-scan" in message
    assert "--whole-disk" not in hint
    assert "discard" in hint


def test_what_cannot_be_read_is_told(disk: Path) -> None:
    """Else "no image found" would be said of sectors that nobody has seen."""
    said: list[str] = []
    session = Session(plugins.load(), warn=said.append)
    with open_target(f"{disk}#1") as target:
        failing = FaultyVolume(target.volume, unreadable=Extents.span(64 * 1024, SIZE))
        found = find(session, failing, EVERY)
    assert not found.images
    name = f"{disk}#1"
    assert any(line.startswith(f"the files in /.inpart were not looked at: {name}") for line in said)
    assert f"{name}: 15.9 MiB cannot be read, from 65536 on, and were not searched" in said


def test_an_unreadable_end_is_told_where_nothing_else_is_searched(disk: Path) -> None:
    said: list[str] = []
    session = Session(plugins.load(), warn=said.append)
    zero(disk, START, START + SIZE // 2)
    with open_target(f"{disk}#1") as target:
        failing = FaultyVolume(target.volume, unreadable=Extents.span(SIZE // 2, SIZE))
        found = find(session, failing, QUICK)
    assert not found.images
    assert [line for line in said if "were not searched" in line and "8.00 MiB cannot be read" in line]


def test_a_wrong_name_is_known_at_once(disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scan of a whole disk takes hours; a lost table is a reason for it, a slip of the finger is none."""
    for arguments in (["show"], ["verify"], ["restore", "-n"], ["ls"]):
        capsys.readouterr()
        command = [*arguments, f"{disk}#1", "noe", "--progress", "json"]
        assert run_cli(command) == ExitCode.NO_IMAGE
        said = capsys.readouterr().err
        assert "scanning" not in said
        assert "there is no image 'noe'; found: one" in said
        assert "inpart locate --whole-disk" in said


def test_an_id_that_quick_ways_miss_is_searched_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody deletes the hidden files of one image; those of the other layout still lead to the other image."""
    card = tmp_path / "card.img"
    subprocess.run(["mkfs.fat", "-C", card, "16384"], check=True, capture_output=True)
    session = Session(plugins.load())
    create(session, str(card), CreateOptions("solid", layout="contiguous"))
    made = create(session, str(card), CreateOptions("scattered", layout="blocks"))
    subprocess.run(["mattrib", "-i", card, "-r", "-s", "-h", "::/.inpart/scattered.ipb"], check=True)
    subprocess.run(["mdel", "-i", card, "::/.inpart/scattered.ipb"], check=True)
    for command in (["verify"], ["show"], ["ls"]):
        capsys.readouterr()
        code = run_cli([command[0], str(card), made.image_id[:12]])
        assert code in {ExitCode.DONE, ExitCode.INTEGRITY}, command
        assert "there is no image" not in capsys.readouterr().err
    assert run_cli(["verify", str(card), "nowhere"]) == ExitCode.NO_IMAGE
    capsys.readouterr()
    assert run_cli(["verify", str(card), "scattered"]) == ExitCode.NO_IMAGE
    assert "inpart locate --whole-disk" in capsys.readouterr().err
    assert run_cli(["locate", str(card), "--whole-disk", "--json"]) == ExitCode.DONE
    assert "scattered" in [row["name"] for row in json.loads(capsys.readouterr().out)["images"]]
