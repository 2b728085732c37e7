"""A new file that appears under its name only when it is complete and on the medium."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from inpart.errors import InpartError, NoSpace, UsageError, VolumeError
from inpart.volume import Buffer, FileWriter

_ENOSPC = 28


class NewFile:
    """Writes ``<path>.part`` and renames it at the end; an error or Ctrl-C leaves nothing behind."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError if ``path`` exists or its folder does not."""
        self.wanted = path
        self.path = path.with_name(f"{path.name}.part")
        self._size = 0
        self._refuse_existing()
        try:
            self._file = self.path.open("xb", buffering=0)
        except FileExistsError:
            hint = "another inpart may be writing it; if not, remove it"
            raise UsageError(f"{self.path} exists already", hint=hint) from None
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}", hint="name a file in a folder you can write to") from None
        self._writer = FileWriter(self._file.fileno())

    def _refuse_existing(self) -> None:
        if self.wanted.exists():
            raise UsageError(f"{self.wanted} exists already", hint="name a file that does not exist yet")

    def write(self, data: Buffer) -> None:
        """Append. Raises NoSpace, VolumeError, also for what was written before."""
        try:
            self._writer.write(self._size, data)
        except OSError as error:
            raise self._error(error) from None
        self._size += len(data)

    def _error(self, error: OSError) -> InpartError:
        if error.errno == _ENOSPC:
            return NoSpace(
                f"no space left for {self.wanted}; what was written is removed again",
                hint="free some space there; `inpart estimate` says how much an image takes",
            )
        return VolumeError(f"{self.wanted}: cannot write: {error.strerror}")

    def flush(self) -> None:
        """Return when everything is on the medium. Raises NoSpace, VolumeError."""
        try:
            self._writer.settle()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._error(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._file.close()
        if error is not None:
            self.path.unlink(missing_ok=True)
            return
        self._refuse_existing()
        self.path.rename(self.wanted)
        folder = os.open(self.wanted.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
