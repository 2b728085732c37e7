"""All images in blocks of one partition as a store, and the changes that can be made to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from inpart.contracts import Edits, Finding, Severity, Stage, StoreChange, StoredImage
from inpart.errors import IntegrityError, NoImageFound
from inpart.extents import Extents, Runs
from inpart.units import SECTOR
from inpart.volume import Volume

from inpart_storage_blocks import naming
from inpart_storage_blocks.claimed import Remains
from inpart_storage_blocks.control import HEAD, TAIL, description_blocks, head_description, place_in, seal, tombstone
from inpart_storage_blocks.facts import Description
from inpart_storage_blocks.image import BlockImage
from inpart_storage_blocks.structs import Origin
from inpart_storage_blocks.writer import Joins

NAME = "blocks"


def own_clusters(images: Iterable[BlockImage]) -> tuple[BlockImage, ...]:
    """Oldest first; an image whose clusters a newer one owns by now has no seal any more, whatever was found.

    Neither has one whose clusters lie outside of its partition or belong to it twice: no file system could own them.
    Of images that do not know of each other, more than one may have files of the same name; the newest keeps it.
    """
    taken, kept = Extents(), []
    stems: list[str] = []
    for image in sorted(images, key=_age, reverse=True):
        extents = image.path.extents()
        possible = extents.total == image.path.total and extents.end <= image.origin.partition_size
        if image.sealed and (not possible or extents & taken):
            kept.append(replace(image, sealed=False, lost=()))
        else:
            taken = taken | extents if image.sealed else taken
            stem = image.stem if image.given else naming.stem_for(image.stem, stems)
            stems.append(stem)
            kept.append(replace(image, stem=stem))
    return tuple(kept[::-1])


def _age(image: BlockImage) -> tuple[datetime, int]:
    return image.summary.created, image.facts.serial


@dataclass(frozen=True, eq=False)
class BlocksStore:
    """See ``inpart.contracts.Store``. ``found`` are oldest first; ``notes`` are findings that concern no image.

    ``remains`` are files without an image; there is a store for them, too, where no image is left.
    """

    volume: Volume
    base: int
    found: tuple[BlockImage, ...]
    notes: tuple[Finding, ...] = ()
    remains: Remains | None = None

    @property
    def layout(self) -> str:
        return NAME

    @property
    def store_id(self) -> bytes:
        return self._origin.store_id

    @property
    def partition_size(self) -> int:
        return self._origin.partition_size

    @cached_property
    def images(self) -> tuple[StoredImage, ...]:
        """Oldest first."""
        return tuple(image.stored() for image in self.found)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Lost seals and descriptions, missing blocks as far as locating has looked for them, garbage."""
        left = (_left_over(self.remains),) if self.remains else ()
        return tuple(finding for image in self.found for finding in image.findings()) + left + self.notes

    def extents(self) -> Extents:
        """The clusters of images that own them; what others have written may be overwritten."""
        owned = Extents()
        for image in self._owned:
            owned = owned | image.path.extents()
        return owned

    def open(self, image_id: bytes) -> Volume:
        """The image stream. Raises NoImageFound; what is missing or damaged raises when it is read."""
        return self._image(image_id).open(self.volume)

    def claims(self) -> StoreChange:
        """The files of images that own clusters."""
        return StoreChange(claims=tuple(claim for image in self._owned for claim in image.files))

    def journal(self) -> Runs:
        """The area in the head of the newest image that has one."""
        return next((image.journal for image in reversed(self._owned) if image.journal), Runs())

    def remove(self, image_ids: Sequence[bytes], tx: Edits) -> StoreChange:
        """Break seals and descriptions before the file system frees any cluster. Raises NoImageFound."""
        self.must_be_in_place()
        going = [self._image(image_id) for image_id in image_ids]
        for image in going:
            for copy, runs in ((HEAD, image.head), (TAIL, image.tail)):
                if runs:
                    place = place_in(runs, 0)
                    tx.edit(place, tombstone(image.origin, copy, place), Stage.MARK)
                    tx.edit(place_in(runs, image.origin.block_size), bytes(SECTOR), Stage.MARK)
            if not image.described:
                _mark_data(image, tx)
        return StoreChange(release=tuple(claim.name for image in going for claim in image.files))

    def repair(self, tx: Edits) -> StoreChange:
        """Write lost seals and descriptions again from the copies that are left, and give back what has no image."""
        self.must_be_in_place()
        for image in self._owned:
            if image.lost and image.described and not image.moved:
                _write_controls(image, tx)
        return replace(self.claims(), release=self.remains.names if self.remains else ())

    def must_be_in_place(self) -> None:
        """Raise IntegrityError if the images were made for a partition that begins elsewhere."""
        if self.base:
            raise IntegrityError(
                f"the images were made for a partition that started {-self.base} bytes from here",
                hint="restore them elsewhere, or put the partition's entry back with --repair-table",
            )

    def joins(self) -> Joins:
        """What the next image must know."""
        serial = 1 + max([self._origin.serial, *(image.facts.serial for image in self.found)])
        stems = tuple(image.stem for image in self.found)
        known = tuple(image.origin.image_id for image in self.found)
        return Joins(self.store_id, stems, known, serial, self.journal())

    @cached_property
    def _owned(self) -> tuple[BlockImage, ...]:
        return tuple(image for image in self.found if image.owned)

    @property
    def _origin(self) -> Origin:
        """What is known of the newest image."""
        newest = (self._owned or self.found)[-1:]
        if not newest and self.remains:
            return self.remains.origin
        return newest[0].origin

    def _image(self, image_id: bytes) -> BlockImage:
        for image in self.found:
            if image.summary.image_id == image_id:
                return image
        raise NoImageFound(f"there is no image {image_id.hex()} in blocks", hint="see the output of inpart list")


