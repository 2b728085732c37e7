"""Images on their way out of a partition into a file, and from a file into a partition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inpart.contracts import ImageSummary
from inpart.errors import IntegrityError, NoImageFound, NoSpace, UsageError
from inpart.image import ImageReader, is_image_stream
from inpart.operations.aids.upkeep import refresh_aids
from inpart.operations.create import refuse_taken
from inpart.operations.estimate import Estimate
from inpart.operations.files_out import NewFile
from inpart.operations.identity import summary_of
from inpart.operations.images import open_image, open_reader
from inpart.operations.partition import open_healthy, open_stores
from inpart.operations.placing import plan_placement, store_stream
from inpart.operations.readback import DAMAGED, check_stored, read_back_file, read_back_store
from inpart.operations.session import Session
from inpart.operations.stores import EVERY, Located
from inpart.partitions import open_target
from inpart.units import MIB
from inpart.volume import Access, Buffer, FileVolume, Volume

_STEP = 4 * MIB


@dataclass(frozen=True)
class ExchangeReport:
    """An image that was copied; ``stored_bytes`` is the length of its stream."""

    image_id: str
    name: str
    stored_bytes: int
    place: str
    dry_run: bool = False


def export_image(
    session: Session, address: str, wanted: str | None, path: Path, *, dry_run: bool = False
) -> ExchangeReport:
    """Copy an image stream into a new file and read it back. Raises NoImageFound, IntegrityError, NoSpace."""
    with open_image(session, address, wanted, EVERY) as image:
        manifest, stream = image.reader.manifest, image.reader.stream
        report = ExchangeReport(manifest.image_id, manifest.name, stream.size, str(path), dry_run)
        if manifest.parent is not None:
            session.warn(f"{manifest.name!r} builds on image {manifest.parent[:12]} and is of no use without it")
        if dry_run:
            return report
        check_stored(session, image.reader, DAMAGED)
        with NewFile(path) as file:
            _copy(session, "exporting", stream, file.write)
            file.flush()
            read_back_file(session, file.path, image.reader.parent)
        return report


def import_image(
    session: Session, address: str, path: Path, *, layout: str | None = None, dry_run: bool = False
) -> ExchangeReport:
    """Put the image in the file ``path`` into the partition at ``address``, beside the images that are there.

    Raises as ``create`` does, UsageError if ``path`` is no image or its id or name is taken, IntegrityError if it is
    damaged, NoSpace if the partition is too small ever to be restored from it.
    """
    report = _import(session, address, path, layout, dry_run=dry_run)
    if not dry_run:
        refresh_aids(session, address)
    return report


def _import(session: Session, address: str, path: Path, layout: str | None, *, dry_run: bool) -> ExchangeReport:
    with FileVolume(path) as stream, open_target(address, Access.READ if dry_run else Access.WRITE) as target:
        if not is_image_stream(stream):
            raise UsageError(f"{stream.name} is not an image", hint="import takes a file made by export or create --to")
        reader = ImageReader(stream, session.plugins.encodings_by_id)
        manifest = reader.manifest
        if reader.extents.end > target.volume.size:
            raise NoSpace(
                f"image {manifest.name!r} reaches up to byte {reader.extents.end}, the partition has "
                f"{target.volume.size}",
                hint="import it into a partition that it can be restored to",
            )
        located = open_stores(session, target.volume)
        mounted = open_healthy(session, target.volume)
        refuse_taken(manifest.name, located)
        if any(one.summary.image_id == manifest.id_bytes for one in located.images):
            raise UsageError(f"image {manifest.image_id[:12]} is in {target.volume.name} already")
        reader = _with_parent(session, reader, located)
        check_stored(session, reader, DAMAGED)
        size = Estimate(manifest.image_bytes, stream.size, stream.size)
        name = layout or session.policy.layout
        placement = plan_placement(session, mounted, located.stores, name, size)
        report = ExchangeReport(manifest.image_id, manifest.name, stream.size, placement.plan.summary, dry_run)
        if dry_run:
            return report
        session.ask(f"Copy image {manifest.name!r} into {target.volume.name}?")

        def feed(sink: Callable[[Buffer], None]) -> ImageSummary:
            _copy(session, "importing", stream, sink)
            return summary_of(manifest, reader.digest, stream.size, {})

        store_stream(session, mounted, placement, manifest.id_bytes, feed)
        read_back_store(session, mounted, manifest.id_bytes)
        return report


def _with_parent(session: Session, reader: ImageReader, located: Located) -> ImageReader:
    """The reader, with the image that it builds on. Raises NoImageFound if that is not in the partition."""
    manifest = reader.manifest
    if manifest.parent_bytes is None:
        return reader
    older = next((one for one in located.images if one.summary.image_id == manifest.parent_bytes), None)
    if older is None:
        raise NoImageFound(
            f"image {manifest.name!r} builds on {str(manifest.parent)[:12]}, which is not in this partition",
            hint="import that image first",
        )
    return ImageReader(reader.stream, session.plugins.encodings_by_id, open_reader(session, located, older))


def _copy(session: Session, phase: str, stream: Volume, sink: Callable[[Buffer], None]) -> None:
    with session.progress.phase(phase, stream.size) as advance:
        for offset in range(0, stream.size, _STEP):
            data = stream.read(offset, min(_STEP, stream.size - offset))
            sink(data)
            advance(len(data))
    if stream.size == 0:
        raise IntegrityError(f"{stream.name} is empty")
