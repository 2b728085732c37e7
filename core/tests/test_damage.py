"""The damage tools: they change what they say, nothing else, and the same again from their ids."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from inpart.contracts import SystemArea
from inpart.errors import UsageError
from inpart.extents import Extents
from inpart.testing import damage
from inpart.volume import Access, FileVolume, MemoryVolume, Volume


def disk() -> MemoryVolume:
    return MemoryVolume(random.Random(1).randbytes(1 << 18))


def changed(volume: MemoryVolume) -> Extents:
    different = np.frombuffer(volume.data, np.uint8) != np.frombuffer(disk().data, np.uint8)
    return Extents.from_mask(different, 1)


@pytest.mark.parametrize(
    ("tool", "inside"),
    [
        (lambda volume: damage.flip_bits(volume, 7, 5, 1000, 3000), Extents.span(1000, 3000)),
        (lambda volume: damage.flip_bits(volume, 7), Extents.span(0, 1 << 18)),
        (lambda volume: damage.zero_range(volume, 513, 9000), Extents.span(513, 9000)),
        (lambda volume: damage.zero_sectors(volume, 3, 10), Extents.span(0, 1 << 18)),
        (lambda volume: damage.randomise_range(volume, 5, 77, 9999), Extents.span(77, 9999)),
    ],
)
def test_damage_stays_inside_and_can_be_repeated(tool: Callable[[Volume], str], inside: Extents) -> None:
    volume, again = disk(), disk()
    damage.apply_damage(again, tool(volume))
    assert changed(volume)
    assert inside.covers(changed(volume))
    assert volume.data == again.data


def test_amounts() -> None:
    volume = disk()
    damage.flip_bits(volume, 1, 8)
    assert changed(volume).total == 8
    volume = disk()
    damage.randomise_range(volume, 1, 10, 5000)
    assert changed(volume) == Extents.span(10, 5000)
    volume = disk()
    damage.zero_sectors(volume, 1, 20)
    assert changed(volume).align_out(512).total == (512 * 20 // 1000) * 512


def test_truncate(tmp_path: Path) -> None:
    volume = disk()
    assert damage.truncate(volume, 1000) == "truncate:1000"
    assert (volume.size, len(volume.data)) == (1000, 1000)
    path = tmp_path / "disk"
    path.write_bytes(disk().data)
    with FileVolume(path, Access.WRITE) as file:
        damage.apply_damage(file, "truncate:77")
        assert file.size == path.stat().st_size == 77


def test_wipe_named_areas() -> None:
    areas = (SystemArea("boot", Extents.span(0, 512)), SystemArea("fat-0", Extents([(1024, 2048), (4096, 5000)])))
    volume = disk()
    assert damage.wipe_areas(volume, areas, ["fat-0"]) == ("zero:1024:2048", "zero:4096:5000")
    assert areas[1].extents.covers(changed(volume))
    with pytest.raises(UsageError, match="fat-1"):
        damage.wipe_areas(volume, areas, ["fat-1"])


@pytest.mark.parametrize("text", ["", "melt:1", "zero:1", "zero:1:2:3", "zero:a:b", "flip:-1:1:0:9"])
def test_ids_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        damage.apply_damage(disk(), text)
