"""The directory that files are extracted into: nothing outside it is ever written, nothing in it lost by accident."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from inpart.contracts import Entry
from inpart.errors import InpartError, NoSpace, UsageError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNFINISHED = ".inpart-extracting"


class OutputTree:
    """Files and directories below ``root``, which is made if it is not there.

    Every step on the way to a file is opened relative to the step before it and without following symbolic links, so
    that neither a hostile name nor a link made by an earlier file leads out. With ``dry_run`` nothing is written.
    """

    def __init__(self, root: Path, *, overwrite: bool = False, dry_run: bool = False) -> None:
        """Raises UsageError if ``root`` is something else than a directory."""
        self.root = root
        self._overwrite = overwrite
        self._dry_run = dry_run
        self._times: list[Entry] = []
        if not dry_run:
            _make_root(root)

    def directory(self, entry: Entry) -> None:
        """Make a directory; one that is there already is taken as it is."""
        parts = _safe_parts(entry.path)
        if not self._dry_run:
            os.close(self._open_directory(parts))
            self._times.append(entry)

    def file(self, entry: Entry, content: Iterable[bytes]) -> int:
        """Write a file and return its size in bytes. Raises UsageError if it exists; leaves no half-written one."""
        parts = _safe_parts(entry.path)
        if self._dry_run:
            return entry.size
        name = _UNFINISHED if self._overwrite else parts[-1]
        with self._parent(parts) as parent, _explained(entry.path):
            if self._overwrite:
                _unlink(name, parent)
            handle = os.open(name, _NEW_FILE, 0o666, dir_fd=parent)
            try:
                with open(handle, "wb") as file:
                    size = sum(file.write(piece) for piece in content)
                    file.flush()
                    _set_time(file.fileno(), entry)
                if self._overwrite:
                    os.replace(name, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                os.unlink(name, dir_fd=parent)
                raise
        return size

    def symlink(self, entry: Entry) -> None:
        """Make a symbolic link with the target that it had. Raises UsageError if the name exists."""
        parts = _safe_parts(entry.path)
        if self._dry_run:
            return
        with self._parent(parts) as parent, _explained(entry.path):
            if self._overwrite:
                _unlink(parts[-1], parent)
            os.symlink(entry.target, parts[-1], dir_fd=parent)

    def finish(self) -> None:
        """Give directories their times, after all that is in them has been written."""
        for entry in reversed(self._times):
            handle = self._open_directory(_safe_parts(entry.path))
            try:
                _set_time(handle, entry)
            finally:
                os.close(handle)
        self._times.clear()

    @contextmanager
    def _parent(self, parts: tuple[str, ...]) -> Iterator[int]:
        handle = self._open_directory(parts[:-1])
        try:
            yield handle
        finally:
            os.close(handle)

    def _open_directory(self, parts: tuple[str, ...]) -> int:
        """A handle of the directory ``parts`` below the root, made where it is missing. The caller closes it."""
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts:
            parent = handle
            try:
                with _explained("/" + "/".join(parts)):
                    _make_directory(part, parent)
                    handle = os.open(part, _DIRECTORY, dir_fd=parent)
            finally:
                os.close(parent)
        return handle


def _make_root(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "is not a directory" if isinstance(error, FileExistsError) else f"cannot be made: {error.strerror}"
        raise UsageError(f"{root} {reason}", hint="name a directory that you can write to") from None


def _unlink(name: str, parent: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def _make_directory(name: str, parent: int) -> None:
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        return


def _safe_parts(path: str) -> tuple[str, ...]:
    """The names along a path that was read from a disk. Raises UsageError for one that would lead elsewhere."""
    parts = PurePosixPath(path).parts[1:]
    if not parts or "\0" in path or any(part in {"..", ".", ""} for part in parts):
        raise UsageError(f"{path!r}: not a name that can be written")
    return parts


def _set_time(handle: int, entry: Entry) -> None:
    if entry.mtime is not None:
        when = entry.mtime.timestamp()
        os.utime(handle, (when, when))


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Say what the operating system did not like about a path on the way out."""
    try:
        yield
    except FileExistsError:
        raise UsageError(f"{path} exists already", hint="--overwrite replaces it") from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            hint = "free some space there, or choose what to extract with --include; what is out stays"
            raise NoSpace(f"{path}: no space left where it is extracted to", hint=hint) from error
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise UsageError(f"{path}: something else than a directory is in the way") from error
        raise InpartError(f"{path}: {error.strerror}") from error
