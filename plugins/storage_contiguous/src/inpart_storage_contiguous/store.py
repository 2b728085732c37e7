"""A container in one partition as a store: its images, its files, and the changes that can be made to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from inpart.contracts import Claim, Edits, Finding, Severity, Stage, StoreChange, StoredImage
from inpart.errors import IntegrityError, NoImageFound, OutOfBounds, VolumeError
from inpart.extents import Extents, Runs
from inpart.units import SECTOR
from inpart.volume import Buffer, RunsVolume, Volume

from inpart_storage_contiguous import naming
from inpart_storage_contiguous.checking import damaged_headers, mended_headers
from inpart_storage_contiguous.entries import Entry
from inpart_storage_contiguous.headers import SegmentHeader, TableHeader
from inpart_storage_contiguous.publishing import claims_of, journal_of, now, put_ends, put_table, wipe
from inpart_storage_contiguous.rebuild import STRAY, FoundImage
from inpart_storage_contiguous.structs import (
    SEGMENT_HEADER,
    TABLE_HEADER,
    ImageState,
    TableKind,
)
from inpart_storage_contiguous.tables import Table

NAME = "contiguous"


class _Stream(RunsVolume):
    """An image stream, which nobody writes through a store."""

    def write(self, offset: int, data: Buffer) -> None:
        raise VolumeError(f"{self.name} is read-only")


@dataclass(frozen=True, eq=False)
class ContiguousStore:
    """See ``inpart.contracts.Store``.

    ``table`` is the newest valid one, or one made from segments if ``rebuilt``; ``lost`` names the files whose table
    is damaged or out of date; ``doubtful`` that a newer table may have been among them.
    ``moved`` are the files as the file system has them, if that is not where they were written; ``abandoned`` names
    those that a change left which was cut short and then given up.
    """

    volume: Volume
    base: int
    table: Table
    found: tuple[FoundImage, ...]
    table_findings: tuple[Finding, ...] = ()
    lost: frozenset[str] = frozenset()
    rebuilt: bool = False
    doubtful: bool = False
    moved: tuple[Claim, ...] = ()
    abandoned: tuple[str, ...] = ()

    @property
    def layout(self) -> str:
        return NAME

    @property
    def store_id(self) -> bytes:
        return self.table.container_id

    @property
    def partition_size(self) -> int:
        return self.table.geometry.partition_size

    @property
    def dead(self) -> bool:
        """True if nothing is left but marks of images that were deleted: what it says of places counts no more."""
        return self.rebuilt and not self.found

    @cached_property
    def images(self) -> tuple[StoredImage, ...]:
        """Oldest first."""
        return tuple(
            StoredImage(image.summary, image.extents, image.state, image.files, image.named) for image in self.found
        )

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Damage of tables, found when the store was located, and of segment headers, read now."""
        return self.table_findings + tuple(self._abandoned_findings()) + tuple(self._header_findings())

    def extents(self) -> Extents:
        """All clusters; nothing of a container that has lost its tables and all images."""
        if self.dead:
            return Extents()
        if self.moved:
            return Extents.union(claim.runs.extents() for claim in self.moved)
        return Extents.union([self.table.extents(), *(image.extents for image in self.found)])

    def open(self, image_id: bytes) -> Volume:
        """The image stream, read-only. Raises NoImageFound; what is missing of a partial image reads as zeros."""
        for image in self.found:
            if image.summary.image_id == image_id:
                return _Stream(self.volume, image.stream.shift(self.base), name=f"image {image.summary.name}")
        raise NoImageFound(f"the container has no image {image_id.hex()}", hint="see the output of inpart list")

    def claims(self) -> StoreChange:
        """What is left of images that are not whole is claimed too, unless it lies where something else does.

        Nothing is claimed for a container that has lost its tables and of which nothing but strays is left.
        """
        if self.rebuilt and all(image.state == STRAY for image in self.found):
            return StoreChange()
        claims = list(self.moved or claims_of(self.table))
        taken = Extents.union(claim.runs.extents() for claim in claims)
        for image in self.found:
            if image.remains and not image.extents & taken:
                claims += image.remains
                taken |= image.extents
        return StoreChange(claims=tuple(claims), directory=self.table.room)

    def journal(self) -> Runs:
        if self.dead:
            return Runs()
        area = journal_of(self.table.geometry)
        for claim in self.moved:
            if claim.name == naming.TOC_END:
                return claim.runs.slice(0, area.total)
        return area

    def growable(self) -> Table:
        """The table for adding an image. Raises IntegrityError if it had to be rebuilt or lies elsewhere."""
        self._must_be_in_place()
        if self.rebuilt:
            raise IntegrityError(
                "the container has lost its tables of contents",
                hint="`inpart repair` writes them again; so does a restore that keeps all images",
            )
        return self.table

    def remove(self, image_ids: Sequence[bytes], tx: Edits) -> StoreChange:
        """Forget images. The tables change before the file system frees any cluster. Raises NoImageFound.

        Of a container whose files were moved only all images together can go.
        """
        going = [self._found(image_id) for image_id in image_ids]
        gone = {image.summary.image_id for image in going}
        staying = [image for image in self.found if image.summary.image_id not in gone]
        if staying or not self.moved:
            self._must_be_in_place()
        for image in going:
            self._mark_removed(image, tx)
        release = tuple(name for image in going for name in image.files)
        if not staying:
            wipe(self._tables_there(tx), tx, Stage.MARK)
            files = (claim.name for claim in self.moved or claims_of(self.table))
            return StoreChange(release=tuple(dict.fromkeys((*release, *files))))
        wipe([one.entry.inter_offset for one in going if one.entry and one.entry.inter_number], tx, Stage.MARK)
        if any(image.entry is None for image in staying):
            return StoreChange(release=release, directory=self.table.room)
        return self._without(gone, tx)

    def _without(self, gone: set[bytes], tx: Edits) -> StoreChange:
        """New tables that do not name the images ``gone``, of which some others stay."""
        table = self.table
        staying = [entry for entry in table.entries if entry.image_id not in gone]
        if table.entries[-1].image_id in gone:
            staying[-1] = replace(staying[-1], inter_number=0, inter_offset=0)
        after = replace(table, generation=table.generation + 1, created=now(), entries=tuple(staying))
        put_ends(after, tx, Stage.MARK)
        left = {claim.name for claim in claims_of(after)}
        release = tuple(claim.name for claim in claims_of(table) if claim.name not in left)
        return StoreChange(release=release, directory=table.room)

    def repair(self, tx: Edits) -> StoreChange:
        """Write the tables in ``lost`` again, and segment headers whose payloads are proven whole.

        What is intact stays as it is; what is abandoned is given back.
        """
        self._must_be_in_place()
        if self.dead:
            return StoreChange(release=self.abandoned)
        table = replace(self.table, created=now()) if self.rebuilt else self.table
        if naming.TOC_END in self.lost:
            put_table(table, tx, TableKind.TOC_END, Stage.PUBLISH)
        if naming.TOC_BEGIN in self.lost and table.toc_begin_offset:
            put_table(table, tx, TableKind.TOC_BEGIN, Stage.PUBLISH)
        for entry in table.entries:
            if naming.inter_name(entry.inter_number) in self.lost:
                put_table(table, tx, TableKind.INTER, Stage.PUBLISH, entry=entry)
            for header in mended_headers(self.volume, table, entry):
                tx.edit(header.own_offset, header.pack(), Stage.PUBLISH)
        return StoreChange(claims=claims_of(table), release=self.abandoned, directory=table.room)

    def _found(self, image_id: bytes) -> FoundImage:
        for image in self.found:
            if image.summary.image_id == image_id:
                return image
        raise NoImageFound(f"the container has no image {image_id.hex()}", hint="see the output of inpart list")

    def _must_be_in_place(self) -> None:
        if self.moved:
            raise IntegrityError(
                "files of the container were moved to other clusters since it was made",
                hint="export its images, delete them, and import them again",
            )
        if self.base:
            raise IntegrityError(
                f"the container was made for a partition that started {-self.base} bytes from here",
                hint="restore its images elsewhere, then make a new container",
            )

    def _mark_removed(self, image: FoundImage, tx: Edits) -> None:
        """Segment 0 says that its image is gone, so that no scan brings it back.

        Where that is lost, or segments lie apart from where they say, all of them are made unrecognisable.
        """
        places = [place for place in image.heads if place + SEGMENT_HEADER <= self.volume.size]
        if not places:
            return
        try:
            header = SegmentHeader.unpack(tx.view.read(places[0], SEGMENT_HEADER))
            first = (header.image_id, header.sequence) == (image.summary.image_id, 0)
        except IntegrityError:
            first = False
        if first and not self.moved:
            tx.edit(places[0], replace(header, state=ImageState.REMOVED).pack()[:SECTOR], Stage.MARK)
        else:
            wipe(places, tx, Stage.MARK)

    def _tables_there(self, tx: Edits) -> Iterator[int]:
        """Where tables of this container are to be found, and nothing else is."""
        for place in self._table_places():
            try:
                header = TableHeader.unpack(tx.view.read(place, TABLE_HEADER))
            except (IntegrityError, OutOfBounds):
                continue
            if header.container_id == self.store_id:
                yield place

    def _table_places(self) -> Iterator[int]:
        geometry = self.table.geometry
        slots = [geometry.slot_offset(slot) - geometry.toc_end_offset for slot in (0, 1)]
        for claim in self.moved:
            if naming.is_control(claim.name):
                at = slots if claim.name == naming.TOC_END else [0]
                yield from (int(claim.runs.slice(offset, SECTOR).array[0, 0]) for offset in at)
        if not self.moved:
            yield from (geometry.toc_end_offset + offset for offset in slots)
            yield from self.table.control_offsets().values()

    def _abandoned_findings(self) -> Iterator[Finding]:
        if self.abandoned:
            yield Finding(
                Severity.WARNING, "container.abandoned-files", ", ".join(self.abandoned),
                "left by a change that was cut short and given up; `inpart repair` gives their clusters back",
            )  # fmt: skip

    def _header_findings(self) -> Iterator[Finding]:
        for image in self.found:
            if image.entry is not None:
                yield from self._check_headers(image.entry)

    def _check_headers(self, entry: Entry) -> Iterator[Finding]:
        for number, place, message in damaged_headers(self.volume, self.base, entry, moved=bool(self.moved)):
            yield Finding(
                Severity.WARNING, "container.segment-header", f"byte {place}",
                f"the header of segment {number} of image {entry.summary.name} {message}",
            )  # fmt: skip
