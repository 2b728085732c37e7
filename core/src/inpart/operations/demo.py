"""The demonstration: a small disk is imaged into itself, wrecked, and brought back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import zstandard
from blake3 import blake3

from inpart.checksums import all_zero
from inpart.contracts import CLAIMS_DIRECTORY, EntryType, FilesystemTree
from inpart.errors import FilesystemError, IntegrityError, UsageError
from inpart.extents import Extents
from inpart.operations.check import check_filesystem
from inpart.operations.create import CreateOptions, create
from inpart.operations.files import open_tree
from inpart.operations.images import list_images
from inpart.operations.locate import locate_images
from inpart.operations.map import draw, layers_of
from inpart.operations.probe import probe
from inpart.operations.reading import open_filesystem
from inpart.operations.restore import RestoreOptions, restore
from inpart.operations.session import Session
from inpart.partitions import open_target
from inpart.units import MIB, format_size
from inpart.volume import Access, FileVolume, Volume

DISK = "demo-disk.img.zst"
"""The disk that the package carries; tools/make-demo-disk.sh made it."""

_WRECK = b"\xdb"
_COLUMNS, _ROWS = 76, 6


@dataclass(frozen=True)
class Step:
    """One thing that was done, as a line; ``picture`` are further lines to be shown as they are."""

    title: str
    result: str
    seconds: float
    picture: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contents:
    """What a partition holds: (size, time, BLAKE3) of each file, and the BLAKE3 of all used bytes outside metadata."""

    files: Mapping[str, tuple[int, str, str]]
    used: Extents
    digest: str


class Demo:
    """One demonstration, on the new disk ``path``; IntegrityError if something came back wrong."""

    def __init__(self, session: Session, path: Path, say: Callable[[Step], None]) -> None:
        self._session = session
        self._path = path
        self._address = f"{self._path}#1"
        self._say = say

    def run(self) -> None:
        """All steps, in order."""
        self._do("a small disk", self._unpack)
        before = self._contents()
        self._do("its partition", self._describe, picture=True)
        self._do("create --name as-shipped --kind factory", self._create)
        self._do("the partition with its image", self._describe, picture=True)
        self._do("an accident: files are overwritten", self._change_files)
        self._do("a disaster: the file system is destroyed", self._destroy)
        self._do("locate", self._locate)
        self._do("restore", self._restore)
        self._do("proof", lambda: self._prove(before))

    def _do(self, title: str, action: Callable[[], str], *, picture: bool = False) -> None:
        started = time.monotonic()
        result = action()
        seconds = time.monotonic() - started
        self._say(Step(title, result, seconds, self._picture() if picture else ()))

    def _unpack(self) -> str:
        content = memoryview(zstandard.decompress(files("inpart").joinpath("data", DISK).read_bytes()))
        with FileVolume.create(self._path, len(content)) as disk:
            for offset in range(0, len(content), MIB):
                if not all_zero(content[offset : offset + MIB]):
                    disk.write(offset, content[offset : offset + MIB])
            disk.flush()
        return f"{self._path}, {format_size(len(content))}"

    def _describe(self) -> str:
        info = probe(self._session, self._address).info
        return f"{info.kind}, {format_size(info.size)}, {format_size(info.used_bytes)} used, {info.state.value}"

    def _picture(self) -> tuple[str, ...]:
        with open_filesystem(self._session, self._address) as (volume, filesystem):
            picture = draw(layers_of(filesystem), volume.size, columns=_COLUMNS, lines=_ROWS)
            return (*picture.rows(), *(str(line) for line in picture.legend))

    def _contents(self) -> Contents:
        with open_tree(self._session, self._address) as tree, open_target(self._address) as target:
            listed = {
                entry.path: (entry.size, str(entry.mtime), _digest(tree.read(entry.path)))
                for entry in tree.walk()
                if entry.type is EntryType.FILE and not entry.path.startswith(CLAIMS_DIRECTORY)
            }
            used = tree.allocated() - _metadata(tree)
            return Contents(listed, used, _digest_of(target.volume, used))

    def _create(self) -> str:
        report = create(self._session, self._address, CreateOptions("as-shipped", "factory"))
        return (
            f"{format_size(report.image_bytes)} of used data in {format_size(report.stored_bytes)} at the end of the "
            f"partition, owned by hidden files"
        )

    def _change_files(self) -> str:
        with open_tree(self._session, self._address) as tree:
            runs = [tree.runs(entry.path) for entry in tree.walk("/Documents") if entry.type is EntryType.FILE]
        with open_target(self._address, Access.WRITE) as target:
            for run in runs:
                _overwrite(target.volume, run.extents())
            target.volume.flush()
        return f"{len(runs)} documents now hold garbage"

    def _destroy(self) -> str:
        with open_filesystem(self._session, self._address) as (_, filesystem):
            areas = filesystem.system_areas()
        with open_target(self._address, Access.WRITE) as target:
            for area in areas:
                _overwrite(target.volume, area.extents)
            target.volume.flush()
        try:
            probe(self._session, self._address)
        except FilesystemError:
            return f"overwritten: {', '.join(area.name for area in areas)}; nothing can read it any more"
        raise IntegrityError("the file system survived the disaster of the demonstration")

    def _locate(self) -> str:
        found = locate_images(self._session, self._address).images
        return "; ".join(f"image {row.name!r} of {row.created}, found by {row.method}" for row in found)

    def _restore(self) -> str:
        report = restore(self._session, self._address, RestoreOptions())
        return f"{format_size(report.written_bytes)} written, kept: {', '.join(report.retained)}"

    def _prove(self, before: Contents) -> str:
        after = self._contents()
        with open_target(self._address) as target:
            digest = _digest_of(target.volume, before.used)
        findings = check_filesystem(self._session, self._address)
        images = list_images(self._session, self._address).images
        if after.files != before.files or digest != before.digest or findings or not images:
            raise IntegrityError("the demonstration failed: the partition did not come back as it was")
        return (
            f"{len(after.files)} files and {format_size(before.used.total)} of used data are byte for byte as before, "
            f"the file system's check finds nothing, the image is still there"
        )


def demo(session: Session, folder: Path, say: Callable[[Step], None]) -> None:
    """Run the demonstration on ``folder``/disk.img, which must not exist. Raises UsageError, IntegrityError, NoSpace.

    A disk that did not come back as it was is left for those who want to know why; nothing else unfinished is.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a directory", hint="make it first, or leave --keep away")
    disk = folder / "disk.img"
    try:
        taken = disk.exists()
    except OSError as error:
        raise UsageError(f"{disk}: {error.strerror}", hint="name another directory") from error
    if taken:
        raise UsageError(f"{disk} exists already", hint="remove it, or name another directory")
    try:
        Demo(session, disk, say).run()
    except IntegrityError:
        raise
    except BaseException:
        with suppress(OSError):
            disk.unlink()
        raise


def _metadata(tree: FilesystemTree) -> Extents:
    extents = Extents()
    for area in tree.system_areas():
        extents = extents | area.extents
    return extents


def _overwrite(volume: Volume, extents: Extents) -> None:
    for start, end in extents:
        volume.write(start, _WRECK * (end - start))


def _digest(pieces: Iterator[bytes]) -> str:
    digest = blake3()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _digest_of(volume: Volume, extents: Extents) -> str:
    return _digest(volume.read(start, end - start) for start, end in extents.split(MIB).tolist())
