"""Images as a user sees them: listed, selected, opened for reading."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from inpart.contracts import ImageSummary, SearchMethod, Severity
from inpart.errors import InpartError, IntegrityError, NoImageFound, UsageError
from inpart.image import ImageReader, ImageVolume, Lenders, Manifest, is_image_stream, open_damaged
from inpart.operations.journals import JOURNAL, unfinished
from inpart.operations.session import Session
from inpart.operations.stores import QUICK, FoundImage, Located, claims_of, locate
from inpart.partitions import Target, open_target
from inpart.volume import Access, Volume

_ID = re.compile("[0-9a-f]{12,32}")
_DEEPEST_CHAIN = 32
_MOST_LENDERS = 32
_BESIDE_ITS_PARENT = "`inpart import DEVICE FILE` puts it into a partition that holds that image"


@dataclass(frozen=True)
class OpenImage:
    """An image opened for reading: ``volume`` shows the partition as it was. ``found`` is None for a file outside."""

    reader: ImageReader
    volume: ImageVolume
    target: Target
    located: Located
    found: FoundImage | None

    @property
    def readers(self) -> Iterator[ImageReader]:
        """Of the image and of those that it builds on."""
        reader: ImageReader | None = self.reader
        while reader is not None:
            yield reader
            reader = reader.parent


@dataclass(frozen=True)
class ImageRow:
    """One image as ``list --json`` shows it; sizes and extents in bytes of the partition."""

    id: str
    name: str
    kind: str
    created: str
    layout: str
    parent: str | None
    stored_bytes: int
    image_bytes: int
    extents: list[tuple[int, int]]
    state: str
    method: str
    base: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageList:
    """What ``list`` and ``locate`` report; ``findings`` are sentences about damaged tables, ``tried`` the ways gone."""

    images: tuple[ImageRow, ...]
    tried: tuple[str, ...]
    findings: tuple[str, ...]
    unfinished: str | None


def row_of(found: FoundImage) -> ImageRow:
    """The image as a row of plain values."""
    summary = found.summary
    return ImageRow(
        id=summary.image_id.hex(),
        name=summary.name,
        kind=summary.kind,
        created=summary.created.isoformat(),
        layout=found.store.layout,
        parent=summary.parent.hex() if summary.parent else None,
        stored_bytes=summary.stream_size,
        image_bytes=summary.image_bytes,
        extents=[(start, end - start) for start, end in found.image.extents],
        state=found.image.state,
        method=found.method.value,
        base=found.store.base,
        files=found.image.files,
    )


def list_images(session: Session, address: str, methods: tuple[SearchMethod, ...] = QUICK) -> ImageList:
    """The images of a partition or, with DISK among ``methods``, of a disk. Raises NoImageFound."""
    with open_target(address, Access.READ, whole_disk=SearchMethod.DISK in methods) as target:
        if is_image_stream(target.volume):
            return ImageList((_row_of_file(session, target.volume),), (), (), None)
        located = locate(session, target.volume, methods, target)
        open_journal = unfinished(session, target.volume, located.stores)
        if not located.images and open_journal is None:
            raise located.nothing()
        findings = [f"{one.where}: {one.message}" for store in located.stores for one in store.findings]
        return ImageList(
            images=tuple(row_of(found) for found in located.images),
            tried=tuple(method.value for method in located.tried),
            findings=tuple(findings),
            unfinished=open_journal,
        )


def _row_of_file(session: Session, stream: Volume) -> ImageRow:
    """The one image in a file outside any partition."""
    reader = read_stream(session, stream)
    manifest = reader.manifest
    if manifest.parent is not None:
        session.warn(f"{stream.name} {lacks_parent(manifest)}; {_BESIDE_ITS_PARENT}")
    return ImageRow(
        id=manifest.image_id,
        name=manifest.name,
        kind=manifest.kind,
        created=manifest.created.isoformat(),
        layout="file",
        parent=manifest.parent,
        stored_bytes=stream.size,
        image_bytes=manifest.image_bytes,
        extents=[(0, stream.size)],
        state="partial" if any(one.severity is Severity.ERROR for one in reader.findings) else "committed",
        method="file",
        base=0,
        files=(Path(stream.name).name,),
    )


def open_reader(session: Session, located: Located, found: FoundImage) -> ImageReader:
    """A reader for an image and the images that it builds on. Raises NoImageFound, IntegrityError."""
    chain = [found]
    while (parent := chain[-1].summary.parent) is not None:
        if len(chain) == _DEEPEST_CHAIN:
            raise IntegrityError(f"image {found.summary.name!r} builds on more than {_DEEPEST_CHAIN} others")
        older = next((one for one in located.images if one.summary.image_id == parent), None)
        if older is None:
            raise NoImageFound(f"image {chain[-1].summary.name!r} builds on {parent.hex()[:12]}, which is not here")
        chain.append(older)
    reader = _borrowing(session, located, chain[-1], None)
    for link in reversed(chain[:-1]):
        reader = _borrowing(session, located, link, reader)
    return reader


def open_parent(session: Session, located: Located, wanted: str) -> ImageReader:
    """The image that a new one is going to build on. Raises NoImageFound, IntegrityError."""
    if not located.images:
        raise NoImageFound(
            f"there is no image {wanted!r} to build on: the partition holds none",
            hint="leave --parent out for a first image; `inpart locate` looks for images that were lost",
        )
    return open_reader(session, located, located.select(wanted))


def _borrowing(session: Session, located: Located, found: FoundImage, parent: ImageReader | None) -> ImageReader:
    reader = _read(session, found, parent)
    reader.lenders = Lenders(partial(_lenders, session, located, found))
    return reader


def _lenders(session: Session, located: Located, found: FoundImage) -> list[ImageReader]:
    """The other whole images of the same partition, newest first: what one has lost, another may hold."""
    readers: list[ImageReader] = []
    for one in reversed(located.images):
        near = one.image.state == "committed" and one.store.base == found.store.base
        if near and one.summary.image_id != found.summary.image_id and len(readers) < _MOST_LENDERS:
            with suppress(InpartError):
                readers.append(_read(replace(session, warn=lambda _: None), one, None))
    return readers


def _read(session: Session, found: FoundImage, parent: ImageReader | None) -> ImageReader:
    reader = read_stream(session, found.store.open(found.summary.image_id), parent, found.summary)
    if found.summary.digest and reader.digest and reader.digest != found.summary.digest:
        raise IntegrityError(f"image {found.summary.name!r} is not the one that its table of contents describes")
    return reader


def read_stream(
    session: Session, stream: Volume, parent: ImageReader | None = None, summary: ImageSummary | None = None
) -> ImageReader:
    """Open a stream; one with a lost header, index or footer is opened from its frames, with a warning.

    ``summary`` is what its table of contents says of it, if there is one.
    Raises IntegrityError, FilesystemUnsupported.
    """
    encodings = session.plugins.encodings_by_id
    try:
        return ImageReader(stream, encodings, parent)
    except IntegrityError as error:
        reader = open_damaged(stream, encodings, parent, summary)
        session.warn(f"{error.message}; what is known of image {reader.manifest.name!r} comes from its frames")
        return reader


@contextmanager
def open_image(
    session: Session,
    address: str,
    wanted: str | None,
    methods: tuple[SearchMethod, ...] = QUICK,
    *,
    parentless: bool = False,
) -> Iterator[OpenImage]:
    """Open an image in the partition at ``address``, or the file outside that ``address`` names.

    Raises NoImageFound, IntegrityError, UsageError.
    """
    with open_target(address, Access.READ, whole_disk=SearchMethod.DISK in methods) as target:
        yield opened_image(session, target, wanted, methods, parentless=parentless)


def opened_image(
    session: Session,
    target: Target,
    wanted: str | None,
    methods: tuple[SearchMethod, ...] = QUICK,
    *,
    parentless: bool = False,
) -> OpenImage:
    """The same for a target that is open already.

    ``parentless``: what an incremental image in a file says of itself will do, without the image that it builds on.
    """
    if is_image_stream(target.volume):
        reader = _open_file(session, target.volume, wanted)
        if reader.manifest.parent is not None and not parentless:
            raise UsageError(f"{target.volume.name} {lacks_parent(reader.manifest)}", hint=_BESIDE_ITS_PARENT)
        return OpenImage(reader, ImageVolume(reader), target, Located((), ()), None)
    located, found = located_image(session, target, wanted, methods)
    if found.image.state == "stray":
        session.warn(
            f"of image {found.summary.name!r} only the data were found: it may have been deleted, or never finished; "
            "nothing protects it any more"
        )
    if wanted is None:
        _name_passed_over(session, located, found)
    reader = open_reader(session, located, found)
    return OpenImage(reader, ImageVolume(reader), target, located, found)


def located_image(
    session: Session, target: Target, wanted: str | None, methods: tuple[SearchMethod, ...]
) -> tuple[Located, FoundImage]:
    """The image that is asked for; where quick ways lead to none, or into another partition, thorough ones go on.

    A name that intact tables do not have is a wrong name, known at once; an id may be that of an image that was lost.
    """
    while True:
        located = locate(session, target.volume, methods, target)
        scanned = not located.found or located.tried[-1] is SearchMethod.PARTITION
        methods = () if scanned else methods[methods.index(located.tried[-1]) + 1 :]
        try:
            found = located.select(wanted)
        except NoImageFound:
            if not methods or (not is_id(wanted) and _tells_all(session, target, located)):
                raise
            continue
        if found.store.base == 0 or SearchMethod.PARTITION not in methods:
            return located, found


def is_id(wanted: str | None) -> bool:
    """True for the digits of an image's id, as many as tables and messages show, or more."""
    return wanted is not None and _ID.fullmatch(wanted.lower()) is not None


