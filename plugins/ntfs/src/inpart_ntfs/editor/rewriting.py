"""A changed file put into the transaction, so that a power cut leaves it as it was or as it will be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inpart.contracts import Stage

from inpart_ntfs.editor.clusters import Numbers
from inpart_ntfs.editor.drafts import Draft
from inpart_ntfs.editor.packing import Packed, pack
from inpart_ntfs.runs import HOLE

if TYPE_CHECKING:
    from inpart_ntfs.editor.ground import Ground


@dataclass(frozen=True)
class GroundSupply:
    """Records and clusters of the file system itself."""

    ground: Ground

    def take_record(self) -> tuple[int, int]:
        return self.ground.ledger.new_record()

    def take_clusters(self, count: int) -> Numbers:
        return self.ground.room.take(count)


class ReservedSupply(GroundSupply):
    """For $MFT itself, whose extension records must lie in its first part."""

    def take_record(self) -> tuple[int, int]:
        return self.ground.ledger.new_reserved_record()


def store(ground: Ground, draft: Draft, stage: Stage = Stage.SWITCH, *, relisted: bool = False) -> None:
    """Put a file into the transaction; ``stage`` is that of its base record. Raises NoSpace, FilesystemUnsupported.

    ``relisted`` gives its attribute list another place. What the file points to must be written before, what it does
    not use any more is the caller's to give back; records and clusters of the list are taken and given here. A file
    that is not on the disk yet may be stored in an early stage, as nobody refers to it.
    """
    packed = pack(draft, ground.geometry, GroundSupply(ground), relisted=relisted)
    prepare(ground, packed)
    for number, image in packed.changed.items():
        ground.write_record(number, image, stage)
    if packed.bridge is None:
        ground.write_record(draft.number, packed.base, stage)
    else:
        ground.write_record(draft.number, packed.bridge.interim, stage)
        ground.write_record(draft.number, packed.base, Stage.RELEASE)
        ground.drop_record(packed.bridge.number, Stage.PUBLISH, free=Stage.PUBLISH)
    give_back(ground, draft, packed)


def prepare(ground: Ground, packed: Packed, stage: Stage = Stage.LINK) -> None:
    """Write what nothing refers to yet: fresh extension records, a new place for the attribute list."""
    if packed.bridge is not None:
        ground.write_record(packed.bridge.number, packed.bridge.image, stage)
    for number, image in packed.fresh.items():
        ground.write_record(number, image, stage)
    if packed.listing is not None:
        ground.fill(*packed.listing)


def give_back(ground: Ground, draft: Draft, packed: Packed) -> None:
    """Free extension records that are no longer used, and the old place of the attribute list if it has another."""
    for number in packed.spare:
        ground.drop_record(number, Stage.FOLLOW)
    if packed.relisted and draft.listing is not None and draft.listing.non_resident:
        rows = draft.listing.rows
        ground.ledger.give(rows[rows[:, 1] != HOLE][:, 1:])
