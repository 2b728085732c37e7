"""The demonstration: what it needs, what it shows, that it notices when something does not come back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import zstandard
from inpart.contracts import EntryType
from inpart.errors import IntegrityError, NoSpace, UsageError
from inpart.operations import demo as demonstration
from inpart.operations.demo import Demo, Step, demo
from inpart.operations.session import Session

INPART = str(Path(sys.executable).with_name("inpart"))


def test_it_needs_no_tool_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {"PATH": "", "TMPDIR": str(tmp_path)}
    done = subprocess.run([INPART, "demo", "--json"], env=environment, capture_output=True, check=True, timeout=60)
    report = json.loads(done.stdout)
    assert report["ok"]
    assert [step["title"].split()[0] for step in report["steps"]] == [
        "a", "its", "create", "the", "an", "a", "locate", "restore", "proof",
    ]  # fmt: skip
    assert sum(step["seconds"] for step in report["steps"]) < 10
    assert not list(tmp_path.iterdir())


def test_the_disk_is_kept_on_request_and_never_overwritten(tmp_path: Path, session: Session) -> None:
    steps: list[Step] = []
    demo(session, tmp_path, steps.append)
    assert [path.name for path in tmp_path.iterdir()] == ["disk.img"]
    with pytest.raises(UsageError, match="exists already"):
        demo(session, tmp_path, steps.append)
    with pytest.raises(UsageError, match="is not a directory"):
        demo(session, tmp_path / "absent", steps.append)


def test_nothing_is_left_where_there_is_no_room(tmp_path: Path, session: Session) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", tmp_path], check=True)
    try:
        with pytest.raises(NoSpace):
            demo(session, tmp_path, lambda _: None)
        assert not list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize(("encoding", "shades"), [("utf-8", "█"), ("ascii", "#"), ("iso8859-1", "#"), ("cp437", "█")])
def test_pictures_on_terminals_of_every_kind(tmp_path: Path, encoding: str, shades: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding, "TMPDIR": str(tmp_path)}
    shown = subprocess.run([INPART, "demo"], env=environment, capture_output=True, check=True).stdout.decode(encoding)
    assert f"'{shades}' files" in shown
    assert "\\" not in shown


def test_it_notices_what_did_not_come_back(tmp_path: Path, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that leaves one byte of one document as the accident left it."""

    def change_after_restore(self: Demo) -> str:
        restored = restore(self)
        with demonstration.open_tree(session, self._address) as tree:
            entry = next(entry for entry in tree.walk("/Documents") if entry.type is EntryType.FILE)
            ((start, _), *_) = tree.runs(entry.path)
        with open(tmp_path / "disk.img", "r+b") as disk:
            disk.seek((1 << 20) + start)
            disk.write(b"\xdb")
        return restored

    restore = Demo._restore
    monkeypatch.setattr(Demo, "_restore", change_after_restore)
    with pytest.raises(IntegrityError, match="did not come back"):
        demo(session, tmp_path, lambda _: None)


def test_the_disk_that_is_carried_is_sound(tmp_path: Path) -> None:
    whole = zstandard.decompress(files("inpart").joinpath("data", demonstration.DISK).read_bytes())
    partition = tmp_path / "partition.img"
    partition.write_bytes(whole[1 << 20 : 39 << 20])
    checked = subprocess.run(["fsck.fat", "-n", partition], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert "29 files" in checked.stdout