def _tells_all(session: Session, target: Target, located: Located) -> bool:
    """True if every table that was found is whole, and the files in ``/.inpart`` are those of the tables."""
    if any(store.findings or store.base for store in located.stores):
        return False
    claimed = {claim.name for store in located.stores for claim in store.claims().claims} | {JOURNAL}
    live = claims_of(session, target.volume) or ()
    committed = [one.image.state == "committed" for one in located.images]
    return bool(committed) and all(committed) and all(claim.name in claimed for claim in live)


def _name_passed_over(session: Session, located: Located, found: FoundImage) -> None:
    """Say which images are damaged and would have been chosen before ``found`` if they were whole."""
    images = located.images
    at = next(number for number, one in enumerate(images) if one.summary.image_id == found.summary.image_id)
    rivals = images if found.summary.kind == "factory" else images[at + 1 :]
    for one in rivals:
        if one.image.state != "committed" and one.summary.kind != "factory":
            session.warn(
                f"image {one.summary.name!r} is damaged; {found.summary.name!r} is used instead of it, "
                f"unless {one.summary.image_id.hex()[:12]} is asked for"
            )


def _open_file(session: Session, stream: Volume, wanted: str | None) -> ImageReader:
    reader = read_stream(session, stream)
    manifest = reader.manifest
    fits = {manifest.name, manifest.kind, "latest"}
    if wanted is not None and wanted not in fits and not manifest.image_id.startswith(wanted.lower()):
        raise NoImageFound(f"{stream.name} holds the image {manifest.name!r}, not {wanted!r}")
    return reader


def lacks_parent(manifest: Manifest) -> str:
    """What is said of an incremental image in a file."""
    return f"holds only what differs from image {str(manifest.parent)[:12]}, which is not in this file"
