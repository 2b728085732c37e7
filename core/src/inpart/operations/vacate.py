"""Vacating a region of a partition, in batches that are each a transaction of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inpart.contracts import Claim, FilesystemEditor, journal_size
from inpart.errors import FilesystemDamaged, NoSpace
from inpart.extents import Extents, Runs
from inpart.operations.journals import JOURNAL, free_place
from inpart.operations.partition import Mounted
from inpart.operations.session import Session, uninterruptible
from inpart.transaction import Transaction, check_idle
from inpart.units import align_up, format_size


def vacate(session: Session, mounted: Mounted, region: Extents, avoid: Extents, journal: Runs) -> None:
    """Move everything in ``region`` to free clusters outside ``region`` and ``avoid``.

    ``journal`` is an owned place for the journals of the batches; if it is empty, the hidden file ``/.inpart/journal``
    is made and stays until the commit that the room is made for, which releases it under its own journal. Whatever
    interrupts it, each file is at its old or at its new place.
    """
    busy = mounted.filesystem.allocated() & region
    if not busy:
        return
    check_room(mounted, region, avoid, journal)
    given = _given_place(mounted, region | avoid, journal)
    with (
        session.progress.phase("moving files out of the way", busy.total) as advance,
        journal_place(mounted, region | avoid, given) as place,
    ):
        remaining = 1
        while remaining:
            tx = Transaction(mounted.volume, journal_capacity=place.total)
            batch = mounted.editor(tx.view).vacate(region, tx, avoid=avoid)
            if batch.remaining and not batch.moved:
                raise FilesystemDamaged(f"{batch.remaining} bytes cannot be moved out of the way")
            with uninterruptible():
                tx.commit(place)
            advance(batch.moved)
            remaining = batch.remaining


def check_room(mounted: Mounted, region: Extents, avoid: Extents, journal: Runs) -> None:
    """Raise NoSpace, before the first batch is written, if what is in ``region`` has nowhere to go.

    Without a place for the journal of the batches some of the free bytes are needed for that.
    """
    editor = mounted.editor()
    needed = (editor.allocated() & region).total
    if not needed:
        return
    spared = 0 if _given_place(mounted, region | avoid, journal) else sum(_journal_sizes(mounted))
    room = max((editor.free() - region - avoid).total - spared, 0)
    if needed > room:
        raise NoSpace(
            f"{mounted.volume.name}: {format_size(needed)} of files would have to move out of the way of the image, "
            f"and {format_size(room)} are free elsewhere ({needed} and {room} bytes)",
            hint="delete or move files, or store the image outside with --to FILE",
        )


def _journal_sizes(mounted: Mounted) -> tuple[int, int]:
    """Bytes of a journal of our own, and of the clusters for the directories that get a name more."""
    unit = mounted.editor().info.cluster_size
    return align_up(journal_size(mounted.volume.size), unit), 2 * unit


def _given_place(mounted: Mounted, avoid: Extents, given: Runs) -> Runs:
    """The place for journals that there is already outside ``avoid``; empty if there is none."""
    existing = next((claim for claim in mounted.editor().claims() if claim.name == JOURNAL), None)
    return given or (existing.runs if existing and not existing.runs.extents() & avoid else given)


@contextmanager
def journal_place(mounted: Mounted, avoid: Extents, given: Runs) -> Iterator[Runs]:
    """A place outside ``avoid`` for journals that the file system owns: ``given``, if that is not empty.

    Else it is a file that stays until ``release_journal``; if what is done meanwhile fails, it is released here.
    """
    if given:
        yield given
        return
    size, more = _journal_sizes(mounted)
    picked = _pick(mounted.editor(), avoid, size + more)
    place = picked.slice(0, size)
    tx = Transaction(mounted.volume)
    mounted.editor(tx.view).claim([Claim(JOURNAL, place, size)], tx, directory=picked.slice(size, more))
    try:
        with uninterruptible():
            tx.commit(place)
        yield place
    except BaseException:
        release_journal(mounted)
        raise


def release_journal(mounted: Mounted) -> None:
    """Remove ``/.inpart/journal`` if it is there, under a journal in free clusters at the end, or else in that file.

    Raises UnfinishedJournal, before anything is written, if what the file holds is still to be finished.
    """
    editor = mounted.editor()
    claim = next((claim for claim in editor.claims() if claim.name == JOURNAL), None)
    if claim is None:
        return
    if claim.runs:
        check_idle(mounted.volume, claim.runs)
    tx = Transaction(mounted.volume)
    mounted.editor(tx.view).release([JOURNAL], tx)
    place = free_place(mounted.volume, editor.free(), editor.info.cluster_size)
    with uninterruptible():
        tx.commit(place or claim.runs)


def _pick(editor: FilesystemEditor, avoid: Extents, wanted: int) -> Runs:
    """Free clusters, ``wanted`` bytes of them, outside ``avoid``, in as few runs as possible."""
    free = editor.free() - avoid
    whole = free.array[(free.array[:, 1] - free.array[:, 0]) >= wanted]
    if len(whole):
        return Runs(((int(whole[-1, 0]), wanted),))
    runs = Runs([(start, end - start) for start, end in free]).slice(0, wanted)
    if runs.total < wanted:
        raise NoSpace(f"{wanted} bytes are needed for a journal and {runs.total} are free outside the image's place")
    return runs
