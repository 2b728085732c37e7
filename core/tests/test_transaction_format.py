"""The journal and the restore record byte for byte, read and made by code written from docs/FORMAT.md alone."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from crc32c import crc32c
from inpart.contracts import Stage
from inpart.errors import IntegrityError
from inpart.extents import Runs
from inpart.testing.powercut import RecordingVolume
from inpart.transaction import (
    Journal,
    JournalState,
    RestoreRecord,
    Transaction,
    find_journal,
    replay,
    write_restore_record,
)
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume

AREA, SIZE = 64 * KIB, 256 * KIB
RUNS = Runs([(AREA, 6 * KIB), (AREA + 10 * KIB, 26 * KIB)])
HEADER = struct.Struct("<8s H H I 16s Q Q Q I I Q I I Q")
FIRST_NAMES = ("magic", "major", "minor", "crc", "id", "generation", "own_offset", "partition_size", "sector_size")
NAMES = (*FIRST_NAMES, "area_runs", "payload_length", "payload_crc", "run_count", "sector_count")


def area(volume: MemoryVolume) -> bytes:
    return volume.read(AREA, 6 * KIB) + volume.read(AREA + 10 * KIB, 26 * KIB)


def put_area(volume: MemoryVolume, content: bytes) -> None:
    volume.write(AREA, content[: 6 * KIB])
    volume.write(AREA + 10 * KIB, content[6 * KIB :])


def sealed(unit: bytes) -> bytes:
    unit = unit[:12] + bytes(4) + unit[16:]
    return unit[:12] + struct.pack("<I", crc32c(unit)) + unit[16:]


def delta(words: list[int], sign: int) -> list[int]:
    """``sign`` -1 makes differences, +1 sums them up again."""
    done, last = [], 0
    for word in words:
        done.append((word + sign * last) & 0xFFFFFFFF)
        last = word if sign < 0 else done[-1]
    return done


def pack_payload(runs: list[tuple[int, int, int]], before: list[int], content: bytes) -> bytes:
    plain = b"".join(struct.pack("<QII", *run) for run in runs) + struct.pack(f"<{len(before)}I", *before) + content
    words = delta(list(struct.unpack(f"<{len(plain) // 4}I", plain)), -1)
    return zstandard.compress(struct.pack(f"<{len(words)}I", *words))


def make_journal(volume: MemoryVolume, payload: bytes, **fields: Any) -> Journal | None:
    """A committed journal in the area; ``fields`` replace what is right."""
    values: dict[str, Any] = {
        "magic": b"INPART\0J", "major": 1, "minor": 0, "crc": 0, "id": b"j" * 16, "generation": 1,
        "own_offset": AREA + 12 * KIB, "partition_size": SIZE, "sector_size": 512, "area_runs": 2,
        "payload_length": len(payload), "payload_crc": crc32c(payload), "run_count": 1, "sector_count": 1,
    } | fields  # fmt: skip
    runs: tuple[int, ...] = values.pop("table", (AREA, 6 * KIB, AREA + 10 * KIB, 26 * KIB))
    table = struct.pack("<4Q", *runs)
    header = sealed((HEADER.pack(*values.values()).ljust(96, b"\0") + table).ljust(4096, b"\0"))
    commit = struct.pack("<8sIII16sQ", b"INPART\0K", 1, 0, *struct.unpack_from("<I", header, 12), b"j" * 16, 1)
    put_area(volume, (bytes(8192) + header + sealed(commit.ljust(4096, b"\0")) + payload).ljust(32 * KIB, b"\0"))
    found = find_journal(volume, [RUNS])
    return found[0] if found else None


def disk() -> MemoryVolume:
    return MemoryVolume(random.Random(8).randbytes(SIZE))


def test_journal_on_disk_is_what_the_document_says() -> None:
    volume = disk()
    original = bytes(volume.data)
    recording = RecordingVolume(volume)
    tx = Transaction(recording)
    tx.edit(1000, b"x" * 1000, Stage.ALLOCATE)
    tx.edit(1500, b"y", Stage.RELEASE)
    tx.edit(9000, b"z", Stage.RELEASE)
    tx.commit(RUNS)
    content = area(recording.disk("w5-kept"))
    header = dict(zip(NAMES, HEADER.unpack_from(content, 8192), strict=True))
    assert content[8192:12288] == sealed(content[8192:12288])
    assert struct.unpack_from("<4Q", content, 8192 + 96) == (AREA, 6 * KIB, AREA + 10 * KIB, 26 * KIB)
    assert (header["magic"], header["major"], header["own_offset"]) == (b"INPART\0J", 1, AREA + 12 * KIB)
    assert (header["partition_size"], header["sector_size"], header["generation"]) == (SIZE, 512, 1)
    assert (header["run_count"], header["sector_count"]) == (3, 5)
    payload = content[16384 : 16384 + header["payload_length"]]
    assert header["payload_crc"] == crc32c(payload)
    raw = zstandard.ZstdDecompressor().decompressobj().decompress(payload)
    plain = struct.pack(f"<{len(raw) // 4}I", *delta(list(struct.unpack(f"<{len(raw) // 4}I", raw)), 1))
    assert list(struct.iter_unpack("<QII", plain[:48])) == [(1, 3, 1), (2, 1, 5), (17, 1, 5)]
    first = original[512:1000] + b"x" * 1000 + original[2000:2048]
    last = first[512:988] + b"y" + first[989:1024]
    ninth = original[8704:9000] + b"z" + original[9001:9216]
    befores = [original[512:1024], original[1024:1536], original[1536:2048], first[512:1024], original[8704:9216]]
    assert struct.unpack("<5I", plain[48:68]) == tuple(crc32c(sector) for sector in befores)
    assert plain[68:] == first + last + ninth
    commit = content[12288:16384]
    assert commit == sealed(commit)
    fields = struct.unpack_from("<8sIII16sQ", commit)
    assert (fields[0], fields[1], fields[3:]) == (b"INPART\0K", 1, (header["crc"], header["id"], 1))
    assert area(volume)[12288:12300] == b"INPART\0K\2\0\0\0"


def test_a_journal_made_from_the_document_is_replayed() -> None:
    volume = disk()
    payload = pack_payload([(3, 1, 2)], [crc32c(volume.read(1536, 512))], b"n" * 512)
    journal = make_journal(volume, payload)
    assert journal is not None
    assert journal.state is JournalState.COMMITTED
    assert replay(volume, journal) == 1
    assert volume.read(1536, 512) == b"n" * 512


@pytest.mark.parametrize(
    "fields",
    [
        {"magic": b"INPART\0X"},
        {"major": 2},
        {"own_offset": AREA},
        {"own_offset": (1 << 64) - 1},
        {"partition_size": AREA},
        {"partition_size": (1 << 64) - 1},
        {"partition_size": SIZE + 512},
        {"sector_size": 0},
        {"sector_size": 768},
        {"sector_size": 1 << 31},
        {"area_runs": 0},
        {"area_runs": 241},
        {"area_runs": (1 << 32) - 1},
        {"payload_length": 20 * KIB},
        {"payload_length": (1 << 64) - 1},
        {"run_count": 0},
        {"run_count": 2},
        {"run_count": (1 << 32) - 1, "sector_count": (1 << 63)},
        {"sector_count": (1 << 63)},
        {"table": (AREA, 6 * KIB, AREA, 26 * KIB)},
        {"table": (AREA, 0, AREA + 10 * KIB, 0)},
        {"table": ((1 << 64) - 1, 6 * KIB, AREA + 10 * KIB, 26 * KIB)},
        {"table": (AREA, 6 * KIB, AREA + 10 * KIB, (1 << 64) - 1)},
    ],
)
def test_headers_that_lie_are_no_journals(fields: dict[str, Any]) -> None:
    volume = disk()
    payload = pack_payload([(3, 1, 2)], [crc32c(volume.read(1536, 512))], b"n" * 512)
    assert make_journal(volume, payload, **fields) is None


def bomb(volume: MemoryVolume) -> tuple[bytes, dict[str, int]]:
    return zstandard.compress(bytes(300 * MIB), 1)[: 15 * KIB], {"run_count": 1 << 20, "sector_count": 1 << 21}


def lying(runs: list[tuple[int, int, int]], count: int, **more: int) -> Callable[[MemoryVolume], tuple[bytes, Any]]:
    def make(volume: MemoryVolume) -> tuple[bytes, dict[str, int]]:
        payload = pack_payload(runs, [0] * count, bytes(512 * count))
        return payload, {"run_count": len(runs), "sector_count": count} | more

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (bomb, "does not have"),
        (lying([(3, 1, 7)], 1), "does not have"),
        (lying([(SIZE // 512, 1, 0)], 1), "does not have"),
        (lying([((1 << 64) - 1, 1, 0)], 1), "does not have"),
        (lying([(3, (1 << 32) - 1, 0)], 1), "does not have"),
        (lying([(3, 1, 1), (5, 1, 0)], 2), "out of order"),
        (lying([(3, 1, 1), (3, 1, 1)], 2), "out of order"),
        (lying([(3, 1, 0), (3, 1, 1)], 2), "contradict"),
        (lying([(AREA // 512, 1, 0)], 1), "overwrite itself"),
        (lying([(3, 1, 0)], 1, sector_count=2), "does not have"),
        (lying([(3, 2, 0)], 2, run_count=2), "ends too early"),
        (lambda volume: (b"no zstd at all", {}), "cannot be decompressed"),
        (lambda volume: (zstandard.compress(b"short"), {}), "ends too early"),
    ],
)
def test_payloads_that_lie_are_refused(make: Callable[[MemoryVolume], tuple[bytes, Any]], message: str) -> None:
    volume = disk()
    payload, fields = make(volume)
    journal = make_journal(volume, payload, **fields)
    assert journal is not None
    before = bytes(volume.data)
    tracemalloc.start()
    with pytest.raises(IntegrityError, match=message):
        replay(volume, journal)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 128 * MIB
    assert volume.data == before


def test_chains_shrink_to_almost_nothing() -> None:
    """A claim of 64 MiB in 512 byte clusters: half a MiB of FAT entries, each pointing to the next cluster."""
    volume = MemoryVolume(2 * MIB)
    tx = Transaction(volume)
    chain = struct.pack(f"<{128 * KIB}I", *range(3, 128 * KIB + 3))
    for at in range(0, len(chain), 64 * KIB):
        tx.edit(4096 + at, chain[at : at + 64 * KIB], Stage.ALLOCATE)
    tx.commit(Runs([(MIB, 40 * KIB)]))
    [journal] = find_journal(volume, [Runs([(MIB, 40 * KIB)])])
    assert journal.header.sector_count == 1024
    assert journal.header.payload_length < 2048


def test_restore_record_on_disk_is_what_the_document_says() -> None:
    volume = disk()
    for progress in (7, 8, 9):
        write_restore_record(volume, RUNS, RestoreRecord(b"i" * 16, b"s" * 16, b'{"a": 1}', progress))
    content = area(volume)
    for slot, generation, progress, place in ((0, 3, 9, AREA), (4096, 2, 8, AREA + 4096)):
        unit = content[slot : slot + 4096]
        assert unit == sealed(unit)
        values = struct.unpack_from("<8s H H I 16s 16s Q Q Q I I", unit)
        assert values[:3] + values[4:] == (
            b"INPART\0R", 1, 0, b"i" * 16, b"s" * 16, generation, progress, place, 1, 8,
        )  # fmt: skip
        assert unit[80:96] == b'{"a": 1}' + bytes(8)
