"""Showing one image: its manifest, its place, and what of the partition it holds."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.image import Manifest
from inpart.operations.images import ImageRow, open_image, row_of
from inpart.operations.session import Session
from inpart.operations.stores import EVERY


@dataclass(frozen=True)
class ImageDetails:
    """``row`` is None for an image in a file; ``system_areas`` are (name, bytes); sizes in bytes."""

    row: ImageRow | None
    manifest: Manifest
    stream_size: int
    partition_size: int
    used_extents: int
    highest_used: int
    system_areas: tuple[tuple[str, int], ...]
    digest: str


def show_image(session: Session, address: str, wanted: str | None) -> ImageDetails:
    """Everything that an image says of itself. Raises NoImageFound, IntegrityError."""
    with open_image(session, address, wanted, EVERY, parentless=True) as image:
        reader = image.reader
        return ImageDetails(
            row=row_of(image.found) if image.found else None,
            manifest=reader.manifest,
            stream_size=reader.stream.size,
            partition_size=reader.partition_size,
            used_extents=len(reader.extents),
            highest_used=reader.extents.end,
            system_areas=tuple((area.name, area.extents.total) for area in reader.system_areas),
            digest=reader.digest.hex(),
        )
