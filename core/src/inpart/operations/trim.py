"""Forgetting images in a healthy partition: tables, claims and clusters in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from inpart.contracts import Store
from inpart.operations.filesystems import find_filesystem
from inpart.operations.partition import edit
from inpart.operations.session import Session, uninterruptible
from inpart.transaction import Transaction
from inpart.volume import Volume


def drop_images(session: Session, volume: Volume, stores: Sequence[Store], image_ids: Collection[bytes]) -> None:
    """Remove images from their stores and give their clusters back. Raises what the layout and the editor raise.

    ``stores`` may have been found when the file system was still another one: only their own tables count.
    """
    for store in stores:
        here = [one.summary.image_id for one in store.images if one.summary.image_id in image_ids]
        if not here:
            continue
        tx = Transaction(volume)
        provider = find_filesystem(session, volume)
        change = store.remove(here, tx)
        present = {claim.name for claim in edit(provider, tx.view).claims()}
        gone = [name for name in change.release if name in present]
        if gone:
            edit(provider, tx.view).release(gone, tx)
        edit(provider, tx.view).claim(change.claims, tx, directory=change.directory)
        with uninterruptible():
            tx.commit(store.journal())
