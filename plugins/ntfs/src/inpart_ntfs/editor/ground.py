"""What all edits stand on: the file system as the transaction's view shows it, and changes of its records."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from inpart.contracts import Edits, Stage
from inpart.extents import Extents, Runs

from inpart_ntfs.codes import Number, RecordFlag
from inpart_ntfs.editor.clusters import Numbers, Room
from inpart_ntfs.editor.desk import desk_of
from inpart_ntfs.editor.guard import check_editable
from inpart_ntfs.editor.ledger import Ledger
from inpart_ntfs.editor.pieces import Geometry
from inpart_ntfs.editor.sealing import sealed
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.mft import Mft
from inpart_ntfs.runs import byte_runs
from inpart_ntfs.structs import FILE_RECORD, field_offset

_SEQUENCE = field_offset(FILE_RECORD, "sequence_number")
_FLAGS = field_offset(FILE_RECORD, "flags")

Change = Callable[[int, bytes, Stage], None]

FIRST_WITH_HOLES = (3, 0)
"""The version from which on a run list has holes without a cluster."""


class Ground:
    """One call of an editor; everything is read anew from the view.

    ``room`` hands out the free clusters that metadata may take; it can be replaced by a choice of them.
    """

    def __init__(self, tx: Edits) -> None:
        """Raises FilesystemDamaged, FilesystemUnclean, FilesystemUnsupported if the file system must not be edited."""
        self.tx = tx
        self.desk = desk_of(tx)
        self.fs = NtfsFilesystem(tx.view)
        check_editable(self.fs)
        self.boot = self.fs.boot
        self.cluster_size = self.boot.cluster_size
        self.used = self.fs.used
        self.ledger = Ledger(self)

    @cached_property
    def room(self) -> Room:
        """All free clusters, in their order."""
        return Room(self.free().rows)

    @cached_property
    def geometry(self) -> Geometry:
        """What the bytes of records depend on."""
        return Geometry(
            record_size=self.boot.record_size,
            cluster_size=self.cluster_size,
            sector_size=self.tx.view.sector_size,
            fold=self.fs.upcase.fold,
            old_holes=self.fs.state.version < FIRST_WITH_HOLES,
        )

    @property
    def mft(self) -> Mft:
        """Access to the records."""
        return self.fs.mft

    @property
    def mirrored(self) -> int:
        """How many records $MFTMirr repeats: four, or as many as a larger cluster holds."""
        return self._mirror.total // self.boot.record_size

    def reopen(self) -> None:
        """Find $MFT and its mirror anew, after they have grown or moved."""
        self.fs.refresh()
        self.__dict__.pop("_mirror", None)

    def free(self) -> Extents:
        """Clusters that may be filled in this transaction."""
        used = self.used.in_units(self.cluster_size)
        return used.complement(0, self.boot.clusters) - self.desk.freed

    def record(self, number: int) -> bytearray:
        """A record, in use or not, its update sequence undone if it has one. Raises FilesystemDamaged."""
        return bytearray(self.mft.read(np.array([number], dtype=np.int64)).raw.tobytes())

    def write_record(self, number: int, image: bytes, stage: Stage) -> Stage:
        """Put a record, its update sequence undone, into the transaction, and into $MFTMirr if it is one of those.

        Returns the stage, which is a later one if the record has been edited in that.
        """
        key = ("record", number)
        last = self.desk.latest.get(key)
        stage = self.desk.stage(key, stage)
        again, place = last == stage, number * len(image)
        if not again or number not in self.desk.before:
            self.desk.before[number] = self.mft.stream.read(place, len(image))
        raw, early = sealed(self.desk.before[number], image, self.tx.view.sector_size)
        if early and stage > Stage.MARK and not again:
            first, at = early[0], Stage(stage - 1)
            self.edit_runs(self.mft.stream.runs, place + first, raw[first:], at)
        self.edit_runs(self.mft.stream.runs, place, raw, stage)
        if place + len(raw) <= self._mirror.total:
            self.edit_runs(self._mirror, place, raw, stage)
        return stage

    def drop_record(self, number: int, stage: Stage, *, free: Stage | None = Stage.RELEASE) -> None:
        """Mark a record as not in use, with a new sequence number, in one stage, and give it back in another.

        With None for ``free`` the bitmap of records has it as free already.
        """
        raw = self.record(number)
        sequence = int.from_bytes(raw[_SEQUENCE : _SEQUENCE + 2], "little") % 0xFFFF + 1
        flags = int.from_bytes(raw[_FLAGS : _FLAGS + 2], "little") & ~RecordFlag.IN_USE
        raw[_SEQUENCE : _SEQUENCE + 2] = sequence.to_bytes(2, "little")
        raw[_FLAGS : _FLAGS + 2] = flags.to_bytes(2, "little")
        late = self.write_record(number, bytes(raw), stage) > stage
        self.desk.spent.add(number)
        if free is not None:
            self.ledger.give_record(number, Stage.PUBLISH if late else free)

    def edit_runs(self, runs: Runs, offset: int, data: bytes, stage: Stage) -> None:
        """Edit bytes of a file that lies along ``runs``."""
        self._change(self.tx.edit, runs, offset, data, stage)

    def set_bits(self, runs: Runs, offset: int, bits: bytes, stage: Stage) -> None:
        """Set bits of a bitmap that lies along ``runs``, whatever else of it has changed in later stages."""
        self._change(self.tx.set_bits, runs, offset, bits, stage)

    def _change(self, change: Change, runs: Runs, offset: int, data: bytes, stage: Stage) -> None:
        done = 0
        for start, length in runs.slice(offset, len(data)):
            change(start, data[done : done + length], stage)
            self.desk.note(start, length)
            done += length

    def fill(self, rows: Numbers, data: bytes) -> None:
        """Write new content to free clusters and take them; what is behind its end is zero."""
        self.ledger.take(rows)
        self.blank(rows, data)

    def blank(self, rows: Numbers, data: bytes = b"") -> None:
        """Write to free clusters; what is behind the end of ``data`` is zero."""
        done = 0
        for lcn, count in rows.tolist():
            size = count * self.cluster_size
            self.tx.write(lcn * self.cluster_size, data[done : done + size].ljust(size, b"\0"))
            done += size

    @cached_property
    def _mirror(self) -> Runs:
        """Where $MFTMirr lies."""
        mirror = self.mft.metadata(Number.MFT_MIRR)
        return byte_runs(mirror.rows, self.cluster_size).slice(0, mirror.data_size)
