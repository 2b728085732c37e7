"""Bringing back what is left of a damaged image: what is lost reads as zeros, and what it hits is named."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import Finding, ImageSummary
from inpart.extents import Extents
from inpart.image import damaged_extents
from inpart.operations.affected import Spare, files_hit, span_of
from inpart.operations.images import OpenImage
from inpart.operations.session import Session


@dataclass(frozen=True)
class Damage:
    """``bad`` are bytes of the partition that cannot be given back; ``affected`` says what has bytes there.

    ``spare`` are bytes that the image has lost, from the copies of small system areas in its table of contents.
    """

    bad: Extents
    affected: tuple[str, ...]
    spare: Spare = ()


def survey(session: Session, image: OpenImage) -> Damage:
    """Decode and prove every chunk, whatever the policy; the live file system is asked for names that are lost."""
    reader = image.reader
    with session.progress.phase(f"verifying {reader.manifest.name}", reader.manifest.stored_bytes) as advance:
        lost = damaged_extents(reader.verify("full", advance)) | reader.lost
    if not lost:
        return Damage(lost, ())
    spare = _copies(image.found.summary, lost, reader.partition_size) if image.found else ()
    return _damage(session, image, lost - span_of(spare), spare)


def left_out(session: Session, image: OpenImage, damage: Damage, kept_away: Extents) -> Damage:
    """The damage with those bytes of the image that cannot be put back because a retained image has their place."""
    return _damage(session, image, damage.bad | kept_away, damage.spare) if kept_away else damage


def _damage(session: Session, image: OpenImage, bad: Extents, spare: Spare) -> Damage:
    found = files_hit(session, image.target.volume, image.reader, bad, spare) if bad else ()
    return Damage(bad, tuple(map(_named, found)), spare)


def _copies(summary: ImageSummary, lost: Extents, size: int) -> Spare:
    """The parts of ``lost`` of which the table of contents has copies; those of the disk's own areas do not count."""
    pieces: list[tuple[int, bytes]] = []
    taken = Extents()
    for name, (start, data) in sorted(summary.system.items()):
        if name.startswith("disk:") or start + len(data) > size:
            continue
        for low, high in (lost - taken).clip(start, start + len(data)):
            pieces.append((low, data[low - start : high - start]))
        taken |= Extents.span(start, start + len(data))
    return tuple(pieces)


def _named(finding: Finding) -> str:
    """A path or the name of a system area; a sentence where names are lost."""
    return finding.where if finding.code in {"image.file-damaged", "image.area-damaged"} else finding.message
