"""Run lists, update sequences, records and bitmaps: many at once agree with one at a time, and with the rules."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.errors import FilesystemDamaged, FilesystemUnsupported
from inpart.volume import MemoryVolume
from inpart_ntfs.attributes import parse_record
from inpart_ntfs.bitmap import MAX_RUNS, set_bits
from inpart_ntfs.boot import parse_boot
from inpart_ntfs.fixups import apply_fixups, open_block, seal_fixups
from inpart_ntfs.listing import parse_attribute_list
from inpart_ntfs.records import Records
from inpart_ntfs.runs import HOLE, LARGEST, Problem, contiguous, decode, decode_short, encode, joined
from inpart_ntfs.structs import BPB
from numpy.typing import NDArray

quick = settings(max_examples=150, deadline=None, derandomize=True)
CLUSTERS = 1 << 40

runs = st.lists(
    st.tuples(st.one_of(st.just(HOLE), st.integers(0, CLUSTERS - 1)), st.integers(1, 1 << 38)), min_size=1, max_size=60
)


def rows_of(pairs: list[tuple[int, int]], lowest: int = 0) -> NDArray[np.int64]:
    """vcn, lcn, count of pairs of lcn and count, cut to the size of the file system."""
    rows, vcn = [], lowest
    for lcn, count in pairs:
        fits = count if lcn == HOLE else min(count, CLUSTERS - lcn)
        rows.append((vcn, lcn, fits))
        vcn += fits
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


def decode_one(raw: bytes, clusters: int = CLUSTERS, lowest: int = 0) -> tuple[NDArray[np.int64], Problem]:
    one = [np.array([number], dtype=np.int64) for number in (0, len(raw), lowest)]
    found = decode(np.frombuffer(raw, dtype=np.uint8), *one, clusters)
    return found.of(0), Problem(int(found.problems[0]))


@quick
@given(runs, st.integers(0, 1 << 40))
def test_run_lists_survive_the_round_trip(pairs: list[tuple[int, int]], lowest: int) -> None:
    rows = rows_of(pairs, lowest)
    found, problem = decode_one(encode(rows), lowest=lowest)
    assert problem is Problem.NONE
    assert found.tolist() == rows.tolist()
    short = decode_short(encode(rows), lowest, CLUSTERS)
    assert short is not None
    assert short.tolist() == rows.tolist()
    assert contiguous(found, lowest)


@quick
@given(runs)
def test_holes_of_ntfs_1_2(pairs: list[tuple[int, int]]) -> None:
    rows = rows_of(pairs)
    assert decode_one(encode(rows, hole_as_lcn=True))[0].tolist() == rows.tolist()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(runs, min_size=9, max_size=30))
def test_many_run_lists_at_once(lists: list[list[tuple[int, int]]]) -> None:
    """More than a few are followed together, at first; the long ones among them are not."""
    encoded = [encode(rows_of(pairs)) for pairs in lists]
    ends = np.cumsum([len(raw) for raw in encoded])
    starts = ends - [len(raw) for raw in encoded]
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    found = decode(data, starts, ends, np.zeros(len(lists), dtype=np.int64), CLUSTERS)
    assert not found.problems.any()
    for owner, pairs in enumerate(lists):
        assert found.of(owner).tolist() == rows_of(pairs).tolist()


@pytest.mark.parametrize(
    ("raw", "rows"),
    [
        ("21 18 34 56 00", [(0, 0x5634, 0x18)]),
        (
            "31 38 73 25 34 32 14 01 E5 11 02 31 42 AA 00 03 00",
            [(0, 0x342573, 56), (56, 0x363758, 276), (332, 0x393802, 66)],
        ),
        ("11 30 60 21 10 00 01 11 20 E0 00", [(0, 0x60, 0x30), (0x30, 0x160, 0x10), (0x40, 0x140, 0x20)]),
        ("11 30 20 01 60 11 10 30 00", [(0, 0x20, 0x30), (0x30, HOLE, 0x60), (0x90, 0x50, 0x10)]),
    ],
)
def test_examples_of_the_public_documentation(raw: str, rows: list[tuple[int, int, int]]) -> None:
    """Those of the linux-ntfs documentation on data runs."""
    assert decode_one(bytes.fromhex(raw))[0].tolist() == [list(row) for row in rows]


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("11 30 20", Problem.NO_END),
        ("11 30", Problem.NO_END),
        ("", Problem.NO_END),
        ("10 20 00", Problem.BAD_HEADER),
        ("19 01 01 01 01 01 01 01 01 01 01 00", Problem.BAD_HEADER),
        ("91 01 01 01 01 01 01 01 01 01 01 00", Problem.BAD_HEADER),
        ("11 00 20 00", Problem.BAD_COUNT),
        ("11 80 20 00", Problem.BAD_COUNT),
        ("18 FF FF FF FF FF FF FF 7F 20 00", Problem.BAD_COUNT),
        ("07 FF FF FF FF FF FF 7F 00", Problem.BAD_COUNT),
        ("11 01 FE 00", Problem.OUTSIDE),
        ("21 01 00 7F 00", Problem.OUTSIDE),
        ("81 01 FF FF FF FF FF FF FF 7F 00", Problem.OUTSIDE),
        ("81 01 00 00 00 00 00 00 00 80 00", Problem.OUTSIDE),
    ],
)
def test_broken_run_lists(raw: str, problem: Problem) -> None:
    rows, found = decode_one(bytes.fromhex(raw), clusters=0x7F00)
    assert found is problem
    assert not len(rows)


@quick
@given(st.lists(st.binary(max_size=80), max_size=40))
def test_any_bytes_as_run_lists(raws: list[bytes]) -> None:
    """Together, alone and in the short way they give the same, in the file system or nothing."""
    ends = np.cumsum([len(raw) for raw in raws], dtype=np.int64)
    starts = ends - np.array([len(raw) for raw in raws], dtype=np.int64)
    data = np.frombuffer(b"".join(raws), dtype=np.uint8)
    found = decode(data, starts, ends, np.zeros(len(raws), dtype=np.int64), 1000)
    for owner, raw in enumerate(raws):
        rows, problem = decode_one(raw, clusters=1000)
        assert found.problems[owner] == problem
        assert found.of(owner).tolist() == rows.tolist()
        short = decode_short(raw, 0, 1000)
        assert (short is None) == (problem is not Problem.NONE)
        assert short is None or short.tolist() == rows.tolist()
        assert contiguous(rows)
        stored = rows[rows[:, 1] != HOLE]
        assert ((stored[:, 1] >= 0) & (stored[:, 1] + stored[:, 2] <= 1000)).all()
        assert ((rows[:, 2] > 0) & (rows[:, 2] < LARGEST)).all()


def test_a_run_list_of_many_runs() -> None:
    """Alternating short distances: the sums do not run away."""
    rows = rows_of([(1000 + (number % 2) * 500 + number, 1) for number in range(50_000)])
    assert decode_one(encode(rows))[0].tolist() == rows.tolist()


@quick
@given(runs)
def test_joined_runs_are_the_same_path(pairs: list[tuple[int, int]]) -> None:
    rows = rows_of([(lcn, min(count, 5)) for lcn, count in pairs])
    short = joined(rows)
    assert contiguous(short)
    assert int(short[:, 2].sum()) == int(rows[:, 2].sum())
    assert len(short) <= len(rows)
    assert joined(short).tolist() == short.tolist()


# -- update sequences


def blank_record(size: int = 1024, usa: int = 48, attributes: bytes = b"") -> bytearray:
    """A FILE record in use, as it is in memory."""
    first = -(-(usa + 2 * (size // 512 + 1)) // 8) * 8
    used = first + len(attributes) + 8
    header = b"FILE" + usa.to_bytes(2, "little") + (size // 512 + 1).to_bytes(2, "little") + bytes(8)
    header += b"\x01\0" + b"\x01\0" + first.to_bytes(2, "little") + b"\x01\0"
    header += used.to_bytes(4, "little") + size.to_bytes(4, "little")
    return bytearray(header.ljust(first, b"\0") + attributes + b"\xff\xff\xff\xff\0\0\0\0").ljust(size, b"\x5a")


@quick
@given(st.lists(st.tuples(st.sampled_from([42, 48]), st.integers(0, 0xFFFF), st.booleans()), min_size=1, max_size=9))
def test_update_sequences_protect_and_are_undone(recipes: list[tuple[int, int, bool]]) -> None:
    plain, stored = [], []
    for usa, number, bump in recipes:
        record = blank_record(usa=usa)
        record[usa : usa + 2] = number.to_bytes(2, "little")
        seal_fixups(record, bump=bump)
        assert record[510:512] == record[1022:1024] == record[usa : usa + 2]
        assert not bump or int.from_bytes(record[usa : usa + 2], "little") not in (0, 0xFFFF, number)
        stored.append(bytes(record))
        plain.append(bytes(blank_record(usa=usa))[usa + 6 :])
    rows = np.frombuffer(bytearray(b"".join(stored)), dtype=np.uint8).reshape(-1, 1024)
    assert apply_fixups(rows).all()
    assert [row.tobytes()[usa + 6 :] for row, (usa, _, _) in zip(rows, recipes, strict=True)] == plain


@pytest.mark.parametrize("place", [510, 511, 1022, 1023])
def test_a_torn_record_is_not_whole_and_left_alone(place: int) -> None:
    records = [blank_record() for _ in range(3)]
    for record in records:
        seal_fixups(record, bump=True)
    records[1][place] ^= 1
    rows = np.frombuffer(bytearray(b"".join(records)), dtype=np.uint8).reshape(-1, 1024)
    assert apply_fixups(rows).tolist() == [True, False, True]
    assert rows[1].tobytes() == bytes(records[1])


# -- records


def attribute(kind: int, value: bytes, name: str = "") -> bytes:
    """A resident attribute."""
    raw = name.encode("utf-16-le")
    start = 24 + -(-len(raw) // 8) * 8
    length = -(-(start + len(value)) // 8) * 8
    head = kind.to_bytes(4, "little") + length.to_bytes(4, "little") + bytes([0, len(name)]) + b"\x18\0" + bytes(4)
    head += len(value).to_bytes(4, "little") + start.to_bytes(2, "little") + b"\0\0"
    return (head + raw).ljust(start, b"\0").__add__(value).ljust(length, b"\0")


def sealed(record: bytearray) -> bytes:
    """The record as it lies on disk."""
    seal_fixups(record, bump=True)
    return bytes(record)


GOOD = blank_record(attributes=attribute(0x10, b"x" * 48) + attribute(0x80, b"content") + attribute(0x80, b"", "name"))


def both_ways(raw: bytes) -> tuple[list[tuple[int, int, str]] | None, list[tuple[int, int, str]] | None]:
    """Type, offset and name of all attributes: parsed alone, and in a window; None where they are damaged."""
    rows = np.frombuffer(bytearray(raw), dtype=np.uint8).reshape(1, -1)
    records = Records(np.zeros(1, dtype=np.int64), rows, apply_fixups(rows))
    alone = window = None
    opened = open_block(raw)
    with suppress(FilesystemDamaged):
        record = parse_record(0, opened, CLUSTERS) if opened else None
        if record is not None and record.in_use:
            alone = [(one.type, one.offset, one.name) for one in record.attributes]
    table = records.attributes()
    if records.in_use[0] and not table.broken[0]:
        window = list(zip(table.type.tolist(), table.offset.tolist(), table.names_of(), strict=True))
    return alone, window


def test_attributes_of_a_record() -> None:
    alone, window = both_ways(sealed(GOOD.copy()))
    assert alone == window == [(0x10, 56, ""), (0x80, 128, ""), (0x80, 160, "name")]
    record = parse_record(7, bytes(GOOD), CLUSTERS)
    assert [one.value for one in record.attributes] == [b"x" * 48, b"content", b""]
    found = record.find(0x80, "name")
    assert found is not None
    assert str(found) == "$DATA:name"


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 260), st.integers(0, 255)), min_size=1, max_size=6))
def test_one_record_and_a_window_agree_on_damage(changes: list[tuple[int, int]]) -> None:
    before, after = GOOD.copy(), bytearray(sealed(GOOD.copy()))
    for place, value in changes:
        before[place] = after[place] = value
    for raw in (bytes(after), sealed(before) if before[4:8] == GOOD[4:8] else bytes(after)):
        alone, window = both_ways(raw)
        assert alone == window


@quick
@given(st.binary(max_size=200))
def test_any_bytes_as_attribute_list(raw: bytes) -> None:
    with suppress(FilesystemDamaged):
        assert len(parse_attribute_list(5, raw)) <= len(raw) // 26


# -- boot sector and bitmap


def boot_sector(**fields: int) -> bytes:
    record = np.zeros(1, dtype=BPB)
    usual = {
        "bytes_per_sector": 512,
        "sectors_per_cluster": 8,
        "number_of_sectors": 1 << 30,
        "mft_lcn": 4,
        "mftmirr_lcn": 1000,
        "clusters_per_mft_record": -10,
        "clusters_per_index_record": 1,
        "end_of_sector_marker": 0xAA55,
    }
    record["oem_id"] = b"NTFS    "
    for name, value in (usual | fields).items():
        record[name] = value
    return record.tobytes()


@pytest.mark.parametrize(
    ("sector", "stored", "cluster"),
    [
        (512, 1, 512),
        (512, 128, 65536),
        (512, 0xF8, 131072),
        (512, 0xF4, 2 << 20),
        (4096, 0xF7, 2 << 20),
        (4096, 1, 4096),
    ],
)
def test_sectors_per_cluster_above_128_are_a_logarithm(sector: int, stored: int, cluster: int) -> None:
    assert parse_boot(boot_sector(bytes_per_sector=sector, sectors_per_cluster=stored)).cluster_size == cluster


@pytest.mark.parametrize(
    ("cluster", "stored", "record"), [(8, -10, 1024), (8, -12, 4096), (2, 1, 1024), (1, 2, 1024), (8, 1, 4096)]
)
def test_clusters_per_record_below_0_are_a_logarithm(cluster: int, stored: int, record: int) -> None:
    boot = parse_boot(boot_sector(sectors_per_cluster=cluster, clusters_per_mft_record=stored))
    assert boot.record_size == record


@pytest.mark.parametrize(
    "fields",
    [
        {"bytes_per_sector": 0},
        {"bytes_per_sector": 513},
        {"sectors_per_cluster": 0},
        {"sectors_per_cluster": 3},
        {"sectors_per_cluster": 0xF3},
        {"sectors_per_cluster": 0x81},
        {"number_of_sectors": 0},
        {"number_of_sectors": 1 << 63},
        {"mft_lcn": 0},
        {"mft_lcn": 1 << 40},
        {"mftmirr_lcn": 1 << 63},
        {"clusters_per_mft_record": 0},
        {"clusters_per_mft_record": -128},
        {"clusters_per_index_record": 0},
        {"clusters_per_index_record": 127},
        {"fats": 2},
        {"end_of_sector_marker": 0},
    ],
)
def test_boot_sectors_that_contradict_themselves(fields: dict[str, int]) -> None:
    with pytest.raises(FilesystemDamaged, match="boot sector is not usable"):
        parse_boot(boot_sector(**fields))


@quick
@given(st.dictionaries(st.integers(3, 90), st.integers(0, 255), max_size=8))
def test_any_bytes_as_boot_sector(changes: dict[int, int]) -> None:
    raw = bytearray(boot_sector())
    for place, value in changes.items():
        raw[place] = value
    try:
        boot = parse_boot(bytes(raw))
    except (FilesystemDamaged, FilesystemUnsupported):
        return
    assert 0 < boot.mft_lcn < boot.clusters <= 1 << 32
    assert 512 <= boot.cluster_size <= 2 << 20


def test_bits_behind_the_last_cluster_do_not_count() -> None:
    stream = MemoryVolume(b"\xff\xf1\xff")
    assert list(set_bits(stream, 12, 10)) == [(0, 90)]
    assert list(set_bits(stream, 30, 1)) == [(0, 9), (12, 24)]


def test_a_bitmap_in_too_many_pieces_is_refused() -> None:
    with pytest.raises(FilesystemUnsupported, match="pieces"):
        set_bits(MemoryVolume(b"\x55" * (MAX_RUNS // 4 + 1)), 1 << 40)
