"""Recording what an action writes, cutting it off at any write, and running a check on the disk after every cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Literal
from unittest.mock import patch

from inpart.testing.cuts import Cut, Fate, PowerCutError, Recording, Sample
from inpart.volume import Buffer, FileVolume, MemoryVolume, ProxyVolume, Volume

__all__ = [
    "Cut",
    "Fate",
    "PowerCutError",
    "Recording",
    "RecordingVolume",
    "Sample",
    "recorded_file",
    "run_power_cuts",
    "stop_at_each_write",
]

_COPY_STEP = 1 << 20


class RecordingVolume(ProxyVolume):
    """Passes everything on to ``base`` and keeps all writes and flushes in ``recording``.

    With ``stop_after`` the power fails when that many writes are done, as for ``Recording``.
    """

    def __init__(self, base: Volume, *, stop_after: int | None = None) -> None:
        super().__init__(base)
        self.recording = Recording(_copy_of(base), name=base.name, sector_size=base.sector_size, stop_after=stop_after)

    def write(self, offset: int, data: Buffer) -> None:
        self.check_bounds(offset, len(data))
        self.recording.write(offset, data)
        super().write(offset, data)

    def flush(self) -> None:
        self.recording.flush()
        super().flush()

    @property
    def writes(self) -> int:
        """How many writes were made."""
        return self.recording.writes

    def cuts(self, *, torn: int = 1) -> list[Cut]:
        """Every cut of the recording."""
        return self.recording.cuts(torn=torn)

    def disks(self, cuts: Iterable[Cut]) -> Iterator[tuple[Cut, MemoryVolume]]:
        """(cut, the disk as it stands after it), in the order of the writes."""
        return self.recording.disks(cuts)

    def disk(self, cut: Cut | str) -> MemoryVolume:
        """The disk as it stands after one cut, given as such or by its id."""
        return self.recording.disk(cut)


@contextmanager
def recorded_file(path: Path, *, stop_after: int | None = None) -> Iterator[Recording]:
    """Record what is written to the file at ``path`` through any ``FileVolume``, until the block ends."""
    recording = Recording(path.read_bytes(), name=path.name, stop_after=stop_after)
    plain_write, plain_flush = FileVolume.write, FileVolume.flush
    place = path.resolve()

    def write(self: FileVolume, offset: int, data: Buffer) -> None:
        if self.path.resolve() == place:
            self.check_bounds(offset, len(data))
            recording.write(offset, data)
        plain_write(self, offset, data)

    def flush(self: FileVolume) -> None:
        if self.path.resolve() == place:
            recording.flush()
        plain_flush(self)

    with patch.object(FileVolume, "write", write), patch.object(FileVolume, "flush", flush):
        yield recording


def run_power_cuts(
    prepare: Callable[[], Volume],
    action: Callable[[Volume], object],
    check: Callable[[MemoryVolume], object],
    cuts: Literal["all"] | Sample | Iterable[str] = "all",
    *,
    torn: int = 1,
) -> int:
    """Record ``action`` on the disk from ``prepare`` and call ``check`` on the disk after each cut; returns how many.

    ``cuts`` are all, a sample, or ids. What ``check`` raises carries a note with the id of the cut. Cuts are
    independent: ``check`` may change the disk it gets.
    """
    volume = RecordingVolume(prepare())
    action(volume)
    recording = volume.recording
    every = recording.cuts(torn=torn)
    if isinstance(cuts, Sample):
        chosen = cuts.choose(every)
    else:
        chosen = every if cuts == "all" else [Cut.parse(text) for text in cuts]
    done = 0
    for cut, disk in recording.disks(chosen):
        try:
            check(disk)
        except BaseException as error:
            error.add_note(f"power cut {cut} of {recording.writes} writes")
            raise
        done += 1
    return done


def stop_at_each_write(
    prepare: Callable[[], Volume], action: Callable[[Volume], object], *, step: int = 1, limit: int | None = None
) -> Iterator[RecordingVolume]:
    """Run ``action`` again and again, the power failing one ``step`` of writes later each time, until it finishes.

    Yields the volume of each run that was cut, at most ``limit`` of them.
    """
    yield from islice(_stopped(prepare, action, step), limit)


def _stopped(prepare: Callable[[], Volume], action: Callable[[Volume], object], step: int) -> Iterator[RecordingVolume]:
    writes = 0
    while True:
        volume = RecordingVolume(prepare(), stop_after=writes)
        try:
            action(volume)
        except PowerCutError:
            yield volume
        else:
            return
        writes += step


def _copy_of(volume: Volume) -> bytearray:
    copy = bytearray(volume.size)
    for low, high in volume.data_extents().split(_COPY_STEP).tolist():
        volume.readinto(low, memoryview(copy)[low:high])
    return copy
