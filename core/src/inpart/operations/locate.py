"""Locating images: in a partition, or anywhere on a disk, with or without a partition table."""

from __future__ import annotations

from inpart.contracts import SearchMethod
from inpart.operations.images import ImageList, list_images
from inpart.operations.session import Session
from inpart.operations.stores import DISK, EVERY
from inpart.partitions import open_target

_SHORT_WAYS = ((SearchMethod.AID.value,), (SearchMethod.FIXED.value,))
"""They lead to some partition of a disk, and say nothing about its other partitions."""


def locate_images(session: Session, address: str, *, whole_disk: bool = False) -> ImageList:
    """The images at ``address``, each with the way that found it and where its partition begins.

    A disk with partitions is searched as a whole; anything else in every way from cheap to thorough, unless
    ``whole_disk`` asks for the search that trusts nothing but aids that were given. Raises NoImageFound.
    """
    with open_target(address, whole_disk=True) as target:
        is_disk = target.table is not None and target.entry is None and target.address.offset is None
    disk = (SearchMethod.AID, *DISK) if session.aids else DISK
    found = list_images(session, address, disk if whole_disk or is_disk else (*EVERY, *DISK))
    if not session.aids and found.tried[-1:] in _SHORT_WAYS and any(row.base > 0 for row in found.images):
        session.warn(f"there may be images in other partitions of {address}; --whole-disk scans it for them")
    return found
