"""Bringing back what is left of a damaged image: what is lost reads as zeros, and what it hits is named."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import Finding
from inpart.extents import Extents
from inpart.image import ImageReader, ImageVolume, damaged_extents
from inpart.operations.session import Session
from inpart.operations.verify import files_hit
from inpart.volume import ReadOnlyVolume, Volume


@dataclass(frozen=True)
class Damage:
    """``bad`` are bytes of the partition that the image cannot give back; ``affected`` says what has bytes there."""

    bad: Extents
    affected: tuple[str, ...]


def survey(session: Session, reader: ImageReader, live: Volume) -> Damage:
    """Decode and prove every chunk, whatever the policy; ``live`` is asked for names where the image has lost them."""
    with session.progress.phase(f"verifying {reader.manifest.name}", reader.manifest.stored_bytes) as advance:
        bad = damaged_extents(reader.verify("full", advance)) | reader.lost
    return Damage(bad, tuple(map(_named, files_hit(session, live, reader, bad))) if bad else ())


def left_out(session: Session, reader: ImageReader, live: Volume, damage: Damage, kept_away: Extents) -> Damage:
    """The damage with those bytes of the image that cannot be put back because a retained image has their place."""
    if not kept_away:
        return damage
    bad = damage.bad | kept_away
    return Damage(bad, tuple(map(_named, files_hit(session, live, reader, bad))))


def _named(finding: Finding) -> str:
    """A path or the name of a system area; a sentence where names are lost."""
    return finding.where if finding.code in {"image.file-damaged", "image.area-damaged"} else finding.message


class PatchedVolume(ReadOnlyVolume):
    """An image in which the bytes of ``bad``, which are never read from it, are zeros."""

    def __init__(self, image: ImageVolume, bad: Extents) -> None:
        self.size = image.size
        self.name = image.name
        self.sector_size = image.sector_size
        self._image = image
        self._bad = bad

    def readinto(self, offset: int, buffer: bytearray | memoryview) -> None:
        self.check_bounds(offset, len(buffer))
        view, end = memoryview(buffer), offset + len(buffer)
        for start, stop in self._bad.clip(offset, end):
            view[start - offset : stop - offset] = bytes(stop - start)
        for start, stop in self._bad.complement(offset, end):
            self._image.readinto(start, view[start - offset : stop - offset])

    def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
        return self._image.data_extents(start, end) - self._bad
