"""The final state of a partition, composed before anything is written: the image and the retained claims."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from inpart.contracts import (
    Claim,
    Filesystem,
    FilesystemEditor,
    FilesystemProvider,
    Place,
    Store,
    StoredImage,
    SystemArea,
)
from inpart.errors import FilesystemError, IntegrityError, NoSpace
from inpart.extents import Extents, Runs
from inpart.operations.filesystems import find_filesystem
from inpart.operations.health import describe, errors_of
from inpart.operations.partition import edit
from inpart.operations.session import Session
from inpart.transaction import Transaction
from inpart.units import MIB, format_size
from inpart.volume import ResizedVolume, Volume

_WORTH_SAYING = MIB
"""Less than this behind a file system is what rounding leaves."""


@dataclass(frozen=True)
class Retained:
    """What a restore must keep away from, and what the restored file system must claim for it.

    ``overlaid`` are the ids of images that cannot be retained because another one has clusters of theirs.
    """

    claims: tuple[Claim, ...] = ()
    directory: Runs = field(default_factory=Runs)
    overlaid: frozenset[bytes] = frozenset()

    @property
    def extents(self) -> Extents:
        """Clusters whose bytes stay as they are on the disk."""
        return _clusters(self.claims)

    @property
    def room(self) -> Extents:
        """Clusters that must hold nothing else: those, and the ones meant for the directory of the claims."""
        return self.extents | self.directory.extents() if self.claims else Extents()


@dataclass(frozen=True)
class Source:
    """What is to be restored: ``volume`` shows it; it holds the bytes ``used`` of the partition that was at ``home``.

    ``damaged`` are lost and show as zeros; ``trusted`` is false if a system area is among them, so that nothing tells
    for certain what is free.
    """

    volume: Volume
    used: Extents
    home: Place
    damaged: Extents = field(default_factory=Extents)
    trusted: bool = True

    def at_home(self, place: Place) -> bool:
        """True if nothing that depends on position or size has to change."""
        return (place.start, place.size) == (self.home.start, self.home.size)


@dataclass(frozen=True)
class Composition:
    """``view`` shows the partition as it will be; ``extents`` of it are written, ``anchors`` last, the first of all.

    ``moved`` bytes lie elsewhere than in the image, because a retained image is where they were. Outside ``altered``
    the view shows what the image holds.
    """

    view: Volume
    extents: Extents
    anchors: tuple[Extents, ...]
    moved: int
    altered: Extents
    provider: FilesystemProvider | None


def retained_from(stores: Sequence[Store], dropped: Collection[bytes] = ()) -> Retained:
    """The claims of all stores, without the files of the images that are to be dropped.

    Stores that do not know of each other may claim the same clusters or names, if one of them was lost from sight and
    the other one laid over it: then whole images come before damaged ones, and newer ones before older ones. Strays,
    and stores of which no other image stays, claim nothing. Room that a store sets aside for the directory may have
    been taken by another store; the directory goes elsewhere then.
    """
    chosen = _Chosen()
    images = [
        (image, store)
        for store in stores
        for image in store.images
        if image.state != "stray" and {one.summary.image_id for one in store.images} - set(dropped)
    ]
    changes = {id(store): store.claims() for store in stores}
    for image, store in sorted(images, key=_standing, reverse=True):
        claims = changes[id(store)].claims
        of_images = {name for one in store.images for name in one.files}
        tables = [claim for claim in claims if claim.name not in of_images]
        wanted = [claim for claim in claims if claim.name in image.files]
        gone = image.summary.image_id in dropped
        if not chosen.add(tables) or not (gone or chosen.add(wanted)):
            chosen.overlaid.add(image.summary.image_id)
    rooms = [change.directory for change in changes.values() if not change.directory.extents() & chosen.taken]
    return Retained(chosen.claims, next(filter(None, rooms), Runs()), frozenset(chosen.overlaid))


class _Chosen:
    """Claims that do not contradict each other."""

    def __init__(self) -> None:
        self.overlaid: set[bytes] = set()
        self._by_name: dict[str, Claim] = {}
        self.taken = Extents()

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What was added, in order."""
        return tuple(self._by_name.values())

    def add(self, claims: Sequence[Claim]) -> bool:
        """False if they want a name or clusters that others have; to add the same again is harmless."""
        fresh = {claim.name.lower(): claim for claim in claims if self._by_name.get(claim.name.lower()) != claim}
        clusters = _clusters(fresh.values())
        if clusters & self.taken or fresh.keys() & self._by_name.keys():
            return False
        self._by_name |= fresh
        self.taken |= clusters
        return True


def _standing(one: tuple[StoredImage, Store]) -> tuple[bool, datetime]:
    image = one[0]
    return image.state == "committed", image.summary.created


def _clusters(claims: Iterable[Claim]) -> Extents:
    """All clusters of some files."""
    found = Extents()
    for claim in claims:
        found |= claim.runs.extents()
    return found


