"""check() is silent on healthy volumes and finds damage in every kind of structure, one at a time, where it is."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from inpart.contracts import Severity
from inpart.errors import FilesystemError, UsageError
from inpart.volume import FileVolume, MemoryVolume
from inpart_ntfs.attributes import Attribute, FileRecord
from inpart_ntfs.check.security import SECURITY_HEADER, descriptor_hash
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.directory import I30
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.fixups import apply_fixups, seal_fixups
from inpart_ntfs.runs import byte_runs, encode
from inpart_ntfs.structs import BPB, FILE_NAME, FILE_RECORD, INDEX_BLOCK, STANDARD_INFORMATION, field_offset
from ntfsmaker import MATRIX, SMALL, Recipe, fill_folder, make_filled, make_partition, mounted

RECIPE = Recipe("check", SMALL.cluster, size=8 << 20, entries=300, pieces=60, permissions=True)
Edit = Callable[[bytearray], object]


class Bench:
    """A volume that is damaged by writing into its structures; update sequences are put right again after that."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fs = NtfsFilesystem(FileVolume(path))
        self.mft, self.boot = self.fs.mft, self.fs.boot

    def poke(self, offset: int, data: bytes) -> None:
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def flip(self, offset: int) -> None:
        self.poke(offset, bytes([self.fs.volume.read(offset, 1)[0] ^ 0xFF]))

    def number(self, path: str) -> int:
        return self.fs.stat(path).record

    def record(self, path: str | int) -> FileRecord:
        return self.mft.record(path if isinstance(path, int) else self.number(path))

    def place(self, number: int) -> int:
        size = self.boot.record_size
        return byte_runs(self.mft.rows, self.boot.cluster_size).slice(number * size, size).extents().start

    def edit(self, number: int, change: Edit) -> None:
        self._edit(self.place(number), self.boot.record_size, change)

    def _edit(self, place: int, size: int, change: Edit) -> None:
        window = np.frombuffer(bytearray(self.fs.volume.read(place, size)), dtype=np.uint8).reshape(1, -1)
        assert apply_fixups(window).all()
        block = bytearray(window.tobytes())
        change(block)
        seal_fixups(block, bump=True)
        self.poke(place, bytes(block))

    def header(self, path: str | int, field: str, value: int) -> None:
        """Change a field of a record's header."""
        kind = FILE_RECORD[field]
        put = value.to_bytes(kind.itemsize, "little")
        at = field_offset(FILE_RECORD, field)
        self.edit(self.record(path).number, lambda raw: raw.__setitem__(slice(at, at + len(put)), put))

    def attribute(self, path: str | int, kind: int, name: str = "") -> Attribute:
        """The attribute in whatever record it stands."""
        number = path if isinstance(path, int) else self.number(path)
        found = self.mft.assembled(number).stream(kind, name)
        assert found is not None
        return found.first

    def put(self, one: Attribute, at: int, data: bytes) -> None:
        """Change bytes of an attribute."""
        start = one.offset + at
        self.edit(one.record, lambda raw: raw.__setitem__(slice(start, start + len(data)), data))

    def value(self, one: Attribute, at: int, data: bytes) -> None:
        """Change bytes of a resident value."""
        start = int.from_bytes(one.raw[20:22], "little")
        self.put(one, start + at, data)

    def block(self, path: str, index: int, change: Edit) -> None:
        """Change an index block; by number."""
        self._edit(self.block_place(path, index), 4096, change)

    def block_place(self, path: str, index: int) -> int:
        extents = self.fs.runs(path).slice(index * 4096, 4096).extents()
        assert len(extents) == 1
        return extents.start

    def codes(self) -> set[str]:
        try:
            return {finding.code for finding in NtfsFilesystem(FileVolume(self.path)).check()}
        except FilesystemError:
            return {"refused"}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ntfs-check") / "healthy.img"
    make_filled(path, RECIPE)
    return path


