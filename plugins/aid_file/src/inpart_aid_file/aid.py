"""The provider of the aid ``file``: two generations of a record, side by side in a directory."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from inpart.errors import InpartError, IntegrityError, NoImageFound, NoSpace, UsageError, VolumeError
from inpart.volume import Volume

from inpart_aid_file.text import FILE_LIMIT, is_aid, pack, unpack

if TYPE_CHECKING:
    from inpart.contracts import AidCheck, AidRecord


class FileAid:
    """``target`` is the path of a file; the generation before it lies beside it as ``target.old``."""

    name = "file"
    api_version = 1
    summary = "a record that people can read, as a file on a stick or anywhere else"

    def write(self, target: str, record: AidRecord) -> None:
        """A new file, flushed, then renamed into place; the record that was there becomes ``.old``.

        Raises UsageError if something else is at ``target``, NoSpace, VolumeError.
        """
        path, old, new = _files(target)
        content = pack(record)
        try:
            keep = _is_intact(path)
            with open(new, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if keep:
                path.replace(old)
                _flush_directory(path.parent)
            new.replace(path)
            _flush_directory(path.parent)
        except OSError as error:
            raise _as_volume_error(error, target) from error

    def read(self, target: str) -> AidRecord:
        """The newest intact generation. Raises NoImageFound if there is none at all, IntegrityError, VolumeError."""
        path, old, _ = _files(target)
        first: InpartError | None = None
        for candidate in (path, old):
            try:
                return _read(candidate)
            except (NoImageFound, IntegrityError) as error:
                first = first if isinstance(first, IntegrityError) else error
        raise first or NoImageFound(f"there is no recovery aid at {target}")

    def check(self, target: str, record: AidRecord) -> AidCheck:
        """A damaged newest generation is stale, even if the one before it can still be read."""
        from inpart.contracts import check_record  # noqa: PLC0415 - pydantic takes longer to load than a probe runs

        return check_record(lambda: _read(_files(target)[0]), record)

    def find(self, volume: Volume) -> list[AidRecord]:
        """Nothing: a file is not on the disk that it describes."""
        return []


def _files(target: str) -> tuple[Path, Path, Path]:
    """The file, its older generation, and the one that is being written. Raises UsageError, VolumeError."""
    if not target or "\0" in target:
        raise UsageError("the aid 'file' needs a path", hint="such as file:/media/stick/box.ipaid")
    path = Path(target).absolute()
    try:
        path = path.resolve() if path.is_symlink() else path
    except OSError as error:
        raise _as_volume_error(error, target) from error
    return path, path.with_name(f"{path.name}.old"), path.with_name(f"{path.name}.new")


def _load(path: Path) -> bytes:
    """At most one byte more than an aid may have. Raises NoImageFound if there is no file, VolumeError."""
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is not a file", hint="name a file for the recovery aid")
        with open(path, "rb") as file:
            return file.read(FILE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NoImageFound(f"there is no recovery aid at {path}") from None
    except OSError as error:
        raise _as_volume_error(error, str(path)) from error


def _read(path: Path) -> AidRecord:
    return unpack(_load(path), str(path))


def _is_intact(path: Path) -> bool:
    """True if the file is an aid worth keeping. Raises UsageError if it is something else altogether."""
    try:
        content = _load(path)
    except NoImageFound:
        return False
    if content and not is_aid(content):
        raise UsageError(f"{path} is there already and is no recovery aid", hint="name another file, or remove it")
    try:
        unpack(content, str(path))
    except IntegrityError:
        return False
    return True


def _flush_directory(path: Path) -> None:
    """Make renames durable; some file systems cannot flush a directory, and need not."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)


def _as_volume_error(error: OSError, target: str) -> InpartError:
    kind = NoSpace if error.errno in {errno.ENOSPC, errno.EDQUOT} else VolumeError
    return kind(f"recovery aid {target}: {error.strerror or error}", hint="is the stick mounted, and writable?")
