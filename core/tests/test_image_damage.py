"""Damaged and hostile image streams: every flipped byte is noticed, nothing wrong is passed off as right."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import ENCODINGS, content, expected, manifest, reader_of, stream_of
from inpart.checksums import blake3_digest, crc32c
from inpart.contracts import Severity
from inpart.errors import FilesystemUnsupported, InpartError, IntegrityError, PluginError
from inpart.extents import Extents
from inpart.image import ImageReader, ImageVolume, damaged_extents, open_damaged
from inpart.image.coding import decode_extents, encode_extents
from inpart.image.meta import Meta
from inpart.image.structs import Footer
from inpart.testing.faults import FaultyVolume
from inpart.volume import MemoryVolume
from spec_reader import FOOTER, FRAME, HEADER, INDEX, ROW, read_stream

CHUNK = 4096
DATA = content(3 * CHUNK, 4, 700) + bytes(2 * CHUNK) + content(2 * CHUNK + 77, 9, 512)
USED = Extents([(0, 2000), (3000, 3 * CHUNK - 5), (3 * CHUNK + 7, 5 * CHUNK), (6 * CHUNK, len(DATA))])
STREAM, WRITTEN = stream_of(DATA, USED)
WHOLE = expected(DATA, USED)
IMAGE = read_stream(STREAM)
INDEX_AT = IMAGE.footer["index_offset"]


def open_any(stream: bytes) -> ImageReader:
    return open_damaged(MemoryVolume(stream, name="stream"), ENCODINGS)


def wrong_chunks(reader: ImageReader) -> Extents:
    """Used bytes of the sample that the reader does not give back; fails if it gives back wrong ones."""
    missing = USED
    for number in reader.chunks["chunk"].tolist():
        extents = reader.chunk_extents(number)
        try:
            plain = reader.read_chunk(number)
        except InpartError:
            continue
        assert plain == b"".join(WHOLE[start:end] for start, end in extents), f"chunk {number}"
        missing = missing - extents
    return missing


def interesting_offsets() -> list[int]:
    fixed = [*range(64), *range(4090, 4096), *range(64, 4090, 601)]
    frames = [frame.offset + at for frame in IMAGE.frames for at in range(0, 128 + frame.fields["runs_length"] + 4, 3)]
    index = range(INDEX_AT, len(STREAM), 11)
    bodies = range(4096, INDEX_AT, 211)
    return sorted({*fixed, *frames, *index, *bodies})


def test_every_flipped_byte_is_noticed_and_costs_no_more_than_it_must() -> None:
    rng = random.Random(1)
    for at in interesting_offsets():
        stream = bytearray(STREAM)
        stream[at] ^= 1 << rng.randrange(8)
        reader = open_any(bytes(stream))
        findings = [*reader.findings, *reader.verify("full")]
        assert findings, f"byte {at}"
        missing = wrong_chunks(reader)
        told = reader.lost | damaged_extents(findings)
        assert told.covers(missing), f"byte {at}"
        assert missing.total <= CHUNK, f"byte {at}"
        assert bool(missing) == any(finding.severity is Severity.ERROR for finding in findings), f"byte {at}"


def test_verify_names_image_chunk_and_place() -> None:
    frame = IMAGE.frames[1]
    stream = bytearray(STREAM)
    stream[frame.end - 1] ^= 0xFF
    for level in ("stored", "full"):
        (finding,) = reader_of(bytes(stream)).verify(level)
        assert (finding.severity, finding.code) == (Severity.ERROR, "image.chunk")
        assert finding.where == "image sample, chunk 0, partition bytes 0 to 4096"
    with pytest.raises(IntegrityError, match=r"image sample, chunk 0 \(partition bytes 0 to 4096\)"):
        ImageVolume(reader_of(bytes(stream))).read(100, 1)


def test_an_unreadable_sector_is_a_finding_too() -> None:
    place = IMAGE.frames[1].offset + 130
    volume = FaultyVolume(MemoryVolume(STREAM), unreadable=Extents.span(place, place + 1))
    reader = ImageReader(volume, ENCODINGS)
    assert damaged_extents(reader.verify("stored")) == reader.chunk_extents(0)


def test_truncation_at_every_structure() -> None:
    edges = {0, 1, 4095, 4096, INDEX_AT, len(STREAM) - 128, len(STREAM) - 1}
    for frame in IMAGE.frames:
        edges |= {frame.offset, frame.offset + 1, frame.offset + 127, frame.offset + 128, frame.end - 1}
    for edge in sorted(edges):
        with pytest.raises(IntegrityError):
            reader_of(STREAM[:edge])
        if edge < IMAGE.frames[1].end:
            continue
        reader = open_any(STREAM[:edge])
        found = [*reader.findings, *reader.verify("full")]
        assert (reader.lost | damaged_extents(found)).covers(wrong_chunks(reader))


def test_nothing_left_is_an_error() -> None:
    for stream in (b"", b"x" * 10_000, STREAM[:4096], bytes(20_000)):
        with pytest.raises(IntegrityError):
            open_any(stream)


@pytest.mark.parametrize("wiped", [(0, 4096), (INDEX_AT, len(STREAM)), (INDEX_AT, INDEX_AT + 1), (len(STREAM) - 1,)])
def test_what_the_index_said_is_told_by_the_frames(wiped: tuple[int, ...]) -> None:
    stream = bytearray(STREAM)
    start, end = (*wiped, len(stream))[:2]
    stream[start:end] = b"\xa5" * (end - start)
    with pytest.raises(IntegrityError):
        reader_of(bytes(stream))
    reader = open_any(bytes(stream))
    assert reader.findings
    assert not reader.lost
    original = reader_of(STREAM)
    assert reader.manifest == original.manifest
    assert reader.extents == USED
    assert [area.name for area in reader.system_areas] == ["boot-sector", "fat-0"]
    assert reader.extra_areas == original.extra_areas
    assert (reader.chunks == original.chunks).all()
    assert ImageVolume(reader).read(0, len(DATA)) == WHOLE
    assert not [finding for finding in reader.verify("full") if finding.severity is Severity.ERROR]


def test_frames_alone_with_one_lost_in_the_middle() -> None:
    stream = bytearray(STREAM[:INDEX_AT])
    stream[:4096] = bytes(4096)
    meta, second = IMAGE.frames[0], IMAGE.frames[2]
    stream[meta.offset : meta.offset + 128] = bytes(128)
    stream[second.offset : second.offset + 128] = bytes(128)
    reader = open_any(bytes(stream))
    lost = second.fields["chunk"] * CHUNK
    assert reader.lost == Extents.span(lost, lost + CHUNK)
    assert any(finding.code == "image.frames-lost" for finding in reader.findings)
    assert reader.manifest.name == "recovered-5a5a5a5a5a5a"
    assert wrong_chunks(reader) == USED & reader.lost


def test_an_image_that_contains_an_image() -> None:
    """Frames of a stream that lies, not compressed, in the imaged partition are not taken for its own."""
    inner, _ = stream_of(content(20_000, 2, 300), Extents.span(0, 20_000), encoding="store", image_id="11" * 16)
    used = Extents.span(0, len(inner))
    outer, _ = stream_of(inner, used, encoding="store", image_id="22" * 16)
    broken = bytearray(outer)
    broken[read_stream(outer).frames[1].offset] ^= 1
    reader = open_any(bytes(broken[:-1]))
    assert reader.lost == Extents.span(0, CHUNK)
    assert ImageVolume(reader).read(CHUNK, len(inner) - CHUNK) == inner[CHUNK:]


def test_a_child_image_is_rebuilt_with_its_parent() -> None:
    changed = DATA[:-1] + bytes([DATA[-1] ^ 1])
    child, written = stream_of(changed, USED, parent=reader_of(STREAM), image_id="33" * 16)
    assert written.parent_chunks > 0
    parent = reader_of(STREAM)
    reader = open_damaged(MemoryVolume(child[:-5]), ENCODINGS, parent)
    assert (reader.chunks == reader_of(child, parent).chunks).all()
    assert ImageVolume(reader).read(0, len(DATA)) == expected(changed, USED)


def resealed(stream: bytes, at: int, size: int, change: tuple[int, bytes]) -> bytes:
    """``stream`` with bytes changed in the structure at ``at``, and every checksum above it made right again."""
    out = bytearray(stream)
    where, value = change
    out[at + where : at + where + len(value)] = value
    if size:
        struct.pack_into("<I", out, at + size - 4, crc32c(bytes(out[at : at + size - 4])))
    footer = len(out) - 128
    if at != footer:
        out[footer + 56 : footer + 88] = blake3_digest(bytes(out[INDEX_AT:footer]))
        struct.pack_into("<I", out, len(out) - 4, crc32c(bytes(out[footer:-4])))
    return bytes(out)


def tampered() -> Iterator[bytes]:
    rng = random.Random(3)
    rows = INDEX_AT + IMAGE.footer["index_length"] - 64 * len(IMAGE.rows)
    places = [(0, 4096, HEADER), (INDEX_AT, 128, INDEX), (len(STREAM) - 128, 128, FOOTER)]
    places += [(frame.offset, 128, FRAME) for n, frame in enumerate(IMAGE.frames) if n % 2 == 0]
    places += [(rows + 64 * n, 0, ROW) for n in range(0, len(IMAGE.rows), 2)]
    for at, size, table in places:
        for where, form in table.values():
            length = struct.calcsize(form)
            old = STREAM[at + where : at + where + length]
            values = {bytes(length), b"\xff" * length, bytes([old[0] ^ 1]) + old[1:]}
            for value in sorted(values | {rng.randbytes(length)}):
                if value != old:
                    yield resealed(STREAM, at, size, (where, value))


def test_every_field_with_right_checksums_and_wrong_values() -> None:
    tracemalloc.start()
    for stream in tampered():
        for opener in (reader_of, open_any):
            with suppress(InpartError):
                reader = opener(stream)
                list(reader.verify("full"))
                for number in reader.chunks["chunk"].tolist():
                    reader.read_chunk(number)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def test_a_zstd_bomb_is_refused_before_it_is_decoded() -> None:
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(64 << 20))
    liar = zstandard.ZstdCompressor(level=1, write_content_size=False).compress(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(IntegrityError, match="states 67108864 bytes"):
        ENCODINGS[2].decode(bomb, 4096)
    with pytest.raises(IntegrityError):
        ENCODINGS[2].decode(liar, 4096)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_an_encoding_that_is_not_installed_is_named() -> None:
    reader = ImageReader(MemoryVolume(STREAM), {1: ENCODINGS[1], 2: ENCODINGS[2]})
    reader.encodings = {1: ENCODINGS[1]}
    stored_by_zstd = next(row["chunk"] for row in IMAGE.rows if row["encoding"] == 2)
    with pytest.raises(PluginError, match="encoding number 2"):
        reader.read_chunk(stored_by_zstd)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.integers(0, 1 << 40), st.integers(1, 1 << 41))
def test_any_bytes_as_coded_runs(data: bytes, base: int, size: int) -> None:
    try:
        extents = decode_extents(data, base, base + size, max_runs=1000)
    except IntegrityError:
        return
    assert not extents or (base <= extents.start and extents.end <= base + size)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sets(st.integers(0, 1 << 61), max_size=60), st.integers(0, 20), st.integers(0, 1000))
def test_coded_runs_round_trip(cuts: set[int], shift: int, base: int) -> None:
    points = sorted(cut >> shift << shift for cut in cuts)
    extents = Extents(list(zip(points[::2], points[1::2], strict=False))).shift(base)
    coded = encode_extents(extents, base)
    assert decode_extents(coded, base, extents.end, max_runs=60) == extents
    if extents:
        with pytest.raises(IntegrityError):
            decode_extents(coded, base, extents.end - 1, max_runs=60)
        with pytest.raises(IntegrityError):
            decode_extents(coded, base, extents.end, max_runs=len(extents) - 1)
        with pytest.raises(IntegrityError):
            decode_extents(coded[:-1], base, extents.end, max_runs=60)


def test_coded_runs_of_many_windows() -> None:
    first = np.arange(1_200_000, dtype=np.int64) * 3
    extents = Extents(np.stack([first, first + 1 + first % 2], axis=1) << 12)
    assert decode_extents(encode_extents(extents), 0, extents.end, max_runs=len(extents)) == extents


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_as_description(data: bytes, keep: int) -> None:
    plain = Meta(manifest(size=4096)).pack()
    for attempt in (data, plain[:keep] + data, plain[:-8] + data):
        with suppress(IntegrityError):
            Meta.unpack(attempt, 4096)


def test_a_frame_of_another_version_is_not_guessed() -> None:
    stream = resealed(STREAM, 0, 4096, (8, b"\2\0"))
    with pytest.raises(FilesystemUnsupported):
        open_any(stream)


def test_frames_are_found_between_unreadable_sectors() -> None:
    data = random.Random(6).randbytes(5 * 16384)
    stream, _ = stream_of(data, Extents.span(0, len(data)), chunk_size=16384)
    header = read_stream(stream).frames[2].offset
    volume = FaultyVolume(MemoryVolume(stream[:-1]), unreadable=Extents.span(header, header + 20))
    reader = open_damaged(volume, ENCODINGS)
    assert reader.lost == Extents.span(16384, 2 * 16384)
    assert [reader.read_chunk(number) for number in (0, 2, 3, 4)] == [data[n * 16384 :][:16384] for n in (0, 2, 3, 4)]


def test_what_is_lost_is_not_read_as_zeros() -> None:
    stream = bytearray(STREAM[:-1])
    stream[IMAGE.frames[2].offset] ^= 1
    volume = ImageVolume(open_any(bytes(stream)))
    assert volume.data_extents() == USED | Extents.span(CHUNK, 2 * CHUNK)
    assert volume.read(0, CHUNK) == WHOLE[:CHUNK]
    with pytest.raises(IntegrityError, match="lost"):
        volume.read(CHUNK + 5, 1)


def test_a_footer_that_states_a_huge_index_costs_no_memory() -> None:
    class Huge(MemoryVolume):
        def __init__(self) -> None:
            super().__init__(STREAM)
            self.size = 1 << 50

        def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
            if offset == self.size - 128:
                footer = Footer(bytes.fromhex("5a" * 16), INDEX_AT, self.size - 128 - INDEX_AT, self.size, bytes(32))
                buffer[:] = footer.pack()
            else:
                super().readinto(offset, buffer)

    with pytest.raises(IntegrityError, match="where its header states"):
        ImageReader(Huge(), ENCODINGS)