@pytest.fixture
def bench(healthy: Path, tmp_path: Path) -> Bench:
    path = tmp_path / "damaged.img"
    path.write_bytes(healthy.read_bytes())
    return Bench(path)


def test_silence_on_what_the_tools_make(filled: object) -> None:
    for recipe in MATRIX:
        path, _ = filled(recipe)  # type: ignore[operator]
        findings = list(NtfsFilesystem(FileVolume(path)).check())
        assert not findings, f"{recipe.name}: {findings[:5]}"


SIZES = [(512, 512 << step) for step in range(13)] + [(1024, 1024), (2048, 65536), (4096, 4096), (4096, 2 << 20)]


@pytest.mark.parametrize(("sector", "cluster"), SIZES)
def test_silence_on_what_is_fresh(tmp_path: Path, sector: int, cluster: int) -> None:
    recipe = Recipe("fresh", cluster, sector, size=max(8 << 20, 40 * cluster))
    path = make_partition(tmp_path / "fresh.img", recipe)
    findings = list(NtfsFilesystem(FileVolume(path)).check())
    assert not findings, findings[:5]


MEDIUM, TINY, MANY, LINKED = "/medium.bin", "/tiny", "/many", "/names/linked often"
DATA, FILE, LIST = AttributeType.DATA, AttributeType.FILE_NAME, AttributeType.ATTRIBUTE_LIST
ROOT_TYPE, ALLOCATION = AttributeType.INDEX_ROOT, AttributeType.INDEX_ALLOCATION
INFORMATION = AttributeType.STANDARD_INFORMATION


def _boot(bench: Bench) -> None:
    bench.poke(0, bytes(512))


def _backup(bench: Bench) -> None:
    bench.poke(bench.boot.backup_offset, bytes(512))


def _backup_geometry(bench: Bench) -> None:
    bench.poke(bench.boot.backup_offset + field_offset(BPB, "mft_lcn"), b"\x09")


def _truncated(bench: Bench) -> None:
    os.truncate(bench.path, bench.boot.size - 4096)


def _magic(bench: Bench) -> None:
    bench.poke(bench.place(bench.number(MEDIUM)), b"XXXX")


def _baad(bench: Bench) -> None:
    bench.poke(bench.place(bench.number(MEDIUM)), b"BAAD")


def _torn(bench: Bench) -> None:
    bench.flip(bench.place(bench.number(MEDIUM)) + 510)


def _bytes_in_use(bench: Bench) -> None:
    bench.header(MEDIUM, "bytes_in_use", bench.record(MEDIUM).bytes_in_use + 8)


def _bytes_in_use_beyond(bench: Bench) -> None:
    bench.header(MEDIUM, "bytes_in_use", 4096)


def _bytes_allocated(bench: Bench) -> None:
    bench.header(MEDIUM, "bytes_allocated", 2048)


def _other_number(bench: Bench) -> None:
    bench.header(MEDIUM, "mft_record_number", 7)


def _sequence(bench: Bench) -> None:
    bench.header(MEDIUM, "sequence_number", 77)


def _sequence_zero(bench: Bench) -> None:
    bench.header(MEDIUM, "sequence_number", 0)


def _attribute_length(bench: Bench) -> None:
    bench.put(bench.attribute(MEDIUM, DATA), 4, b"\xff\xff\0\0")


def _attribute_type(bench: Bench) -> None:
    bench.put(bench.attribute(MEDIUM, DATA), 0, b"\x85")


def _attribute_order(bench: Bench) -> None:
    bench.put(bench.attribute(MEDIUM, DATA), 0, b"\x10")


def _attribute_flags(bench: Bench) -> None:
    bench.put(bench.attribute(MEDIUM, DATA), 12, b"\xc0")


def _record_flags(bench: Bench) -> None:
    bench.header(MEDIUM, "flags", 0x81)


def _name_not_indexed(bench: Bench) -> None:
    bench.put(bench.attribute(TINY, FILE), 22, b"\0")


