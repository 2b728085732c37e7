"""Ctrl-C at each write of a create: a real signal, and afterwards nothing but moved files; judged by fsck.fat."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fatmaker import Recipe, copy_in, delete, fsck, make_partition
from fatwrecks import contents
from inpart import plugins
from inpart.errors import NoImageFound
from inpart.operations.create import CreateOptions, create
from inpart.operations.images import list_images
from inpart.operations.resume import resume
from inpart.operations.session import Session
from inpart.testing.tools import copied
from inpart.units import MIB
from inpart.volume import FileVolume

RECIPE = Recipe("fat12-full", 2 * MIB, ("-F12", "-s1"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A partition with files at its very end, so that they have to move."""
    path, dice = make_partition(tmp_path_factory.mktemp("made") / "partition.img", RECIPE), random.Random(1)
    files = {f"/d/file {number}.bin": dice.randbytes(20_000) for number in range(10)}
    copy_in(path, {"/filler": bytes(RECIPE.size - 250_000)})
    copy_in(path, files)
    delete(path, "/filler")
    return path, files


@contextmanager
def interrupted_at(number: int, patch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Send SIGINT to ourselves after write ``number`` to any file; yields the offsets written."""
    written: list[int] = []
    write = FileVolume.write

    def counted(volume: FileVolume, offset: int, data: Any) -> None:
        write(volume, offset, data)
        written.append(offset)
        if len(written) == number:
            os.kill(os.getpid(), signal.SIGINT)

    with patch.context() as change:
        change.setattr(FileVolume, "write", counted)
        yield written


def test_ctrl_c_at_each_write_leaves_nothing_but_moved_files(
    made: tuple[Path, dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, files = made
    session = Session(plugins.load())
    assert create(session, str(original), CreateOptions("new", dry_run=True)).vacated
    count = number = 0
    while number <= count:
        path = copied(original, tmp_path / "partition.img")
        with interrupted_at(number, monkeypatch) as written, suppress(KeyboardInterrupt):
            create(session, str(path), CreateOptions("new"))
        count = max(count, len(written))
        number += 1
        assert not fsck(path).complaints, number
        assert contents(path, tmp_path / f"out{number}") == files, number
        assert not resume(session, str(path)).journals, number
        try:
            assert [row.name for row in list_images(session, str(path)).images] == ["new"]
        except NoImageFound:
            listed = subprocess.run(["mdir", "-b", "-a", "-i", path, "::/"], capture_output=True, text=True, check=True)
            assert ".inpart" not in listed.stdout, number
    assert count > 20
