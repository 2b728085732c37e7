"""Bringing back what is left of a damaged image: what is lost reads as zeros, and what it hits is named."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import Finding
from inpart.extents import Extents
from inpart.image import ImageReader, damaged_extents
from inpart.operations.affected import files_hit
from inpart.operations.session import Session
from inpart.volume import Volume


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
