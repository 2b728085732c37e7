"""The null layout: each image is one block of clusters, stacked from the end of the partition downward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from inpart.contracts import (
    Edits,
    Finding,
    ImageSummary,
    Plan,
    PlanRequest,
    Search,
    SearchMethod,
    Stage,
    Store,
    StoreChange,
    StoredImage,
)
from inpart.errors import IntegrityError, NoImageFound, NoSpace
from inpart.extents import Extents, Runs
from inpart.scan import scan_magics
from inpart.testing.null.blocks import (
    DESCRIPTION_MAGIC,
    DESCRIPTION_SIZE,
    OVERHEAD,
    SEAL_MAGIC,
    SEAL_SIZE,
    Block,
    pack_summary,
    unpack_summary,
)
from inpart.units import SECTOR, align_down, align_up, format_size
from inpart.volume import Buffer, SliceVolume, Volume

NAME = "null"


@dataclass(frozen=True)
class _Image:
    block: Block
    summary: ImageSummary
    sealed: bool

    def place(self, magic: bytes) -> int:
        return self.block.end - SEAL_SIZE if magic == SEAL_MAGIC else self.block.description


class NullLayout:
    """One block per image, nothing else: what a layout has to do, and no more."""

    name = NAME
    api_version = 1
    summary = "one block of clusters per image, for tests"

    def plan(self, request: PlanRequest, store: Store | None) -> Plan:
        """The highest place without immovable clusters below the images that are there."""
        size, used = request.cluster_size, Extents() if store is None else store.extents()
        top = used.start if used else request.data_end
        need = align_up(request.upper + OVERHEAD, size)
        usable = (Extents.span(request.data_start, top) - request.immovable).array
        fitting = [(start, end) for start, end in usable.tolist() if end - start >= need]
        spare = request.free.total - need
        if not fitting or spare < request.min_free:
            numbers = f"{format_size(request.free.total)} are free, {format_size(request.min_free)} are to stay free"
            raise NoSpace(f"an image of up to {format_size(request.upper)} does not fit: {numbers}")
        end = fitting[-1][1] - (fitting[-1][1] - request.data_start) % size
        region = Extents.span(end - need, end)
        summary = f"one block of {format_size(need)} at {end - need}"
        piece = align_down(request.options.file_limit, size)
        return Plan(region, region - request.free, need - OVERHEAD, summary, private=piece)

    def writer(self, volume: Volume, plan: Plan, store: Store | None, image_id: bytes) -> NullStoreWriter:
        """Streams forward from the start of the block."""
        store_id = image_id if store is None else store.store_id
        block = Block(store_id, image_id, plan.region.start, plan.region.end, volume.size, 0, cast("int", plan.private))
        return NullStoreWriter(volume, block)

    def locate(self, volume: Volume, search: Search) -> Sequence[NullStore]:
        """Every seal and description that the method reaches, grouped by store and by where it says it lies."""
        found: dict[tuple[bytes, int], NullStore] = {}
        for offset, magic in _pages(volume, search):
            image = _image_at(volume, offset, magic)
            if image is not None:
                base = offset - image.place(magic)
                store = found.setdefault((image.block.store_id, base), NullStore(volume, base, image.block))
                store.add(image)
        return tuple(found.values())


class NullStoreWriter:
    """Writes one image front to back."""

    def __init__(self, volume: Volume, block: Block) -> None:
        self.volume = volume
        self.block = block
        self._summary: ImageSummary | None = None

    def write(self, data: Buffer) -> None:
        """Raises NoSpace when the block is full."""
        block = self.block
        position = block.start + block.stream_size
        if position + len(data) > block.end - OVERHEAD:
            raise NoSpace(f"the image is larger than the {format_size(block.end - OVERHEAD - block.start)} planned")
        self.volume.write(position, data)
        self.block = replace(block, stream_size=block.stream_size + len(data))

    def finish(self, summary: ImageSummary) -> None:
        """The description, and an end to any older seal in this place; then flush."""
        self._summary = summary
        self.volume.write(self.block.description, self.block.pack(DESCRIPTION_MAGIC, pack_summary(summary)))
        self.volume.write(self.block.end - SEAL_SIZE, bytes(SEAL_SIZE))
        self.volume.flush()

    def publish(self, tx: Edits) -> StoreChange:
        """The seal."""
        if self._summary is None:
            raise IntegrityError("an image was to be published before it was finished")
        tx.edit(self.block.end - SEAL_SIZE, self.block.pack(SEAL_MAGIC)[:SECTOR], Stage.PUBLISH)
        return StoreChange(claims=self.block.claims())

    def journal(self) -> Runs:
        """Room inside the block that is being claimed."""
        return self.block.journal

    def abandon(self) -> None:
        """What is written lies in free clusters and has no seal."""


class NullStore:
    """Blocks with the same store id on one partition."""

    layout = NAME
    findings: tuple[Finding, ...] = ()

    def __init__(self, volume: Volume, base: int, block: Block) -> None:
        self.volume = volume
        self.base = base
        self.store_id = block.store_id
        self.partition_size = block.partition_size
        self._images: dict[bytes, _Image] = {}

    def add(self, image: _Image) -> None:
        """Take note of a page; a seal outranks the description of the same image."""
        if image.sealed or image.block.image_id not in self._images:
            self._images[image.block.image_id] = image

    @property
    def images(self) -> tuple[StoredImage, ...]:
        """Oldest first."""
        return tuple(_stored(image) for image in self._sorted())

    def extents(self) -> Extents:
        """The blocks of committed images; what an unfinished one has written may be overwritten."""
        return Extents((image.block.start, image.block.end) for image in self._sorted() if image.sealed)

    def open(self, image_id: bytes) -> Volume:
        """The stream lies in one piece. Raises NoImageFound."""
        if image_id not in self._images:
            raise NoImageFound(f"there is no image {image_id.hex()} in this store")
        block = self._images[image_id].block
        return SliceVolume(self.volume, self.base + block.start, block.stream_size, name=f"image {image_id.hex()}")

    def claims(self) -> StoreChange:
        """One file for each image."""
        return StoreChange(
            claims=tuple(claim for image in self._sorted() if image.sealed for claim in image.block.claims())
        )

    def journal(self) -> Runs:
        """Room in the oldest image's block."""
        committed = [image for image in self._sorted() if image.sealed]
        return committed[0].block.journal if committed else Runs()

    def remove(self, image_ids: Sequence[bytes], tx: Edits) -> StoreChange:
        """Break the seals and let go of the files. Raises NoImageFound."""
        names: list[str] = []
        for image_id in image_ids:
            if image_id not in self._images:
                raise NoImageFound(f"there is no image {image_id.hex()} in this store")
            block = self._images[image_id].block
            for page in (block.end - SEAL_SIZE, block.description):
                tx.edit(page, bytes(SECTOR), Stage.MARK)
            names += [claim.name for claim in block.claims()]
        return StoreChange(release=tuple(names))

    def repair(self, tx: Edits) -> StoreChange:
        """There are no tables that could be lost."""
        return self.claims()

    def _sorted(self) -> list[_Image]:
        """Oldest first, without the remains of unfinished images in which a committed one lies now."""
        found = self._images.values()
        sealed = Extents((image.block.start, image.block.end) for image in found if image.sealed)
        kept = [image for image in found if image.sealed or not image.block.extents() & sealed]
        return sorted(kept, key=lambda image: -image.block.end)


