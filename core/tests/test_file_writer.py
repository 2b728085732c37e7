"""Large writes around the page cache and small ones through it."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.errors import OutOfBounds, VolumeError
from inpart.volume import FileVolume


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 6 << 20), st.integers(0, 3 << 20)), max_size=5), st.randoms())
def test_large_writes_and_small_ones_reach_the_same_file(writes: list[tuple[int, int]], rng: random.Random) -> None:
    """Large writes go around the page cache; reads, small writes and the size of the file do not notice."""
    whole = bytearray(9 << 20)
    with tempfile.TemporaryDirectory() as folder:
        with FileVolume.create(Path(folder) / "file", len(whole)) as volume:
            for offset, length in writes:
                data = rng.randbytes(length)
                volume.write(offset, memoryview(data))
                whole[offset : offset + length] = data
                assert volume.read(max(0, offset - 10), 20) == whole[max(0, offset - 10) :][:20]
            volume.flush()
            assert volume.read(0, len(whole)) == whole
        assert (Path(folder) / "file").read_bytes() == whole


def test_a_file_without_direct_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on file systems in memory: the second open, the one with O_DIRECT, is refused."""
    path, data = tmp_path / "file", random.Random(1).randbytes(3 << 20)
    with FileVolume.create(path, 4 << 20) as volume:
        monkeypatch.setattr("os.O_DIRECT", os.O_DIRECTORY)
        volume.write(5, data)
    assert path.read_bytes() == bytes(5) + data + bytes((1 << 20) - 5)


@pytest.mark.parametrize("direct", [True, False])
def test_reading_from_the_medium(direct: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = random.Random(2).randbytes((17 << 20) + 77)
    path = tmp_path / "file"
    path.write_bytes(data)
    if not direct:
        monkeypatch.setattr("os.O_DIRECT", os.O_DIRECTORY)
    with FileVolume(path) as file, file.medium() as volume:
        assert volume.read(0, len(data)) == data
        for offset, length in ((0, 0), (1, 1), (4095, 2), (8 << 20, 5000), (len(data) - 1, 1), (4096, 4096)):
            assert volume.read(offset, length) == data[offset : offset + length]
        with pytest.raises(OutOfBounds):
            volume.read(len(data), 1)
        with pytest.raises(VolumeError):
            volume.write(0, b"x")


def test_what_was_flushed_is_on_the_medium(tmp_path: Path) -> None:
    data = random.Random(3).randbytes(2 << 20)
    with FileVolume.create(tmp_path / "file", 3 << 20) as file:
        file.write(1000, data)
        file.flush()
        with file.medium() as volume:
            assert volume.read(1000, len(data)) == data
