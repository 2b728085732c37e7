"""A huge sparse disk with one small image: searching it costs what is allocated, not what it could hold."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from inpart import plugins
from inpart.operations.create import CreateOptions, create
from inpart.operations.locate import locate_images
from inpart.operations.session import Session
from inpart.testing.tools import run
from inpart.units import GIB, KIB, MIB
from inpart.volume import FileVolume


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each fetch and each read of a file took."""
    sizes: list[int] = []
    lock = threading.Lock()
    for name in ("fetch", "readinto"):
        real = getattr(FileVolume, name)

        def counting(self: FileVolume, offset: int, buffer: memoryview, real: object = real) -> None:
            with lock:
                sizes.append(len(buffer))
            real(self, offset, buffer)  # type: ignore[operator]

        monkeypatch.setattr(FileVolume, name, counting)
    return sizes


def test_only_what_is_allocated_is_read(tmp_path: Path, fetched: list[int]) -> None:
    path, content = tmp_path / "disk.img", tmp_path / "content"
    content.mkdir()
    for number in range(16):
        (content / f"{number}.bin").write_bytes(os.urandom(MIB))
    with path.open("wb") as file:
        file.truncate(64 * GIB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", content, path)
    session = Session(plugins.load())
    create(session, str(path), CreateOptions("one", layout="blocks"))
    with path.open("r+b") as file:
        file.write(bytes(64 * KIB))
        os.fsync(file.fileno())
    fetched.clear()
    (row,) = locate_images(session, str(path), whole_disk=True).images
    assert (row.name, row.state, row.method) == ("one", "committed", "disk-scan")
    assert sum(fetched) <= 1.25 * path.stat().st_blocks * 512
