"""What goes into an image: the view without stores, the used extents, and what the user leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

from inpart.contracts import EntryType, Filesystem, FilesystemEditor, FilesystemTree, SystemArea
from inpart.errors import FilesystemUnsupported
from inpart.extents import Extents
from inpart.operations.partition import Mounted
from inpart.transaction import Transaction
from inpart.volume import Volume


@dataclass(frozen=True)
class Selection:
    """What the user chose: wildcards for paths, or every sector. ``include`` empty means everything."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    all_sectors: bool = False
    skip_swap: bool = False

    def leaves_out(self, path: str) -> bool:
        """True if the content of the file at ``path`` is not wanted."""
        wanted = not self.include or any(_fits(path, pattern) for pattern in self.include)
        return not wanted or any(_fits(path, pattern) for pattern in self.exclude)


def _fits(path: str, pattern: str) -> bool:
    """A pattern without a slash fits a name at any depth, one with a slash the whole path."""
    if "/" not in pattern:
        return any(fnmatch(part, pattern) for part in path.strip("/").split("/"))
    rooted = pattern if pattern.startswith("/") else f"/{pattern}"
    return fnmatch(path, rooted) or fnmatch(path, f"{rooted}/*")


@dataclass(frozen=True)
class Scope:
    """The source of an image: ``view`` shows the partition without any claim, ``used`` is what of it is stored."""

    view: Volume
    used: Extents
    system_areas: tuple[SystemArea, ...]
    excluded: tuple[str, ...]


def scope_of(mounted: Mounted, selection: Selection) -> Scope:
    """Edit a copy of the metadata so that no image is in it (S106 to S108), then ask for what is allocated."""
    view, filesystem = _without_claims(mounted)
    areas = filesystem.system_areas()
    if selection.all_sectors:
        claimed = mounted.editor().claims() if isinstance(mounted.filesystem, FilesystemEditor) else ()
        used = Extents.span(0, mounted.volume.size)
        for claim in claimed:
            used = used - claim.runs.extents()
        return Scope(view, used, areas, ())
    left_out, paths = _left_out(filesystem, selection)
    return Scope(view, filesystem.allocated() - left_out, areas, paths)


def _without_claims(mounted: Mounted) -> tuple[Volume, Filesystem]:
    if not isinstance(mounted.filesystem, FilesystemEditor):
        return mounted.volume, mounted.filesystem
    names = [claim.name for claim in mounted.filesystem.claims()]
    if not names:
        return mounted.volume, mounted.filesystem
    tx = Transaction(mounted.volume, lasting=False)
    mounted.editor(tx.view).release(names, tx)
    return tx.view, mounted.provider.open(tx.view)


def _left_out(filesystem: Filesystem, selection: Selection) -> tuple[Extents, tuple[str, ...]]:
    """Clusters and paths of files whose content stays out of the image."""
    if not isinstance(filesystem, FilesystemTree):
        if selection.include or selection.exclude:
            raise FilesystemUnsupported("this file system's plugin knows no paths, so nothing can be left out by name")
        return Extents(), ()
    gone = filesystem.dispensable() if selection.skip_swap else Extents()
    if not (selection.include or selection.exclude):
        return gone, ()
    entries = [entry for entry in filesystem.walk() if entry.type is EntryType.FILE]
    paths = tuple(entry.path for entry in entries if selection.leaves_out(entry.path))
    runs = [pair for path in paths for pair in filesystem.runs(path).extents()]
    return gone | Extents(runs), paths
