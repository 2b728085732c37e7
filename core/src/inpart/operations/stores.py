"""Finding the stores of a volume: the ways in their order, from cheap to thorough."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from inpart.contracts import (
    Claim,
    FilesystemEditor,
    FilesystemProvider,
    ImageSummary,
    Layout,
    Search,
    SearchMethod,
    Store,
    StoredImage,
)
from inpart.errors import FilesystemError, IntegrityError, Interrupted, NoImageFound, UsageError, VolumeError
from inpart.image import stated_manifest
from inpart.operations.aids.trust import believable, partitions_of, places_of
from inpart.operations.aids.uses import known_records
from inpart.operations.filesystems import find_filesystem
from inpart.operations.session import Session
from inpart.partitions import Target
from inpart.plugins import ask
from inpart.scan import SharedVolume, scan_windows, shared_volumes
from inpart.units import MIB, format_size
from inpart.volume import Volume

QUICK = (SearchMethod.AID, SearchMethod.CLAIMS, SearchMethod.FIXED)
EVERY = (*QUICK, SearchMethod.PARTITION)
DISK = (SearchMethod.DISK,)
_END = 8 * MIB
"""So near to the end of a partition lies the fixed place of the layouts that have one."""
_SCANS = {SearchMethod.PARTITION: "scanning the partition", SearchMethod.DISK: "scanning the disk"}


@dataclass(frozen=True)
class FoundStore:
    """A store, the way that led to it, and its images with the names that their streams tell."""

    store: Store
    method: SearchMethod
    images: tuple[StoredImage, ...]


@dataclass(frozen=True)
class FoundImage:
    """An image in a store that was found."""

    image: StoredImage
    store: Store
    method: SearchMethod

    @property
    def summary(self) -> ImageSummary:
        """What its table of contents says."""
        return self.image.summary


@dataclass(frozen=True)
class Located:
    """All stores that a search found; ``tried`` names every way that was gone, in order."""

    found: tuple[FoundStore, ...]
    tried: tuple[SearchMethod, ...]

    @property
    def images(self) -> tuple[FoundImage, ...]:
        """Every image of every store, in the order in which they were made.

        Beside whole images, strays of which not even the name is left are what deleted ones left behind.
        """
        listed = [FoundImage(image, one.store, one.method) for one in self.found for image in one.images]
        if any(one.image.state == "committed" for one in listed):
            listed = [one for one in listed if one.image.named or one.image.state != "stray"]
        return tuple(sorted(listed, key=lambda one: one.summary.created))

    @property
    def stores(self) -> tuple[Store, ...]:
        """The stores alone."""
        return tuple(one.store for one in self.found)

    def select(self, wanted: str | None) -> FoundImage:
        """The image that ``wanted`` names: a name, an id prefix, ``latest`` or ``factory``.

        None stands for the newest intact user image, or the factory image if there is none. Images of the searched
        volume itself come before those of partitions in it. Raises NoImageFound, UsageError if several fit.
        """
        intact = self._best()
        if wanted is None or wanted == "latest":
            users = [one for one in intact if one.summary.kind != "factory"]
            chosen = users or intact if wanted is None else intact
        else:
            chosen = _matching(self.images, wanted)
        if not chosen:
            raise self.nothing(wanted)
        chosen = [one for one in chosen if one.store.base == 0] or chosen
        _refuse_several_partitions(chosen)
        if wanted not in {None, "latest", "factory"} and len(chosen) > 1:
            ids = ", ".join(one.summary.image_id.hex()[:12] for one in chosen)
            raise UsageError(f"{wanted!r} fits several images: {ids}", hint="give more of the id")
        return chosen[-1]

    def _best(self) -> list[FoundImage]:
        """The images that are whole; if there are none, those that are damaged; if none either, strays."""
        for state in ("committed", "partial"):
            chosen = [one for one in self.images if one.image.state == state]
            if chosen:
                return chosen
        return list(self.images)

    def others(self, found: FoundImage) -> list[FoundImage]:
        """What a user would want of the same partition if ``found`` is damaged: the newest user image first."""
        known = [one for one in reversed(self.images) if one.store.base == found.store.base]
        rest = [one for one in known if one.summary.image_id != found.summary.image_id]
        return sorted(rest, key=lambda one: one.summary.kind == "factory")

    def nothing(self, wanted: str | None = None) -> NoImageFound:
        """The error that says what was looked for and how."""
        ways = ", ".join(method.value for method in self.tried) or "nothing"
        names = ", ".join(one.summary.name for one in self.images)
        if names:
            hint = "`inpart list` shows them all"
            if not _SCANS.keys() & set(self.tried):
                hint += "; `inpart locate --whole-disk` searches every sector for lost ones, to be named by their id"
            return NoImageFound(f"there is no image {wanted!r}; found: {names}", hint=hint)
        hint = "`inpart locate DISK --whole-disk` searches a whole disk, also without a partition table"
        if SearchMethod.PARTITION not in self.tried:
            hint = f"`inpart locate` searches every sector of the partition; {hint}"
        if SearchMethod.DISK in self.tried:
            hint = (
                "formats that discard (TRIM) erase images, too; one that `inpart export` or `create --to` put into "
                "a file comes back with `inpart restore FILE --to DEVICE`"
            )
        return NoImageFound(f"no image found; tried: {ways}", hint=hint)


def _refuse_several_partitions(chosen: Sequence[FoundImage]) -> None:
    """Which partition of a disk is meant is never guessed from the age of its images."""
    places = {one.store.base for one in chosen}
    if len(places) > 1:
        listed = "\n".join(
            f"  {one.summary.image_id.hex()[:12]} {one.summary.name!r} of {one.summary.created:%Y-%m-%d %H:%M}, "
            f"partition at byte {one.store.base}"
            for one in sorted(chosen, key=lambda one: one.store.base)
        )
        raise UsageError(
            f"there are images of {len(places)} partitions:\n{listed}", hint="name one image by the digits of its id"
        )


def _matching(images: Sequence[FoundImage], wanted: str) -> list[FoundImage]:
    named = [one for one in images if one.summary.name == wanted]
    if named:
        return named
    if wanted == "factory":
        return [one for one in images if one.summary.kind == "factory"]
    prefix = wanted.lower()
    return [one for one in images if len(prefix) >= 4 and one.summary.image_id.hex().startswith(prefix)]


def claims_of(session: Session, volume: Volume) -> tuple[Claim, ...] | None:
    """The files in ``/.inpart`` of a readable file system; None if there is none or its editor cannot read them.

    Neither a bug in its plugin nor a file system that goes on behind the end of the volume is in the way of a search.
    """
    try:
        provider = find_filesystem(session, volume)
        return ask(provider, partial(_claims_through, provider, volume), None, session.warn)
    except VolumeError as error:
        session.warn(f"the files in /.inpart were not looked at: {error.message}")
    except (FilesystemError, IntegrityError, UsageError):
        pass
    return None


def _claims_through(provider: FilesystemProvider, volume: Volume) -> tuple[Claim, ...] | None:
    filesystem = provider.open(volume)
    return filesystem.claims() if isinstance(filesystem, FilesystemEditor) else None


def locate(
    session: Session, volume: Volume, methods: Sequence[SearchMethod] = QUICK, target: Target | None = None
) -> Located:
    """Search ``volume``, which is that of ``target`` if that is given, in the given ways until one finds something.

    Every layout is asked in each way, so that stores of two layouts in one partition are both found by the same way;
    what a later way would add is not looked for, and nothing is scanned twice. But the fixed place is one of some
    layouts only: where a scan of the partition is among the ways, it is looked through for the others, whose images
    must not be overwritten.
    """
    tried: list[SearchMethod] = []
    for method in methods:
        if method is SearchMethod.DISK and SearchMethod.PARTITION in tried:
            continue
        found = _by_aid(session, volume, target) if method is SearchMethod.AID else _by(session, volume, method)
        if found is None:
            continue
        tried.append(method)
        if found and method is SearchMethod.FIXED and SearchMethod.PARTITION in methods:
            known = {one.store.layout for one in found}
            found += _ask_layouts(session, volume, Search(SearchMethod.PARTITION), known)
        if found:
            return Located(tuple(found), tuple(tried))
    if SearchMethod.FIXED in tried and not _SCANS.keys() & set(tried):
        _tell_unreadable_end(session, volume)
    return Located((), tuple(tried))


def _tell_unreadable_end(session: Session, volume: Volume) -> None:
    """Nothing was found where nothing could be read: that is no proof that there is nothing."""
    gaps: list[tuple[int, int]] = []
    for _ in scan_windows(volume, start=max(0, volume.size - _END), unreadable=lambda *gap: gaps.append(gap)):
        pass
    if gaps:
        session.warn(f"{_unread(volume, gaps)}; `inpart locate` searches all the rest")


def _unread(volume: Volume, gaps: Sequence[tuple[int, int]]) -> str:
    total = format_size(sum(end - start for start, end in gaps))
    return f"{volume.name}: {total} cannot be read, from {min(gaps)[0]} on, and were not searched"


def _by(session: Session, volume: Volume, method: SearchMethod) -> list[FoundStore] | None:
    """What one way leads to, or None if that way is closed."""
    if method is not SearchMethod.CLAIMS:
        return _ask_layouts(session, volume, Search(method))
    claims = claims_of(session, volume)
    return _ask_layouts(session, volume, Search(method, claims=claims)) if claims else None


def _by_aid(session: Session, volume: Volume, target: Target | None) -> list[FoundStore] | None:
    """What recovery aids lead to; nothing, with a warning, if what lies there is not all that there is."""
    records = known_records(session, volume, target)
    places = places_of(records, target.start if target else 0, volume.size)
    if not places:
        return None
    found = _ask_layouts(session, volume, Search(SearchMethod.AID, places=places))
    for view, stores in partitions_of(volume, [one.store for one in found], records):
        fixed = [one.store for one in _ask_layouts(session, view, Search(SearchMethod.FIXED))]
        if not believable(stores, records, claims_of(session, view), fixed):
            session.warn("a recovery aid was not followed: the disk has more or other images than it leads to")
            return []
    return found


def _ask_layouts(session: Session, volume: Volume, search: Search, without: Collection[str] = ()) -> list[FoundStore]:
    """What each layout finds, but for those whose names are in ``without``."""
    layouts = [layout for layout in session.plugins.layouts if layout.name not in without]
    if search.method in _SCANS:
        answers = _scan(session, volume, search, layouts)
    else:
        answers = [ask(layout, partial(layout.locate, volume, search), (), session.warn) for layout in layouts]
    return [FoundStore(store, search.method, _images_of(session, store)) for stores in answers for store in stores]


def _images_of(session: Session, store: Store) -> tuple[StoredImage, ...]:
    """The images of a store; those whose layout has lost all that it was told of them, as their streams say."""
    return tuple(image if image.named else _named_by_stream(session, store, image) for image in store.images)


def _named_by_stream(session: Session, store: Store, image: StoredImage) -> StoredImage:
    manifest = stated_manifest(store.open(image.summary.image_id), session.plugins.encodings_by_id)
    if manifest is None or manifest.id_bytes != image.summary.image_id:
        return image
    summary = replace(
        image.summary, name=manifest.name, kind=manifest.kind, created=manifest.created, parent=manifest.parent_bytes,
        image_bytes=manifest.image_bytes,
    )  # fmt: skip
    return replace(image, summary=summary, named=True)


def _scan(session: Session, volume: Volume, search: Search, layouts: Sequence[Layout]) -> list[Sequence[Store]]:
    """All layouts scan at the same time, and the medium is read once for all of them."""
    warnings: list[str] = []
    gaps: list[tuple[int, int]] = []
    stopped = threading.Event()
    with session.progress.phase(_SCANS[search.method], volume.size) as advance:

        def count(size: int) -> None:
            if stopped.is_set():
                raise Interrupted("the scan was stopped")
            advance(size)

        def look(layout: Layout, shared: SharedVolume) -> Sequence[Store]:
            try:
                return ask(layout, partial(layout.locate, shared, search), (), warnings.append)
            finally:
                shared.leave()

        with ThreadPoolExecutor(max(1, len(layouts)), thread_name_prefix="inpart-scan") as pool:
            volumes = shared_volumes(volume, len(layouts), count, lambda start, end: gaps.append((start, end)))
            asked = [pool.submit(look, *pair) for pair in zip(layouts, volumes, strict=True)]
            try:
                answers = [future.result() for future in asked]
            except BaseException:
                stopped.set()
                raise
    if gaps:
        warnings.append(_unread(volume, gaps))
    for warning in warnings:
        session.warn(warning)
    return answers
