"""Writing an image stream and reading it again, by the product and by the reader made from the document."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import CREATED, ENCODINGS, content, expected, manifest, reader_of, some_extents, stream_of
from inpart.contracts import SystemArea
from inpart.errors import FilesystemUnsupported, IntegrityError, OutOfBounds, UsageError
from inpart.extents import Extents
from inpart.image import (
    FilesystemIdentity,
    ImageReader,
    ImageVolume,
    Manifest,
    PartitionIdentity,
    default_chunk_size,
    is_image_stream,
    write_image,
)
from inpart.image.chunks import gather, touched_chunks, used_chunks
from inpart.image.frame import FrameKind
from inpart.image.search import find_frames
from inpart.image.structs import Footer, Header
from inpart.volume import FileVolume, MemoryVolume
from spec_reader import read_stream

SIZE = 96 * 1024


@st.composite
def partitions(draw: st.DrawFn) -> tuple[bytes, Extents]:
    size = draw(st.integers(1, 60_000))
    cuts = sorted(draw(st.sets(st.integers(0, size), max_size=40)))
    used = Extents(list(zip(cuts[::2], cuts[1::2], strict=False)))
    return content(size, seed=draw(st.integers(0, 50)), grain=draw(st.sampled_from([512, 3000, 8192]))), used


@settings(max_examples=40, deadline=None, derandomize=True)
@given(partitions(), st.sampled_from([4096, 16384]), st.sampled_from(["store", "zstd:3", "zstd:-5"]))
def test_round_trip(partition: tuple[bytes, Extents], chunk_size: int, encoding: str) -> None:
    data, used = partition
    stream, written = stream_of(data, used, encoding=encoding, chunk_size=chunk_size)
    reader = reader_of(stream)
    volume = ImageVolume(reader)
    assert volume.read(0, volume.size) == expected(data, used)
    assert (reader.extents, volume.data_extents()) == (used, used)
    assert (written.stream_size, written.image_bytes) == (len(stream), used.total)
    assert (reader.manifest, reader.digest) == (written.manifest, written.digest)
    assert list(reader.verify("full")) == []


@settings(max_examples=25, deadline=None, derandomize=True)
@given(partitions(), st.sampled_from(["store", "zstd:19"]), st.integers(0, 3))
def test_the_document_describes_the_stream(partition: tuple[bytes, Extents], encoding: str, seed: int) -> None:
    data, used = partition
    stream, written = stream_of(data, used, encoding=encoding)
    image = read_stream(stream)
    assert image.partition == expected(data, used)
    assert image.used == [(start, end - start) for start, end in used]
    assert image.footer["digest"] == written.digest
    assert Manifest.model_validate(image.manifest) == written.manifest
    assert image.extra_areas["mbr"] == (0, bytes(510) + b"\x55\xaa")
    changed = bytearray(data)
    changed[seed * 7 % len(data)] ^= 0xFF
    second, _ = stream_of(bytes(changed), used, parent=reader_of(stream), image_id="c0" * 16)
    assert read_stream(second, image.partition).partition == expected(bytes(changed), used)


def test_everything_that_went_in_comes_out() -> None:
    data, used = content(SIZE), some_extents(SIZE)
    stream, _ = stream_of(data, used)
    reader = reader_of(stream)
    assert reader.manifest.name == "sample"
    assert reader.manifest.created == CREATED
    assert reader.manifest.encodings == ("zstd:3",)
    assert (reader.manifest.chunk_size, reader.manifest.image_bytes) == (4096, used.total)
    assert reader.manifest.partition == PartitionIdentity(
        size=SIZE, disk_offset=1 << 20, number=2, table="gpt", disk_id="d15c"
    )
    assert {area.name: area.extents for area in reader.system_areas} == {
        "boot-sector": Extents([(0, 512)]),
        "fat-0": Extents([(512, 1536)]),
    }
    assert reader.extra_areas == {"mbr": (0, bytes(510) + b"\x55\xaa"), "gpt": (512, b"EFI PART" + bytes(504))}


def test_zero_chunks_and_chunks_of_the_parent_are_not_stored() -> None:
    data = bytes(4096) + b"a" * 4096 + bytes(4096) + b"x" * 4096
    used = Extents.span(0, len(data))
    first, one = stream_of(data, used, encoding="store")
    assert (one.stored_chunks, one.zero_chunks, one.parent_chunks) == (2, 2, 0)
    changed = data[:-1] + b"y"
    second, two = stream_of(changed, used, encoding="store", parent=reader_of(first), image_id="c1" * 16)
    assert (two.stored_chunks, two.zero_chunks, two.parent_chunks) == (1, 2, 1)
    child = reader_of(second, reader_of(first))
    assert ImageVolume(child).read(0, len(data)) == changed
    assert child.manifest.parent == "5a" * 16
    assert list(child.verify("full")) == []


def test_same_bytes_in_other_places_are_not_the_parents_chunk() -> None:
    data = b"ab" * 4096
    first, _ = stream_of(data, Extents([(0, 1000)]), encoding="store")
    second, two = stream_of(data, Extents([(2, 1002)]), encoding="store", parent=reader_of(first), image_id="c1" * 16)
    assert two.parent_chunks == 0
    assert ImageVolume(reader_of(second, reader_of(first))).read(0, 1002) == bytes(2) + data[2:1002]


def test_an_image_without_its_parent_says_so() -> None:
    data, used = b"x" * 8192, Extents.span(0, 8192)
    first, _ = stream_of(data, used)
    second, _ = stream_of(data, used, parent=reader_of(first), image_id="c1" * 16)
    with pytest.raises(UsageError, match="needs its parent"):
        reader_of(second).read_chunk(0)
    other, _ = stream_of(data, used, image_id="c2" * 16)
    with pytest.raises(UsageError, match="is not the image"):
        reader_of(second, reader_of(other))


def test_a_parent_of_another_size_is_refused() -> None:
    first, _ = stream_of(b"x" * 8192, Extents.span(0, 8192))
    with pytest.raises(UsageError, match="parent image"):
        stream_of(b"x" * 4096, Extents.span(0, 4096), parent=reader_of(first))


def test_nothing_used_is_an_image_too() -> None:
    stream, written = stream_of(bytes(5000), Extents())
    assert written.stored_chunks == 0
    assert ImageVolume(reader_of(stream)).read(0, 5000) == bytes(5000)
    assert read_stream(stream).partition == bytes(5000)


def test_used_bytes_beyond_the_partition_are_refused() -> None:
    with pytest.raises(OutOfBounds):
        stream_of(bytes(100), Extents([(50, 101)]))


def test_system_areas_beyond_the_partition_are_refused() -> None:
    with pytest.raises(OutOfBounds, match="fat-0"):
        write_image(
            MemoryVolume(1000),
            Extents(),
            bytearray().extend,
            manifest(),
            encoding=ENCODINGS[1],
            system_areas=[SystemArea("fat-0", Extents([(0, 1001)]))],
        )


def test_skipped_chunks_are_told_in_several_frames() -> None:
    """Many runs in chunks that are all zero: more than one SKIP frame can carry."""
    starts = [n * 16 for n in range(80_000)]
    used = Extents([(start, start + 8) for start in starts])
    source = MemoryVolume(80_000 * 16)
    source.write(source.size - 16, b"the last")
    stream, _ = stream_of(source, used, chunk_size=4096)
    image = reader_of(stream)
    assert ImageVolume(image).read(source.size - 16, 8) == b"the last"
    assert image.extents == used
    kinds = [frame.kind for _, frame in find_frames(MemoryVolume(stream), None)]
    copy_in_index = FrameKind.META
    assert kinds == [FrameKind.META, FrameKind.SKIP, FrameKind.SKIP, FrameKind.DATA, copy_in_index]


def test_reads_of_every_size_and_place() -> None:
    data, used = content(SIZE, 5), some_extents(SIZE, 5)
    volume = ImageVolume(reader_of(stream_of(data, used)[0]), cache_bytes=3 * 4096)
    whole = expected(data, used)
    for offset in range(0, SIZE - 9000, 1777):
        for length in (0, 1, 511, 4096, 9000):
            assert volume.read(offset, length) == whole[offset : offset + length]
    with pytest.raises(OutOfBounds):
        volume.read(SIZE - 1, 2)


def test_chunks_one_by_one() -> None:
    data, used = content(SIZE, 6), some_extents(SIZE, 6)
    reader = reader_of(stream_of(data, used)[0])
    rebuilt = bytearray(SIZE)
    for number in range(SIZE // 4096):
        plain, at = reader.read_chunk(number), 0
        for start, end in reader.chunk_extents(number):
            rebuilt[start:end] = plain[at : at + end - start]
            at += end - start
        assert at == len(plain)
        assert (reader.row(number) < 0) == (plain == b"")
    assert rebuilt == expected(data, used)


def test_progress_adds_up() -> None:
    data, used = content(SIZE, 7), some_extents(SIZE, 7)
    stream, written = stream_of(data, used)
    done: list[int] = []
    list(reader_of(stream).verify("stored", done.append))
    assert sum(done) == written.manifest.stored_bytes


def test_recognising_a_stream(tmp_path: Path) -> None:
    stream, _ = stream_of(b"x" * 8192, Extents.span(0, 8192))
    assert is_image_stream(MemoryVolume(stream))
    assert is_image_stream(MemoryVolume(stream[:4100]))
    assert not is_image_stream(MemoryVolume(4096))
    assert not is_image_stream(MemoryVolume(stream[:10]))
    assert is_image_stream(MemoryVolume(bytes(4096) + stream[4096:]))
    assert not is_image_stream(MemoryVolume(bytes(8192) + stream[4096:]))
    path = tmp_path / "image.ipi"
    path.write_bytes(stream)
    with FileVolume(path) as volume:
        assert ImageReader(volume, ENCODINGS).read_chunk(1) == b"x" * 4096


def test_the_longest_manifest_is_stored() -> None:
    longest = "\N{PILE OF POO}" * 128
    identity = FilesystemIdentity(kind="k" * 256, label=longest, uuid=longest)
    model = manifest(longest).model_copy(
        update={"filesystem": identity, "excluded": tuple("/swap" for _ in range(1000))}
    )
    assert Manifest.from_json(model.to_json()) == model


def test_a_newer_minor_version_is_read_and_a_newer_major_is_not() -> None:
    stream, _ = stream_of(b"x" * 8192, Extents.span(0, 8192))
    for major, minor in ((1, 7), (2, 0)):
        header = replace(Header.unpack(stream), major=major, minor=minor)
        footer = replace(Footer.unpack(stream[-128:]), major=major, minor=minor)
        changed = header.pack() + stream[4096:-128] + footer.pack()
        if major == 1:
            assert reader_of(changed).read_chunk(0) == b"x" * 4096
        else:
            with pytest.raises(FilesystemUnsupported, match=r"format 2\.0"):
                reader_of(changed)


def test_many_threads_read_one_volume_and_decode_each_chunk_once() -> None:
    data, used = content(SIZE, 11), Extents.span(0, SIZE)
    decoded: list[int] = []

    class Counting(ImageReader):
        def read_chunk(self, number: int) -> bytes:
            decoded.append(number)
            return super().read_chunk(number)

    volume = ImageVolume(Counting(MemoryVolume(stream_of(data, used)[0]), ENCODINGS))
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: volume.read(0, SIZE), range(16))) == {data}
    assert sorted(decoded) == list(range(SIZE // 4096))


def test_a_chunk_that_cannot_be_decoded_fails_for_all_who_wait_and_again() -> None:
    class Failing(ImageReader):
        def read_chunk(self, number: int) -> bytes:
            raise IntegrityError("damaged")

    volume = ImageVolume(Failing(MemoryVolume(stream_of(b"x" * 4096, Extents.span(0, 4096))[0]), ENCODINGS))
    with ThreadPoolExecutor(4) as pool:
        for result in [pool.submit(volume.read, 0, 10) for _ in range(12)]:
            assert isinstance(result.exception(), IntegrityError)


@pytest.mark.parametrize(
    ("size", "used", "chunk_size"),
    [
        (1 << 20, Extents([(0, 512)]), 64),
        (64 << 20, Extents.span(0, 64 << 20), 256),
        (64 << 30, Extents.span(1 << 30, 3 << 29), 2048),
        (64 << 30, Extents.span(0, 64 << 30), 4096),
        (64 << 30, Extents([(n << 24, (n << 24) + 4096) for n in range(1000)]), 16384),
        (6 << 40, Extents.span(0, 6 << 40), 8192),
        (1 << 50, Extents.span(0, 1 << 50), 16384),
    ],
)
def test_the_size_of_chunks(size: int, used: Extents, chunk_size: int) -> None:
    assert default_chunk_size(size, used) == chunk_size << 10


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sets(st.integers(0, 5000), max_size=60), st.sampled_from([1, 7, 64, 512]))
def test_chunks_cover_exactly_what_is_used(cuts: set[int], chunk_size: int) -> None:
    points = sorted(cuts)
    used = Extents(list(zip(points[::2], points[1::2], strict=False)))
    chunks = list(used_chunks(used, chunk_size))
    touched = {byte // chunk_size for low, high in used for byte in range(low, high)}
    assert [number for number, _ in chunks] == sorted(touched)
    assert Extents([pair for _, runs in chunks for pair in runs]) == used
    assert touched_chunks(used, chunk_size) == len(chunks)
    source = MemoryVolume(content(5000, 3, 100))
    for _, runs in chunks:
        target = bytearray(runs.total)
        gather(source, runs, memoryview(target), bytearray(chunk_size))
        assert target == b"".join(source.read(start, end - start) for start, end in runs)
