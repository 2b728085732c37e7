"""Putting an image stream into a partition: plan, rehearse, vacate, write, commit, read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from inpart.contracts import Claim, FilesystemEditor, ImageSummary, Layout, Plan, PlanRequest, Store, StoreWriter
from inpart.errors import NoSpace
from inpart.extents import Extents, Runs
from inpart.operations.estimate import Estimate
from inpart.operations.journals import JOURNAL
from inpart.operations.partition import Mounted
from inpart.operations.session import Session, uninterruptible
from inpart.operations.vacate import check_room, release_journal, vacate
from inpart.transaction import Transaction
from inpart.volume import Buffer

Feed = Callable[[Callable[[Buffer], None]], ImageSummary]


class Sized(Protocol):
    """What is known of a stream's length before it is made."""

    @property
    def upper(self) -> int:
        """No stream is longer."""

    @property
    def expected(self) -> int:
        """Likely length in bytes."""


@dataclass(frozen=True)
class Placement:
    """Where a stream is going to be put: the plan of one layout, and the store that it adds to."""

    layout: Layout
    store: Store | None
    plan: Plan


def plan_placement(
    session: Session,
    mounted: Mounted,
    stores: tuple[Store, ...],
    layout_name: str,
    size: Sized,
    *,
    rehearsed: bool = True,
) -> Placement:
    """Ask the layout where a stream would go, and unless not ``rehearsed`` try what its commit asks of the file system.

    Writes nothing. Raises NoSpace with the numbers.
    """
    layout = session.plugins.layout(layout_name)
    store = next((store for store in stores if store.layout == layout.name), None)
    editor = mounted.editor()
    request = PlanRequest(
        partition_size=mounted.volume.size,
        cluster_size=editor.info.cluster_size,
        data_start=editor.info.data_start,
        data_end=editor.info.data_end,
        free=editor.free(),
        immovable=editor.immovable() | _occupied(stores),
        upper=size.upper,
        expected=size.expected,
        min_free=session.policy.reserve(mounted.volume.size),
        options=session.policy.options,
    )
    placement = Placement(layout, store, layout.plan(request, store))
    if rehearsed:
        _rehearse(mounted, placement)
    return placement


def place_image(
    session: Session,
    mounted: Mounted,
    stores: tuple[Store, ...],
    layout_name: str,
    estimate: Estimate,
    *,
    rehearsed: bool = True,
) -> Placement:
    """Where an image would go: room for the worst case, or for what is likely where files have to move for it.

    To move gigabytes for room that is not used costs more than to start again when the sample misled the estimate.
    """
    placement = plan_placement(session, mounted, stores, layout_name, estimate, rehearsed=False)
    if placement.plan.vacate:
        placement = plan_placement(session, mounted, stores, layout_name, estimate.likely(), rehearsed=False)
    if rehearsed:
        _rehearse(mounted, placement)
    return placement


def _occupied(stores: tuple[Store, ...]) -> Extents:
    """Clusters of existing stores: they stay where they are."""
    occupied = Extents()
    for store in stores:
        occupied = occupied | store.extents()
    return occupied


def _rehearse(mounted: Mounted, placement: Placement) -> None:
    """Find out now what would stop the image later. Raises NoSpace, FilesystemError."""
    check_room(mounted, placement.plan.vacate, placement.plan.region, _journal_of(placement))
    _rehearse_claim(mounted, placement.plan)


def _journal_of(placement: Placement) -> Runs:
    return placement.store.journal() if placement.store else Runs()


def _rehearse_claim(mounted: Mounted, plan: Plan) -> None:
    """Find out now whether ``/.inpart`` can be made at all: a full root directory, a feature that forbids edits."""
    tx = Transaction(mounted.volume, lasting=False)
    editor = mounted.editor(tx.view)
    unit = editor.info.cluster_size
    spare = (plan.region & editor.free()) or editor.free()
    if spare.total < 2 * unit:
        return
    start = spare.end - unit
    editor.claim([Claim("rehearsal", Runs(((start, unit),)), unit)], tx, directory=Runs())


def store_stream(session: Session, mounted: Mounted, placement: Placement, image_id: bytes, feed: Feed) -> None:
    """Vacate, let ``feed`` write the stream, and commit. The image exists when this returns, and not before."""
    vacate(session, mounted, placement.plan.vacate, placement.plan.region, _journal_of(placement))
    mounted = mounted.reopened()
    try:
        tx, journal = _write_stream(mounted, placement, image_id, feed)
    except BaseException:
        release_journal(mounted)
        raise
    with uninterruptible():
        tx.commit(journal)


def _write_stream(mounted: Mounted, placement: Placement, image_id: bytes, feed: Feed) -> tuple[Transaction, Runs]:
    """All that comes before the commit; the transaction that is to be committed and the place for its journal."""
    missing = placement.plan.region - mounted.editor().free()
    if missing:
        raise NoSpace(f"{missing.total} bytes of the planned place of the image are still in use, from {missing.start}")
    writer = placement.layout.writer(mounted.volume, placement.plan, placement.store, image_id)
    try:
        writer.finish(feed(writer.write))
        return _prepare_commit(mounted, writer), writer.journal()
    except BaseException:
        writer.abandon()
        raise


def _prepare_commit(mounted: Mounted, writer: StoreWriter) -> Transaction:
    tx = Transaction(mounted.volume)
    change = writer.publish(tx)
    editor: FilesystemEditor = mounted.editor(tx.view)
    stale = [claim.name for claim in editor.claims() if claim.name == JOURNAL]
    if change.release:
        editor.release(change.release, tx)
        editor = mounted.editor(tx.view)
    editor.claim(change.claims, tx, directory=change.directory)
    if stale:
        mounted.editor(tx.view).release(stale, tx)
    return tx
