"""The contract of a file system in three levels: reader, tree, editor. Each is optional above the first.

All offsets and lengths are bytes of the volume that the file system was opened on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from inpart.contracts.common import Finding, Provider
from inpart.contracts.transaction import Edits
from inpart.extents import Extents, Runs
from inpart.volume import Volume

CLAIMS_DIRECTORY = "/.inpart"
"""The hidden directory whose files own the clusters of images."""


class Verdict(StrEnum):
    """The three answers to "is this your file system?"."""

    NOT_MINE = "not mine"
    MINE = "mine"
    DAMAGED = "mine but damaged"


@dataclass(frozen=True)
class Probe:
    """A verdict; ``detail`` says what was seen, ``trusted`` which copy (``backup boot sector``) would be used."""

    verdict: Verdict
    detail: str = ""
    trusted: str = ""


class State(StrEnum):
    """Whether an image of the file system as it stands can be trusted."""

    CLEAN = "clean"
    DIRTY = "dirty"
    ERRORS = "errors"
    NEEDS_REPLAY = "needs-replay"
    HIBERNATED = "hibernated"


@dataclass(frozen=True)
class FilesystemInfo:
    """What a file system says of itself.

    ``size`` is how much of the volume it covers; clusters lie at ``data_start + n * cluster_size`` up to ``data_end``,
    the end of the last usable cluster. ``used_bytes`` counts used clusters as the file system's own tools do.
    ``notes`` are warnings for people, such as which backup copy was trusted.
    """

    kind: str
    label: str
    uuid: str
    cluster_size: int
    size: int
    data_start: int
    data_end: int
    used_bytes: int
    free_bytes: int
    state: State
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SystemArea:
    """A named part of the volume that describes the file system: ``boot-sector``, ``fat-0``, ``superblock`` ...

    ``anchor`` is true for what the file system is recognised by, copies included: a restore writes it last.
    """

    name: str
    extents: Extents
    anchor: bool = False


class EntryType(StrEnum):
    """The type of a directory entry in listings."""

    FILE = "file"
    DIR = "dir"
    SYMLINK = "symlink"
    SPECIAL = "special"


@dataclass(frozen=True)
class Entry:
    """One file or directory. ``path`` starts with ``/``; ``record`` is an inode, record or first cluster number."""

    path: str
    type: EntryType
    size: int
    mtime: datetime | None
    record: int = 0
    attributes: tuple[str, ...] = ()
    target: str = ""


@dataclass(frozen=True)
class Claim:
    """A file that owns clusters: ``runs`` cover whole clusters in file order, ``size`` is the file's length."""

    name: str
    runs: Runs
    size: int


@dataclass(frozen=True)
class Vacated:
    """What one call of ``vacate`` put into its transaction, and what is left in the region to be moved."""

    moved: int
    remaining: int


@dataclass(frozen=True)
class Place:
    """Where a file system is going to live: ``start`` on its disk, ``size`` of its partition, in bytes."""

    start: int
    size: int
    sector_size: int = 512
    extra: dict[str, str] = field(default_factory=dict)


class Filesystem(ABC):
    """Level 1, the reader."""

    info: FilesystemInfo

    @abstractmethod
    def allocated(self) -> Extents:
        """Every byte that an image must hold: boot area, metadata, used clusters. Raises FilesystemDamaged."""

    @abstractmethod
    def system_areas(self) -> tuple[SystemArea, ...]:
        """The areas whose loss makes the file system unreadable."""

    @abstractmethod
    def check(self) -> Iterator[Finding]:
        """Everything that the reference checker would report; nothing for a healthy file system."""

    def reserved_places(self) -> Extents:
        """Bytes that the rules of the file system leave unused, where an anchor may live."""
        return Extents()


