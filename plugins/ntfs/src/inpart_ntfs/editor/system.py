"""Moving what all else is found by: $MFT, $MFTMirr, $LogFile, switched by one write of the boot sector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inpart.contracts import Stage
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, NoSpace
from inpart.extents import Extents, Runs
from inpart.units import KIB
from inpart.volume import RunsVolume

from inpart_ntfs.attributes import parse_record
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.editor.drafts import Draft, DraftAttribute, cut_rows, load
from inpart_ntfs.editor.mover import Move, Mover
from inpart_ntfs.editor.packing import Packed, pack
from inpart_ntfs.editor.relocation import LCN, aligned, merged
from inpart_ntfs.editor.rewriting import ReservedSupply, give_back
from inpart_ntfs.editor.sealing import sealed
from inpart_ntfs.mft import MIRRORED
from inpart_ntfs.runs import byte_runs
from inpart_ntfs.structs import BPB, OEM_ID, field_offset

if TYPE_CHECKING:
    from inpart_ntfs.editor.ground import Ground

SYSTEM = (Number.MFT, Number.MFT_MIRR, Number.LOG_FILE, Number.VOLUME)
"""The files whose records $MFTMirr repeats."""
_HEAD = 16 * KIB
"""So much of $MFT at least is kept in one piece at its front."""


class SystemMover:
    """One batch: the front of $MFT and all of $MFTMirr get new places, whatever else of these files is in the way too.

    No order of two writes keeps $MFT and $MFTMirr equal, but the boot sector points to both. Whatever is done later in
    the same transaction to records in the front of $MFT belongs to its new place, and is switched with it.
    """

    def __init__(self, ground: Ground, mover: Mover, *, head: int = _HEAD) -> None:
        """``head`` are the bytes of $MFT at least that get a new place. Raises FilesystemDamaged."""
        self.ground = ground
        self.mover = mover
        self.moves: list[Move] = []
        self.drafts = [load(ground.mft, number) for number in SYSTEM]
        self.mirror = _content(self.drafts[Number.MFT_MIRR])
        size, cluster = max(self.mirror.data_size, head), ground.cluster_size
        self.head = min(-(-size // cluster), _content(self.drafts[Number.MFT]).last + 1)

    def move(self, stage: Stage = Stage.SWITCH) -> None:
        """``stage`` is that of the boot sector. Raises NoSpace, FilesystemUnsupported."""
        drafts, mirror = self.drafts, self.mirror
        content = _content(drafts[Number.MFT])
        self._anew(content, self.head)
        self._anew(mirror, mirror.last + 1)
        for draft in drafts:
            for attribute in draft.attributes:
                if self.mover.touches(attribute.runs):
                    self.moves.append(self.mover.redirect(attribute, attribute.last + 1))
        packed = [self._packed(draft) for draft in drafts]
        check_reach(self.ground, packed[Number.MFT])
        self.mover.carry_out(self.moves)
        for draft, one in zip(drafts, packed, strict=True):
            self._write(draft, one, self._runs(content), self._runs(mirror).slice(0, mirror.data_size), stage)
        self._switch(content, mirror, stage)
        self.ground.desk.front = stage
        self.ground.reopen()
        for draft, one in zip(drafts, packed, strict=True):
            give_back(self.ground, draft, one)

    def _runs(self, attribute: DraftAttribute) -> Runs:
        return byte_runs(attribute.runs, self.ground.cluster_size)

    def _anew(self, attribute: DraftAttribute, count: int) -> None:
        """The first ``count`` clusters of an attribute get a new place in one piece. Raises NoSpace."""
        room, size = self.mover.room, self.ground.cluster_size
        if count > room.longest:
            raise NoSpace(
                f"$MFT or its mirror needs {count * size} free bytes in one piece, and there are {room.longest * size}",
                hint="free some space on the file system",
            )
        target = room.take(count)
        leave = cut_rows(attribute.runs, 0, count)
        self.mover.rewrite(leave)
        arrived = aligned(leave, target)
        attribute.rows = merged(cut_rows(attribute.runs, count, attribute.last + 1), arrived)
        self.moves.append((leave, arrived))

    def _packed(self, draft: Draft) -> Packed:
        relisted = draft.listing is not None and self.mover.touches(draft.listing.rows)
        supply = ReservedSupply(self.ground)
        packed = pack(draft, self.ground.geometry, supply, replaced=True, relisted=relisted)
        if draft.number != Number.MFT and packed.fresh:
            message = f"the run list of record {draft.number} does not fit into its record"
            raise FilesystemUnsupported(message, hint="free some space on the file system in one piece")
        return packed

    def _write(self, draft: Draft, packed: Packed, content: Runs, mirror: Runs, switch: Stage) -> None:
        """Put records into the new $MFT and the new $MFTMirr; what was copied there is changed before it is used.

        Extension records lie where they are: they are written before the ``switch``, as nobody refers to them yet.
        """
        if packed.listing is not None:
            self.ground.fill(*packed.listing)
        stream = RunsVolume(self.ground.tx.view, content, name="$MFT")
        staged = [(packed.fresh, Stage(switch - 1)), ({**packed.changed, draft.number: packed.base}, Stage.SWITCH)]
        for images, stage in staged:
            for number, image in images.items():
                place = number * len(image)
                raw, early = sealed(stream.read(place, len(image)), image, self.ground.tx.view.sector_size)
                for at in early[:1]:
                    self.ground.edit_runs(content, place + at, raw[at:], Stage(stage - 1))
                self.ground.edit_runs(content, place, raw, stage)
                if place + len(raw) <= mirror.total:
                    self.ground.edit_runs(mirror, place, raw, stage)

    def _switch(self, content: DraftAttribute, mirror: DraftAttribute, stage: Stage) -> None:
        """Let the boot sector point to the new places, and after it its backup."""
        at = field_offset(BPB, "mft_lcn")
        lcns = b"".join(int(one.runs[0, LCN]).to_bytes(8, "little") for one in (content, mirror))
        view, backup = self.ground.tx.view, self.ground.boot.backup_offset
        self.ground.tx.edit(at, lcns, stage)
        if backup + BPB.itemsize <= view.size and view.read(backup + 3, len(OEM_ID)) == OEM_ID:
            self.ground.tx.edit(backup + at, lcns, Stage.FOLLOW)


def check_reach(ground: Ground, packed: Packed) -> None:
    """Raise FilesystemUnsupported for a part of the run list of $MFT in a record that is mapped by it or behind it."""
    boot = ground.boot
    for number, image in packed.fresh.items():
        end = (number + 1) * boot.record_size
        piece = parse_record(number, image, boot.clusters).find(AttributeType.DATA)
        if piece is not None and end > piece.lowest_vcn * boot.cluster_size:
            message = f"record {number} cannot hold a part of the run list of $MFT"
            raise FilesystemUnsupported(message, hint="defragment $MFT first")


def renew_front(ground: Ground, stage: Stage = Stage.SWITCH) -> None:
    """Let records change at once that ntfs-3g wants to find equal in $MFTMirr, if it has more than those of SYSTEM.

    ``stage`` is that of all changes of records in the front of $MFT from now on. Raises NoSpace.
    """
    if ground.tx.lasting and ground.mirrored > MIRRORED and ground.desk.front is None:
        SystemMover(ground, Mover(ground, Extents(), ground.room), head=0).move(stage)


def _content(draft: Draft) -> DraftAttribute:
    found = draft.find(AttributeType.DATA)
    if found is None or found.last < 0:
        raise FilesystemDamaged(f"record {draft.number} has no content in clusters", hint="run chkdsk on it first")
    return found
