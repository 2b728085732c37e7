"""Deleting images: tables, files and the directory change in one transaction, after which their clusters are free."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from inpart.contracts import Claim, SearchMethod
from inpart.errors import IntegrityError, NoImageFound, NoSpace, UsageError
from inpart.extents import Extents, Runs
from inpart.operations.aids.upkeep import refresh_aids
from inpart.operations.health import describe, errors_of
from inpart.operations.images import ImageRow, row_of
from inpart.operations.journals import JOURNAL, free_place
from inpart.operations.partition import Mounted, open_healthy, open_stores
from inpart.operations.session import Session, uninterruptible
from inpart.operations.stores import FoundImage, Located, locate
from inpart.operations.vacate import journal_place, release_journal
from inpart.partitions import open_target
from inpart.transaction import Transaction
from inpart.units import format_size
from inpart.volume import Access, Volume


@dataclass(frozen=True)
class DeleteOptions:
    """What may go beside the images that are named: incremental ones that build on them, and factory images."""

    with_children: bool = False
    allow_factory: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class DeleteReport:
    """What was deleted, or with ``dry_run`` would be; ``kept`` are the names of the images that stay.

    ``freed_bytes`` is how much more the file system has free.
    """

    deleted: tuple[ImageRow, ...]
    kept: tuple[str, ...]
    freed_bytes: int
    dry_run: bool = False


def delete_images(
    session: Session, address: str, wanted: Sequence[str], options: DeleteOptions = DeleteOptions()
) -> DeleteReport:
    """Delete the images that ``wanted`` names from the partition at ``address``, all of them or none.

    Raises NoImageFound; UsageError for a factory image, and for one that others build on, which ``options`` do not
    allow; DeviceBusy, FilesystemError, UnfinishedJournal; IntegrityError if their place belongs to other files by now.
    """
    report = _delete(session, address, wanted, options)
    if not options.dry_run:
        refresh_aids(session, address, emptied=not report.kept)
    return report


def _delete(session: Session, address: str, wanted: Sequence[str], options: DeleteOptions) -> DeleteReport:
    with open_target(address, Access.READ if options.dry_run else Access.WRITE) as target:
        located = open_stores(session, target.volume)
        mounted = open_healthy(session, target.volume)
        located = _with_strays(session, target.volume, located, wanted)
        chosen = _chosen(located, wanted, options)
        going = {_id(one) for one in chosen}
        removal = _prepare(session, mounted, located, going)
        report = DeleteReport(
            tuple(map(row_of, chosen)),
            tuple(one.summary.name for one in removal.left.images),
            removal.freed,
            options.dry_run,
        )
        if not options.dry_run:
            names = ", ".join(repr(one.summary.name) for one in chosen)
            session.ask(f"Delete {names}, {format_size(report.freed_bytes)}, from {target.volume.name}?")
            _commit(mounted, located, removal, lambda now: _prepare(session, now, located, going))
        if not removal.left.images and removal.others:
            session.warn(f"/.inpart still holds {', '.join(removal.others)}, which belong to no image")
        return report


def _with_strays(session: Session, volume: Volume, located: Located, wanted: Sequence[str]) -> Located:
    """What the files of the file system lead to; if that is not all that is wanted, what a scan finds."""
    try:
        for name in wanted:
            located.select(name)
    except NoImageFound:
        return locate(session, volume, (SearchMethod.PARTITION,))
    return located


def _chosen(located: Located, wanted: Sequence[str], options: DeleteOptions) -> list[FoundImage]:
    """The images that are to go, oldest first."""
    going = {one.summary.image_id for one in map(located.select, wanted)}
    while children := [one for one in located.images if one.summary.parent in going and _id(one) not in going]:
        if not options.with_children:
            names = ", ".join(repr(one.summary.name) for one in children)
            raise UsageError(
                f"incremental images build on what is to be deleted: {names}",
                hint="--with-children deletes those, too",
            )
        going |= {_id(one) for one in children}
    chosen = [one for one in located.images if _id(one) in going]
    for one in chosen:
        if one.summary.kind != "user" and not options.allow_factory:
            what = "is a factory image" if one.summary.kind else "may be a factory image: its kind is lost"
            raise UsageError(f"{one.summary.name!r} {what}", hint="--allow-factory deletes it all the same")
    return chosen


def _id(found: FoundImage) -> bytes:
    return found.summary.image_id


@dataclass(frozen=True)
class _Removal:
    """A transaction that is ready; images that are ``left``, bytes ``freed``, ``others`` of nobody in /.inpart."""

    tx: Transaction
    left: Located
    freed: int
    others: tuple[str, ...]


def _prepare(session: Session, mounted: Mounted, located: Located, going: Collection[bytes]) -> _Removal:
    """Edit and look at the result: the file system sound, those images gone, all others there. Writes nothing."""
    tx = Transaction(mounted.volume)
    editor = mounted.editor()
    present = [claim for claim in editor.claims() if claim.name != JOURNAL]
    own = Extents.union(claim.runs.extents() for claim in present)
    names: set[str] = set()
    for store in located.stores:
        here = [image.summary.image_id for image in store.images if image.summary.image_id in going]
        if here:
            names |= {name.lower() for name in store.remove(here, tx).release}
    names |= _remains(session, tx)
    _refuse_taken(mounted, tx.changed() - own - editor.free())
    doomed = [claim.name for claim in present if claim.name.lower() in names or _is_of(claim, located, going)]
    if doomed:
        mounted.editor(tx.view).release(doomed, tx)
    final = mounted.provider.open(tx.view)
    errors = errors_of(final)
    if errors:
        raise IntegrityError(f"{mounted.volume.name} would have errors afterwards: {describe(errors)}")
    left = _left(session, tx.view, located, going)
    others = tuple(claim.name for claim in present if claim.name not in doomed)
    return _Removal(tx, left, final.info.free_bytes - mounted.filesystem.info.free_bytes, others)


def _remains(session: Session, tx: Transaction) -> set[str]:
    """Files of stores that have no image any more, also those that no table names."""
    empty = [store for store in locate(session, tx.view, (SearchMethod.CLAIMS,)).stores if not store.images]
    return {name.lower() for store in empty for name in store.repair(tx).release}


def _refuse_taken(mounted: Mounted, taken: Extents) -> None:
    """Edits belong into files of images, or into what is free where nothing protects an image."""
    if taken:
        raise IntegrityError(
            f"{mounted.volume.name}: parts of the image, from byte {taken.start} on, belong to other files by now",
            hint="nothing protects the rest of it either: it goes when its place is used",
        )


def _is_of(claim: Claim, located: Located, going: Collection[bytes]) -> bool:
    """True if a file has clusters of an image that goes, and of no other: under whatever name."""
    clusters = claim.runs.extents()
    hit = [_id(one) in going for one in located.images if one.store.base == 0 and one.image.extents & clusters]
    return bool(hit) and all(hit)


def _left(session: Session, view: Volume, located: Located, going: Collection[bytes]) -> Located:
    """The images that a search finds afterwards. Raises IntegrityError if they are not those that stay."""
    left = locate(session, view, (SearchMethod.CLAIMS,))
    found = {_id(one) for one in left.images}
    staying = {_id(one) for one in located.images if one.method is SearchMethod.CLAIMS} - set(going)
    if found & set(going) or staying - found:
        raise IntegrityError("the tables of the images cannot be changed for this", hint="run inpart repair first")
    return left


def _commit(mounted: Mounted, located: Located, removal: _Removal, prepare: Callable[[Mounted], _Removal]) -> None:
    """Under a journal that is found whatever of the commit has happened: before, meanwhile and afterwards.

    Only where nothing is free its place goes with the images; then a cut may need ``resume --thorough``.
    """
    before = [store.journal() for store in located.stores if store.base == 0 and store.journal()]
    after = [store.journal() for store in removal.left.stores]
    lasting = next((place for place in before if place in after), Runs())
    free = mounted.editor().free() - removal.tx.changed()
    place = lasting or free_place(mounted.volume, free, mounted.filesystem.info.cluster_size)
    if place:
        _commit_under(removal.tx, place)
        return
    try:
        with journal_place(mounted, Extents(), Runs()) as made:
            _commit_under(prepare(mounted.reopened()).tx, made)
    except NoSpace:
        _commit_under(prepare(mounted.reopened()).tx, next(iter(before), None))
    release_journal(mounted.reopened())


def _commit_under(tx: Transaction, journal: Runs | None) -> None:
    with uninterruptible():
        tx.commit(journal)
