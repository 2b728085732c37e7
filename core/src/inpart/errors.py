"""Every error that inpart raises on purpose, with the exit code that the command line turns it into.

A message says what was found and where; ``hint`` says what the user can do next.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Process exit codes, as documented in docs/CLI.md."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INCOMPLETE = 3
    NO_IMAGE = 10
    BUSY = 11
    WRONG_KEY = 12
    INTEGRITY = 13
    NO_SPACE = 14
    FILESYSTEM = 15
    AID_STALE = 16
    UNFINISHED = 17
    INTERRUPTED = 130


class InpartError(Exception):
    """The root of all deliberate errors."""

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(InpartError):
    """The command line, the configuration or an address of a device is wrong."""

    exit_code = ExitCode.USAGE


class VolumeError(InpartError):
    """A volume could not be opened, read, written or flushed."""


class OutOfBounds(VolumeError):
    """A read or write reached beyond the end of a volume: a bug, or an offset read from a damaged disk."""


class DeviceBusy(VolumeError):
    """Somebody else uses the volume: it is mounted, locked, or behind a busy loop device."""

    exit_code = ExitCode.BUSY


class NoImageFound(InpartError):
    """No image, or not the one that was asked for."""

    exit_code = ExitCode.NO_IMAGE


class WrongKey(InpartError):
    """An encrypted image and no key, or another one."""

    exit_code = ExitCode.WRONG_KEY


class IntegrityError(InpartError):
    """Bytes on the disk do not have the checksum that was recorded for them, or break their format."""

    exit_code = ExitCode.INTEGRITY


class PartitionTableDamaged(IntegrityError):
    """There is a partition table and no copy of it can be trusted."""


class NoSpace(InpartError):
    """What is to be written does not fit; the message has the numbers."""

    exit_code = ExitCode.NO_SPACE


class PlaceTaken(NoSpace):
    """A partition cannot be put back where it was: others use the place; the message has the numbers."""


class FilesystemError(InpartError):
    """The file system is unclean, damaged, unknown or uses something that is not supported."""

    exit_code = ExitCode.FILESYSTEM


class FilesystemDamaged(FilesystemError):
    """The structures of the file system contradict each other or point nowhere."""


class FilesystemUnclean(FilesystemError):
    """The file system is consistent only after something else has been done: replay, resume from hibernation."""


class FilesystemUnsupported(FilesystemError):
    """The file system is healthy and uses a feature that this version does not know; the message names it."""


class UnfinishedJournal(InpartError):
    """A transaction or a restore was cut short; ``inpart resume`` finishes it."""

    exit_code = ExitCode.UNFINISHED


class Interrupted(InpartError):
    """The user stopped the work."""

    exit_code = ExitCode.INTERRUPTED


class PluginError(InpartError):
    """A plugin that is needed is missing, broken or of another API version."""
