"""The journal's payload: which sectors become what at which stage, delta-filtered and compressed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import zstandard
from numpy.typing import NDArray

from inpart.checksums import crc32c
from inpart.contracts import Stage
from inpart.errors import IntegrityError, NoSpace
from inpart.extents import Extents
from inpart.transaction.journal_format import MAX_SECTOR_RUNS, MAX_SECTORS
from inpart.transaction.patch import Patch
from inpart.units import MIB
from inpart.volume import Volume

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

WINDOW = MIB
_LEVEL = 3
_MAX_ZSTD_WINDOW = 8 * MIB
_RUN = np.dtype([("first", "<u8"), ("count", "<u4"), ("stage", "<u4")])

Words = NDArray[np.uint32]


@dataclass(frozen=True)
class Records:
    """The sector records of a payload without their contents, in the order of the contents: by stage, then place.

    ``offsets`` are bytes of the partition, ``before`` the CRC-32C of what the sector holds when its stage begins.
    """

    offsets: NDArray[np.int64]
    stages: NDArray[np.int64]
    before: Words


@dataclass(frozen=True)
class Payload:
    """A compressed payload and the counts that its header needs."""

    data: bytes
    run_count: int
    sector_count: int


def sector_crcs(data: memoryview, sector: int) -> Words:
    """CRC-32C of each sector of ``data``."""
    return np.array([crc32c(data[at : at + sector]) for at in range(0, len(data), sector)], dtype=np.uint32)


def build_payload(volume: Volume, stages: Mapping[Stage, Patch]) -> Payload:
    """The payload of the edits ``stages`` of ``volume``. Raises NoSpace beyond the format's limits."""
    sector = volume.sector_size
    parts = [(stage, stages[stage].extents(sector)) for stage in sorted(stages)]
    run_count = sum(len(extents) for _, extents in parts)
    sector_count = sum(extents.total for _, extents in parts) // sector
    if run_count > MAX_SECTOR_RUNS or sector_count > MAX_SECTORS:
        raise NoSpace(f"{sector_count} sectors in {run_count} runs are more than one journal can hold")
    sink = _Sink()
    for stage, extents in parts:
        sink.add(_run_table(stage, extents, sector))
    for index, (_, extents) in enumerate(parts):
        below = [stages[earlier] for earlier, _ in parts[:index]]
        for _, content in contents(volume, extents, below):
            sink.add(sector_crcs(content, sector).astype("<u4"))
    for index, (_, extents) in enumerate(parts):
        upto = [stages[earlier] for earlier, _ in parts[: index + 1]]
        for _, content in contents(volume, extents, upto):
            sink.add(np.frombuffer(content, dtype="<u4"))
    return Payload(sink.finish(), run_count, sector_count)


def contents(volume: Volume | None, extents: Extents, patches: list[Patch]) -> Iterator[tuple[int, memoryview]]:
    """(offset, bytes) of ``extents`` window by window, as ``volume`` with ``patches`` laid over it; None is zeros."""
    for low, high in extents.split(WINDOW).tolist():
        content = bytearray(high - low)
        if volume is not None:
            volume.readinto(low, content)
        view = np.frombuffer(content, dtype=np.uint8)
        for patch in patches:
            patch.overlay(low, view)
        yield low, memoryview(content)


class PayloadReader:
    """Decodes a payload front to back in bounded memory: first the records, then their contents."""

    def __init__(self, stored: Volume, *, sector: int, run_count: int, sector_count: int) -> None:
        """``stored`` holds exactly the compressed bytes."""
        self._sector = sector
        self._counts = run_count, sector_count
        decoder = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
        self._stream = decoder.stream_reader(io.BufferedReader(_Source(stored)))
        self._carry = np.zeros(1, dtype=np.uint32)

    def records(self, partition_size: int) -> Records:
        """To be called first. Raises IntegrityError for records that are out of order or outside the partition."""
        run_count, sector_count = self._counts
        table = self._take(run_count * _RUN.itemsize // 4).view(_RUN)
        before = self._take(sector_count)
        counts, stages = table["count"].astype(np.int64), table["stage"].astype(np.int64)
        limit = partition_size // self._sector
        outside = (table["first"] > limit).any() or (table["first"].astype(np.int64) + counts > limit).any()
        if outside or int(counts.sum()) != sector_count or (stages > max(Stage)).any():
            raise IntegrityError("the journal names sectors that its partition does not have")
        within = np.arange(sector_count) - np.repeat(np.cumsum(counts) - counts, counts)
        offsets = (np.repeat(table["first"].astype(np.int64), counts) + within) * self._sector
        stages = np.repeat(stages, counts)
        ordered = (stages[1:] > stages[:-1]) | ((stages[1:] == stages[:-1]) & (offsets[1:] > offsets[:-1]))
        if not ordered.all():
            raise IntegrityError("the journal names its sectors out of order")
        return Records(offsets, stages, before)

    def contents(self) -> Iterator[tuple[int, memoryview]]:
        """(index of the first record, contents) window by window."""
        step = max(1, WINDOW // self._sector)
        count = self._counts[1]
        for first in range(0, count, step):
            words = self._take(min(step, count - first) * self._sector // 4)
            yield first, memoryview(words.astype("<u4").tobytes())

    def _take(self, count: int) -> Words:
        taken: list[Words] = []
        for first in range(0, count, WINDOW):
            want = min(WINDOW, count - first) * 4
            try:
                raw = self._stream.read(want)
            except zstandard.ZstdError as error:
                raise IntegrityError(f"the journal's payload cannot be decompressed: {error}") from None
            if len(raw) != want:
                raise IntegrityError("the journal's payload ends too early")
            words = np.cumsum(np.concatenate([self._carry, np.frombuffer(raw, dtype="<u4")]), dtype=np.uint32)[1:]
            self._carry = words[-1:]
            taken.append(words)
        return np.concatenate(taken) if taken else np.zeros(0, dtype=np.uint32)


class _Sink:
    """Delta filter over 32 bit words, then zstd."""

    def __init__(self) -> None:
        self._encoder = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
        self._carry = np.zeros(1, dtype=np.uint32)
        self._parts: list[bytes] = []

    def add(self, words: NDArray[np.uint32]) -> None:
        if len(words):
            self._parts.append(self._encoder.compress(np.diff(words, prepend=self._carry).astype("<u4").tobytes()))
            self._carry = words[-1:].astype(np.uint32)

    def finish(self) -> bytes:
        return b"".join([*self._parts, self._encoder.flush()])


class _Source(io.RawIOBase):
    """The compressed bytes as a file to be read once."""

    def __init__(self, stored: Volume) -> None:
        self._stored = stored
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        count = min(len(view), self._stored.size - self._at)
        self._stored.readinto(self._at, view[:count])
        self._at += count
        return count


def _run_table(stage: Stage, extents: Extents, sector: int) -> Words:
    table = np.zeros(len(extents), dtype=_RUN)
    table["first"] = extents.array[:, 0] // sector
    table["count"] = (extents.array[:, 1] - extents.array[:, 0]) // sector
    table["stage"] = stage
    return table.view("<u4")
