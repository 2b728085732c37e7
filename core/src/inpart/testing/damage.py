"""Seeded damage: every tool changes a volume and returns an id, and ``apply_damage`` does the same again from it.

An id is the tool's name followed by its numbers, such as ``flip:7:1:0:1048576``; what lies between the colons are the
arguments in the order of the tool's parameters, ranges as start and end in bytes.
"""

from __future__ import annotations

import inspect
import os
import random
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from inpart.contracts import SystemArea
from inpart.errors import UsageError
from inpart.extents import Extents
from inpart.units import MIB
from inpart.volume import FileVolume, MemoryVolume, Volume


def flip_bits(volume: Volume, seed: int, count: int = 1, start: int = 0, end: int | None = None) -> str:
    """Flip one bit in each of ``count`` different bytes of a range, so that each of them changes."""
    stop = volume.size if end is None else end
    chance = random.Random(seed)
    for offset in chance.sample(range(start, stop), min(count, stop - start)):
        byte = volume.read(offset, 1)[0]
        volume.write(offset, bytes([byte ^ 1 << chance.randrange(8)]))
    return _id("flip", seed, count, start, stop)


def zero_range(volume: Volume, start: int, end: int) -> str:
    """Zero every byte of a range."""
    for low, high in Extents.span(start, end).split(MIB).tolist():
        volume.write(low, bytes(high - low))
    return _id("zero", start, end)


def zero_sectors(volume: Volume, seed: int, permille: int, start: int = 0, end: int | None = None) -> str:
    """Zero ``permille`` thousandths of the sectors of a range, picked at random; at least one."""
    stop = volume.size if end is None else end
    sector = volume.sector_size
    first, last = -(-start // sector), stop // sector
    count = max(1, (last - first) * permille // 1000)
    for number in random.Random(seed).sample(range(first, last), count):
        volume.write(number * sector, bytes(sector))
    return _id("sectors", seed, permille, start, stop)


def randomise_range(volume: Volume, seed: int, start: int, end: int) -> str:
    """Replace a range by other bytes: every single byte changes."""
    generator = np.random.default_rng(seed)
    for low, high in Extents.span(start, end).split(MIB).tolist():
        old = np.frombuffer(volume.read(low, high - low), dtype=np.uint8)
        volume.write(low, (old + generator.integers(1, 256, high - low, dtype=np.uint8)).tobytes())
    return _id("random", seed, start, end)


def truncate(volume: MemoryVolume | FileVolume, size: int) -> str:
    """Cut the volume off after ``size`` bytes."""
    if isinstance(volume, MemoryVolume):
        del volume.data[size:]
    else:
        os.truncate(volume.path, size)
    volume.size = size
    return _id("truncate", size)


def wipe_areas(volume: Volume, areas: Iterable[SystemArea], names: Sequence[str]) -> tuple[str, ...]:
    """Zero the system areas with these names; returns one id for each run of bytes. Raises UsageError."""
    by_name = {area.name: area.extents for area in areas}
    unknown = set(names) - set(by_name)
    if unknown:
        raise UsageError(f"there is no system area {min(unknown)!r}", hint=f"there are {', '.join(by_name)}")
    return tuple(zero_range(volume, low, high) for name in names for low, high in by_name[name])


_TOOLS: dict[str, Callable[..., str]] = {
    "flip": flip_bits,
    "zero": zero_range,
    "sectors": zero_sectors,
    "random": randomise_range,
    "truncate": truncate,
}


def apply_damage(volume: Volume, damage_id: str) -> None:
    """Do again what returned ``damage_id``, on a volume of the same content. Raises UsageError."""
    name, *numbers = damage_id.split(":")
    tool = _TOOLS.get(name)
    numeric = all(number.isdecimal() for number in numbers)
    if tool is None or not numeric or len(numbers) != len(inspect.signature(tool).parameters) - 1:
        raise UsageError(f"{damage_id!r} is not the id of a damage", hint=f"tools are {', '.join(_TOOLS)}")
    tool(volume, *map(int, numbers))


def _id(name: str, *numbers: int) -> str:
    return ":".join([name, *map(str, numbers)])
