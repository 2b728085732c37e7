"""Where a search by aids looks whether it was led to all that there is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from inpart.operations.aids.trust import partitions_of
from inpart.testing.aid_kit import RECORD
from inpart.units import MIB
from inpart.volume import MemoryVolume, SliceVolume

ID, OTHER = bytes(16), b"\1" * 16


def views(stores: list[tuple[int, bytes]], size: int, *sizes: int) -> list[tuple[int, int, int]]:
    """(start, size, number of stores) of each view, for records of the partition with these sizes."""
    given: Any = [SimpleNamespace(base=base, store_id=store_id) for base, store_id in stores]
    records = [RECORD.model_copy(update={"partition_size": size, "store_ids": (ID.hex(),)}) for size in sizes]
    return [
        (view.start if isinstance(view, SliceVolume) else 0, view.size, len(here))
        for view, here in partitions_of(MemoryVolume(size), given, records)
    ]


def test_a_partition_is_looked_at_as_it_is_and_as_it_was() -> None:
    assert views([], 8 * MIB, 4 * MIB) == []
    assert views([(0, ID)], 8 * MIB, 8 * MIB) == [(0, 8 * MIB, 1)]
    assert views([(0, ID)], 8 * MIB, 4 * MIB, 6 * MIB) == [(0, 8 * MIB, 1), (0, 4 * MIB, 1), (0, 6 * MIB, 1)]
    assert views([(0, ID)], 8 * MIB, 9 * MIB, 0, -1) == [(0, 8 * MIB, 1)]


def test_a_disk_is_looked_at_where_its_partitions_were() -> None:
    both = [(MIB, ID), (3 * MIB, OTHER)]
    assert views(both, 8 * MIB, 2 * MIB) == [(0, 8 * MIB, 2), (MIB, 2 * MIB, 1)]
    assert views([(-MIB, ID)], 8 * MIB, 2 * MIB) == [(0, 8 * MIB, 1)]
