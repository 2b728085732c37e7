"""A recovery aid's record, made from what is on the disk now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from inpart.contracts import AidImage, AidRecord, ByteRun, Filesystem, SearchMethod, Store, StoredImage
from inpart.errors import FilesystemError, UsageError
from inpart.extents import Extents, Runs
from inpart.operations.filesystems import find_filesystem
from inpart.operations.identity import saved_table_of
from inpart.operations.session import Session
from inpart.operations.stores import locate
from inpart.partitions import SavedAreas, Target
from inpart.plugins import ask
from inpart.units import KIB, MIB
from inpart.volume import OverlayVolume, RunsVolume, Volume

_PLACES = 8
_PIECES = 64
_RUNS = 100_000
_SMALL_AREA = 4096
_LARGE_AREA = 512 * KIB
_ALL_AREAS = MIB
_ROOM = 64 * KIB
_WAYS = (SearchMethod.CLAIMS, SearchMethod.FIXED, SearchMethod.AID)


def record_of(session: Session, target: Target, *, emptied: bool = False) -> AidRecord:
    """What an aid should say of the partition ``target``.

    Raises NoImageFound if no image is found at once: an aid that leads to lost images must not forget them because
    the file system was formatted; but for a partition that was ``emptied`` just now.
    """
    located = locate(session, target.volume, _WAYS, target)
    stores = [store for store in located.stores if store.base == 0]
    images = [(store, image) for store in stores for image in store.images if image.state == "committed"]
    if not images and not emptied:
        raise located.nothing()
    filesystem = _filesystem(session, target)
    described = [_image(store, image) for store, image in images]
    reserved = _reserved(session, target) if filesystem else Extents()
    fits = sum(len(image.extents) for image in described) <= _RUNS
    return AidRecord(
        disk_signature=target.table.disk_id if target.table else "",
        partition_start=target.start,
        partition_size=target.volume.size,
        filesystem=filesystem.info.kind if filesystem else "",
        store_ids=tuple(store.store_id.hex() for store in stores),
        places=tuple(_places(stores)),
        images=tuple(described if fits else (image.model_copy(update={"extents": ()}) for image in described)),
        system_areas=_areas(filesystem, target),
        reserved=tuple(ByteRun(start, end - start) for start, end in reserved),
        omitted=() if fits else ("extents",),
    )


def _filesystem(session: Session, target: Target, view: Volume | None = None) -> Filesystem | None:
    try:
        return find_filesystem(session, target.volume).open(view or target.volume)
    except (FilesystemError, UsageError):
        return None


def _reserved(session: Session, target: Target) -> Extents:
    """Where the rules of the file system leave room for an anchor, the room that one has already included."""
    view = OverlayVolume(target.volume)
    for aid in session.plugins.aids:
        for record in ask(aid, partial(aid.find, target.volume), [], session.warn):
            for start, length in record.reserved[:_PIECES]:
                if 0 <= start <= view.size - length and 0 < length <= _ROOM:
                    view.write(start, bytes(length))
    filesystem = _filesystem(session, target, view)
    return filesystem.reserved_places() if filesystem else Extents()


def _places(stores: Sequence[Store]) -> Iterator[int]:
    """Where a store's fixed end and its files begin, small ones first: those with tables are small."""
    for store in stores:
        journal, claims = store.journal(), sorted(store.claims().claims, key=lambda claim: claim.size)
        starts = [start for runs in (journal, *(claim.runs for claim in claims)) for start, _ in list(runs)[:1]]
        yield from list(dict.fromkeys(starts))[:_PLACES]


def _image(store: Store, image: StoredImage) -> AidImage:
    summary = image.summary
    return AidImage(
        image_id=summary.image_id.hex(),
        name=summary.name,
        kind=summary.kind,
        created=summary.created.isoformat(),
        layout=store.layout,
        digest=summary.digest.hex(),
        stream_size=summary.stream_size,
        extents=tuple(ByteRun(start, length) for start, length in _in_stream_order(store, image)),
    )


def _in_stream_order(store: Store, image: StoredImage) -> Runs:
    """The path of the stream through the partition, where the layout tells it; else its clusters in their order."""
    stream = store.open(image.summary.image_id)
    if isinstance(stream, RunsVolume):
        return stream.runs.shift(-store.base)
    return Runs([(start, end - start) for start, end in image.extents])


def _areas(filesystem: Filesystem | None, target: Target) -> SavedAreas:
    """Copies of the system areas, small ones first, and of the partition table (S160 to S164)."""
    areas: SavedAreas = {}
    room = _ALL_AREAS
    for area in sorted(filesystem.system_areas() if filesystem else (), key=lambda area: area.extents.total):
        size = area.extents.total
        if size <= min(room, _LARGE_AREA) and len(area.extents) <= _PIECES:
            room -= size
            areas |= {
                f"{area.name}+{index}" if index > 1 else area.name: (start, target.volume.read(start, end - start))
                for index, (start, end) in enumerate(area.extents, 1)
            }
    return areas | {f"disk:{name}": saved for name, saved in saved_table_of(target).items()}


def with_small_areas(record: AidRecord) -> AidRecord:
    """The record for an aid that has no partition to itself."""
    areas = record.system_areas
    whole = {name: area for name, area in areas.items() if "+" not in name and f"{name}+2" not in areas}
    small = {name: area for name, area in whole.items() if len(area[1]) <= _SMALL_AREA}
    return record.model_copy(update={"system_areas": small})
