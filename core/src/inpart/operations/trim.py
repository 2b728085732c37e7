"""Forgetting images: their stores no longer name them, before anything of them is overwritten."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from inpart.contracts import Store
from inpart.operations.session import uninterruptible
from inpart.transaction import Transaction
from inpart.volume import Volume


def forget_images(volume: Volume, stores: Sequence[Store], image_ids: Collection[bytes]) -> None:
    """Remove images from the tables of their stores in ``volume``; files that a file system has for them stay.

    Raises IntegrityError for a store that cannot be changed.
    """
    for store in stores:
        here = [one.summary.image_id for one in store.images if one.summary.image_id in image_ids]
        if here:
            tx = Transaction(volume)
            store.remove(here, tx)
            with uninterruptible():
                tx.commit(store.journal())
