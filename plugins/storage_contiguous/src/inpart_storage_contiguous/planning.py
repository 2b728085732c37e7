"""Where a container and its next image go: pure arithmetic on free, immovable and owned clusters."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import ImageSummary, Plan, PlanRequest, journal_size
from inpart.errors import NoSpace, UsageError
from inpart.extents import Extents, Runs
from inpart.units import KIB, MIB, align_down, align_up, format_size

from inpart_storage_contiguous.carving import (
    SpaceNeed,
    highest_block,
    need_block,
    simulate,
    take_top,
    usable_clusters,
)
from inpart_storage_contiguous.entries import Entry
from inpart_storage_contiguous.naming import FAT_FILE_LIMIT
from inpart_storage_contiguous.placement import Placement
from inpart_storage_contiguous.structs import (
    SEGMENT_HEADER,
    Geometry,
    from_stamp,
)
from inpart_storage_contiguous.tables import Table

MIN_SEGMENT = 64 * KIB
SEGMENTS_WANTED = 16
SEGMENTS_ALLOWED = 1 << 16
TYPICAL_NAME = "n" * 64


@dataclass(frozen=True)
class Layouting:
    """What the writer must know of a plan.

    ``space`` is for segments, ``controls`` where ``toc_begin`` may go: as high below all images as it fits.
    """

    geometry: Geometry
    room: Runs
    space: Extents
    controls: Extents
    segment_size: int
    file_limit: int
    capacity: int


def make_plan(request: PlanRequest, table: Table | None) -> Plan:
    """The plan for the first image of a partition, or for the next one of ``table``. Raises NoSpace, UsageError.

    The region is sized for ``upper``, so that a create which was said to fit does not fail halfway when the sample
    misled the estimate. Where ``upper`` does not fit and ``expected`` does, it is sized for what fits.
    """
    segment, limit = segment_size(request)
    fixed, geometry, room, usable = _new_end(request) if table is None else _grown(request, table, segment)
    ceiling = request.data_end if table is None else _lowest_image(table)
    need = SpaceNeed(segment, request.cluster_size, len(usable))
    data_area = request.free.clip(request.data_start, request.data_end)
    avail = align_down(data_area.total - request.min_free, request.cluster_size) - fixed.total - geometry.toc_size
    space, begin = _choose(request, usable, need, avail, geometry.toc_size, ceiling)
    placement = simulate(space, segment)
    capacity = int(placement.payloads.sum())
    _check_table(table, geometry, room, placement, segment)
    region = fixed | space | begin
    vacate = region - request.free
    controls = (space | begin).clip(request.data_start, ceiling)
    layouting = Layouting(geometry, room, space, controls, segment, limit, capacity)
    return Plan(region, vacate, capacity, _summary(region, vacate, capacity, segment), layouting)


def segment_size(request: PlanRequest) -> tuple[int, int]:
    """Sizes of a full segment and of the largest file. A small image gets small segments, a huge one larger ones."""
    cluster = request.cluster_size
    limit = align_down(min(request.options.file_limit - 1, FAT_FILE_LIMIT), cluster)
    if limit < max(cluster, 2 * SEGMENT_HEADER):
        raise UsageError(
            f"a file limit of {request.options.file_limit} bytes leaves no room for a segment",
            hint="set layout.file_limit to some MiB at least",
        )
    wanted = align_up(max(request.expected // SEGMENTS_WANTED, MIN_SEGMENT), MIN_SEGMENT)
    size = max(min(request.options.segment_size, wanted), request.upper // SEGMENTS_ALLOWED, 2 * SEGMENT_HEADER)
    return min(align_up(size, cluster), limit), limit


def new_geometry(request: PlanRequest, usable: Extents) -> Geometry:
    """Sizes and place of ``toc_end`` for a partition that has no container. Raises NoSpace."""
    journal = journal_size(request.partition_size)
    slot = _scaled(request.partition_size // 8192, 4 * KIB, 512 * KIB)
    size = align_up(journal + 2 * slot, request.cluster_size)
    place = need_block(usable, size, "the file toc_end")
    return Geometry(
        request.partition_size, request.data_start, request.data_end, request.cluster_size, slot, place, size
    )


def _scaled(size: int, low: int, high: int) -> int:
    return min(max(align_down(size, 4 * KIB), low), high)


def _new_end(request: PlanRequest) -> tuple[Extents, Geometry, Runs, Extents]:
    """Clusters of a new container's fixed end, its geometry, the directory's room, the clusters below."""
    movable = Extents.span(request.data_start, request.data_end) - request.immovable
    usable = usable_clusters(movable, request.data_start, request.cluster_size)
    geometry = new_geometry(request, usable)
    below = usable.clip(request.data_start, geometry.toc_end_offset)
    room = take_top(below, _room_size(request))
    fixed = room | Extents.span(geometry.toc_end_offset, geometry.end)
    return fixed, geometry, _runs(room), usable_clusters(below - room, request.data_start, request.cluster_size)


def _grown(request: PlanRequest, table: Table, segment: int) -> tuple[Extents, Geometry, Runs, Extents]:
    """The same for a container that is there: nothing new at its end, its own clusters stepped over.

    Free gaps that removed images have left come first, if they are ``segment`` bytes long at least.
    """
    lowest, own = _lowest_image(table), table.extents() | table.room.extents()
    below = Extents.span(request.data_start, lowest) - request.immovable - own
    between = (request.free.clip(lowest, table.geometry.toc_end_offset) - request.immovable - own).array
    gaps = Extents(between[between[:, 1] - between[:, 0] >= segment])
    usable = usable_clusters(below | gaps, request.data_start, request.cluster_size)
    return Extents(), table.geometry, table.room, usable


def _lowest_image(table: Table) -> int:
    """The lowest byte of what stays above the next image: images and partial tables, but not ``toc_begin``."""
    places = [entry.placement.extents.start for entry in table.entries]
    places += [entry.inter_offset for entry in table.entries if entry.inter_number]
    return min([*places, table.room.extents().start or table.geometry.toc_end_offset])


def _room_size(request: PlanRequest) -> int:
    """Clusters for the directory: 128 bytes for each file that may ever be in it."""
    files = 32 + 2 * request.partition_size // request.options.file_limit
    return align_up(min(128 * files, MIB), request.cluster_size)


def _choose(
    request: PlanRequest, usable: Extents, need: SpaceNeed, avail: int, toc_size: int, ceiling: int
) -> tuple[Extents, Extents]:
    """Clusters for segments, and a block below them and below ``ceiling`` that is kept for ``toc_begin``."""
    limit = min(avail, align_down(usable.total - toc_size, request.cluster_size))
    if need.space(request.expected) > limit:
        raise _no_space(request, need.space(request.expected), limit)
    most = max(request.expected, min(request.upper, need.stream(limit)))
    space = take_top(usable, need.space(most))
    place = highest_block(usable.clip(request.data_start, min(space.start, ceiling)), toc_size)
    if place is None:
        raise _no_space(request, need.space(request.expected), limit)
    return space, Extents.span(place, place + toc_size)


def _check_table(table: Table | None, geometry: Geometry, room: Runs, placement: Placement, segment: int) -> None:
    """Raise NoSpace if the table that will name such an image would not fit into its slot."""
    summary = ImageSummary(bytes(range(16)), TYPICAL_NAME, "user", from_stamp(0), digest=bytes(range(32)))
    entry = Entry(summary, placement, "n" * 40, segment, 0)
    known = table.entries if table else ()
    Table(geometry, bytes(16), bytes(16), 1, 0, 0, room, (*known, entry)).pack()


def _no_space(request: PlanRequest, needed: int, avail: int) -> NoSpace:
    free, lower = request.free.total, "lower --min-free, " * bool(request.min_free)
    return NoSpace(
        f"the image needs {format_size(needed)} ({needed} bytes) and {format_size(max(avail, 0))} "
        f"({max(avail, 0)} bytes) are available: {free} bytes are free, {request.min_free} of them are to stay free, "
        "the rest goes to the container's tables",
        hint=f"free some space, {lower}or write the image elsewhere with --to FILE",
    )


def _summary(region: Extents, vacate: Extents, capacity: int, segment: int) -> str:
    moved = f"{format_size(vacate.total)} of it to be vacated" if vacate else "all of it free"
    return (
        f"{format_size(region.total)} at the end of the partition from byte {region.start} on, {moved}; room for "
        f"{format_size(capacity)} in segments of {format_size(segment)}"
    )


def _runs(extents: Extents) -> Runs:
    return Runs([(start, end - start) for start, end in extents])
