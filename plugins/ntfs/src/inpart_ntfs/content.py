"""The bytes of streams: resident, along their runs, in compression units; zeros behind what was ever written."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from inpart.errors import FilesystemDamaged
from inpart.units import MIB
from inpart.volume import RunsVolume, Volume
from numpy.typing import NDArray

from inpart_ntfs.attributes import HINT
from inpart_ntfs.boot import Boot
from inpart_ntfs.codes import AttributeFlag
from inpart_ntfs.lznt1 import decompress
from inpart_ntfs.runs import HOLE, LCN, VCN, byte_runs
from inpart_ntfs.streams import Stream

PIECE = MIB
_LCN, _COUNT = LCN - VCN, LCN - VCN + 1


def is_compressed(stream: Stream) -> bool:
    """True if clusters hold compressed data."""
    return stream.non_resident and bool(stream.first.flags & AttributeFlag.COMPRESSION_MASK)


def read_stream(volume: Volume, boot: Boot, stream: Stream, offset: int, length: int | None) -> Iterator[bytes]:
    """A part of a stream in pieces; an encrypted one as it is stored. Raises FilesystemDamaged."""
    size = stream.data_size
    end = size if length is None else min(size, offset + length)
    if not 0 <= offset < end:
        return
    if not stream.non_resident:
        yield stream.value[offset:end]
        return
    first = stream.first
    rows = stream.rows
    mapped = int(rows[-1, 0] + rows[-1, _COUNT]) * boot.cluster_size if len(rows) else 0
    if size > mapped:
        raise FilesystemDamaged(f"record {first.record}: {first} has {size} bytes in {mapped}", hint=HINT)
    written = min(max(first.initialized_size, 0), size)
    if is_compressed(stream):
        yield from _decompressed(volume, boot, stream, offset, min(end, written))
    else:
        plain = RunsVolume(volume, byte_runs(rows, boot.cluster_size), name=str(first))
        for at in range(offset, min(end, written), PIECE):
            yield plain.read(at, min(PIECE, end - at, written - at))
    for at in range(max(offset, written), end, PIECE):
        yield bytes(min(PIECE, end - at))


def _decompressed(volume: Volume, boot: Boot, stream: Stream, offset: int, end: int) -> Iterator[bytes]:
    """The units that have bytes in ``[offset, end)``, cut to it."""
    first = stream.first
    unit = boot.cluster_size << min(first.compression_unit, 32)
    if not first.compression_unit or unit > PIECE:
        raise FilesystemDamaged(f"record {first.record}: {first} has compression units of {unit} bytes", hint=HINT)
    clusters = 1 << first.compression_unit
    rows = stream.rows
    for number in range(offset // unit, -(-end // unit)):
        start = number * unit
        stored = _stored(volume, boot, rows, number * clusters, clusters, str(first))
        content = stored if len(stored) in (0, unit) else decompress(stored, unit)
        content = content or bytes(unit)
        yield content[max(0, offset - start) : min(unit, end - start)]


def _stored(volume: Volume, boot: Boot, rows: NDArray[np.int64], vcn: int, clusters: int, name: str) -> bytes:
    """What one unit has on the volume: clusters from its start on, up to its first hole."""
    parts = []
    index = int(np.searchsorted(rows[:, 0], vcn, side="right")) - 1
    end, at = vcn + clusters, vcn
    while at < end and index < len(rows) and int(rows[index, _LCN]) != HOLE:
        first, lcn, count = rows[index].tolist()
        last = min(end, first + count)
        parts.append(volume.read((lcn + at - first) * boot.cluster_size, (last - at) * boot.cluster_size))
        index, at = index + 1, last
    while index < len(rows) and int(rows[index, 0]) < end:
        if int(rows[index, _LCN]) != HOLE:
            raise FilesystemDamaged(f"{name} has a hole inside a compression unit, at cluster {at}", hint=HINT)
        index += 1
    return b"".join(parts)
