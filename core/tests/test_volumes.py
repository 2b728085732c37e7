"""Volumes: files, slices, overlays against a model, paths of runs, counting."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.errors import NoSpace, OutOfBounds, UsageError, VolumeError
from inpart.extents import Extents, Runs
from inpart.volume import (
    Access,
    CountingVolume,
    FileVolume,
    MemoryVolume,
    OverlayVolume,
    ProxyVolume,
    ReadOnlyVolume,
    ResizedVolume,
    RunsVolume,
    SliceVolume,
    Volume,
)

SIZE = 4096
PATTERN = bytes(range(256)) * (SIZE // 256)


def test_a_file_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(PATTERN)
    with FileVolume(path, Access.WRITE) as volume:
        assert (volume.size, volume.sector_size, volume.writable) == (SIZE, 512, True)
        assert volume.read(100, 300) == PATTERN[100:400]
        volume.write(10, memoryview(b"abc"))
        volume.flush()
        volume.forget()
        assert volume.read(9, 5) == PATTERN[9:10] + b"abc" + PATTERN[13:14]
    volume.close()
    assert path.read_bytes()[10:13] == b"abc"


def test_volumes_have_ends(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(PATTERN)
    with FileVolume(path, Access.WRITE) as file:
        everything: list[Volume] = [
            file,
            MemoryVolume(PATTERN),
            SliceVolume(MemoryVolume(bytes(2 * SIZE)), 100, SIZE),
            OverlayVolume(MemoryVolume(PATTERN)),
            RunsVolume(MemoryVolume(PATTERN), Runs([(0, SIZE)])),
            ResizedVolume(MemoryVolume(bytes(2 * SIZE)), SIZE),
            CountingVolume(MemoryVolume(PATTERN), lambda _: None),
        ]
        for volume in everything:
            for offset, length in ((-1, 1), (SIZE, 1), (SIZE - 1, 2), (0, SIZE + 1), (1 << 70, 1)):
                with pytest.raises(OutOfBounds, match="reach beyond"):
                    volume.read(offset, length)
                with pytest.raises(OutOfBounds):
                    volume.write(offset, bytes(length))
            with pytest.raises(OutOfBounds):
                volume.read(0, -1)
            assert volume.read(SIZE, 0) == b""
            assert len(volume.read(0, SIZE)) == SIZE


def test_a_file_that_shrinks_is_an_error_not_a_short_read(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(PATTERN)
    with FileVolume(path) as volume:
        os.truncate(path, 1000)
        with pytest.raises(VolumeError, match="ends at 1000"):
            volume.read(900, 200)


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        FileVolume(tmp_path / "nothing")
    with pytest.raises(UsageError, match="neither a file nor a block device") as caught:
        FileVolume(tmp_path)
    assert f"findmnt --target {tmp_path}" in str(caught.value.hint)
    with pytest.raises(UsageError, match="neither a file nor a block device"):
        FileVolume("/dev/zero")
    FileVolume.create(tmp_path / "new", 1 << 40).close()
    assert (tmp_path / "new").stat().st_size == 1 << 40
    with pytest.raises(UsageError, match="exists already"):
        FileVolume.create(tmp_path / "new", 1)
    with pytest.raises(UsageError):
        FileVolume.create(tmp_path / "no" / "directory", 1)


def test_read_only_volumes_refuse_to_write(tmp_path: Path) -> None:
    class Blank(ReadOnlyVolume):
        name, size = "blank", 10

        def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
            memoryview(buffer)[:] = bytes(len(buffer))

    Blank().flush()
    with pytest.raises(VolumeError, match="read-only"):
        Blank().write(0, b"1")
    (tmp_path / "disk").write_bytes(b"123")
    with FileVolume(tmp_path / "disk") as volume, pytest.raises(VolumeError, match="cannot write at 0"):
        volume.write(0, b"1")


def test_a_full_medium_is_no_space() -> None:
    volume = FileVolume.__new__(FileVolume)
    volume.name, volume.size, volume._writer, volume._fetcher = "/dev/full", 10, None, None
    volume._fd = os.open("/dev/full", os.O_RDWR)
    with pytest.raises(NoSpace, match="no space left to write at 3"):
        volume.write(3, b"1")
    volume.close()


def test_holes_of_sparse_files_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with FileVolume.create(path, 64 << 20) as volume:
        assert volume.data_extents() == Extents()
        volume.write(1 << 20, b"x")
        volume.write((33 << 20) + 5, b"y" * 8192)
        volume.flush()
        found = volume.data_extents()
        assert found == Extents([(1 << 20, (1 << 20) + 4096), (33 << 20, (33 << 20) + 12288)])
        assert volume.data_extents(33 << 20, (33 << 20) + 100) == Extents.span(33 << 20, (33 << 20) + 100)
        assert volume.data_extents(2 << 20, 3 << 20) == Extents()
        part = SliceVolume(volume, 1 << 20, 1 << 20)
        assert part.data_extents() == Extents.span(0, 4096)
        assert CountingVolume(part, lambda _: None).data_extents(0, 100) == Extents.span(0, 100)
        over = OverlayVolume(part)
        over.write(10_000, b"z")
        assert over.data_extents() == Extents([(0, 4096), (10_000, 10_001)])
        assert ResizedVolume(part, 2 << 20).data_extents() == Extents.span(0, 4096)
        assert ResizedVolume(part, 2 << 20).data_extents(1 << 20, 2 << 20) == Extents()


def test_a_long_stream_reaches_the_medium_before_the_flush(tmp_path: Path) -> None:
    piece = os.urandom(1 << 20)
    with FileVolume.create(tmp_path / "long", 70 << 20) as volume:
        for index in range(70):
            volume.write(index << 20, piece)
        volume.flush()
        assert all(volume.read(index << 20, 1 << 20) == piece for index in range(70))


def test_a_slice_is_a_window() -> None:
    disk = MemoryVolume(PATTERN, sector_size=4096)
    part = SliceVolume(disk, 1000, 500, name="part")
    assert (part.size, part.name, part.sector_size, part.writable) == (500, "part", 4096, True)
    part.write(499, b"!")
    assert disk.data[1499:1500] == b"!"
    assert part.read(0, 499) == PATTERN[1000:1499]
    with pytest.raises(OutOfBounds):
        SliceVolume(disk, SIZE - 10, 11)


writes = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=30)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(writes, st.integers(0, 255), st.integers(0, 80))
def test_an_overlay_agrees_with_plain_bytes(made: list[tuple[int, bytes]], offset: int, length: int) -> None:
    base = MemoryVolume(PATTERN[:256])
    overlay, model, touched = OverlayVolume(base), bytearray(PATTERN[:256]), set()
    for at, data in made:
        piece = data[: 256 - at]
        overlay.write(at, piece)
        model[at : at + len(piece)] = piece
        touched |= set(range(at, at + len(piece)))
        assert overlay.read(0, 256) == model
    length = min(length, 256 - offset)
    assert overlay.read(offset, length) == model[offset : offset + length]
    assert {byte for start, end in overlay.changed() for byte in range(start, end)} == touched
    assert base.data == PATTERN[:256]


@pytest.mark.parametrize("order", ["ascending", "descending", "scattered"])
def test_an_overlay_of_many_pieces(order: str) -> None:
    count = 40_000
    places = {
        "ascending": range(count),
        "descending": range(count - 1, -1, -1),
        "scattered": [index * 7919 % count * 2 for index in range(count)],
    }[order]
    overlay = OverlayVolume(MemoryVolume(2 * count * 512))
    for place in places:
        overlay.write(place * 512, place.to_bytes(4, "little") * 128)
    assert overlay.changed().total == count * 512
    assert all(overlay.read(place * 512, 4) == place.to_bytes(4, "little") for place in list(places)[::97])


def test_an_overlay_is_read_while_it_is_written() -> None:
    overlay = OverlayVolume(MemoryVolume(1 << 16))

    def write(turn: int) -> None:
        for index in range(64):
            overlay.write(index * 1024, bytes([turn]) * 1024)

    def read() -> bool:
        found = (overlay.read(index * 1024, 1024) for index in range(64))
        return all(piece == piece[:1] * 1024 for piece in found)

    with ThreadPoolExecutor(4) as pool:
        readings = [pool.submit(read) for _ in range(200)]
        for turn in range(1, 40):
            write(turn)
        assert all(reading.result() for reading in readings)


runs = st.lists(st.tuples(st.one_of(st.just(Runs.HOLE), st.integers(0, 200)), st.integers(1, 30)), max_size=12)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(runs, st.integers(0, 300), st.integers(0, 300))
def test_a_path_of_runs_reads_as_one_volume(made: list[tuple[int, int]], offset: int, length: int) -> None:
    content = PATTERN[:256]
    whole = b"".join(
        bytes(size) if start == Runs.HOLE else content[start : start + size] for start, size in made
    )  # fmt: skip
    volume = RunsVolume(MemoryVolume(content), Runs(made))
    assert volume.size == len(whole)
    length = max(0, min(length, len(whole) - offset))
    if offset <= len(whole):
        assert volume.read(offset, length) == whole[offset : offset + length]
    short = RunsVolume(MemoryVolume(content), Runs(made), size=10)
    assert short.read(0, short.size) == whole[:10]


def test_writes_follow_the_runs_and_holes_refuse() -> None:
    base = MemoryVolume(100)
    volume = RunsVolume(base, Runs([(50, 4), (10, 4), (Runs.HOLE, 4), (90, 4)]))
    volume.write(2, b"abcd")
    assert bytes(base.data[52:54] + base.data[10:12]) == b"abcd"
    before = bytes(base.data)
    with pytest.raises(OutOfBounds, match="nothing is stored"):
        volume.write(6, b"efgh")
    assert bytes(base.data) == before


def test_a_resized_volume_ends_elsewhere() -> None:
    base = MemoryVolume(b"\1" * 100)
    longer, shorter = ResizedVolume(base, 120), ResizedVolume(base, 50)
    assert longer.read(90, 30) == b"\1" * 10 + bytes(20)
    assert longer.read(110, 10) == bytes(10)
    with pytest.raises(OutOfBounds):
        longer.write(99, b"23")
    with pytest.raises(OutOfBounds):
        shorter.write(49, b"23")


def test_counting_adds_up() -> None:
    counted: list[int] = []
    volume = CountingVolume(MemoryVolume(100), counted.append)
    volume.write(0, b"12345")
    volume.read(0, 7)
    volume.fetch(0, memoryview(bytearray(9)))
    volume.flush()
    volume.forget()
    volume.close()
    assert counted == [5, 7, 9]


def test_a_proxy_hands_everything_on_but_closes_nothing(tmp_path: Path) -> None:
    with FileVolume.create(tmp_path / "sparse", 1 << 20) as base:
        proxy = ProxyVolume(base)
        assert (proxy.size, proxy.name, proxy.sector_size, proxy.writable) == (1 << 20, base.name, 512, True)
        proxy.write(8192, b"abc")
        proxy.flush()
        proxy.forget()
        proxy.announce(8192, 1 << 30)
        assert proxy.read(8191, 5) == b"\0abc\0"
        assert proxy.data_extents() == Extents.span(8192, 12288)
        proxy.close()
        assert base.read(8192, 3) == b"abc"


def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "partition.img"
    path.write_bytes(bytes(512))
    path.chmod(0o000)
    readable = tmp_path / "readable.img"
    readable.write_bytes(bytes(512))
    readable.chmod(0o444)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        with pytest.raises(VolumeError, match="no permission to read it") as caught:
            FileVolume(path)
        with pytest.raises(VolumeError, match="no permission to write it"):
            FileVolume(readable, Access.WRITE)
    finally:
        if was_root:
            os.seteuid(0)
    assert caught.value.hint == "root can open it, and those whom its owner allows to"
