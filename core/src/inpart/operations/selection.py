"""What a user leaves out of an image or of an extraction: patterns, and the clusters that they come to."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from typing import Literal

import numpy as np

from inpart.contracts import Entry, EntryType, FilesystemTree
from inpart.errors import UsageError
from inpart.extents import Extents

_BATCH = 4096
_NAMES = 100
_TEXT = 1 << 13
"""A manifest has room for so many names, and so much text of names or patterns."""


@dataclass(frozen=True)
class Selection:
    """What the user chose: wildcards for paths, or every sector. ``include`` empty means everything.

    ``skip_swap`` leaves out what the file system calls dispensable: swap space, hibernation files.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    all_sectors: bool = False
    skip_swap: bool = False

    @property
    def mode(self) -> Literal["used", "all-sectors"]:
        """As a manifest has it."""
        return "all-sectors" if self.all_sectors else "used"

    @property
    def by_name(self) -> bool:
        """True if there are patterns."""
        return bool(self.include or self.exclude)

    def check(self) -> None:
        """Raise UsageError for what no image can be made with."""
        if self.all_sectors and (self.by_name or self.skip_swap):
            raise UsageError("every sector and only some files cannot both be wanted", hint="leave out --all-sectors")
        if sum(len(pattern) for pattern in (*self.include, *self.exclude)) > _TEXT:
            raise UsageError(f"the patterns are longer than {_TEXT} characters", hint="write shorter ones")


class Chooser:
    """What a selection comes to in one file system, by whose rules names are equal."""

    def __init__(self, selection: Selection, tree: FilesystemTree) -> None:
        self._fold = tree.folded if selection.by_name else str
        self._include = tuple(map(self._fold, selection.include))
        self._exclude = tuple(map(self._fold, selection.exclude))

    def leaves_out(self, path: str) -> bool:
        """True if the content of the file at ``path`` is not wanted."""
        folded = self._fold(path)
        wanted = not self._include or any(_fits(folded, pattern) for pattern in self._include)
        return not wanted or any(_fits(folded, pattern) for pattern in self._exclude)


def _fits(path: str, pattern: str) -> bool:
    """A pattern without a slash fits a name at any depth, one with a slash the whole path."""
    if "/" not in pattern:
        return any(fnmatchcase(part, pattern) for part in path.strip("/").split("/"))
    rooted = pattern if pattern.startswith("/") else f"/{pattern}"
    return fnmatchcase(path, rooted) or fnmatchcase(path, f"{rooted}/*")


@dataclass(frozen=True)
class LeftOut:
    """Clusters whose content stays out of an image, how many files that hits, and the names of the first of them."""

    extents: Extents = field(default_factory=Extents)
    files: int = 0
    names: tuple[str, ...] = ()

    def __or__(self, other: LeftOut) -> LeftOut:
        return LeftOut(self.extents | other.extents, self.files + other.files, (*self.names, *other.names)[:_NAMES])


def swap_of(tree: FilesystemTree) -> LeftOut:
    """What the file system calls dispensable."""
    extents, names = tree.dispensable(), _Names()
    paths = list(tree.owners(extents)) if extents else []
    names.add(paths)
    return LeftOut(extents, len(paths), names.shown())


def left_out_by(tree: FilesystemTree, selection: Selection) -> LeftOut:
    """What the patterns of ``selection`` leave out, in one walk. Raises UsageError if no file is left.

    A file with several names of which one is wanted stays in.
    """
    chooser = Chooser(selection, tree)
    names, pieces, dropped, kept = _Names(), [Extents()], array("q"), array("q")
    entries = _with_content(tree)
    while batch := list(islice(entries, _BATCH)):
        leaves = [chooser.leaves_out(entry.path) for entry in batch]
        unwanted = [entry for entry, left in zip(batch, leaves, strict=True) if left]
        kept.extend(entry.record for entry, left in zip(batch, leaves, strict=True) if not left)
        dropped.extend(entry.record for entry in unwanted)
        names.add([entry.path for entry in unwanted])
        pieces.append(tree.content(unwanted))
    if selection.include and not kept:
        raise UsageError("no file with content fits --include", hint="`inpart ls -r` shows the paths")
    extents = Extents.union(pieces)
    shared = set(np.intersect1d(np.array(dropped), np.array(kept)).tolist())
    if not shared:
        return LeftOut(extents, len(dropped), names.shown())
    return _without(tree, chooser, shared, LeftOut(extents, len(dropped)))


def _without(tree: FilesystemTree, chooser: Chooser, shared: set[int], left_out: LeftOut) -> LeftOut:
    """``left_out`` but for what has another name, too, that is wanted."""
    extents, names, files = left_out.extents, _Names(), 0
    entries = _with_content(tree)
    while batch := list(islice(entries, _BATCH)):
        extents = extents - tree.content(
            entry for entry in batch if entry.record in shared and not chooser.leaves_out(entry.path)
        )
    for entry in _with_content(tree):
        if chooser.leaves_out(entry.path) and (entry.record not in shared or tree.content([entry]) & extents):
            names.add([entry.path])
            files += 1
    return LeftOut(extents, files, names.shown())


def _with_content(tree: FilesystemTree) -> Iterator[Entry]:
    return (entry for entry in tree.walk() if entry.type is EntryType.FILE and entry.size)


class _Names:
    """The first names, as many as a manifest has room for."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._room = _TEXT

    def add(self, paths: list[str]) -> None:
        for path in paths[: _NAMES - len(self._names)]:
            self._room -= len(path)
            if self._room >= 0:
                self._names.append(as_text(path))

    def shown(self) -> tuple[str, ...]:
        return tuple(self._names)


def as_text(name: str) -> str:
    """A name as UTF-8 can hold it: bytes of other encodings become escapes."""
    return name.encode(errors="backslashreplace").decode()
