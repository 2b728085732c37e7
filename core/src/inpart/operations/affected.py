"""Naming what damage hits: the system areas, files and directories that have bytes in the lost parts of an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from inpart.contracts import FilesystemTree, Finding, Severity
from inpart.errors import InpartError
from inpart.extents import Extents
from inpart.image import ImageReader, ImageVolume
from inpart.operations.filesystems import find_filesystem
from inpart.operations.session import Session
from inpart.volume import ProxyVolume, Volume

Spare = tuple[tuple[int, bytes], ...]
"""Bytes of the partition that are known from elsewhere, as (offset, bytes), apart from each other."""


def span_of(spare: Spare) -> Extents:
    """Where they lie."""
    return Extents((start, start + len(data)) for start, data in spare)


class PatchedVolume(ProxyVolume):
    """An image in which the bytes of ``bad`` are zeros and those of ``spare`` as given; neither is read from it."""

    def __init__(self, image: ImageVolume, bad: Extents, spare: Spare = ()) -> None:
        super().__init__(image)
        self._bad = bad
        self._spare = spare
        self._absent = bad | span_of(spare)

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        view, end = memoryview(buffer), offset + len(buffer)
        for start, stop in self._bad.clip(offset, end):
            view[start - offset : stop - offset] = bytes(stop - start)
        for start, stop in self._absent.complement(offset, end):
            super().readinto(start, view[start - offset : stop - offset])
        for start, data in self._spare:
            low, high = max(start, offset), min(start + len(data), end)
            if low < high:
                view[low - offset : high - offset] = data[low - start : high - start]

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        stop = self.size if end is None else end
        return (super().data_extents(start, stop) - self._absent) | span_of(self._spare).clip(start, stop)


def files_hit(
    session: Session, live: Volume, reader: ImageReader, bad: Extents, spare: Spare = ()
) -> Iterator[Finding]:
    """A finding for each system area and each file that has bytes in a damaged chunk.

    Where the damage is in what the image knows of its files, what is left of that is asked, and the ``live`` file
    system, if there is one: together they name all files that either still knows.
    """
    where = f"image {reader.manifest.name}"
    for area in reader.system_areas:
        if area.extents & bad:
            yield Finding(Severity.ERROR, "image.area-damaged", area.name, f"{where}: has bytes in a damaged chunk")
    try:
        paths = _owners(session, ImageVolume(reader), bad)
    except InpartError as error:
        yield Finding(
            Severity.ERROR, "image.metadata-damaged", where,
            f"the image's own list of files is hit, files may be lost that nothing names: {error.message}",
        )  # fmt: skip
        yield from _doubtful_files(session, live, reader, bad, spare)
    else:
        yield from (_file(path, f"{where}: has bytes in a damaged chunk") for path in paths)


def _doubtful_files(
    session: Session, live: Volume, reader: ImageReader, bad: Extents, spare: Spare
) -> Iterator[Finding]:
    """Names from what is left of the image's own metadata, and from the live file system."""
    where = f"image {reader.manifest.name}"
    left = PatchedVolume(ImageVolume(reader), bad, spare)
    sources = (
        (_readable(session, left, bad, ask_checker=True), f"{where}: is lost, or what says where it lies"),
        (_readable(session, live, bad, ask_checker=False), f"{where}: lies now where a damaged chunk has its bytes"),
    )
    named: set[str] = set()
    for paths, message in sources:
        fresh = [path for path in paths if path not in named]
        yield from (_file(path, message) for path in fresh)
        named.update(fresh)
    if not named:
        message = "neither what is left of the image nor the live file system names any file"
        yield Finding(Severity.NOTE, "image.files-unknown", where, message)


def _file(path: str, message: str) -> Finding:
    return Finding(Severity.ERROR, "image.file-damaged", path, message)


def _readable(session: Session, volume: Volume, bad: Extents, *, ask_checker: bool) -> list[str]:
    """``_owners`` of a file system that may be damaged itself; names that nobody could type are not names.

    The checker names files that lost no byte, but the way to their bytes.
    """
    paths: list[str] = []
    with suppress(InpartError):
        paths += _owners(session, volume, bad)
    if ask_checker:
        with suppress(InpartError):
            found = find_filesystem(session, volume).open(volume).check()
            paths += [finding.where for finding in found if finding.severity is not Severity.NOTE]
    return [path for path in dict.fromkeys(paths) if path.startswith("/") and path.isprintable()]


def _owners(session: Session, volume: Volume, bad: Extents) -> list[str]:
    filesystem = find_filesystem(session, volume).open(volume)
    return list(filesystem.owners(bad)) if isinstance(filesystem, FilesystemTree) else []
