"""Checking a file system, before its image is made or while the image is being written to another place."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from inpart.contracts import Filesystem, FilesystemProvider, Finding, Severity
from inpart.errors import FilesystemDamaged, Interrupted
from inpart.volume import CountingVolume, Volume

_SHOWN = 5


def errors_of(filesystem: Filesystem) -> list[Finding]:
    """What is wrong with a file system; warnings are left out."""
    return [finding for finding in filesystem.check() if finding.severity is Severity.ERROR]


def refuse_errors(name: str, errors: list[Finding]) -> None:
    """Raise FilesystemDamaged if there are any."""
    if errors:
        raise FilesystemDamaged(
            f"{name}: the file system is damaged; {describe(errors)}",
            hint="repair it with its own checker first; `inpart verify --level fs` shows all findings",
        )


def describe(findings: list[Finding]) -> str:
    """The first few findings in one line."""
    shown = "; ".join(f"{finding.where}: {finding.message}" for finding in findings[:_SHOWN])
    more = len(findings) - _SHOWN
    return f"{shown}; and {more} more" if more > 0 else shown


class Checking:
    """A check in a thread of its own; what is made meanwhile must not be kept before ``finish`` has returned."""

    def __init__(self, provider: FilesystemProvider, volume: Volume, *, needed: bool = True) -> None:
        """What has been checked already, not ``needed``, has no errors."""
        self._name = volume.name
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="inpart-check")
        view = CountingVolume(volume, self._go_on)
        self._errors = self._pool.submit(lambda: errors_of(provider.open(view)) if needed else [])

    def _go_on(self, _: int) -> None:
        if self._stopped.is_set():
            raise Interrupted("the check was stopped")

    def poll(self) -> None:
        """Raises FilesystemDamaged if errors have been found, as soon as the check is done."""
        if self._errors.done():
            self.finish()

    def finish(self) -> None:
        """Wait for the end of the check. Raises FilesystemDamaged with what it found."""
        refuse_errors(self._name, self._errors.result())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._pool.shutdown()
