"""Estimate: how large an image would be, what would have to move for it, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import State
from inpart.errors import NoSpace
from inpart.extents import Extents
from inpart.image import CHUNK_SIZE
from inpart.operations.estimate import estimate_stream
from inpart.operations.partition import open_healthy, open_stores
from inpart.operations.placing import plan_placement
from inpart.operations.scope import Selection, scope_of
from inpart.operations.session import Session
from inpart.partitions import open_target


@dataclass(frozen=True)
class Forecast:
    """What create would meet; sizes in bytes. ``plan`` says where the image would go, or why it does not fit."""

    fits: bool
    plan: str
    layout: str
    encoding: str
    image_bytes: int
    expected_bytes: int
    upper_bytes: int
    free_bytes: int
    longest_free_run: int
    min_free: int
    vacate_bytes: int
    state: str


def forecast(session: Session, address: str, selection: Selection) -> Forecast:
    """Estimate an image of the partition at ``address`` without changing anything, whatever state it is in.

    Raises FilesystemDamaged, FilesystemUnsupported, UsageError.
    """
    with open_target(address) as target:
        mounted = open_healthy(session, target.volume, tuple(State))
        stores = open_stores(session, target.volume).stores
        scope = scope_of(mounted, selection)
        encoding = session.plugins.encoding(session.policy.encoding)
        size = estimate_stream(scope.view, scope.used, encoding, CHUNK_SIZE)
        free = mounted.editor().free()
        fits, vacate = True, 0
        try:
            placement = plan_placement(session, mounted, stores, session.policy.layout, size)
        except NoSpace as error:
            fits, plan = False, error.message
        else:
            plan = placement.plan.summary
            vacate = (mounted.filesystem.allocated() & placement.plan.vacate).total
        return Forecast(
            fits=fits,
            plan=plan,
            layout=session.policy.layout,
            encoding=session.policy.encoding,
            image_bytes=size.image_bytes,
            expected_bytes=size.expected,
            upper_bytes=size.upper,
            free_bytes=free.total,
            longest_free_run=_longest(free),
            min_free=session.policy.reserve(target.volume.size),
            vacate_bytes=vacate,
            state=mounted.filesystem.info.state.value,
        )


def _longest(extents: Extents) -> int:
    return int((extents.array[:, 1] - extents.array[:, 0]).max()) if extents else 0