def _own_descriptor(bench: Bench) -> None:
    bench.value(bench.attribute(Number.VOLUME, AttributeType.SECURITY_DESCRIPTOR), 4, b"\0\x10")


def _instance(bench: Bench) -> None:
    other = bench.attribute(TINY, INFORMATION).instance
    bench.put(bench.attribute(TINY, DATA), 14, other.to_bytes(2, "little"))


def _information(bench: Bench) -> None:
    bench.put(bench.attribute(TINY, INFORMATION), 16, (40).to_bytes(4, "little"))


def _data_size(bench: Bench) -> None:
    bench.put(bench.attribute(MEDIUM, DATA), 48, (1 << 40).to_bytes(8, "little"))


def _initialized_size(bench: Bench) -> None:
    bench.put(bench.attribute(MEDIUM, DATA), 56, (1 << 40).to_bytes(8, "little"))


def _allocated_size(bench: Bench) -> None:
    one = bench.attribute(MEDIUM, DATA)
    bench.put(one, 40, (one.allocated_size + bench.boot.cluster_size).to_bytes(8, "little"))


def _allocated_ragged(bench: Bench) -> None:
    one = bench.attribute(MEDIUM, DATA)
    bench.put(one, 40, (one.allocated_size + 7).to_bytes(8, "little"))


def _compressed_size(bench: Bench) -> None:
    bench.put(bench.attribute("/compressed/text", DATA), 64, (4096).to_bytes(8, "little"))


def _compression_unit(bench: Bench) -> None:
    bench.put(bench.attribute("/compressed/text", DATA), 34, b"\0")


def _size_of_many_pieces(bench: Bench) -> None:
    one = bench.attribute("/fragments/first.bin", DATA)
    bench.put(one, 40, (one.allocated_size + bench.boot.cluster_size).to_bytes(8, "little"))


def _new_runs(bench: Bench, path: str, rows: list[tuple[int, int, int]]) -> None:
    one = bench.attribute(path, DATA)
    bench.put(one, one.mapping_pairs_offset, encode(np.array(rows, dtype=np.int64)))


def _run_beyond(bench: Bench) -> None:
    rows = bench.attribute("/fragments/third.bin", DATA).rows
    _new_runs(bench, "/fragments/third.bin", [(0, bench.boot.clusters - 1, int(rows[:, 2].sum()))])


def _run_short(bench: Bench) -> None:
    rows = bench.attribute(MEDIUM, DATA).rows
    _new_runs(bench, MEDIUM, [(0, int(rows[0, 1]), int(rows[0, 2]) - 1)])


def _run_endless(bench: Bench) -> None:
    one = bench.attribute(MEDIUM, DATA)
    bench.put(one, one.mapping_pairs_offset, b"\x11" * (len(one.raw) - one.mapping_pairs_offset))


def _run_of_another(bench: Bench) -> None:
    count = int(bench.attribute(MEDIUM, DATA).rows[:, 2].sum())
    lcn = int(bench.attribute("/pagefile.sys", DATA).rows[0, 1])
    _new_runs(bench, MEDIUM, [(0, lcn, count)])


def _run_hole(bench: Bench) -> None:
    count = int(bench.attribute(MEDIUM, DATA).rows[:, 2].sum())
    _new_runs(bench, MEDIUM, [(0, -1, count)])


def _bitmap_bit(bench: Bench, cluster: int) -> None:
    stream = bench.mft.metadata(Number.BITMAP)
    place = byte_runs(stream.rows, bench.boot.cluster_size).extents().start + cluster // 8
    bench.poke(place, bytes([bench.fs.volume.read(place, 1)[0] ^ 1 << cluster % 8]))


