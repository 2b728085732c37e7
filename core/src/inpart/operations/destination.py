"""Where a restore goes: the image's own partition, another one, or a new file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from inpart.contracts import Place, Store
from inpart.errors import IntegrityError, NoSpace, UsageError
from inpart.operations.images import OpenImage
from inpart.operations.session import Session
from inpart.operations.stores import EVERY, locate
from inpart.operations.trim import forget_images
from inpart.partitions import Target, open_target
from inpart.volume import Access, FileVolume, SliceVolume, Volume


@dataclass(frozen=True)
class Destination:
    """The volume, the stores that live on it already, its place on its disk; ``fresh`` if it reads as zeros."""

    volume: Volume
    stores: tuple[Store, ...]
    place: Place
    fresh: bool = False


def own_place(session: Session, target: Target, image: OpenImage, *, whole_disk: bool) -> Destination:
    """The partition in which the image was found. Raises UsageError, NoSpace with the numbers."""
    if image.found is None:
        raise UsageError(f"{target.volume.name} is an image in a file", hint="say where it goes with --to TARGET")
    base = image.found.store.base
    if base != 0 and not whole_disk:
        raise _belongs_elsewhere(target, image, base)
    volume = _partition_of(target.volume, image, base)
    stores = tuple(store for store in image.located.stores if store.base == base)
    if base != 0:
        stores = locate(session, volume, EVERY).stores
    return Destination(volume, stores, Place(target.start + base, volume.size, volume.sector_size))


def _belongs_elsewhere(target: Target, image: OpenImage, base: int) -> UsageError:
    manifest, start, disk = image.reader.manifest, target.start + base, target.whole.name
    return UsageError(
        f"{target.volume.name}: image {manifest.name!r} belongs to another partition, of {image.reader.partition_size} "
        f"bytes from byte {start} of {disk} on",
        hint=f"`inpart restore {disk}@{start} {manifest.image_id[:12]}` if the table names it; "
        f"`inpart restore {disk} {manifest.image_id[:12]} --repair-table` puts its entry back first",
    )


def _partition_of(volume: Volume, image: OpenImage, base: int) -> Volume:
    size = image.reader.partition_size
    if base == 0 and volume.size == size:
        return volume
    if base < 0 or base + min(size, image.reader.extents.end) > volume.size:
        raise NoSpace(
            f"{volume.name}: the image's partition had {size} bytes from byte {base} on; this volume has {volume.size}",
            hint="give the whole disk, or restore to another partition with --to",
        )
    if base == 0:
        return volume
    return SliceVolume(volume, base, min(size, volume.size - base))


def without_images(
    session: Session, destination: Destination, dropped: Collection[bytes], kept: Collection[bytes]
) -> Destination:
    """The same place when its stores have forgotten the images ``dropped``, so that their clusters may be overwritten.

    Raises IntegrityError if a store cannot be changed, or if an image in ``kept`` is not found afterwards.
    """
    volume = destination.volume
    forget_images(volume, destination.stores, dropped)
    stores = tuple(store for store in locate(session, volume, EVERY).stores if store.base == 0)
    missing = set(kept) - {one.summary.image_id for store in stores for one in store.images}
    if missing:
        raise IntegrityError(f"{volume.name}: image {missing.pop().hex()[:12]}, to be kept, is not found again")
    return replace(destination, stores=stores)


@contextmanager
def other_place(session: Session, to: str, image: OpenImage, *, dry_run: bool) -> Iterator[Destination]:
    """An existing partition, device or file at the address ``to``, or else a new sparse file of that name."""
    path = Path(to)
    if path.exists() or "#" in to or "@" in to:
        with open_target(to, Access.READ if dry_run else Access.WRITE) as target:
            stores = locate(session, target.volume, EVERY, target).stores
            here = tuple(store for store in stores if store.base == 0)
            yield Destination(target.volume, here, Place(target.start, target.volume.size, target.volume.sector_size))
    elif dry_run:
        yield Destination(image.volume, (), Place(0, image.reader.partition_size), fresh=True)
    else:
        with _new_file(path, image.reader.partition_size) as destination:
            yield destination


@contextmanager
def _new_file(path: Path, size: int) -> Iterator[Destination]:
    """A sparse file that is removed again if the restore into it fails."""
    volume = FileVolume.create(path, size)
    try:
        with volume:
            yield Destination(volume, (), Place(0, size), fresh=True)
    except BaseException:
        path.unlink()
        raise
