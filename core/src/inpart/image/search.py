"""Finding the frames of an image in a stream whose index is lost."""

from __future__ import annotations

from collections.abc import Iterator

from inpart.errors import IntegrityError, VolumeError
from inpart.image.frame import FRAME_MAGIC, Frame
from inpart.image.structs import FRAME_SIZE, HEADER_SIZE
from inpart.units import MIB
from inpart.volume import Volume

_WINDOW = 4 * MIB
_UNIT = 512


def find_frames(stream: Volume, image_id: bytes | None) -> Iterator[tuple[int, Frame]]:
    """(offset, header) of every frame of one image: ``image_id``, or that of the first frame found.

    Intact frames are stepped over; after damage the search goes on at the next magic number.
    """
    at, window = HEADER_SIZE, _Window(stream)
    while (at := window.find(at)) >= 0:
        frame = window.frame(at)
        if frame is None or image_id not in (None, frame.image_id):
            at += 1
            continue
        image_id = frame.image_id
        yield at, frame
        at += frame.size


class _Window:
    """A few MiB of the stream, so that a search reads everything once."""

    def __init__(self, stream: Volume) -> None:
        self.stream = stream
        self.start = 0
        self.data = b""

    def find(self, at: int) -> int:
        """The next magic number of a frame at or after ``at`` that has room for a frame header; -1 if there is none."""
        while at + FRAME_SIZE <= self.stream.size:
            if not self._has(at, FRAME_SIZE):
                self._move(at)
            found = self.data.find(FRAME_MAGIC, at - self.start)
            if found >= 0:
                return self.start + found if self.start + found + FRAME_SIZE <= self.stream.size else -1
            at = max(at + 1, self.start + len(self.data) - len(FRAME_MAGIC) + 1)
        return -1

    def frame(self, at: int) -> Frame | None:
        """The frame header at ``at``, None if it is not valid."""
        if not self._has(at, FRAME_SIZE):
            self._move(at)
        try:
            return Frame.unpack(self.data[at - self.start : at - self.start + FRAME_SIZE])
        except IntegrityError:
            return None

    def _has(self, at: int, length: int) -> bool:
        return self.start <= at and at + length <= self.start + len(self.data)

    def _move(self, at: int) -> None:
        """Read from ``at`` on: a header if there is one, else a window; zeros stand for what cannot be read."""
        self.start, self.data = at, self._read(at, FRAME_SIZE)
        if not self.data.startswith(FRAME_MAGIC):
            self.data = self._read(at, min(_WINDOW, self.stream.size - at))

    def _read(self, at: int, length: int) -> bytes:
        try:
            return self.stream.read(at, length)
        except VolumeError:
            if length <= _UNIT:
                return bytes(length)
        half = length // 2
        return self._read(at, half) + self._read(at + half, length - half)
