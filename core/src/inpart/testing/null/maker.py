"""Makes null file systems with known content, fragmented if asked for, without any tool."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import PurePosixPath

from inpart.errors import NoSpace
from inpart.extents import Runs
from inpart.testing.null.structs import BAD, USED, Attribute, Record, RecordType, Superblock
from inpart.units import align_down
from inpart.volume import RunsVolume, Volume

MTIME = 1_700_000_000
_UUID = bytes(range(16))


def make_null(
    volume: Volume,
    files: Mapping[str, bytes] | None = None,
    *,
    cluster_size: int = 4096,
    slots: int = 64,
    label: str = "NULL",
    fragments: int = 1,
    bad: tuple[int, ...] = (),
    swap: tuple[str, ...] = (),
    seed: int = 0,
) -> Superblock:
    """Format ``volume`` and put ``files`` (path to content) into it, each in up to ``fragments`` scattered runs.

    ``bad`` are cluster numbers marked bad, ``swap`` paths of files that no image needs. Raises NoSpace.
    """
    block = _geometry(volume, cluster_size, slots, label)
    clusters = bytearray(block.clusters)
    for number in bad:
        clusters[number] = BAD
    records: list[Record] = []
    scatter = random.Random(seed)
    for path, content in _with_parents(files or {}).items():
        slot = len(records)
        if content is None:
            records.append(Record(slot, RecordType.DIR, path, mtime=MTIME))
            continue
        runs = _allocate(clusters, -(-len(content) // cluster_size), fragments, scatter)
        attributes = Attribute.SWAP if path in swap else Attribute(0)
        records.append(Record(slot, RecordType.FILE, path, attributes, len(content), MTIME + slot, runs))
        _fill(volume, block, runs, content)
    if len(records) > slots:
        raise NoSpace(f"{len(records)} files and directories do not fit into {slots} slots")
    empty = [Record(slot, RecordType.EMPTY, "") for slot in range(len(records), slots)]
    table = b"".join(record.pack(block.slot_size) for record in records + empty)
    volume.write(block.slot_size, bytes(block.map_offset - block.slot_size))
    volume.write(block.map_offset, bytes(clusters).ljust(block.table_offset - block.map_offset, b"\0"))
    volume.write(block.table_offset, table.ljust(block.data_start - block.table_offset, b"\0"))
    volume.write(block.data_end, block.pack())
    volume.write(0, block.pack())
    volume.flush()
    return block


def _geometry(volume: Volume, cluster_size: int, slots: int, label: str) -> Superblock:
    """The superblock with as many clusters as fit into the volume."""
    clusters = volume.size // cluster_size
    while clusters > 0:
        block = Superblock(volume.sector_size, cluster_size, clusters, slots, 0, 0, _UUID, label)
        excess = block.size - volume.size
        if excess <= 0:
            return block
        clusters -= max(1, align_down(excess, cluster_size) // cluster_size)
    raise NoSpace(f"{volume.name} has {volume.size} bytes, too few for a null file system")


def _with_parents(files: Mapping[str, bytes]) -> dict[str, bytes | None]:
    """The files, and before each of them the directories that it needs."""
    tree: dict[str, bytes | None] = {}
    for path, content in files.items():
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            tree.setdefault(str(parent), None)
        tree[path] = content
    return tree


def _allocate(clusters: bytearray, count: int, fragments: int, scatter: random.Random) -> tuple[tuple[int, int], ...]:
    """``count`` free clusters, marked as used: the first ones, or in pieces that start at random clusters."""
    taken: list[tuple[int, int]] = []
    piece = -(-count // fragments)
    while count:
        position = clusters.find(0, scatter.randrange(len(clusters)) if fragments > 1 else 0)
        if position < 0:
            position = clusters.find(0)
        if position < 0:
            raise NoSpace("the files do not fit into the volume")
        length = 1
        while length < min(piece, count) and clusters[position + length : position + length + 1] == b"\0":
            length += 1
        clusters[position : position + length] = bytes((USED,)) * length
        taken.append((position, length))
        count -= length
    return tuple(Runs(taken))


def _fill(volume: Volume, block: Superblock, runs: tuple[tuple[int, int], ...], content: bytes) -> None:
    where = Runs((block.data_start + first * block.cluster_size, count * block.cluster_size) for first, count in runs)
    RunsVolume(volume, where).write(0, content)
