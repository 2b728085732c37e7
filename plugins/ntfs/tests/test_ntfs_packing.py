"""Files packed into records: read back as they were meant, whatever their run lists, one sector at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.volume import MemoryVolume
from inpart_ntfs.attributes import parse_record
from inpart_ntfs.codes import AttributeFlag, AttributeType, Number
from inpart_ntfs.editor.drafts import Draft, DraftAttribute, Numbers, load, new_draft
from inpart_ntfs.editor.packing import Packed, pack
from inpart_ntfs.editor.pieces import Geometry, differing
from inpart_ntfs.editor.splitting import pair_sizes
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.listing import parse_attribute_list
from inpart_ntfs.runs import HOLE, encode, joined
from inpart_ntfs.streams import Stream
from ntfsmaker import MATRIX, Recipe

Filled = Callable[[Recipe], tuple[Path, dict[str, bytes]]]
Found = dict[tuple[int, str], list[Numbers]]
"""Run lists of the pieces of each attribute, by its type and name."""

RECIPES = [recipe for recipe in MATRIX if recipe.name in ("c512", "c4k-torn-mft", "s4k")]
STANDARD = DraftAttribute(AttributeType.STANDARD_INFORMATION, value=bytes(72))
NAME = DraftAttribute(AttributeType.FILE_NAME, value=bytes(80), resident_flags=1)


@dataclass
class Shop:
    """Records and clusters without end."""

    sold: dict[int, int] = field(default_factory=dict)

    def take_record(self) -> tuple[int, int]:
        number = 100_000 + len(self.sold)
        self.sold[number] = 7
        return number, 7

    def take_clusters(self, count: int) -> Numbers:
        return np.array([[900, count]], dtype=np.int64)


@pytest.fixture(params=RECIPES, ids=lambda recipe: recipe.name)
def fs(request: pytest.FixtureRequest, filled: Filled) -> NtfsFilesystem:
    """A real file system."""
    path, _ = filled(request.param)
    return NtfsFilesystem(MemoryVolume(path.read_bytes(), sector_size=request.param.sector))


def geometry_of(fs: NtfsFilesystem) -> Geometry:
    boot = fs.boot
    return Geometry(boot.record_size, boot.cluster_size, fs.volume.sector_size, fs.upcase.fold)


def drafts(fs: NtfsFilesystem) -> list[Draft]:
    """All files."""
    numbers = [window.numbers[window.in_use & ~window.is_extension] for window in fs.mft.windows()]
    return [load(fs.mft, number) for number in np.concatenate(numbers).tolist()]


def scattered(rows: Numbers, seed: int) -> Numbers:
    """The same holes, all else in other clusters, no two of them neighbours."""
    moved = rows.copy()
    stored = np.flatnonzero(moved[:, 1] != HOLE)
    places = np.cumsum(moved[stored, 2] + 1) + 50
    moved[stored, 1] = np.random.default_rng(seed).permutation(places)
    return moved


def read_back(draft: Draft, packed: Packed, image: bytes, clusters: int, *, old_list: bytes = b"") -> Found:
    """The run lists that a base record leads to; checks order, instances and the list on the way."""
    extensions = {**{number: one.raw for number, one in draft.records.items()}, **packed.changed, **packed.fresh}
    if packed.bridge is not None:
        extensions[packed.bridge.number] = packed.bridge.image
    extensions[draft.number] = image
    base = parse_record(draft.number, image, clusters)
    listing = base.find(AttributeType.ATTRIBUTE_LIST)
    if listing is None:
        places = [(draft.number, one.instance) for one in base.attributes]
    else:
        value = (packed.listing[1] if packed.listing else old_list) if listing.non_resident else listing.value
        entries = parse_attribute_list(draft.number, value)
        assert [entry.type for entry in entries] == sorted(entry.type for entry in entries)
        places = [(entry.record, entry.instance) for entry in entries]
    found: Found = {}
    records = {number: parse_record(number, extensions[number], clusters) for number, _ in places}
    for record in records.values():
        kinds = [one.type for one in record.attributes]
        assert kinds == sorted(kinds)
        assert len({one.instance for one in record.attributes}) == len(kinds)
        assert record.next_attr_instance > max(one.instance for one in record.attributes)
        assert record.base_reference == (0 if record.number == draft.number else draft.reference)
    for number, instance in places:
        one = next(one for one in records[number].attributes if one.instance == instance)
        if one.type != AttributeType.ATTRIBUTE_LIST:
            found.setdefault((one.type, one.name), []).append(one.rows)
            assert (one.lowest_vcn == 0) or not (one.data_size or one.allocated_size)
    return found


def expect(draft: Draft, found: Found) -> None:
    """What was found is what the draft says."""
    assert set(found) == {(one.type, one.name) for one in draft.attributes}
    for one in draft.attributes:
        if one.rows is not None:
            assert np.array_equal(joined(np.concatenate(found[one.type, one.name])), joined(one.rows))


def test_what_is_not_changed_stays_byte_for_byte(fs: NtfsFilesystem) -> None:
    for draft in drafts(fs):
        packed = pack(draft, geometry_of(fs), Shop())
        assert packed == Packed(draft.records[draft.number].raw), draft.number


def test_other_clusters_are_read_back_after_each_step(fs: NtfsFilesystem) -> None:
    geometry = geometry_of(fs)
    seen = set()
    for draft in drafts(fs):
        before = draft.records[draft.number].raw
        for one in draft.attributes:
            if one.rows is not None:
                one.rows = scattered(one.rows, draft.number)
        shop = Shop()
        packed = pack(draft, geometry, shop)
        listed = fs.mft.content(Stream((draft.listing,))) if draft.listing and draft.listing.non_resident else None
        old_list = listed.read(0, listed.size) if listed else b""
        for image in (packed.base, *([packed.bridge.interim] if packed.bridge else [])):
            expect(draft, read_back(draft, packed, image, fs.boot.clusters, old_list=old_list))
        switch = packed.bridge.interim if packed.bridge else packed.base
        assert len(differing(before, switch, geometry.sector_size)) <= 1
        if packed.bridge:
            assert len(packed.bridge.interim) == len(before)
            used = int.from_bytes(packed.bridge.interim[24:28], "little")
            assert used <= geometry.sector_size, "the rest may be written before its first sector"
        for number, image in packed.changed.items():
            assert len(differing(draft.records[number].raw, image, geometry.sector_size)) == 1
        assert set(packed.spare) <= set(draft.records) - {draft.number}
        seen.add((packed.bridge is not None, packed.relisted, packed.listing is not None))
    if geometry.sector_size < geometry.record_size:
        assert {(True, True, False), (False, False, False)} <= seen, "neither a bridge nor a change in place was needed"


def test_a_run_list_that_outgrows_its_record(fs: NtfsFilesystem) -> None:
    geometry = geometry_of(fs)
    draft = next(draft for draft in drafts(fs) if draft.number >= 24 and len(draft.attributes[-1].runs) == 1)
    for pieces in (10, 400, 3000, 30_000):
        attribute = draft.attributes[-1]
        vcn = np.arange(pieces, dtype=np.int64)
        lcn = np.random.default_rng(1).permutation(pieces) * 2 + 9
        attribute.rows = np.stack([vcn, lcn, np.ones_like(vcn)], axis=1)
        attribute.data_size = attribute.initialized_size = pieces * geometry.cluster_size
        packed = pack(draft, geometry, Shop())
        expect(draft, read_back(draft, packed, packed.base, 1 << 32))
        small = geometry.record_size == 1024
        assert bool(packed.fresh) == (pieces > (10 if small else 400))
        assert (packed.listing is not None) == (small and pieces >= 3000)


def test_the_first_part_of_mft_is_mapped_by_its_own_first_record(fs: NtfsFilesystem) -> None:
    geometry = geometry_of(fs)
    for pieces in (40, 500, 2500):
        draft = load(fs.mft, Number.MFT)
        content = draft.find(AttributeType.DATA)
        assert content is not None
        vcn = np.arange(pieces, dtype=np.int64)
        content.rows = scattered(np.stack([vcn, vcn, np.ones_like(vcn)], axis=1), pieces)
        packed = pack(draft, geometry, Shop(), replaced=True)
        assert packed.bridge is None
        found = read_back(draft, packed, packed.base, 1 << 32)
        expect(draft, found)
        first = parse_record(Number.MFT, packed.base, 1 << 32).find(AttributeType.DATA)
        assert first is not None
        assert first.lowest_vcn == 0
        assert len(first.rows) > 20
        assert bool(packed.fresh) == (pieces > 40 and (geometry.record_size == 1024 or pieces > 500))


def rows_of_units(data: st.DataObject) -> Numbers:
    """A compressed run list: units of 16 clusters, some stored in fewer, some whole, some holes."""
    rows, vcn, lcn = [], 0, 100
    for stored in data.draw(st.lists(st.integers(0, 16), min_size=1, max_size=400)):
        if stored:
            rows.append((vcn, lcn, stored))
        if stored < 16:
            rows.append((vcn + stored, HOLE, 16 - stored))
        vcn, lcn = vcn + 16, lcn + data.draw(st.integers(-90, 5000)) * (stored + 20)
        lcn = lcn if lcn > 0 else 10**6 + vcn
    return np.array(rows, dtype=np.int64)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from([1024, 4096]))
def test_compression_units_are_not_split(data: st.DataObject, record_size: int) -> None:
    geometry = Geometry(record_size, 4096, 512, lambda name: name.upper().encode("utf-16-le"))
    rows = rows_of_units(data)
    content = DraftAttribute(AttributeType.DATA, flags=AttributeFlag.COMPRESSED, rows=rows, compression_unit=4)
    content.data_size = content.initialized_size = int(rows[-1, 0] + rows[-1, 2]) * 4096
    draft = blank(record_size, [STANDARD, NAME, content])
    packed = pack(draft, geometry, Shop())
    found = read_back(draft, packed, packed.base, 1 << 40)
    expect(draft, found)
    assert all(int(piece[0, 0]) % 16 == 0 for piece in found[AttributeType.DATA, ""])


def blank(record_size: int, attributes: list[DraftAttribute]) -> Draft:
    """A file that is not on the disk."""
    words = record_size // 512 + 1
    like = Draft(5, bytearray(56 if record_size == 1024 else 72), [])
    like.put(usa_ofs=48, usa_count=words, attrs_offset=len(like.header), bytes_allocated=record_size)
    return new_draft(64, 3, 0, attributes, like)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1 << 40), st.integers(1, 1 << 40)), min_size=1, max_size=50))
def test_sizes_of_pairs_are_those_of_their_bytes(runs: list[tuple[bool, int, int]]) -> None:
    count = np.array([run[2] for run in runs], dtype=np.int64)
    lcn = np.array([HOLE if run[0] else run[1] for run in runs], dtype=np.int64)
    rows = np.stack([np.cumsum(count) - count, lcn, count], axis=1)
    assert int(pair_sizes(rows).sum()) + 1 == len(encode(rows))