def _left_over(remains: Remains) -> Finding:
    message = "left by a deletion that was cut short and given up; `inpart repair` gives their clusters back"
    return Finding(Severity.WARNING, "blocks.abandoned-files", ", ".join(remains.names), message)


def garbage(count: int) -> Finding:
    """Blocks of images that were removed or never finished: harmless, and worth knowing."""
    message = f"there are blocks of {count} images that were removed, or never finished"
    return Finding(Severity.NOTE, "blocks.garbage", "free clusters", message)


def flooded() -> Finding:
    """More blocks than are looked at."""
    message = "there are more pieces of images than are looked at; the rest was left out"
    return Finding(Severity.WARNING, "blocks.flooded", "the volume", message)


def _mark_data(image: BlockImage, tx: Edits) -> None:
    """Only files tell where the seals of such an image are; its first and its last data block say that it is gone."""
    block, path, tail = image.origin.block_size, image.path, image.facts.tail
    first, last = image.pieces[0], image.pieces[-1]
    places = [int(first["place"]), int(last["place"]) + (int(last["count"]) - 1) * block]
    places = [place - image.base for place in places]
    if image.given and 0 < tail < path.total:
        places += [place_in(path, 0), place_in(path, path.total - tail)]
    for place in places:
        tx.edit(place, tombstone(image.origin, HEAD, place), Stage.MARK)


def _write_controls(image: BlockImage, tx: Edits) -> None:
    description = Description(image.facts, image.summary, image.stem, image.head, image.tail, image.known)
    packed = {HEAD: head_description(image.origin, description), TAIL: description.pack()}
    for copy, runs in ((HEAD, image.head), (TAIL, image.tail)):
        for place, data in description_blocks(image.origin, packed[copy], copy, runs):
            tx.edit(place, data, Stage.PUBLISH)
        place = place_in(runs, 0)
        tx.edit(place, seal(image.origin, image.facts, copy, place), Stage.PUBLISH)
