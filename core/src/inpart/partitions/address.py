"""How people name a partition: ``disk.img#2``, ``disk.img@1048576``, ``/dev/sda1``; and opening what they named."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from inpart.errors import InpartError, UsageError
from inpart.partitions.devices import DevicePartition, device_partition, node_of
from inpart.partitions.model import PartitionEntry, PartitionTable
from inpart.partitions.reader import read_table
from inpart.units import parse_size
from inpart.volume import Access, FileVolume, SliceVolume, Volume

_ADDRESS = re.compile(r"^(?P<path>.+)(?P<mark>[#@])(?P<value>[^#@/]*)$", re.DOTALL)
_LISTED = 16


@dataclass(frozen=True)
class Address:
    """A file or device, and perhaps a partition of it by ``number`` or by ``offset`` in bytes."""

    path: Path
    number: int | None = None
    offset: int | None = None

    def __str__(self) -> str:
        if self.number is not None:
            return f"{self.path}#{self.number}"
        return f"{self.path}" if self.offset is None else f"{self.path}@{self.offset}"


@dataclass
class Target:
    """An opened address. ``volume`` is what was asked for: a partition, or the whole disk or file.

    ``start`` is the volume's first byte on its disk. ``disk`` is the volume of the whole disk, None if it is unknown or
    the same as ``volume``; it may be read-only although ``volume`` is not. ``entry`` is the partition's entry in
    ``table``, which is None also where it is damaged and not needed.
    """

    address: Address
    volume: Volume
    disk: Volume | None = None
    table: PartitionTable | None = None
    entry: PartitionEntry | None = None
    start: int = 0

    @property
    def path(self) -> Path:
        """The file or device of the address."""
        return self.address.path

    @property
    def whole(self) -> Volume:
        """The whole disk, as far as it is known: ``disk`` or else ``volume``."""
        return self.disk or self.volume

    def close(self) -> None:
        """Release everything that was opened."""
        self.volume.close()
        if self.disk is not None:
            self.disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def parse_address(text: str) -> Address:
    """Take an address apart. A path that exists is itself, whatever it contains. Raises UsageError."""
    if not text or "\0" in text:
        raise UsageError(f"{text!r} names no file or device")
    match = None if _exists(text) else _ADDRESS.match(text)
    if match is None:
        return Address(Path(text))
    path, value = Path(match["path"]), match["value"]
    if match["mark"] == "@":
        return Address(path, offset=_offset(text, value))
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= 99999):
        raise UsageError(
            f"{text}: {value!r} is not the number of a partition", hint=f"such as {path}#1; probe lists them"
        )
    return Address(path, number=int(value))


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError:
        return False


def _offset(text: str, value: str) -> int:
    try:
        return parse_size(value)
    except UsageError as error:
        raise UsageError(f"{text}: {error.message}", hint="such as disk.img@1048576 or disk.img@1M") from None


def open_target(address: Address | str, access: Access = Access.READ, *, whole_disk: bool = False) -> Target:
    """Open what ``address`` names.

    A whole disk with partitions is a UsageError that lists them, unless ``whole_disk`` says that it is what is wanted.
    An offset reaches to the end of the partition that begins there, or else to the end of the disk. A partition of a
    block device is opened through its own node where the kernel has one, so that its neighbours may stay mounted;
    its disk is then open for reading only. Raises UsageError, DeviceBusy, VolumeError, PartitionTableDamaged.
    """
    where = parse_address(address) if isinstance(address, str) else address
    known = device_partition(where.path)
    if known and where.number is None and where.offset is None:
        return _open_node(where, known, access)
    return _open_in_disk(where, access, whole_disk=whole_disk)


def _open_node(where: Address, known: DevicePartition, access: Access) -> Target:
    """A partition by its device node; the table comes along if the disk can be read."""
    volume = FileVolume(where.path, access)
    target = Target(where, volume, start=known.start)
    with suppress(InpartError):
        target.disk = FileVolume(known.disk)
        target.table = read_table(target.disk)
    if target.table:
        target.entry = target.table.starting_at(known.start)
    return target


def _open_in_disk(where: Address, access: Access, *, whole_disk: bool) -> Target:
    """A file or whole device, or a partition of it. The table is looked at before anything is held exclusively."""
    with FileVolume(where.path) as disk:
        target = _looked_up(where, disk, whole_disk=whole_disk)
        size = _size_of(target, disk)
    if where.number is None and where.offset is None:
        target.volume = FileVolume(where.path, access)
        return target
    node = node_of(where.path, target.start, size)
    target.disk = FileVolume(where.path, Access.READ if node else access)
    try:
        target.volume = FileVolume(node, access) if node else SliceVolume(target.disk, target.start, size)
    except InpartError:
        target.disk.close()
        raise
    target.volume.name = str(where)
    return target


def _looked_up(where: Address, disk: Volume, *, whole_disk: bool) -> Target:
    """What the table says of ``where``. A damaged table matters only if a partition is asked for by its number."""
    target = Target(where, disk)
    try:
        target.table = read_table(disk)
    except InpartError:
        if where.number is not None or (where.offset is None and not whole_disk):
            raise
    table = target.table
    if where.number is not None:
        target.entry = _numbered(where, table)
        target.start = target.entry.start
    elif where.offset is not None:
        target.start = where.offset
        target.entry = table.starting_at(where.offset) if table else None
    elif table and table.partitions and not whole_disk:
        example = f"{where}#{table.partitions[0].number}"
        raise UsageError(f"{where} is a whole disk, {_listing(table)}", hint=f"name one of them, such as {example}")
    return target


def _numbered(where: Address, table: PartitionTable | None) -> PartitionEntry:
    if table is None:
        raise UsageError(f"{where.path} has no partition table", hint=f"leave out #{where.number}, or name an offset")
    entry = table.find(where.number or 0)
    if entry is None:
        raise UsageError(f"{where.path} has no partition {where.number}; {_listing(table)}")
    if entry.is_extended:
        raise UsageError(f"{where} is an extended partition, which only holds others; {_listing(table)}")
    return entry


def _listing(table: PartitionTable) -> str:
    lines = [f"  {entry.describe()}" for entry in table.partitions[:_LISTED]]
    more = len(table.partitions) - len(lines)
    lines += [f"  and {more} more"] if more > 0 else []
    kind = table.kind.upper()
    return f"its {kind} names these partitions:\n" + "\n".join(lines) if lines else f"its {kind} names no partition"


def _size_of(target: Target, disk: Volume) -> int:
    """Size of the wanted part. Raises UsageError with the numbers if it does not lie on the disk."""
    start, entry = target.start, target.entry
    if not disk.size:
        raise UsageError(f"{target.path} is empty")
    size = entry.size if entry else disk.size - start
    if target.address.offset is not None:
        size = min(size, disk.size - start)
    if start < 0 or size <= 0 or start + size > disk.size:
        said = f"{target.address} begins at {start}" + (f" and is {entry.size} bytes long" if entry else "")
        there = 0 <= start < disk.size
        hint = f"{target.path}@{start} names what is left of it" if there else "is the image of the disk complete?"
        raise UsageError(f"{said}; {target.path} has {disk.size} bytes", hint=hint)
    return size
