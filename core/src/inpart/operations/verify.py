"""Verifying: the file system, the tables of contents, and every byte of images, with the files that damage touches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inpart.contracts import Finding, Severity, State
from inpart.errors import FilesystemError, InpartError, IntegrityError, NoImageFound, UsageError, VolumeError
from inpart.image import ImageReader, damaged_extents, is_image_stream
from inpart.operations.affected import files_hit
from inpart.operations.check import check_filesystem, is_sound
from inpart.operations.filesystems import UNCLEAN, find_filesystem
from inpart.operations.images import lacks_parent, located_image, open_reader, opened_image
from inpart.operations.journals import unfinished
from inpart.operations.protection import unprotected
from inpart.operations.session import Session
from inpart.operations.stores import EVERY, FoundImage, Located, locate
from inpart.partitions import Target, open_target
from inpart.volume import Volume


@dataclass(frozen=True)
class VerifyReport:
    """``ok`` is false if anything needs mending; ``checked`` names the images that were looked at."""

    ok: bool
    findings: tuple[Finding, ...]
    checked: tuple[str, ...]


def verify(session: Session, address: str, wanted: str | None = None, level: str = "full") -> VerifyReport:
    """Check without changing anything: ``fs`` the live file system, ``toc`` the tables, ``full`` every stored byte.

    Raises NoImageFound if there is nothing to check, FilesystemError for ``fs`` without a file system.
    """
    if level == "fs":
        found = check_filesystem(session, address)
        return VerifyReport(is_sound(found), found, ())
    with open_target(address) as target:
        if is_image_stream(target.volume):
            return _of_file(session, target, wanted, level)
        located, chosen = _chosen(session, target, wanted)
        findings = list(_of_stores(session, target, located))
        if not chosen and not findings:
            raise located.nothing()
        findings += _of_live(session, target.volume)
        for one in chosen:
            findings += _of_image(session, target, located, one, level)
        return VerifyReport(is_sound(tuple(findings)), tuple(findings), tuple(one.summary.name for one in chosen))


def _chosen(session: Session, target: Target, wanted: str | None) -> tuple[Located, list[FoundImage]]:
    if wanted is None:
        located = locate(session, target.volume, EVERY, target)
        return located, list(located.images)
    located, found = located_image(session, target, wanted, EVERY)
    return located, [found]


def _of_file(session: Session, target: Target, wanted: str | None, level: str) -> VerifyReport:
    reader = opened_image(session, target, wanted, parentless=True).reader
    findings = tuple(_of_reader(session, target, reader, level))
    return VerifyReport(is_sound(findings), findings, (reader.manifest.name,))


def _of_stores(session: Session, target: Target, located: Located) -> Iterator[Finding]:
    for store in located.stores:
        yield from store.findings
    yield from unprotected(session, target.volume, located.stores)
    sentence = unfinished(session, target.volume, located.stores)
    if sentence is not None:
        yield Finding(Severity.ERROR, "transaction.unfinished", target.volume.name, sentence)


def _of_live(session: Session, volume: Volume) -> Iterator[Finding]:
    """Images may be whole where the partition is a wreck: nobody must take one for the other."""
    advice = "`inpart restore` brings it back"
    try:
        state = find_filesystem(session, volume).open(volume).info.state
    except (FilesystemError, IntegrityError, UsageError, VolumeError):
        yield Finding(
            Severity.NOTE, "filesystem.unreadable", volume.name, f"it holds no readable file system; {advice}"
        )
        return
    if state is State.ERRORS:
        message = f"the file system {UNCLEAN[state]}, `inpart verify --level fs` says which; {advice}"
        yield Finding(Severity.NOTE, "filesystem.errors", volume.name, message)


def _of_image(session: Session, target: Target, located: Located, found: FoundImage, level: str) -> Iterator[Finding]:
    name = found.summary.name
    if found.image.state != "committed":
        yield Finding(Severity.ERROR, "image.partial", f"image {name}", "only parts of it were found")
    try:
        reader = open_reader(session, located, found)
    except (InpartError, NoImageFound) as error:
        yield Finding(Severity.ERROR, "image.unreadable", f"image {name}", error.message)
        return
    yield from _of_reader(session, target, reader, level)


def _of_reader(session: Session, target: Target, reader: ImageReader, level: str) -> Iterator[Finding]:
    yield from reader.findings
    if level != "full":
        return
    alone = reader.parent is None and reader.manifest.parent is not None
    if alone:
        message = f"it {lacks_parent(reader.manifest)}: what is stored is compared with its checksums, and not decoded"
        yield Finding(Severity.NOTE, "image.parent-elsewhere", f"image {reader.manifest.name}", message)
    with session.progress.phase(f"verifying {reader.manifest.name}", reader.manifest.stored_bytes) as advance:
        damaged = list(reader.verify("stored" if alone else "full", advance))
    yield from damaged
    bad = damaged_extents(damaged) | reader.lost
    if bad and not alone:
        yield from files_hit(session, target.volume, reader, bad)
