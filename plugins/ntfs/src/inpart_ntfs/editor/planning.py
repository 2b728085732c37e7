"""Which pieces of a file go into its base record, and which into how many fresh ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from inpart.errors import FilesystemUnsupported

from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.editor.drafts import Draft
from inpart_ntfs.editor.parting import Item, Parted
from inpart_ntfs.editor.pieces import END, Geometry, Piece, entry_size, room_in
from inpart_ntfs.editor.splitting import fitting, piece_of
from inpart_ntfs.structs import MAX_ATTRIBUTE_LIST, NON_RESIDENT_SIZE, RESIDENT_SIZE

LIST_PAIRS = 64
"""Bytes kept for the run list of a non-resident attribute list."""


@dataclass(frozen=True)
class Plan:
    """Pieces of the base record, those of each fresh record, and if there is to be a list, how it is kept.

    ``list_size`` are the bytes of its content.
    """

    base: list[Piece]
    fresh: list[list[Piece]]
    list_size: int
    resident: bool = True

    @property
    def listed(self) -> bool:
        """True if there is to be a list."""
        return self.list_size > 0

    @property
    def base_size(self) -> int:
        """Bytes of the attributes of the base record."""
        size = sum(len(piece.raw) for piece in self.base)
        if not self.listed:
            return size
        return size + (RESIDENT_SIZE + self.list_size if self.resident else NON_RESIDENT_SIZE + LIST_PAIRS)


class Planner:
    """Plans for one file that was taken apart."""

    def __init__(self, draft: Draft, geometry: Geometry, what: Parted) -> None:
        self.draft = draft
        self.geometry = geometry
        self.what = what
        self.room = room_in(bytes(draft.header), geometry)

    def full(self) -> Plan:
        """As much in the base record as it holds; what is largest leaves it first. Raises FilesystemUnsupported."""
        home, away = list(self.what.home), list(self.what.away)
        while True:
            plan = self._laid_out(home, away)
            for candidate in (plan, replace(plan, resident=False)):
                if candidate.base_size <= self.room:
                    return candidate
            leaving = max((one for one in home if one.may_leave), key=_eagerness, default=None)
            if leaving is None:
                raise FilesystemUnsupported(f"the attributes of record {self.draft.number} do not fit into it")
            home.remove(leaving)
            away.append(leaving)

    def bare(self) -> Plan:
        """Only what must be in the base record is left there, with a list that fits into its first sector."""
        home = [one for one in self.what.home if not one.may_leave]
        plan = self._laid_out(home, [*self.what.away, *(one for one in self.what.home if one.may_leave)])
        return plan if self._in_first_sector(plan.base_size) else replace(plan, resident=False)

    def bridges(self, plan: Plan) -> bool:
        """True if the list of all that ``plan`` places fits into the first sector of a base record without the rest."""
        staying = sum(len(piece.raw) for piece in plan.base if piece.type == AttributeType.STANDARD_INFORMATION)
        size = plan.list_size or self._list_size(plan.base, [])
        return self._in_first_sector(staying + RESIDENT_SIZE + size)

    def _in_first_sector(self, size: int) -> bool:
        return len(self.draft.header) + size + len(END) <= self.geometry.sector_size

    def _laid_out(self, home: Sequence[Item], away: Sequence[Item]) -> Plan:
        base = [one.piece for one in home]
        content = next((one for one in away if one.is_content and not one.piece.lowest_vcn), None)
        if self.draft.number == Number.MFT and content is not None:
            return self._split_mft(base, content, [one for one in away if one is not content])
        return self._plan(base, away)

    def _plan(self, base: list[Piece], away: Sequence[Item]) -> Plan:
        fresh = self._spread(away)
        listed = fresh or self.what.staying
        return Plan(base, fresh, self._list_size(base, fresh) if listed else 0)

    def _list_size(self, base: list[Piece], fresh: list[list[Piece]]) -> int:
        pieces = [*base, *(one for ones in fresh for one in ones), *(piece for piece, _ in self.what.staying)]
        size = sum(entry_size(piece.name) for piece in pieces)
        if size > MAX_ATTRIBUTE_LIST:
            raise FilesystemUnsupported(f"the attribute list of record {self.draft.number} would be too long")
        return size

    def _split_mft(self, base: list[Piece], content: Item, others: list[Item]) -> Plan:
        """The first part of $MFT's own run list stays in record 0, as it is needed to find all the others."""
        attribute, rows = content.attribute, content.rows
        room = self.room - sum(len(piece.raw) for piece in base) - RESIDENT_SIZE
        for reserved in range(entry_size(""), room, entry_size("")):
            count = fitting(attribute, rows, room - reserved)
            first = replace(piece_of(attribute, rows[:count], self.geometry), instance=content.piece.instance)
            rest = Item.of_rows(attribute, rows[count:], self.geometry)
            plan = self._plan([*base, first], [rest, *others])
            if count and plan.base_size <= self.room:
                return plan
        raise FilesystemUnsupported("the run list of $MFT is too long", hint="defragment $MFT first")

    def _spread(self, items: Sequence[Item]) -> list[list[Piece]]:
        """Items in fresh records, each filled before the next one."""
        records: list[list[Piece]] = []
        left = 0
        for item in sorted(items, key=lambda one: one.piece.order(self.geometry)):
            attribute, rows = item.attribute, item.rows
            if not len(rows):
                if len(item.piece.raw) > left:
                    records, left = [*records, []], self.room
                records[-1].append(item.piece)
                left -= len(item.piece.raw)
                continue
            while len(rows):
                count = fitting(attribute, rows, left)
                if not count or (count < len(rows) and left < self.room // 4):
                    records, left = [*records, []], self.room
                    continue
                piece = piece_of(attribute, rows[:count], self.geometry)
                records[-1].append(piece)
                left -= len(piece.raw)
                rows = rows[count:]
        return records


def _eagerness(item: Item) -> tuple[bool, bool, int]:
    """What leaves the base record first: long run lists, then what is large, the root of an index last."""
    return len(item.rows) > 0, item.piece.type != AttributeType.INDEX_ROOT, len(item.piece.raw)
