"""The scan for magic numbers: complete, in order, past holes and unreadable places."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.errors import UsageError
from inpart.extents import Extents
from inpart.scan import scan_magics
from inpart.testing.faults import FaultyVolume
from inpart.volume import FileVolume, MemoryVolume

MAGIC, OTHER = b"INPARTJ\x01", b"INPARTC\x01"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    places=st.dictionaries(st.integers(0, 299), st.sampled_from([MAGIC, OTHER, MAGIC[:5] + b"???"]), max_size=30),
    start=st.integers(0, 80),
    tail=st.integers(0, 700),
    window=st.sampled_from([1, 512, 4096, 5000, 1 << 20]),
    backward=st.booleans(),
)
def test_scan_finds_exactly_what_is_there(
    places: dict[int, bytes], start: int, tail: int, window: int, backward: bool
) -> None:
    volume = MemoryVolume(300 * 512)
    for sector, magic in places.items():
        volume.write(sector * 512, magic)
    end = volume.size - tail
    expected = [
        (sector * 512, magic)
        for sector, magic in sorted(places.items(), reverse=backward)
        if magic in (MAGIC, OTHER) and sector >= start and (sector + 1) * 512 <= end
    ]
    done: list[int] = []
    found = scan_magics(
        volume, [MAGIC, OTHER], backward=backward, window=window, start=start * 512, end=end, progress=done.append
    )
    assert list(found) == expected
    assert sum(done) == (end - start * 512) // 512 * 512


def test_scan_does_not_read_holes(tmp_path: Path) -> None:
    with FileVolume.create(tmp_path / "sparse", 40 << 30) as volume:
        volume.write(30 << 30, MAGIC)
        volume.write(512, OTHER)
        done: list[int] = []
        assert list(scan_magics(volume, [MAGIC, OTHER], progress=done.append)) == [(30 << 30, MAGIC), (512, OTHER)]
        assert sum(done) == volume.size


def test_scan_passes_over_what_cannot_be_read() -> None:
    volume = FaultyVolume(MemoryVolume(1 << 20), unreadable=Extents.span(8192, 9216))
    for offset in (0, 4096, 8192, 12288, 70144):
        volume.write(offset, MAGIC)
    bad: list[tuple[int, int]] = []
    found = scan_magics(volume, [MAGIC], unreadable=lambda low, high: bad.append((low, high)))
    assert [offset for offset, _ in found] == [70144, 12288, 4096, 0]
    assert bad == [(8192, 12288)]


def test_scan_refuses_magics_it_cannot_compare() -> None:
    with pytest.raises(UsageError):
        list(scan_magics(MemoryVolume(512), [b"abc"]))