class FilesystemTree(Filesystem):
    """Level 2, files and directories. Paths are absolute and use ``/``; a path that is not there is a UsageError."""

    @abstractmethod
    def walk(self, path: str = "/") -> Iterator[Entry]:
        """Everything below ``path``, parents before children, without ``path`` itself."""

    @abstractmethod
    def list(self, path: str = "/") -> Iterator[Entry]:
        """The entries of one directory; for a file, that file."""

    @abstractmethod
    def stat(self, path: str) -> Entry:
        """One entry."""

    @abstractmethod
    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The content of a file in pieces of bounded size."""

    @abstractmethod
    def runs(self, path: str) -> Runs:
        """Where the content of a file or directory lies: whole clusters in file order, holes as ``Runs.HOLE``."""

    def content(self, entries: Iterable[Entry]) -> Extents:
        """Where the content of all these files lies, of which ``walk`` or ``stat`` told."""
        return Extents(pair for entry in entries for pair in self.runs(entry.path).extents())

    def folded(self, name: str) -> str:
        """What is equal for names that the file system takes for the same; patterns are compared in this form.

        Wildcards, ``*?[]!-/``, are not touched.
        """
        return name

    def dispensable(self) -> Extents:
        """Clusters of files that need not be imaged: swap, hibernation."""
        return Extents()

    def slack(self) -> Extents:
        """Whole sectors behind the last byte of each file, inside its last cluster."""
        return Extents()

    def owners(self, extents: Extents) -> Iterator[str]:
        """Paths of the files and directories that have bytes in ``extents``."""
        for entry in self.walk():
            if self.runs(entry.path).extents() & extents:
                yield entry.path


class FilesystemEditor(FilesystemTree):
    """Level 3, editing. Nothing is written: every change goes into a transaction and is read back through its view.

    An editor is opened on the volume that the transaction's ``view`` shows, that is ``provider.open(tx.view)``, and
    serves that transaction only. After the commit the reference checker finds nothing and every user file has
    the same bytes, times, attributes and record number as before.
    """

    @abstractmethod
    def free(self) -> Extents:
        """Clusters that may be used: neither allocated nor bad."""

    @abstractmethod
    def immovable(self) -> Extents:
        """Bytes between ``data_start`` and ``data_end`` that cannot be vacated: bad clusters, group metadata."""

    @abstractmethod
    def vacate(self, region: Extents, tx: Edits, *, avoid: Extents) -> Vacated:
        """Move one batch of what lies in ``region`` to free clusters outside ``region`` and ``avoid``.

        Stops when ``tx.full``. Claimed files in the region are moved like any other. Raises NoSpace with the numbers,
        FilesystemUnsupported for what cannot be moved; then the transaction must be dropped.
        """

    @abstractmethod
    def claim(self, claims: Sequence[Claim], tx: Edits, *, directory: Runs) -> None:
        """Make ``/.inpart`` hold files with exactly these runs, in this order, replacing those of the same name.

        Runs lie in free clusters or in clusters that a file in ``/.inpart`` owns: clusters may pass from one file to
        another in one call. ``directory`` are clusters, free or already owned by the directory, that it may use for
        itself; empty means any. Raises NoSpace, FilesystemUnsupported.
        """

    @abstractmethod
    def release(self, names: Sequence[str], tx: Edits) -> None:
        """Remove files from ``/.inpart`` and free their clusters; the directory too when nothing is left in it.

        They were there before the transaction: what the same one has claimed is not safe from cuts in its commit.
        """

    @abstractmethod
    def claims(self) -> tuple[Claim, ...]:
        """The files in ``/.inpart``; empty if there is no such directory. Raises FilesystemDamaged."""

    @abstractmethod
    def adapt(self, place: Place, tx: Edits) -> None:
        """Mend what depends on position and size after a move: hidden sectors, backup boot sector.

        Called before all else, also where the volume is smaller than the file system. Raises NoSpace if that cannot
        become as small as ``place``.
        """


class FilesystemProvider(Provider, Protocol):
    """Recognises a file system and opens it at the highest level it has."""

    def probe(self, volume: Volume) -> Probe:
        """Never guesses, never raises for strange bytes; reads a bounded part of the volume."""

    def open(self, volume: Volume) -> Filesystem:
        """Raises FilesystemDamaged, FilesystemUnsupported."""
