"""What a restore will make of a partition, decided before the first byte is written."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import Place
from inpart.operations.affected import PatchedVolume, span_of
from inpart.operations.compose import Composition, Source, compose, retained_from
from inpart.operations.destination import Destination
from inpart.operations.images import OpenImage
from inpart.operations.incomplete import Damage, left_out
from inpart.operations.session import Session


@dataclass(frozen=True)
class Outcome:
    """The composed partition, and what becomes of the images in it, by id.

    ``damage`` is what does not come back. Images that are ``kept`` are ``retained`` unless another one lies over them.
    """

    source: Source
    composition: Composition
    damage: Damage
    kept: frozenset[bytes]
    retained: frozenset[bytes]
    dropped: frozenset[bytes]


def foresee(session: Session, image: OpenImage, destination: Destination, damage: Damage, *, retain: bool) -> Outcome:
    """Compose the partition with ``image`` in it, ``damage`` left out; without ``retain`` only its own images stay.

    Raises NoSpace with the numbers, IntegrityError, FilesystemError.
    """
    present = frozenset(one.summary.image_id for store in destination.stores for one in store.images)
    own = {reader.manifest.id_bytes for reader in image.readers}
    dropped = frozenset() if retain else present - own
    retained = retained_from(destination.stores, dropped)
    source = _source(image, damage)
    composition = compose(session, source, destination.place, retained)
    if damage.bad and not composition.moved:
        damage = left_out(session, image, damage, source.used & retained.extents)
    kept = present - dropped
    return Outcome(source, composition, damage, kept, kept - retained.overlaid, dropped)


def _source(image: OpenImage, damage: Damage) -> Source:
    """The image as it comes back: what is lost as zeros, but for system areas of which there is a copy."""
    reader, spare = image.reader, span_of(damage.spare)
    view = PatchedVolume(image.volume, damage.bad, damage.spare) if damage.bad or spare else image.volume
    home = Place(reader.manifest.partition.disk_offset, reader.partition_size)
    trusted = not any(area.extents & damage.bad for area in reader.system_areas)
    return Source(view, reader.extents | spare, home, damage.bad | spare, trusted)