def _cluster_freed(bench: Bench) -> None:
    _bitmap_bit(bench, bench.fs.runs(MEDIUM).extents().start // bench.boot.cluster_size)


def _cluster_lost(bench: Bench) -> None:
    free = bench.fs.allocated().complement(0, bench.boot.data_end)
    _bitmap_bit(bench, free.start // bench.boot.cluster_size + 1)


def _record_bit(bench: Bench, number: int) -> None:
    stream = bench.mft.metadata(Number.MFT, AttributeType.BITMAP)
    place = byte_runs(stream.rows, bench.boot.cluster_size).extents().start + number // 8
    bench.poke(place, bytes([bench.fs.volume.read(place, 1)[0] ^ 1 << number % 8]))


def _record_freed(bench: Bench) -> None:
    _record_bit(bench, bench.number(MEDIUM))


def _free_record(bench: Bench) -> int:
    for window in bench.mft.windows(24):
        return int(window.numbers[window.sound & ~window.in_use][0])
    raise AssertionError("no free record")


def _record_marked(bench: Bench) -> None:
    _record_bit(bench, _free_record(bench))


def _deleted(bench: Bench) -> None:
    bench.header(MEDIUM, "flags", 0)


def _mirror(bench: Bench) -> None:
    bench.flip(bench.boot.mftmirr_lcn * bench.boot.cluster_size + bench.boot.record_size + 100)


def _link_count(bench: Bench) -> None:
    bench.header(TINY, "link_count", 3)


def _parent(bench: Bench) -> None:
    bench.value(bench.attribute(TINY, FILE), 0, bench.number(MEDIUM).to_bytes(6, "little"))


def _parent_sequence(bench: Bench) -> None:
    bench.value(bench.attribute(TINY, FILE), 6, b"\x09\0")


def _name(bench: Bench) -> None:
    bench.value(bench.attribute(TINY, FILE), FILE_NAME.itemsize, "w".encode("utf-16-le"))


def _name_length(bench: Bench) -> None:
    bench.value(bench.attribute(TINY, FILE), field_offset(FILE_NAME, "file_name_length"), b"\xfe")


def _namespace(bench: Bench) -> None:
    bench.value(bench.attribute(TINY, FILE), field_offset(FILE_NAME, "file_name_type"), b"\x07")


def _directory_flag(bench: Bench) -> None:
    bench.header(MANY, "flags", 1)


def _file_as_directory(bench: Bench) -> None:
    bench.header(MEDIUM, "flags", 3)


def _directory_into_itself(bench: Bench) -> None:
    inner = bench.record("/a/level 0")
    reference = bench.record(inner.number).reference
    bench.value(bench.attribute("/a/level 0", FILE), 0, reference.to_bytes(8, "little"))


def _block_magic(bench: Bench) -> None:
    bench.poke(bench.block_place(MANY, 1), b"XXXX")


def _block_torn(bench: Bench) -> None:
    bench.flip(bench.block_place(MANY, 1) + 1022)


def _block_number(bench: Bench) -> None:
    at = field_offset(INDEX_BLOCK, "index_block_vcn")
    bench.block(MANY, 1, lambda raw: raw.__setitem__(at, raw[at] ^ 0x40))


def _block_header(bench: Bench) -> None:
    bench.block(MANY, 1, lambda raw: raw.__setitem__(slice(28, 32), b"\xff\xff\xff\0"))


def _block_flag(bench: Bench) -> None:
    bench.block(MANY, 1, lambda raw: raw.__setitem__(36, raw[36] ^ 1))


def _entries(raw: bytes | bytearray, start: int = 24) -> Iterator[int]:
    """Bytes at which the entries of a node start."""
    at = start + int.from_bytes(raw[start : start + 4], "little")
    while not raw[at + 12] & 2:
        yield at
        at += int.from_bytes(raw[at + 8 : at + 10], "little")


def _entry_length(bench: Bench) -> None:
    bench.block(MANY, 1, lambda raw: raw.__setitem__(next(_entries(raw)) + 8, 0x13))


def _entry_reference(bench: Bench) -> None:
    bench.block(MANY, 1, lambda raw: raw.__setitem__(next(_entries(raw)), raw[next(_entries(raw))] ^ 1))


def _entry_sequence(bench: Bench) -> None:
    bench.block(MANY, 1, lambda raw: raw.__setitem__(next(_entries(raw)) + 6, 99))


def _entry_name(bench: Bench) -> None:
    at = 16 + FILE_NAME.itemsize
    bench.block(MANY, 1, lambda raw: raw.__setitem__(next(_entries(raw)) + at, ord("z")))


def _entry_parent(bench: Bench) -> None:
    bench.block(MANY, 1, lambda raw: raw.__setitem__(next(_entries(raw)) + 16, 5))


def _entry_type(bench: Bench) -> None:
    at = 16 + field_offset(FILE_NAME, "file_attributes") + 3
    bench.block(MANY, 1, lambda raw: raw.__setitem__(next(_entries(raw)) + at, 0x10))


def _blocks_swapped(bench: Bench) -> None:
    """Two leaves in each other's place, each saying that it is the other."""
    places = [bench.block_place(MANY, index) for index in (0, 1)]
    raws = [bench.fs.volume.read(place, 4096) for place in places]
    for place, raw, other in zip(places, raws, raws[::-1], strict=True):
        bench.poke(place, other[:16] + raw[16:24] + other[24:])


def _root_entries(bench: Bench) -> tuple[Attribute, list[int]]:
    one = bench.attribute(MANY, ROOT_TYPE, I30)
    return one, [*_entries(one.value, 16)]


def _child(bench: Bench) -> None:
    one, places = _root_entries(bench)
    end = places[0] + int.from_bytes(one.value[places[0] + 8 : places[0] + 10], "little")
    bench.value(one, end - 8, (1 << 20).to_bytes(8, "little"))


def _child_twice(bench: Bench) -> None:
    one, places = _root_entries(bench)
    ends = [at + int.from_bytes(one.value[at + 8 : at + 10], "little") for at in places]
    last = ends[-1] + int.from_bytes(one.value[ends[-1] + 8 : ends[-1] + 10], "little")
    bench.value(one, ends[0] - 8, one.value[last - 8 : last])


def _root_header(bench: Bench) -> None:
    bench.value(bench.attribute(MANY, ROOT_TYPE, I30), 20, b"\xff\xff")


def _root_block_size(bench: Bench) -> None:
    bench.value(bench.attribute(MANY, ROOT_TYPE, I30), 8, b"\x01\x02")


def _index_bit(bench: Bench, mask: int) -> None:
    one = bench.attribute(MANY, AttributeType.BITMAP, I30)
    bench.value(one, mask // 8, bytes([one.value[mask // 8] ^ 1 << mask % 8]))


def _index_bit_cleared(bench: Bench) -> None:
    _index_bit(bench, 1)


def _index_bit_beyond(bench: Bench) -> None:
    _index_bit(bench, 8 * len(bench.attribute(MANY, AttributeType.BITMAP, I30).value) - 1)


def _allocation_gone(bench: Bench) -> None:
    one = bench.attribute(MANY, ALLOCATION, I30)
    bench.put(one, 0, AttributeType.LOGGED_UTILITY_STREAM.to_bytes(4, "little"))


def _list(bench: Bench, at: int, data: bytes) -> None:
    """Change bytes of an attribute list, wherever it stands."""
    one = bench.attribute(LINKED, LIST)
    if one.non_resident:
        bench.poke(byte_runs(one.rows, bench.boot.cluster_size).extents().start + at, data)
    else:
        bench.value(one, at, data)


def _list_reference(bench: Bench) -> None:
    _list(bench, 16, b"\x07\0\0\0\0\0")


def _list_length(bench: Bench) -> None:
    _list(bench, 4, b"\x07\0")


def _list_instance(bench: Bench) -> None:
    _list(bench, 24, b"\x77\0")


def _extension(bench: Bench) -> int:
    return min(bench.mft.assembled(bench.number(LINKED)).extensions)


def _extension_base(bench: Bench) -> None:
    bench.header(_extension(bench), "base_mft_record", _free_record(bench) | 9 << 48)


def _extension_deleted(bench: Bench) -> None:
    bench.header(_extension(bench), "flags", 0)


def _descriptor(bench: Bench) -> None:
    stream = bench.mft.metadata(Number.SECURE, DATA, "$SDS")
    place = byte_runs(stream.rows, bench.boot.cluster_size).extents().start
    bench.flip(place + SECURITY_HEADER.itemsize + 5)


def _descriptor_copy(bench: Bench) -> None:
    stream = bench.mft.metadata(Number.SECURE, DATA, "$SDS")
    place = byte_runs(stream.rows, bench.boot.cluster_size).slice(256 << 10, 512).extents().start
    bench.flip(place + SECURITY_HEADER.itemsize + 5)


def _descriptor_owner(bench: Bench) -> None:
    """An owner that is no SID, with the hash that belongs to it everywhere."""
    stream = bench.mft.metadata(Number.SECURE, DATA, "$SDS")
    raw = bytearray(bench.mft.content(stream).read(0, 512))
    size = SECURITY_HEADER.itemsize
    header = np.frombuffer(bytes(raw[:size]), dtype=SECURITY_HEADER)[0]
    length = int(header["length"])
    raw[size + int.from_bytes(raw[size + 4 : size + 8], "little") + 1] = 200
    new = descriptor_hash(bytes(raw[size:length])).to_bytes(4, "little")
    old, raw[:4] = bytes(raw[:4]), new
    runs = byte_runs(stream.rows, bench.boot.cluster_size)
    for at in (0, 256 << 10):
        bench.poke(runs.slice(at, 512).extents().start, bytes(raw[:length]))
    for name in ("$SII", "$SDH"):
        root = bench.attribute(Number.SECURE, ROOT_TYPE, name)
        bench.value(root, 0, root.value.replace(old, new))


def _hash_index(bench: Bench) -> None:
    root = bench.attribute(Number.SECURE, ROOT_TYPE, "$SDH")
    bench.value(root, 32 + 16 + 8 + 8, b"\x99")


def _binary_order(bench: Bench) -> None:
    """The ids of $SII, descending if their bytes are what counts."""
    root = bench.attribute(Number.SECURE, ROOT_TYPE, "$SII")
    bench.value(root, 4, bytes(4))
    bench.value(root, 32 + 16, b"\xff")


def _types(bench: Bench) -> bytes:
    return bench.mft.content(bench.mft.metadata(Number.ATTR_DEF)).read(0, 2560)


def _type_order(bench: Bench) -> None:
    raw, place = _types(bench), bench.fs.runs("/$AttrDef").extents().start
    bench.poke(place, raw[160:320] + raw[:160])


def _type_name(bench: Bench) -> None:
    bench.flip(bench.fs.runs("/$AttrDef").extents().start + 2)


def _type_missing(bench: Bench) -> None:
    raw, place = _types(bench), bench.fs.runs("/$AttrDef").extents().start
    bench.poke(place, raw[160:] + bytes(160))


def _security_id(bench: Bench) -> None:
    at = field_offset(STANDARD_INFORMATION, "security_id")
    bench.value(bench.attribute(TINY, INFORMATION), at, (4711).to_bytes(4, "little"))


def _dirty(bench: Bench) -> None:
    bench.value(bench.attribute(Number.VOLUME, AttributeType.VOLUME_INFORMATION), 10, b"\x01")


def _upcase_size(bench: Bench) -> None:
    bench.put(bench.attribute(Number.UPCASE, DATA), 48, (1000).to_bytes(8, "little"))


def _upcase_gone(bench: Bench) -> None:
    bench.header(Number.UPCASE, "flags", 0)


def _bitmap_short(bench: Bench) -> None:
    bench.put(bench.attribute(Number.BITMAP, DATA), 48, (8).to_bytes(8, "little"))


DAMAGE: dict[str, tuple[Callable[[Bench], None], str]] = {
    "boot sector": (_boot, "ntfs.boot-sector"),
    "backup": (_backup, "ntfs.boot-backup"),
    "geometry of the backup": (_backup_geometry, "ntfs.boot-backup"),
    "volume cut short": (_truncated, "ntfs.truncated"),
    "signature": (_magic, "ntfs.record-magic"),
    "marked as bad": (_baad, "ntfs.record-bad"),
    "torn record": (_torn, "ntfs.record-fixup"),
    "bytes in use": (_bytes_in_use, "ntfs.record-size"),
    "bytes in use beyond the record": (_bytes_in_use_beyond, "ntfs.record-header"),
    "bytes allocated": (_bytes_allocated, "ntfs.record-header"),
    "number of another record": (_other_number, "ntfs.record-number"),
    "sequence number": (_sequence, "ntfs.entry-record"),
    "sequence number 0": (_sequence_zero, "ntfs.record-sequence"),
    "length of an attribute": (_attribute_length, "ntfs.record-attributes"),
    "type of an attribute": (_attribute_type, "ntfs.attribute-type"),
    "order of attributes": (_attribute_order, "ntfs.attribute-order"),
    "flags of an attribute": (_attribute_flags, "ntfs.attribute-flags"),
    "flags of a record": (_record_flags, "ntfs.record-flags"),
    "name that is in no index": (_name_not_indexed, "ntfs.file-name"),
    "descriptor of a file": (_own_descriptor, "ntfs.security-descriptor"),
    "instance": (_instance, "ntfs.attribute-instance"),
    "standard information": (_information, "ntfs.standard-information"),
    "data size": (_data_size, "ntfs.size"),
    "initialized size": (_initialized_size, "ntfs.size"),
    "allocated size": (_allocated_size, "ntfs.size"),
    "allocated size between clusters": (_allocated_ragged, "ntfs.size"),
    "compressed size": (_compressed_size, "ntfs.size"),
    "allocated size of a file in many records": (_size_of_many_pieces, "ntfs.size"),
    "compression unit": (_compression_unit, "ntfs.compression"),
    "run beyond the volume": (_run_beyond, "ntfs.runs"),
    "run too short": (_run_short, "ntfs.runs"),
    "run list without end": (_run_endless, "ntfs.runs"),
    "run of another file": (_run_of_another, "ntfs.cluster-twice"),
    "hole": (_run_hole, "ntfs.hole"),
    "cluster in use is free": (_cluster_freed, "ntfs.cluster-free"),
    "free cluster in use": (_cluster_lost, "ntfs.cluster-lost"),
    "record in use is free": (_record_freed, "ntfs.record-bitmap"),
    "free record in use": (_record_marked, "ntfs.record-bitmap"),
    "deleted record": (_deleted, "ntfs.entry-record"),
    "mirror": (_mirror, "ntfs.mft-mirror"),
    "link count": (_link_count, "ntfs.link-count"),
    "parent": (_parent, "ntfs.orphan"),
    "sequence of the parent": (_parent_sequence, "ntfs.orphan"),
    "name": (_name, "ntfs.name-lost"),
    "length of a name": (_name_length, "ntfs.file-name"),
    "namespace": (_namespace, "ntfs.file-name"),
    "directory without its flag": (_directory_flag, "ntfs.record-flags"),
    "file marked as directory": (_file_as_directory, "ntfs.index-root"),
    "directory in itself": (_directory_into_itself, "ntfs.directory-loop"),
    "signature of an index block": (_block_magic, "ntfs.index-block"),
    "torn index block": (_block_torn, "ntfs.index-block"),
    "number of an index block": (_block_number, "ntfs.index-block"),
    "header of an index block": (_block_header, "ntfs.index-block"),
    "leaf flag of an index block": (_block_flag, "ntfs.index-block"),
    "length of an index entry": (_entry_length, "ntfs.index-entry"),
    "record of an index entry": (_entry_reference, "ntfs.entry-record"),
    "sequence of an index entry": (_entry_sequence, "ntfs.entry-record"),
    "name of an index entry": (_entry_name, "ntfs.index-order"),
    "parent of an index entry": (_entry_parent, "ntfs.entry-parent"),
    "kind of an index entry": (_entry_type, "ntfs.entry-type"),
    "index blocks swapped": (_blocks_swapped, "ntfs.index-order"),
    "child of an index entry": (_child, "ntfs.index-child"),
    "child of two index entries": (_child_twice, "ntfs.index-loop"),
    "header of an index root": (_root_header, "ntfs.index-root"),
    "block size of an index": (_root_block_size, "ntfs.index-root"),
    "index block in use is free": (_index_bit_cleared, "ntfs.index-bitmap"),
    "index block beyond the last": (_index_bit_beyond, "ntfs.index-bitmap"),
    "blocks of an index gone": (_allocation_gone, "ntfs.index-root"),
    "attribute list leads astray": (_list_reference, "ntfs.attribute-list"),
    "attribute list with odd entries": (_list_length, "ntfs.attribute-list"),
    "attribute list names another instance": (_list_instance, "ntfs.attribute-list"),
    "extension record of another": (_extension_base, "ntfs.extension"),
    "extension record deleted": (_extension_deleted, "ntfs.attribute-list"),
    "security descriptor": (_descriptor, "ntfs.security"),
    "owner in a descriptor": (_descriptor_owner, "ntfs.security"),
    "index of hashes": (_hash_index, "ntfs.security"),
    "order of bytes": (_binary_order, "ntfs.index-order"),
    "order of types": (_type_order, "ntfs.attr-def"),
    "name of a type": (_type_name, "ntfs.attr-def"),
    "type that is missing": (_type_missing, "ntfs.attr-def"),
    "copy of a security descriptor": (_descriptor_copy, "ntfs.security-copy"),
    "security id": (_security_id, "ntfs.security-id"),
    "dirty flag": (_dirty, "ntfs.state"),
    "size of the table of upper case": (_upcase_size, "ntfs.upcase"),
    "no table of upper case": (_upcase_gone, "ntfs.system-file"),
    "size of the bitmap": (_bitmap_short, "ntfs.bitmap"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found(bench: Bench, kind: str) -> None:
    damage, code = DAMAGE[kind]
    damage(bench)
    assert code in bench.codes()


def test_findings_say_where(bench: Bench) -> None:
    number = bench.number(MEDIUM)
    _data_size(bench)
    _cluster_lost(bench)
    findings = list(NtfsFilesystem(FileVolume(bench.path)).check())
    assert {finding.severity for finding in findings} == {Severity.ERROR, Severity.WARNING}
    assert any(f"record {number}, $DATA at byte" in finding.where for finding in findings)
    assert any(finding.where.startswith("cluster ") and "at byte" in finding.where for finding in findings)


def test_noise_ends_in_findings(healthy: Path) -> None:
    """Random bytes anywhere in the metadata never end in anything but findings or a typed error."""
    raw = healthy.read_bytes()
    areas = [area.extents.array for area in NtfsFilesystem(FileVolume(healthy)).system_areas()]
    for seed in range(12):
        look_at_noise(raw, np.concatenate(areas).tolist(), seed)


def look_at_noise(raw: bytes, places: list[list[int]], seed: int) -> None:
    chance, broken = random.Random(seed), MemoryVolume(raw)
    for _ in range(chance.randrange(1, 6)):
        start, end = chance.choice(places)
        broken.write(chance.randrange(start, end - 8), chance.randbytes(8))
    with suppress(FilesystemError):
        filesystem = NtfsFilesystem(broken)
        list(filesystem.check())
        for entry in filesystem.walk():
            with suppress(FilesystemError, UsageError):
                list(filesystem.read(entry.path, 0, 5000))


def test_a_large_directory(tmp_path: Path) -> None:
    path = make_partition(tmp_path / "many.img", Recipe("many", 4096, size=24 << 20))
    with mounted(path) as root:
        fill_folder(root / "many", 3000)
    filesystem = NtfsFilesystem(FileVolume(path))
    assert not list(filesystem.check())
    assert len(list(filesystem.list("/many"))) == 3000
