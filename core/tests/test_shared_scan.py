"""Scans of several threads at a time: each sees everything once, the medium is read once, nobody waits for ever."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from inpart.errors import Interrupted, VolumeError
from inpart.scan import SharedVolume, scan_magics, scan_windows, shared_volumes
from inpart.units import KIB, MIB
from inpart.volume import Access, FileVolume, MemoryVolume, SliceVolume, Volume

MAGIC, OTHER = b"INPARTJ\x01", b"INPARTC\x01"
SIZE = 70 * MIB + 5 * 512
PLACES = sorted(at - at % 512 for at in (0, 3 * MIB, 4 * MIB - 512, 4 * MIB, 33_333_333, SIZE - 512))


class Counted(MemoryVolume):
    """Counts what is read, and cannot read one sector."""

    def __init__(self) -> None:
        super().__init__(SIZE)
        self.fetched = 0
        self.lock = threading.Lock()
        for at in PLACES:
            self.write(at, MAGIC)

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        if offset < 20 * MIB + 512 and offset + len(buffer) > 20 * MIB:
            raise VolumeError("bad sector")
        with self.lock:
            self.fetched += len(buffer)
        super().readinto(offset, buffer)


Scan = Callable[[SharedVolume], object]


def together(base: Volume, progress: Callable[[int], None], *scans: Scan) -> list[object]:
    def run(scan: Scan, volume: SharedVolume) -> object:
        try:
            return scan(volume)
        finally:
            volume.leave()

    with ThreadPoolExecutor(len(scans)) as pool:
        volumes = shared_volumes(base, len(scans), progress)
        return [future.result(60) for future in [pool.submit(run, *pair) for pair in zip(scans, volumes, strict=True)]]


def ignored(size: int) -> None:
    pass


def count(volume: Volume) -> int:
    return len(list(scan_magics(volume, [MAGIC])))


def test_everybody_sees_everything_and_it_is_read_once() -> None:
    base = Counted()
    done: list[int] = []
    bad: list[tuple[int, int]] = []

    def first(volume: Volume) -> list[int]:
        return [at for at, _ in scan_magics(volume, [MAGIC], unreadable=lambda low, high: bad.append((low, high)))]

    def aligned(volume: Volume) -> list[int]:
        return [at for at, _ in scan_magics(volume, [OTHER, MAGIC], step=4096)]

    def size(volume: Volume) -> int:
        return sum(len(view) for _, view in scan_windows(volume))

    assert together(base, done.append, first, aligned, size) == [
        PLACES[::-1],
        [at for at in PLACES[::-1] if at % 4096 == 0],
        SIZE,
    ]
    assert bad == [(20 * MIB, 20 * MIB + 4 * KIB)]
    assert sum(done) == SIZE
    assert base.fetched < SIZE + 4 * MIB


def test_one_that_does_not_scan_or_stops_holds_nobody_up() -> None:
    def stops(volume: Volume) -> int:
        return next(iter(scan_windows(volume)))[0]

    found = together(Counted(), ignored, count, lambda _: "nothing", stops, lambda volume: volume.windows(), count)
    assert (found[0], found[1], found[4]) == (len(PLACES), "nothing", len(PLACES))


def test_a_second_scan_reads_for_itself() -> None:
    def part(volume: Volume) -> int:
        return len(list(scan_magics(volume, [MAGIC], start=512, end=SIZE)))

    found = together(
        Counted(), ignored, lambda volume: [count(volume), count(volume)], lambda volume: [part(volume), part(volume)]
    )
    assert found == [[len(PLACES)] * 2, [len(PLACES) - 1] * 2]


def test_what_progress_raises_ends_all_scans() -> None:
    def stop(size: int) -> None:
        raise Interrupted("enough")

    def scan(volume: Volume) -> str:
        with pytest.raises(Interrupted):
            count(volume)
        return "stopped"

    assert together(Counted(), stop, scan, scan) == ["stopped", "stopped"]


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("start", [0, 512, 4096])
def test_fetching_from_a_file_gives_the_same_bytes(tmp_path: Path, cached: bool, start: int) -> None:
    path = tmp_path / "file"
    content = os.urandom(9 * MIB + 700)
    path.write_bytes(content)
    with FileVolume(path, Access.WRITE) as file:
        volume: Volume = SliceVolume(file, start, file.size - start)
        volume.write(5000, b"written")
        expected = bytearray(content)
        expected[start + 5000 : start + 5007] = b"written"
        if not cached:
            file.forget()
        buffer = memoryview(bytearray(volume.size))
        volume.fetch(0, buffer)
        assert buffer == expected[start:]


def test_holes_are_not_read(tmp_path: Path) -> None:
    with FileVolume.create(tmp_path / "sparse", 64 << 30) as base:
        base.write(30 << 30, MAGIC)
        base.write(512, MAGIC)
        base.flush()
        done: list[int] = []
        sizes: list[int] = []

        def scan(volume: Volume) -> list[int]:
            found = []
            for low, view in scan_windows(volume):
                sizes.append(len(view))
                found += [low + at for at in range(0, len(view), 512) if view[at : at + 8] == MAGIC]
            return found

        assert together(base, done.append, scan) == [[30 << 30, 512]]
        assert (sum(done), sum(sizes)) == (64 << 30, 256 * KIB)
