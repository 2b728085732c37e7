"""Regular files and block devices as volumes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from contextlib import suppress
from enum import Enum
from pathlib import Path

from inpart.errors import DeviceBusy, NoSpace, UsageError, VolumeError
from inpart.extents import Extents
from inpart.units import SECTOR
from inpart.volume.base import Buffer, Volume
from inpart.volume.busy import users_of
from inpart.volume.fetcher import FileFetcher
from inpart.volume.medium import MediumVolume
from inpart.volume.writer import FileWriter

BLKSSZGET = 0x1268
BLKFLSBUF = 0x1261
_HOLE_UNIT = 4096
_LOCK_PATIENCE = 2.0
_LOCK_PAUSE = 0.05


class Access(Enum):
    """How a volume is opened: READ shares it, WRITE has it alone, ALONE reads with nobody writing."""

    READ = "read"
    ALONE = "alone"
    WRITE = "write"


class FileVolume(Volume):
    """A regular file or a block device.

    With WRITE and ALONE the volume is held exclusively: ``O_EXCL`` on a block device (which the kernel refuses for a
    mounted one), an advisory lock on a file, and for both a look at what is mounted on it, its partitions and the
    loop devices over it.
    """

    def __init__(self, path: str | os.PathLike[str], access: Access = Access.READ) -> None:
        """Raises UsageError if there is no such file, DeviceBusy, VolumeError."""
        self.path = Path(path)
        self.name = str(path)
        self.access = access
        self.writable = access is Access.WRITE
        self._writer: FileWriter | None = None
        self._fetcher: FileFetcher | None = None
        self._fd = self._open()
        try:
            self._describe()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: str | os.PathLike[str], size: int) -> FileVolume:
        """A new sparse file of ``size`` bytes. Raises UsageError if it exists."""
        try:
            with open(path, "xb") as file:
                file.truncate(size)
        except FileExistsError:
            raise UsageError(f"{path} exists already", hint="name a file that does not exist yet") from None
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}", hint="name a file in a folder you can write to") from None
        return cls(path, Access.WRITE)

    def _open(self) -> int:
        flags = os.O_RDWR if self.writable else os.O_RDONLY
        try:
            mode = self.path.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
                raise _kind_error(self.name, mode)
            if self.access is not Access.READ:
                self._refuse_users()
                flags |= os.O_EXCL if stat.S_ISBLK(mode) else 0
            fd = os.open(self.path, flags | os.O_CLOEXEC)
        except OSError as error:
            raise _open_error(self.name, error, "write" if self.writable else "read") from None
        if self.access is not Access.READ:
            self._lock(fd)
        return fd

    def _refuse_users(self) -> None:
        users = users_of(self.path)
        if users:
            raise DeviceBusy(f"{self.name} is in use: {users[0]}", hint="unmount it or stop what uses it, then repeat")

    def _lock(self, fd: int) -> None:
        """Patient for a moment with devices: udev locks a disk while it looks at it."""
        deadline = time.monotonic() + (_LOCK_PATIENCE if stat.S_ISBLK(os.fstat(fd).st_mode) else 0)
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno == errno.EWOULDBLOCK and time.monotonic() < deadline:
                    time.sleep(_LOCK_PAUSE)
                    continue
                os.close(fd)
                if error.errno != errno.EWOULDBLOCK:
                    raise _open_error(self.name, error, "lock") from None
                hint = "wait until it has finished"
                raise DeviceBusy(f"{self.name} is locked by another program", hint=hint) from None
            return

    def _describe(self) -> None:
        mode = os.fstat(self._fd).st_mode
        self.is_device = stat.S_ISBLK(mode)
        self.size = os.lseek(self._fd, 0, os.SEEK_END)
        if self.is_device:
            answer = fcntl.ioctl(self._fd, BLKSSZGET, struct.pack("=i", 0))
            self.sector_size = int(struct.unpack("=i", answer)[0])
        else:
            self.sector_size = SECTOR

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        self._settle(offset, len(buffer))
        view, done = memoryview(buffer), 0
        while done < len(view):
            try:
                count = os.preadv(self._fd, [view[done:]], offset + done)
            except OSError as error:
                raise _read_error(self.name, offset + done, error) from error
            if count == 0:
                raise VolumeError(f"{self.name} ends at {offset + done}, before its {self.size} bytes")
            done += count

    def read(self, offset: int, length: int) -> bytes:
        self.check_bounds(offset, length)
        self._settle(offset, length)
        try:
            data = os.pread(self._fd, length, offset)
        except OSError as error:
            raise _read_error(self.name, offset, error) from error
        return data if len(data) == length else super().read(offset, length)

    def fetch(self, offset: int, buffer: memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        self._settle(offset, len(buffer))
        if self._fetcher is None:
            self._fetcher = FileFetcher(self._fd)
        done = self._fetcher.fetch(offset, buffer)
        if done < len(buffer):
            self.readinto(offset + done, buffer[done:])

    def write(self, offset: int, data: Buffer) -> None:
        self.check_bounds(offset, len(data))
        if self._writer is None:
            self._writer = FileWriter(self._fd)
        try:
            self._writer.write(offset, data)
        except OSError as error:
            raise _write_error(self.name, offset, error) from error

    def _settle(self, offset: int, length: int) -> None:
        """What was written to these bytes can be read from now on."""
        if self._writer is None:
            return
        try:
            self._writer.settle(offset, length)
        except OSError as error:
            raise _write_error(self.name, offset, error) from error

    def flush(self) -> None:
        self._settle(0, self.size)
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise VolumeError(f"{self.name}: cannot flush: {error.strerror}") from error

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        stop = self.size if end is None else end
        if self.is_device:
            return Extents.span(start, stop)
        self._settle(start, stop - start)
        found: list[tuple[int, int]] = []
        at = start
        while at < stop:
            try:
                data = os.lseek(self._fd, at, os.SEEK_DATA)
                at = os.lseek(self._fd, data, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break
                return Extents.span(start, stop)
            found.append((data, at))
        return Extents(found).align_out(_HOLE_UNIT).clip(start, stop)

    def announce(self, offset: int, length: int) -> None:
        os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_WILLNEED)

    def forget(self) -> None:
        """Dirty pages are not dropped by the kernel, so they are written first. Raises VolumeError."""
        if self.writable:
            self.flush()
        if self.is_device:
            with suppress(OSError):
                fcntl.ioctl(self._fd, BLKFLSBUF, 0)
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def medium(self) -> MediumVolume:
        """The same bytes, read from the medium only; for proving what was written. Raises VolumeError."""
        return MediumVolume(self, self._fd)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._fetcher is not None:
            self._fetcher.close()
            self._fetcher = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _kind_error(name: str, mode: int) -> UsageError:
    hint = (
        f"name the device of the file system there: `findmnt --target {name}` shows it" if stat.S_ISDIR(mode) else None
    )
    return UsageError(f"{name} is neither a file nor a block device", hint=hint)


def _open_error(name: str, error: OSError, wish: str) -> Exception:
    """``wish`` is what was to be done with it: read, write or lock."""
    if error.errno == errno.EBUSY:
        return DeviceBusy(f"{name} is in use", hint="unmount it or stop what uses it, then repeat")
    if error.errno == errno.ENOENT:
        return UsageError(f"{name}: there is no such file or device")
    if error.errno == errno.EROFS:
        return VolumeError(f"{name} can only be read", hint="a write-protect switch, or a read-only mount around it")
    if error.errno in (errno.EACCES, errno.EPERM):
        return VolumeError(
            f"{name}: no permission to {wish} it", hint="root can open it, and those whom its owner allows to"
        )
    return VolumeError(f"{name}: {error.strerror}")


def _read_error(name: str, offset: int, error: OSError) -> VolumeError:
    hint = "the medium fails: copy it with ddrescue, then use the copy" if error.errno == errno.EIO else None
    return VolumeError(f"{name}: cannot read at {offset}: {error.strerror}", hint=hint)


def _write_error(name: str, offset: int, error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return NoSpace(f"{name}: no space left to write at {offset}", hint="free some space, or write elsewhere")
    return VolumeError(f"{name}: cannot write at {offset}: {error.strerror}")