def _stored(image: _Image) -> StoredImage:
    files = tuple(claim.name for claim in image.block.claims()) if image.sealed else ()
    return StoredImage(image.summary, image.block.extents(), "committed" if image.sealed else "partial", files)


def _pages(volume: Volume, search: Search) -> list[tuple[int, bytes]]:
    """Places where a page may start, by the method of the search; there is no fixed place."""
    magics = (SEAL_MAGIC, DESCRIPTION_MAGIC)
    if search.method in {SearchMethod.PARTITION, SearchMethod.DISK}:
        return list(scan_magics(volume, magics))
    ends = [claim.runs.extents().end - SEAL_SIZE for claim in search.claims]
    places = [(place, SEAL_MAGIC) for place in (*ends, *search.places)]
    return [(place, magic) for place, magic in places if 0 <= place <= volume.size - SEAL_SIZE]


def _image_at(volume: Volume, offset: int, magic: bytes) -> _Image | None:
    """The image whose seal or description lies at ``offset``; None if it is damaged or belongs to something else."""
    place = offset if magic == DESCRIPTION_MAGIC else offset - DESCRIPTION_SIZE
    if place < 0 or place + DESCRIPTION_SIZE > volume.size:
        return None
    try:
        block, body = Block.unpack(volume.read(place, DESCRIPTION_SIZE))
        sealed = magic == SEAL_MAGIC and Block.unpack(volume.read(offset, SEAL_SIZE))[0] == block
        return _Image(block, unpack_summary(body), sealed) if sealed or magic == DESCRIPTION_MAGIC else None
    except IntegrityError:
        return None
