"""What a create would cost: size, room, what must move, and whether it fits. Nothing is locked or written."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import FilesystemEditor, State
from inpart.errors import FilesystemError, NoSpace
from inpart.operations.estimate import estimate_stream
from inpart.operations.filesystems import UNCLEAN
from inpart.operations.images import open_parent
from inpart.operations.partition import open_as_it_is, open_healthy, open_stores
from inpart.operations.placing import place_image
from inpart.operations.scope import scope_of
from inpart.operations.selection import Selection
from inpart.operations.session import Session
from inpart.partitions import open_target


@dataclass(frozen=True)
class Forecast:
    """Sizes in bytes. ``expected_bytes`` comes from a sample, ``upper_bytes`` is never exceeded.

    ``must_move`` is what lies where the image would go; ``verdict`` is a sentence; ``fits`` is false if create refuses.
    """

    image_bytes: int
    expected_bytes: int
    upper_bytes: int
    free_bytes: int
    longest_free_run: int
    min_free: int
    must_move: int
    fits: bool
    verdict: str


def forecast(session: Session, address: str, selection: Selection, parent: str | None = None) -> Forecast:
    """Estimate an image of the partition at ``address``, or what of it differs from the image ``parent``.

    An unclean file system is a warning here, not an error; with all sectors an unknown one is, too.
    """
    selection.check()
    with open_target(address) as target:
        if selection.all_sectors:
            mounted = open_as_it_is(session, target.volume)
        else:
            mounted = open_healthy(session, target.volume, tuple(State))
        scope = scope_of(mounted, selection)
        if scope.note:
            session.warn(scope.note)
        located = open_stores(session, target.volume)
        older = open_parent(session, located, parent) if parent is not None else None
        coder = session.plugins.encoding(session.policy.encoding)
        size = estimate_stream(scope.view, scope.used, coder, older).kept_small(selection)
        editor = mounted.filesystem
        free = editor.free() if isinstance(editor, FilesystemEditor) else scope.used.complement(0, 0)
        must_move, fits = 0, True
        clean = _warned_of(session, target.volume.name, editor.info.state)
        try:
            plan = place_image(session, mounted, located.stores, session.policy.layout, size, rehearsed=clean).plan
            must_move = (mounted.filesystem.allocated() & plan.vacate).total
            verdict = plan.summary
        except (NoSpace, FilesystemError) as error:
            fits, verdict = False, error.message
        return Forecast(
            image_bytes=size.image_bytes,
            expected_bytes=size.expected,
            upper_bytes=size.upper,
            free_bytes=mounted.filesystem.info.free_bytes,
            longest_free_run=int((free.array[:, 1] - free.array[:, 0]).max(initial=0)),
            min_free=session.policy.reserve(target.volume.size),
            must_move=must_move,
            fits=fits,
            verdict=verdict,
        )


def _warned_of(session: Session, name: str, state: State) -> bool:
    """True if the file system is clean; another state, as that of a mounted one, is told and counts as if it were."""
    if state is not State.CLEAN:
        session.warn(f"{name}: the file system {UNCLEAN[state]}; this is what holds once it is clean")
    return state is State.CLEAN
