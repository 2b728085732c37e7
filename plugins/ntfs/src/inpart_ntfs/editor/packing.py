"""A file put into records: attributes spread over base and extension records, and the list that says where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from inpart.errors import FilesystemUnsupported, NoSpace
from numpy.typing import NDArray

from inpart_ntfs.codes import AttributeType
from inpart_ntfs.editor.drafts import Draft, DraftAttribute, empty_header
from inpart_ntfs.editor.parting import in_place, parted
from inpart_ntfs.editor.pieces import Geometry, Piece, differing, list_value, record_image
from inpart_ntfs.editor.planning import LIST_PAIRS, Plan, Planner
from inpart_ntfs.structs import NON_RESIDENT_SIZE

Numbers = NDArray[np.int64]
Entry = tuple[Piece, int]


class Supply(Protocol):
    """Where packing gets records and clusters from."""

    def take_record(self) -> tuple[int, int]:
        """Number and sequence number of a record that was free. Raises NoSpace."""

    def take_clusters(self, count: int) -> Numbers:
        """Rows of first cluster and count. Raises NoSpace."""


@dataclass(frozen=True)
class Bridge:
    """What stands in for the base record while more than one of its sectors changes.

    ``number`` is an extension record with ``image`` that holds all attributes for the time being; ``interim`` is the
    base record that leads there, different from the old one in its first sector only.
    """

    number: int
    image: bytes
    interim: bytes


@dataclass
class Packed:
    """Records by number, update sequences undone: ``base`` in the end; ``changed`` differ in one sector from before.

    ``fresh`` were free before, ``spare`` are not used any more. ``listing`` are rows of first cluster and count for a
    non-resident attribute list, with its content; ``relisted`` tells that the old list is not used any more.
    """

    base: bytes
    changed: dict[int, bytes] = field(default_factory=dict)
    fresh: dict[int, bytes] = field(default_factory=dict)
    spare: list[int] = field(default_factory=list)
    listing: tuple[Numbers, bytes] | None = None
    bridge: Bridge | None = None
    relisted: bool = False


def pack(draft: Draft, geometry: Geometry, supply: Supply, *, replaced: bool = False, relisted: bool = False) -> Packed:
    """Spread a file over records: as it stands where that is enough, else with as few changes as can be.

    ``replaced`` tells that the base record is not changed in place, so that all of it may differ; ``relisted`` asks for
    another place for the attribute list. Raises NoSpace, FilesystemUnsupported.
    """
    free = replaced or not draft.records
    found = None if relisted else in_place(draft, geometry, replaced=free)
    if found is not None:
        return Packed(*found)
    return _Packer(draft, geometry, supply).run(free=free)


class _Packer:
    """One new distribution."""

    def __init__(self, draft: Draft, geometry: Geometry, supply: Supply) -> None:
        self.draft = draft
        self.geometry = geometry
        self.supply = supply
        self.what = parted(draft, geometry)
        self.planner = Planner(draft, geometry, self.what)
        self.before = draft.records[draft.number].raw if draft.records else b""

    def run(self, *, free: bool) -> Packed:
        """``free`` tells that the base record may differ in all sectors."""
        plan = self.planner.full()
        if free or self._one_sector(plan):
            return self._carried_out(plan)
        if self.planner.bridges(plan):
            return self._carried_out(plan, bridged=True)
        plan = self.planner.bare()
        if not self._one_sector(plan):
            message = f"record {self.draft.number} cannot be changed one sector at a time"
            raise FilesystemUnsupported(message, hint="run chkdsk on it first")
        return self._carried_out(plan)

    def _one_sector(self, plan: Plan) -> bool:
        """True if the base record changes in one sector only."""
        listing = self._list_piece(plan, b"\xff" * plan.list_size, np.array([[1, 1]])) if plan.listed else None
        image, _ = self._base_image(plan.base, listing)
        return len(differing(self.before, image, self.geometry.sector_size)) <= 1

    def _base_image(self, pieces: Sequence[Piece], listing: Piece | None) -> tuple[bytes, tuple[Piece, ...]]:
        every = [*pieces, listing] if listing else pieces
        return record_image(bytes(self.draft.header), every, self.geometry, self.before)

    def _carried_out(self, plan: Plan, *, bridged: bool = False) -> Packed:
        packed = Packed(b"", spare=self.what.spare, relisted=True)
        entries = list(self.what.staying)
        for pieces in plan.fresh:
            number, image, found = self._extension(pieces)
            packed.fresh[number] = image
            entries += found
        packed.base, own = self._base(plan, entries, packed)
        if bridged:
            packed.bridge = self._bridge(entries, own)
        return packed

    def _base(self, plan: Plan, entries: list[Entry], packed: Packed) -> tuple[bytes, list[Piece]]:
        """The base record, and what stands in it besides the list; the list may go to ``packed.listing``."""
        if not plan.listed:
            image, placed = self._base_image(plan.base, None)
            return image, list(placed)
        stored = None
        if not plan.resident:
            stored = self.supply.take_clusters(-(-plan.list_size // self.geometry.cluster_size))
        _, placed = self._base_image(plan.base, self._list_piece(plan, bytes(plan.list_size), stored))
        own = [piece for piece in placed if piece.type != AttributeType.ATTRIBUTE_LIST]
        value = list_value([*entries, *((piece, self.draft.reference) for piece in own)], self.geometry)
        if stored is not None:
            packed.listing = stored, value
        image, _ = self._base_image(plan.base, self._list_piece(plan, value, stored))
        return image, own

    def _list_piece(self, plan: Plan, value: bytes, stored: Numbers | None) -> Piece:
        """The attribute list itself, resident or in ``stored``."""
        kind = AttributeType.ATTRIBUTE_LIST
        if plan.resident or stored is None:
            return Piece(kind, "", 0, DraftAttribute(kind, value=value).resident())
        start = np.cumsum(stored[:, 1]) - stored[:, 1]
        rows = np.stack([start, stored[:, 0], stored[:, 1]], axis=1)
        size = len(value)
        raw = DraftAttribute(kind, rows=rows, data_size=size, initialized_size=size).mapped(rows, self.geometry)
        if len(raw) > NON_RESIDENT_SIZE + LIST_PAIRS:
            raise NoSpace(
                f"the attribute list of record {self.draft.number} needs {size} bytes in fewer pieces",
                hint="free some space on the file system",
            )
        return Piece(kind, "", 0, raw)

    def _extension(self, pieces: Sequence[Piece]) -> tuple[int, bytes, list[Entry]]:
        """A fresh record: its number, its bytes, and its pieces as entries of the list."""
        number, sequence = self.supply.take_record()
        header = bytes(empty_header(self.draft, number, sequence))
        anew = [replace(piece, instance=None) for piece in pieces]
        image, placed = record_image(header, anew, self.geometry)
        return number, image, [(piece, number | sequence << 48) for piece in placed]

    def _bridge(self, entries: list[Entry], own: list[Piece]) -> Bridge:
        """``own`` are the pieces of the final base record."""
        staying = [piece for piece in own if piece.type == AttributeType.STANDARD_INFORMATION]
        number, image, moved = self._extension([piece for piece in own if piece not in staying])
        every = [*entries, *moved, *((piece, self.draft.reference) for piece in staying)]
        kind = AttributeType.ATTRIBUTE_LIST
        listing = Piece(kind, "", 0, DraftAttribute(kind, value=list_value(every, self.geometry)).resident())
        interim, _ = self._base_image(staying, listing)
        return Bridge(number, image, interim)
