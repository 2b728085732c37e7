"""What a create would cost: size, room, what must move, and whether it fits. Nothing is locked or written."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import FilesystemEditor, State
from inpart.errors import NoSpace
from inpart.image import default_chunk_size
from inpart.operations.estimate import estimate_stream
from inpart.operations.partition import open_healthy, open_stores
from inpart.operations.placing import plan_placement
from inpart.operations.scope import Selection, scope_of
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


def forecast(
    session: Session, address: str, selection: Selection, encoding: str | None = None, layout: str | None = None
) -> Forecast:
    """Estimate an image of the partition at ``address``. An unclean file system is a warning here, not an error."""
    with open_target(address) as target:
        mounted = open_healthy(session, target.volume, tuple(State))
        scope = scope_of(mounted, selection)
        coder = session.plugins.encoding(encoding or session.policy.encoding)
        size = estimate_stream(scope.view, scope.used, coder, default_chunk_size(scope.view.size, scope.used))
        editor = mounted.filesystem
        free = editor.free() if isinstance(editor, FilesystemEditor) else scope.used.complement(0, 0)
        must_move, fits = 0, True
        try:
            located = open_stores(session, target.volume)
            name = layout or session.policy.layout
            plan = plan_placement(session, mounted, located.stores, name, size).plan
            must_move = (mounted.filesystem.allocated() & plan.vacate).total
            verdict = plan.summary
        except NoSpace as error:
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
