"""Files of a live file system, or of one inside an image: listing, reading, taking out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from inpart.contracts import CLAIMS_DIRECTORY, Entry, EntryType, FilesystemTree
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, IntegrityError, UsageError, VolumeError
from inpart.image import is_image_stream
from inpart.operations.extraction import OutputTree
from inpart.operations.images import opened_image
from inpart.operations.mended import MendedVolume
from inpart.operations.partial import PartialTree
from inpart.operations.reading import filesystem_on
from inpart.operations.selection import Chooser, Selection
from inpart.operations.session import Session
from inpart.operations.stores import EVERY
from inpart.partitions import open_target
from inpart.volume import Volume

_DAMAGE = (FilesystemDamaged, IntegrityError, VolumeError)


@dataclass
class ExtractReport:
    """What was taken out; ``failed`` has (path, reason) of what could not be. Sizes in bytes."""

    files: int = 0
    directories: int = 0
    bytes: int = 0
    paths: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def open_tree(session: Session, address: str, image: str | None = None) -> Iterator[FilesystemTree]:
    """The files of ``image``, or of the live file system at ``address``, or of the image in the file that it names.

    Raises FilesystemError, NoImageFound, IntegrityError, UsageError.
    """
    with open_target(address) as target:
        if image is None and not is_image_stream(target.volume):
            yield tree_on(session, target.volume)
        else:
            opened = opened_image(session, target, image, EVERY)
            system = opened.found.summary.system if opened.found else {}
            tree = tree_on(session, MendedVolume(opened.volume, system))
            yield PartialTree(tree, opened.reader.extents) if opened.reader.manifest.lacks_files else tree


def tree_on(session: Session, volume: Volume) -> FilesystemTree:
    """The file system of ``volume``, if its plugin knows files. Raises FilesystemError."""
    filesystem = filesystem_on(session, volume)
    if not isinstance(filesystem, FilesystemTree):
        raise FilesystemUnsupported(
            f"the plugin for {filesystem.info.kind} cannot list files", hint="it can be imaged and restored as a whole"
        )
    return filesystem


def extract(
    session: Session,
    tree: FilesystemTree,
    paths: Sequence[str],
    output: OutputTree,
    selection: Selection,
) -> ExtractReport:
    """Copy files and directories out of ``tree``, with their times, below the directory of ``output``.

    A file that is damaged is left out and reported, as is a directory that cannot be read; the others come out all the
    same. Raises UsageError for a path that is not there, NoSpace.
    """
    report, chooser = ExtractReport(), Chooser(selection, tree)
    with session.progress.phase("extracting", None) as advance:
        for path in paths:
            for entry in _below(tree, path, report):
                if not chooser.leaves_out(entry.path):
                    advance(_extract_one(tree, entry, output, report))
        output.finish()
    return report


def _below(tree: FilesystemTree, path: str, report: ExtractReport) -> Iterator[Entry]:
    if not path.strip("/"):
        yield from (entry for entry in _walk(tree, "/", report) if not _holds_images(entry))
        return
    entry = tree.stat(path)
    yield entry
    if entry.type is EntryType.DIR:
        yield from _walk(tree, path, report)


def _walk(tree: FilesystemTree, path: str, report: ExtractReport) -> Iterator[Entry]:
    """Everything below ``path``; where a directory is damaged, what can be reached without it."""
    given: set[str] = set()
    try:
        for entry in tree.walk(path):
            given.add(entry.path)
            yield entry
    except _DAMAGE:
        yield from (entry for entry in _walk_around(tree, path, report) if entry.path not in given)


def _walk_around(tree: FilesystemTree, path: str, report: ExtractReport) -> Iterator[Entry]:
    """The same, one directory at a time, so that only those are missing that cannot be read; loops are not followed."""
    waiting, seen = [path], {tree.stat(path).record}
    while waiting:
        place = waiting.pop()
        try:
            entries = list(tree.list(place))
        except _DAMAGE as error:
            report.failed.append((place, f"what is in it cannot be read: {error.message}"))
            continue
        yield from entries
        folders = [entry for entry in entries if entry.type is EntryType.DIR and entry.record not in seen]
        seen.update(entry.record for entry in folders)
        waiting += [entry.path for entry in folders]


def _holds_images(entry: Entry) -> bool:
    """True for the files that own the clusters of images; somebody who wants everything does not want those."""
    return entry.path == CLAIMS_DIRECTORY or entry.path.startswith(f"{CLAIMS_DIRECTORY}/")


def _extract_one(tree: FilesystemTree, entry: Entry, output: OutputTree, report: ExtractReport) -> int:
    size = 0
    try:
        if entry.type is EntryType.DIR:
            output.directory(entry)
            report.directories += 1
        elif entry.type is EntryType.FILE:
            size = output.file(entry, tree.read(entry.path))
            report.files += 1
            report.bytes += size
        elif entry.type is EntryType.SYMLINK:
            output.symlink(entry)
            report.files += 1
        else:
            report.failed.append((entry.path, "a device, pipe or socket is not copied"))
            return 0
        report.paths.append(entry.path)
    except (*_DAMAGE, FilesystemUnsupported, UsageError) as error:
        report.failed.append((entry.path, error.message))
    return size
