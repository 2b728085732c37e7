"""NTFS as a file system of the contract: reader and tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from inpart.contracts import Entry, FilesystemInfo, FilesystemTree, Finding, State, SystemArea
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, VolumeError
from inpart.extents import Extents, Runs
from inpart.units import KIB, SECTOR
from inpart.volume import Volume

from inpart_ntfs.areas import system_areas
from inpart_ntfs.attributes import HINT
from inpart_ntfs.bitmap import set_bits
from inpart_ntfs.boot import Boot, find_boot
from inpart_ntfs.check import check
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.details import whole
from inpart_ntfs.directory import DirectoryReader
from inpart_ntfs.dispensable import slack, swap_space
from inpart_ntfs.gathering import content_of
from inpart_ntfs.mft import Mft
from inpart_ntfs.names import UPCASE_SIZE, Upcase, shown
from inpart_ntfs.owners import owners
from inpart_ntfs.runs import byte_extents, byte_runs
from inpart_ntfs.state import VolumeState, read_state
from inpart_ntfs.tree import Tree

VERSIONS = ((1, 2), (3, 0), (3, 1))
UNUSED_BOOT = (5 * KIB, 8 * KIB)


class NtfsFilesystem(FilesystemTree):
    """An NTFS file system on a volume that starts at the partition's first byte.

    What is read from the volume is kept; ``refresh`` forgets it after the volume has changed.
    """

    def __init__(self, volume: Volume) -> None:
        """Raises FilesystemUnsupported if there is nothing of NTFS or another version of it, FilesystemDamaged."""
        self.volume = volume
        self.refresh()
        version = self.state.version
        if any(version) and version not in VERSIONS:
            raise FilesystemUnsupported(
                f"{volume.name}: NTFS of version {version[0]}.{version[1]} is not supported",
                hint="`create --all-sectors` copies the partition without reading it",
            )

    def refresh(self) -> None:
        """Forget everything that was read, so that edits made since are seen."""
        self.found = find_boot(self.volume)
        self.mft = Mft(self.volume, self.boot)
        for name in ("used", "bad", "info", "state", "upcase", "reader"):
            self.__dict__.pop(name, None)

    @property
    def boot(self) -> Boot:
        """The trusted boot sector."""
        return self.found.boot

    @cached_property
    def used(self) -> Extents:
        """Bytes of all clusters that $Bitmap says are used, bad ones included."""
        bitmap = self.mft.metadata(Number.BITMAP)
        if bitmap.data_size * 8 < self.boot.clusters or not bitmap.non_resident:
            raise FilesystemDamaged(
                f"$Bitmap has {bitmap.data_size} bytes for {self.boot.clusters} clusters", hint=HINT
            )
        return set_bits(self.mft.content(bitmap), self.boot.clusters, self.boot.cluster_size)

    @cached_property
    def bad(self) -> Extents:
        """Bytes of the clusters that $BadClus lists; none if that is damaged."""
        try:
            rows = self.mft.metadata(Number.BAD_CLUS, AttributeType.DATA, "$Bad").rows
        except FilesystemDamaged:
            return Extents()
        return byte_extents(rows[:, 1], rows[:, 2], self.boot.cluster_size)

    @cached_property
    def state(self) -> VolumeState:
        """What $Volume, $LogFile and hiberfil.sys say."""
        return read_state(self.mft, self.reader)

    @cached_property
    def info(self) -> FilesystemInfo:  # type: ignore[override]
        boot, state = self.boot, self.state
        used, notes = self._count()
        return FilesystemInfo(
            kind="ntfs",
            label=state.label,
            uuid=f"{boot.volume_serial_number:016X}",
            cluster_size=boot.cluster_size,
            size=min(boot.size, self.volume.size),
            data_start=0,
            data_end=boot.data_end,
            used_bytes=used,
            free_bytes=boot.data_end - used,
            state=State.ERRORS if notes and state.state is not State.HIBERNATED else state.state,
            notes=(*notes, *state.notes),
        )

    def _count(self) -> tuple[int, tuple[str, ...]]:
        """Bytes of used clusters, all if $Bitmap is lost, and what is wrong with the structures themselves."""
        notes = [*self.found.notes, *self.mft.notes]
        missing = self.boot.backup_offset - self.volume.size
        if missing > 0:
            notes.append(f"the last {missing} bytes are missing, {self.volume.name} ends before them")
        try:
            used = self.used.total
        except (FilesystemDamaged, VolumeError) as error:
            notes.append(f"what is used is not known: {error.message}")
            used = self.boot.data_end
        return used, tuple(notes)

    def allocated(self) -> Extents:
        """Used clusters without bad ones, the boot sector and its backup."""
        boot = self.boot
        if self.used.end > self.volume.size:
            raise FilesystemDamaged(f"{self.volume.name}: used clusters reach up to byte {self.used.end}", hint=HINT)
        ends = [(0, boot.bytes_per_sector), (boot.backup_offset, min(boot.size, self.volume.size))]
        return (self.used - self.bad) | Extents(ends)

    def system_areas(self) -> tuple[SystemArea, ...]:
        return system_areas(self.found, self.mft)

    def reserved_places(self) -> Extents:
        """Blank sectors in the second half of $Boot, where the boot code of Windows does not reach."""
        sectors = Extents.span(*UNUSED_BOOT).split(max(SECTOR, self.boot.bytes_per_sector)).tolist()
        blank = [(start, end) for start, end in sectors if not any(self.volume.read(start, end - start))]
        return Extents(blank)

    def check(self) -> Iterator[Finding]:
        return check(self)

    @cached_property
    def upcase(self) -> Upcase:
        """The table that makes names equal; the rules of Unicode where $UpCase is damaged."""
        try:
            stream = self.mft.metadata(Number.UPCASE)
            return Upcase(whole(self.mft, stream, UPCASE_SIZE))
        except FilesystemDamaged:
            return Upcase(None)

    @cached_property
    def reader(self) -> DirectoryReader:
        """Access to directories."""
        return DirectoryReader(self.mft, self.upcase)

    @property
    def tree(self) -> Tree:
        """Access to files, directories and streams by path."""
        return Tree(self.reader)

    def walk(self, path: str = "/") -> Iterator[Entry]:
        return self.tree.walk(path)

    def list(self, path: str = "/") -> Iterator[Entry]:
        return self.tree.list(path)

    def stat(self, path: str) -> Entry:
        return self.tree.stat(path)

    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Raises FilesystemUnsupported for files whose content Windows keeps elsewhere, packed or deduplicated."""
        return self.tree.read(path, offset, length)

    def runs(self, path: str) -> Runs:
        """Clusters in file order; nothing for content that stands in the record. Raises FilesystemDamaged."""
        stream = self.tree.stream(path)
        return byte_runs(stream.rows, self.boot.cluster_size) if stream else Runs()

    def content(self, entries: Iterable[Entry]) -> Extents:
        """Raises FilesystemDamaged, UsageError for what is not there any more."""
        return content_of(self.mft, entries, self.runs)

    def folded(self, name: str) -> str:
        """In upper case after $UpCase."""
        return shown(self.upcase.fold(name))

    def dispensable(self) -> Extents:
        return swap_space(self.reader, hibernated=self.state.state is State.HIBERNATED)

    def slack(self) -> Extents:
        return slack(self.mft)

    def owners(self, extents: Extents) -> Iterator[str]:
        """Paths of files, directories and streams that have clusters in ``extents``; the records are read once."""
        return owners(self.mft, extents)
