"""The state of a volume: what $Volume, $LogFile and hiberfil.sys say together, and its label and version."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.contracts import State
from inpart.errors import FilesystemDamaged, VolumeError

from inpart_ntfs.codes import AttributeType, Number, VolumeFlag
from inpart_ntfs.content import read_stream
from inpart_ntfs.directory import DirectoryReader
from inpart_ntfs.dispensable import HIBERNATION_FILE
from inpart_ntfs.logfile import Log, log_state
from inpart_ntfs.mft import Mft
from inpart_ntfs.structs import VOLUME_INFORMATION

HIBERNATION_HEADER = 4096
_ASLEEP = (b"hibr", b"HIBR", b"rstr", b"RSTR")
"""How hiberfil.sys starts while Windows is to wake up from it; afterwards with zeros or ``wake``."""


@dataclass(frozen=True)
class VolumeState:
    """``version`` is (major, minor), ``flags`` are VolumeFlag bits, ``notes`` explain a state other than clean."""

    label: str
    version: tuple[int, int]
    flags: int
    state: State
    notes: tuple[str, ...]


def read_state(mft: Mft, reader: DirectoryReader) -> VolumeState:
    """Damage of $Volume or $LogFile is a state, ERRORS, and no exception."""
    label, version, flags = "", (0, 0), 0
    found: list[tuple[State, str]] = []
    try:
        label, version, flags = _volume(mft)
    except (FilesystemDamaged, VolumeError) as error:
        found.append((State.ERRORS, error.message))
    if flags & VolumeFlag.IS_DIRTY:
        found.append((State.DIRTY, ""))
    found.extend(_log(mft))
    if _hibernated(reader):
        found.append((State.HIBERNATED, f"{HIBERNATION_FILE} holds a hibernated Windows"))
    order = [State.HIBERNATED, State.ERRORS, State.NEEDS_REPLAY, State.DIRTY]
    states = {state for state, _ in found}
    worst = next((state for state in order if state in states), State.CLEAN)
    return VolumeState(label, version, flags, worst, tuple(note for _, note in found if note))


def _volume(mft: Mft) -> tuple[str, tuple[int, int], int]:
    """Label, version and flags."""
    file = mft.assembled(Number.VOLUME)
    name = file.stream(AttributeType.VOLUME_NAME)
    information = file.stream(AttributeType.VOLUME_INFORMATION)
    if information is None or len(information.value) < VOLUME_INFORMATION.itemsize:
        raise FilesystemDamaged("$Volume has no $VOLUME_INFORMATION")
    record = np.frombuffer(information.value, dtype=VOLUME_INFORMATION, count=1)[0]
    label = name.value.decode("utf-16-le", "replace") if name else ""
    return label, (int(record["major_ver"]), int(record["minor_ver"])), int(record["flags"])


def _log(mft: Mft) -> list[tuple[State, str]]:
    """What $LogFile adds."""
    try:
        state = log_state(mft.content(mft.metadata(Number.LOG_FILE)))
    except (FilesystemDamaged, VolumeError) as error:
        return [(State.ERRORS, error.message)]
    if state is Log.UNCLEAN:
        return [(State.NEEDS_REPLAY, "$LogFile holds changes that have not reached their place")]
    if state is Log.CACHED:
        return [(State.HIBERNATED, "Windows keeps metadata of this volume in its cache (fast startup)")]
    if state is Log.DAMAGED:
        return [(State.ERRORS, "$LogFile is damaged")]
    return []


def _hibernated(reader: DirectoryReader) -> bool:
    """True if hiberfil.sys in the root directory holds something to wake up from; damage is left to the check."""
    mft = reader.mft
    try:
        place = reader.find(Number.ROOT, HIBERNATION_FILE)
        if place is None:
            return False
        folder, index = place
        stream = mft.assembled(int(folder.record[index])).stream(AttributeType.DATA)
        if stream is None or stream.data_size < HIBERNATION_HEADER:
            return True  # Windows is asleep on another volume
        return b"".join(read_stream(mft.volume, mft.boot, stream, 0, 4)) in _ASLEEP
    except (FilesystemDamaged, VolumeError):
        return False
