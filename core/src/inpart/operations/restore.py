"""Bringing a partition back from an image: in place, or to another partition, disk or file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from inpart.contracts import SearchMethod, Store
from inpart.errors import IntegrityError
from inpart.extents import Extents, Runs
from inpart.image import is_image_stream
from inpart.operations.aids.upkeep import anchors_in, refresh_aids
from inpart.operations.compose import Composition, compose, retained_from
from inpart.operations.destination import Destination, other_place, own_place, without_images
from inpart.operations.images import OpenImage, is_id, located_image, opened_image
from inpart.operations.incomplete import Damage, survey
from inpart.operations.journals import find_unfinished
from inpart.operations.outcome import Outcome, foresee
from inpart.operations.protection import mend_tables
from inpart.operations.readback import check_restorable
from inpart.operations.rewrite import Rewrite, rewrite
from inpart.operations.session import Session
from inpart.operations.stores import DISK, EVERY
from inpart.operations.table import plan_repair
from inpart.partitions import Repair, Target, apply_repair, open_target, reread_partitions
from inpart.transaction import retire
from inpart.units import format_size
from inpart.volume import Access


@dataclass(frozen=True)
class RestoreOptions:
    """``image`` as people name it; ``to`` an address or a new file; ``retain`` keeps the other images.

    ``repair_table`` puts back the partition's entry in the table of its disk, ``repair_table_all`` the whole table.
    ``aids`` were in the partition before a restore that is resumed, beside those that are there.
    """

    image: str | None = None
    to: str | None = None
    retain: bool = True
    changed_only: bool = False
    repair_table: bool = False
    repair_table_all: bool = False
    allow_incomplete: bool = False
    dry_run: bool = False
    aids: tuple[str, ...] = ()

    @property
    def on_disk(self) -> bool:
        """True if the address is that of the whole disk."""
        return self.repair_table or self.repair_table_all

    @property
    def ways(self) -> tuple[SearchMethod, ...]:
        """The ways to search for the image.

        What is quickly found on a disk is in some partition; names and ages of images say too little to stop there.
        """
        if not self.on_disk:
            return (*EVERY, *DISK)
        return (SearchMethod.AID, SearchMethod.FIXED, *DISK) if is_id(self.image) else (SearchMethod.AID, *DISK)


@dataclass(frozen=True)
class RestoreReport:
    """What was restored, or with ``dry_run`` would be; sizes in bytes. ``method`` is how the image was found.

    ``lost_bytes`` of the image could not be brought back and are zeros, or were left as they are; ``affected`` are the
    files and system areas that have bytes there. ``left_out`` files are zeros because the image was made without them,
    and ``left_out_paths`` names the first of them. ``complete`` is false if anything but swap space did not come back.
    ``aids`` lie in the partition and are written again after its own bytes.
    """

    image_id: str
    name: str
    method: str
    target: str
    image_bytes: int
    written_bytes: int
    moved_bytes: int
    retained: tuple[str, ...]
    dropped: tuple[str, ...]
    table_entry: str | None = None
    dry_run: bool = False
    lost_bytes: int = 0
    affected: tuple[str, ...] = ()
    left_out: int = 0
    left_out_paths: tuple[str, ...] = ()
    complete: bool = True
    aids: tuple[str, ...] = ()


def restore(session: Session, address: str, options: RestoreOptions) -> RestoreReport:
    """Bring the image back. Everything that can be checked is checked before the first byte is written.

    Raises NoImageFound, IntegrityError (the image, or what it would bring back, is damaged), NoSpace with the numbers,
    DeviceBusy, UsageError.
    """
    if options.to is None:
        access = Access.READ if options.dry_run else Access.WRITE
        with open_target(address, access, whole_disk=options.on_disk) as target:
            report = restore_opened(session, target, options)
        if not options.dry_run:
            if options.on_disk:
                reread_partitions(target.path)
            refresh_aids(session, report.target, anchors=report.aids)
        return report
    with open_target(address, Access.READ) as source:
        image = opened_image(session, source, options.image, EVERY)
        with other_place(session, options.to, image, dry_run=options.dry_run) as destination:
            if not (options.allow_incomplete or destination.fresh):
                check_restorable(session, image.reader)
            report = _restore(session, image, destination, options)
    if report.retained and not options.dry_run:
        refresh_aids(session, options.to, inside=True, anchors=report.aids)
    return report


def restore_opened(session: Session, target: Target, options: RestoreOptions) -> RestoreReport:
    """Bring an image back to the partition that holds it, or on a whole disk to the place of that partition."""
    image = _intact(session, target, options)
    destination = own_place(session, target, image, whole_disk=options.on_disk)
    repair = plan_repair(session, target, image, whole=options.repair_table_all) if options.on_disk else None
    return _restore(session, image, destination, options, repair)


def _intact(session: Session, target: Target, options: RestoreOptions) -> OpenImage:
    """The image that was asked for, proven; if none was, the first whole one: newest user image, then factory image."""
    try:
        image = opened_image(session, target, options.image, options.ways)
        for reader in () if options.retain else image.readers:
            reader.lenders = None
        if not options.allow_incomplete:
            _refuse_lost(image)
            check_restorable(session, image.reader)
    except IntegrityError as error:
        other = _next_whole(session, target, options) if options.image is None else None
        if other is None:
            raise
        session.warn(f"{error.message}; {other.reader.manifest.name!r} is restored instead")
        return other
    return image


def _next_whole(session: Session, target: Target, options: RestoreOptions) -> OpenImage | None:
    """The first whole one of the images that come after the one that would be restored if it were whole."""
    if is_image_stream(target.volume):
        return None
    located, first = located_image(session, target, None, options.ways)
    for other in located.others(first):
        with suppress(IntegrityError):
            found = opened_image(session, target, other.summary.image_id.hex(), options.ways)
            if not found.reader.lost and not any(found.reader.verify("stored", None)):
                return found
    return None


def _restore(
    session: Session, image: OpenImage, destination: Destination, options: RestoreOptions, repair: Repair | None = None
) -> RestoreReport:
    damage = _damage_of(session, image, options)
    outcome = foresee(session, image, destination, damage, retain=options.retain)
    if options.to is None:
        _refuse_own_source(image, outcome.composition)
    manifest = image.reader.manifest
    if manifest.lacks_files:
        session.warn(f"the content of {manifest.lacking} files was left out of the image; they come back as zeros")
    aids = tuple(dict.fromkeys((*options.aids, *anchors_in(session, destination.volume))))
    report = replace(_report(image, destination, options, outcome, repair), aids=aids)
    if options.dry_run:
        return report
    session.ask(_question(image, destination, report, repair))
    if repair:
        apply_repair(image.target.volume, repair)
    _void_journals(session, destination)
    composition = outcome.composition
    if outcome.dropped:
        destination = without_images(session, destination, outcome.dropped, outcome.kept)
        composition = compose(session, outcome.source, destination.place, retained_from(destination.stores))
    written = rewrite(session, _rewrite_of(session, image, destination, composition, options, aids))
    return replace(report, written_bytes=written)


def _report(
    image: OpenImage, destination: Destination, options: RestoreOptions, outcome: Outcome, repair: Repair | None
) -> RestoreReport:
    manifest, damage = image.reader.manifest, outcome.damage
    return RestoreReport(
        image_id=manifest.image_id,
        name=manifest.name,
        method=image.found.method.value if image.found else "file",
        target=options.to or destination.volume.name,
        image_bytes=manifest.image_bytes,
        written_bytes=0,
        moved_bytes=outcome.composition.moved,
        retained=_names(destination.stores, outcome.retained),
        dropped=_names(destination.stores, outcome.dropped),
        table_entry="\n".join(repair.description) if repair else None,
        dry_run=options.dry_run,
        lost_bytes=damage.bad.total,
        affected=damage.affected,
        left_out=manifest.lacking,
        left_out_paths=manifest.excluded,
        complete=not damage.bad and not manifest.lacks_chosen_files,
    )


def _void_journals(session: Session, destination: Destination) -> None:
    """Forget changes that were cut short: replayed after the restore, they would lead to data that is gone."""
    found = () if destination.fresh else find_unfinished(session, destination.volume, destination.stores).journals
    for journal in found:
        if journal.base == 0:
            retire(destination.volume, journal)


def _question(image: OpenImage, destination: Destination, report: RestoreReport, repair: Repair | None) -> str:
    question = (
        f"Overwrite {destination.volume.name} ({format_size(destination.volume.size)}) with image {report.name!r} "
        f"of {image.reader.manifest.created:%Y-%m-%d %H:%M}?"
    )
    if repair and repair.edits:
        return f"{report.table_entry}\nWrite this to the partition table of {image.target.volume.name}? {question}"
    return question


def _damage_of(session: Session, image: OpenImage, options: RestoreOptions) -> Damage:
    """What the image cannot give back. Raises IntegrityError if that is not allowed."""
    if options.allow_incomplete:
        return survey(session, image)
    _refuse_lost(image)
    return Damage(Extents(), ())


def _refuse_lost(image: OpenImage) -> None:
    if image.reader.lost:
        raise IntegrityError(
            f"image {image.reader.manifest.name!r} has lost {image.reader.lost.total} bytes of the partition",
            hint="`inpart verify` names the files; --allow-incomplete brings back the rest",
        )


def _names(stores: tuple[Store, ...], ids: frozenset[bytes]) -> tuple[str, ...]:
    """Images by name; those for which no file system has files count for nothing."""
    return tuple(
        one.summary.name for store in stores for one in store.images if one.summary.image_id in ids and one.files
    )


def _refuse_own_source(image: OpenImage, composition: Composition) -> None:
    """The last guard of promise (c): what is read must not lie in what is written."""
    if image.found is None:
        return
    lent = {one for reader in image.readers if reader.lenders for one in reader.lenders.used}
    sources = [one.image.extents for one in image.located.images if one.summary.image_id in lent]
    overlap = composition.extents & Extents.union([image.found.image.extents, *sources])
    if overlap:
        raise IntegrityError(f"{overlap.total} bytes to be written hold the image itself, from byte {overlap.start}")


def _rewrite_of(
    session: Session,
    image: OpenImage,
    destination: Destination,
    composition: Composition,
    options: RestoreOptions,
    aids: tuple[str, ...],
) -> Rewrite:
    store = next((store for store in destination.stores if _has_lasting_journal(store, composition)), None)
    return Rewrite(
        target=destination.volume,
        composition=composition,
        image=image.reader,
        store_id=store.store_id if store else bytes(16),
        journal=store.journal() if store else Runs(),
        retain=options.retain,
        changed_only=options.changed_only,
        allow_incomplete=options.allow_incomplete,
        fresh=destination.fresh,
        aids=aids,
        afterwards=lambda: mend_tables(session, destination.volume) if destination.stores else None,
    )


def _has_lasting_journal(store: Store, composition: Composition) -> bool:
    """True if there is a place for the record of the restore that the restore itself leaves alone."""
    place = store.journal()
    return bool(place) and not place.extents() & composition.extents
