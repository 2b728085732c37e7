"""What of a file has changed: pieces that can be changed where they stand, those that stay, those that must leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from inpart_ntfs.attributes import Attribute
from inpart_ntfs.codes import AttributeType
from inpart_ntfs.editor.drafts import Draft, DraftAttribute
from inpart_ntfs.editor.pieces import Geometry, Piece, differing, record_image, room_in
from inpart_ntfs.editor.splitting import piece_of

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Item:
    """A piece that is to be placed; if it maps ``rows`` of ``attribute`` it may be split into several."""

    piece: Piece
    attribute: DraftAttribute
    rows: Numbers

    @classmethod
    def of_rows(cls, attribute: DraftAttribute, rows: Numbers, geometry: Geometry) -> Item:
        """A part of a run list."""
        return cls(piece_of(attribute, rows, geometry), attribute, rows)

    @property
    def may_leave(self) -> bool:
        """False for what must be in the base record."""
        return self.piece.type != AttributeType.STANDARD_INFORMATION

    @property
    def is_content(self) -> bool:
        """True for the unnamed data in clusters."""
        return self.piece.type == AttributeType.DATA and not self.piece.name and len(self.rows) > 0


@dataclass(frozen=True)
class Parted:
    """A file taken apart.

    ``staying`` are pieces in extension records that remain as they are, with the file references of these. ``home`` is
    what belongs into the base record, ``away`` what has to go to fresh ones; ``spare`` are the records that it leaves.
    """

    staying: list[tuple[Piece, int]]
    home: list[Item]
    away: list[Item]
    spare: list[int]


@dataclass(frozen=True)
class _Segment:
    """A part of an attribute, as it stands (``was``) and as it is to be; ``rows`` if it lies in clusters."""

    attribute: DraftAttribute
    was: Attribute | None
    rows: Numbers
    stale: bool

    def raw(self, geometry: Geometry) -> bytes:
        """Its new bytes, as long as the old ones if they can be, so that what follows keeps its place."""
        raw = piece_of(self.attribute, self.rows, geometry).raw
        if self.attribute.rows is None:
            return raw
        length = len(self.was.raw) if self.was and self.was.non_resident else 0
        return raw if len(raw) >= length else raw[:4] + length.to_bytes(4, "little") + raw[8:].ljust(length - 8, b"\0")


def in_place(draft: Draft, geometry: Geometry, *, replaced: bool) -> tuple[bytes, dict[int, bytes]] | None:
    """Base record and changed extension records, if it is enough to change pieces where they stand.

    Each record may change in one sector only, the base record in more if it is ``replaced``. Several may change only if
    clusters have been moved and nothing else, so that each change is good by itself. None if that is not enough.
    """
    segments = [one for attribute in draft.attributes for one in _segments(attribute)]
    places = {_place(one.was) for one in segments if one.was}
    if not draft.records or places != _standing(draft) or any(one.was is None for one in segments):
        return None
    stale = {_place(one.was): one.raw(geometry) for one in segments if one.was and one.stale}
    images = {}
    for number, record in draft.records.items():
        is_base = number == draft.number
        pieces = [replace(Piece.standing(one), raw=stale.get(_place(one), one.raw)) for one in record.attributes]
        header = bytes(draft.header) if is_base else record.raw[: record.attrs_offset]
        if sum(len(piece.raw) for piece in pieces) > room_in(header, geometry):
            return None
        image, _ = record_image(header, pieces, geometry, record.raw)
        sectors = differing(record.raw, image, geometry.sector_size)
        if len(sectors) > 1 and not (is_base and replaced):
            return None
        if sectors:
            images[number] = image
    if len(images) > 1 and not all(one.is_sized_alike for one in draft.attributes if one.pieces[0].non_resident):
        return None
    return images.pop(draft.number, draft.records[draft.number].raw), images


def parted(draft: Draft, geometry: Geometry) -> Parted:
    """Take a file apart: an extension record with a piece that has changed is left altogether."""
    segments = [list(_segments(attribute)) for attribute in draft.attributes]
    known = {_place(one.was) for ones in segments for one in ones if one.was and not one.stale}
    staying, spare = [], []
    for number, record in draft.records.items():
        if number == draft.number:
            continue
        if all(_place(one) in known for one in record.attributes):
            staying += [(Piece.standing(one), record.reference) for one in record.attributes]
        else:
            spare.append(number)
    home: list[Item] = []
    away: list[Item] = []
    for ones in segments:
        for (is_home, stale), group in groupby(ones, key=lambda one: (_is_home(draft, one), one.stale)):
            parts = list(group)
            if is_home:
                home += _items(parts, geometry, stale=stale)
            else:
                leaving = [one for one in parts if stale or (one.was and one.was.record in spare)]
                away += _items(leaving, geometry, stale=stale)
    return Parted(staying, home, away, spare)


def _is_home(draft: Draft, segment: _Segment) -> bool:
    return segment.was is None or segment.was.record == draft.number


def _items(segments: list[_Segment], geometry: Geometry, *, stale: bool) -> Iterator[Item]:
    """Segments that have changed as one, the others one by one."""
    if not stale:
        for one in segments:
            if one.was:
                yield Item(Piece.standing(one.was), one.attribute, one.rows)
    elif segments:
        first = segments[0]
        item = Item.of_rows(first.attribute, np.concatenate([one.rows for one in segments]), geometry)
        yield replace(item, piece=replace(item.piece, instance=first.was.instance if first.was else None))


def _standing(draft: Draft) -> set[tuple[int, int]]:
    """The places of all attributes but the list."""
    listing = {_place(draft.listing)} if draft.listing else set()
    return {_place(one) for record in draft.records.values() for one in record.attributes} - listing


def _place(piece: Attribute) -> tuple[int, int]:
    return piece.record, piece.offset


def _segments(attribute: DraftAttribute) -> Iterator[_Segment]:
    """An attribute in parts as its pieces on the disk have them; the last one takes what was added."""
    pieces = attribute.pieces
    if not pieces or pieces[0].non_resident != (attribute.rows is not None):
        yield _Segment(attribute, pieces[0] if pieces else None, attribute.runs, stale=True)
        return
    if attribute.rows is None:
        was = pieces[0]
        same = (attribute.value, attribute.flags, attribute.name) == (was.value, was.flags, was.name)
        yield _Segment(attribute, was, attribute.runs, stale=not same)
        return
    for was in pieces:
        highest = attribute.last if was is pieces[-1] else was.highest_vcn
        rows = attribute.between(was.lowest_vcn, highest)
        stale = highest != was.highest_vcn or not np.array_equal(rows, was.rows)
        yield _Segment(attribute, was, rows, stale or (was is pieces[0] and not attribute.is_sized_alike))