def compose(session: Session, source: Source, place: Place, retained: Retained) -> Composition:
    """Put the image, made fit for ``place``, and the retained claims together. Writes nothing.

    A damaged image need not hold a healthy file system: if nothing can be claimed in it, the clusters of retained
    images are left alone all the same. Raises NoSpace with the numbers, FilesystemError, IntegrityError.
    """
    _refuse_beyond(place, "the image reaches", source.used.end, "restore to a larger partition")
    _refuse_beyond(place, "the images that are kept reach", retained.extents.end, "restore to another target with --to")
    if source.damaged:
        made = _compose_damaged(session, source, place, retained)
        return replace(made, altered=made.altered | source.damaged, provider=None)
    composition = _compose(session, source, place, retained)
    if composition.provider is not None:
        final = composition.provider.open(composition.view)
        _prove(final)
        if place.size - final.info.size >= _WORTH_SAYING:
            session.warn(
                f"the file system has {format_size(final.info.size)} of its partition's {format_size(place.size)}; "
                "its own tools can make it larger"
            )
    return composition


def _refuse_beyond(place: Place, what: str, end: int, hint: str) -> None:
    if end > place.size:
        have = f"the target has {place.size} ({format_size(place.size)})"
        raise NoSpace(f"{what} up to byte {end} ({format_size(end)}), {have}", hint=hint)


def _refuse_outside(data_end: int, retained: Retained) -> None:
    """Files cannot have clusters behind the last one of their file system."""
    end = retained.extents.end
    if retained.claims and end > data_end:
        raise NoSpace(
            f"the images that are kept reach up to byte {end} ({format_size(end)}), and the file system of this image "
            f"has clusters up to {data_end} ({format_size(data_end)})",
            hint="restore with --no-retain to give up the other images, or to another partition with --to",
        )


def _compose_damaged(session: Session, source: Source, place: Place, retained: Retained) -> Composition:
    try:
        if retained.claims and not source.trusted:
            raise IntegrityError("a system area is lost")
        return _compose(session, source, place, retained)
    except (FilesystemError, IntegrityError, NoSpace) as error:
        view, used = ResizedVolume(source.volume, place.size), source.used
        if retained.claims:
            session.warn(
                f"the restored file system does not know of the images that stay in it, and may overwrite them: take "
                f"them out with `inpart export`, or run `inpart repair` once it is mended ({error.message})"
            )
        return Composition(view, used - retained.extents, (Extents.span(0, 4096) & used,), 0, Extents(), None)


def _compose(session: Session, source: Source, place: Place, retained: Retained) -> Composition:
    view: Volume = ResizedVolume(source.volume, place.size)
    used = source.used
    try:
        provider = find_filesystem(session, view)
        filesystem = provider.open(view)
    except FilesystemError:
        return _plain(view, used, retained)
    if not isinstance(filesystem, FilesystemEditor):
        return _plain(view, used, retained, filesystem)
    altered = Extents()
    if not source.at_home(place):
        tx = Transaction(view, lasting=False)
        edit(provider, tx.view).adapt(place, tx)
        view, altered = tx.view, tx.changed()
        used |= altered
    _refuse_outside(provider.open(view).info.data_end, retained)
    view, moved, changed = _make_room(session, view, provider, retained)
    tx = Transaction(view, lasting=False)
    if retained.claims:
        edit(provider, tx.view).claim(retained.claims, tx, directory=retained.directory)
    final = provider.open(tx.view)
    extents = (final.allocated() | used) - retained.extents
    return Composition(
        tx.view, extents, _anchors(final.system_areas()), moved, altered | changed | tx.changed(), provider
    )


def _plain(view: Volume, used: Extents, retained: Retained, filesystem: Filesystem | None = None) -> Composition:
    """An image that nothing can be added to: fine where nothing has to be retained."""
    overlap = used & retained.extents
    if retained.claims:
        raise NoSpace(
            f"the image holds no file system that could keep the images of the target; {overlap.total} bytes overlap",
            hint="restore with --no-retain, or to another partition with --to",
        )
    areas = filesystem.system_areas() if filesystem else ()
    return Composition(view, used, _anchors(areas) or (Extents.span(0, 4096) & used,), 0, Extents(), None)


def _make_room(
    session: Session, view: Volume, provider: FilesystemProvider, retained: Retained
) -> tuple[Volume, int, Extents]:
    """Move what the image has where retained images lie; each batch is a view upon the one before."""
    region = retained.room
    moved, altered = 0, Extents()
    while edit(provider, view).allocated() & region:
        tx = Transaction(view, lasting=False)
        try:
            batch = edit(provider, tx.view).vacate(region, tx, avoid=region)
        except NoSpace as error:
            hint = "restore with --no-retain to give up the other images, or to a larger partition with --to"
            raise NoSpace(f"the retained images leave too little room: {error.message}", hint=hint) from None
        if not batch.moved:
            raise NoSpace(f"{batch.remaining} bytes lie where retained images are and cannot be moved")
        view, moved, altered = tx.view, moved + batch.moved, altered | tx.changed()
    if moved:
        session.warn(f"{format_size(moved)} of files are restored to other clusters: retained images are in their old")
    return view, moved, altered


def _prove(final: Filesystem) -> None:
    errors = errors_of(final)
    if errors:
        raise IntegrityError(f"the image's file system is damaged: {describe(errors)}", hint="choose another image")


def _anchors(areas: Sequence[SystemArea]) -> tuple[Extents, ...]:
    return tuple(area.extents for area in areas if area.anchor)
