"""Where an image goes: free clusters in as few and as large runs as there are, high ones first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from inpart.contracts import Plan, PlanRequest, journal_size
from inpart.errors import NoSpace, UsageError
from inpart.extents import Extents, Pairs, Runs
from inpart.units import KIB, align_down, align_up, format_size

from inpart_storage_blocks.control import control_size
from inpart_storage_blocks.structs import BLOCK_SIZES, HEADER_SIZE

MAX_HEAD_RUNS = 128
"""Few enough for a journal area, and for their list to fit into the first description."""

_SMALLEST_JOURNAL = 32 * KIB
_LOW = 8
"""The first eighth of a partition is the part that accidents hit, so it is used last."""


@dataclass(frozen=True)
class Scatter:
    """The places for one image. ``head`` holds seal, description and journal, ``body`` data and the tail."""

    head: Runs
    body: Runs
    block_size: int
    cluster_size: int
    data_start: int
    file_limit: int
    capacity: int


def tail_room(partition_size: int, block_size: int, cluster_size: int) -> int:
    """Bytes set aside for seal and description after the data."""
    return align_up(max(8 * KIB, 2 * block_size, min(64 * KIB, partition_size // 512)), cluster_size)


def make_plan(request: PlanRequest) -> Plan:
    """Raises NoSpace with the numbers, UsageError for a block size that cannot be."""
    cluster, block = request.cluster_size, min(request.options.block_size, request.cluster_size)
    if block not in BLOCK_SIZES:
        raise UsageError(f"a block size of {block} bytes cannot be", hint="512, 1024, 2048 ... up to 65536")
    free = request.free.clip(request.data_start, request.data_end) - request.immovable
    free = free.shift(-request.data_start).align_in(cluster).shift(request.data_start)
    head = _head(free, align_up(control_size(block) + journal_size(request.partition_size), cluster), block, cluster)
    rest = free - head.extents()
    tail = tail_room(request.partition_size, block, cluster)
    least, most = (_room(size, block, cluster) + tail for size in (request.expected, request.upper))
    spare = rest.total - request.min_free - 4 * cluster
    if least + least // 64 > spare:
        raise NoSpace(
            f"an image of about {format_size(request.expected)} needs {format_size(least + head.total)} in blocks; "
            f"{format_size(request.free.total)} are free, of which {format_size(request.min_free)} are to stay free",
            hint="free some space, use a denser encoding, or keep the image outside with --to FILE",
        )
    body = _body(rest, min(most, align_down(spare - spare // 64, cluster)), request.partition_size // _LOW)
    capacity = (body.total - tail) // block * (block - HEADER_SIZE)
    limit = align_down(request.options.file_limit, cluster)
    if limit < cluster:
        raise UsageError(f"files of at most {request.options.file_limit} bytes cannot hold a cluster of {cluster}")
    region = head.extents() | body.extents()
    summary = f"{format_size(region.total)} in {len(region)} runs of free clusters, in blocks of {block}"
    private = Scatter(head, body, block, cluster, request.data_start, limit, capacity)
    return Plan(region, Extents(), capacity, summary, private)


def _room(stream: int, block: int, cluster: int) -> int:
    """Bytes of whole clusters that the data blocks of a stream take."""
    return align_up(-(-stream // (block - HEADER_SIZE)) * block, cluster)


def _head(free: Extents, size: int, block: int, cluster: int) -> Runs:
    """The highest run that is long enough, or else the longest ones. Raises NoSpace."""
    array = free.array
    lengths = array[:, 1] - array[:, 0]
    fitting = np.flatnonzero(lengths >= size)
    if len(fitting):
        return Runs([(int(array[fitting[-1], 1]) - size, size)])
    chosen = np.argsort(-lengths, kind="stable")[:MAX_HEAD_RUNS]
    head = Runs(np.stack([array[chosen, 0], lengths[chosen]], axis=1)).slice(0, size)
    least = align_up(control_size(block) + _SMALLEST_JOURNAL, cluster)
    if head.total < least:
        raise NoSpace(f"{format_size(head.total)} of free clusters are too few, an image needs {format_size(least)}")
    return head


def _body(space: Extents, size: int, low: int) -> Runs:
    """``size`` bytes of ``space``: the longest runs, all of those above ``low`` first."""
    above = _longest(space.clip(low, space.end), size)
    below = _longest(space.clip(0, low), size - int(above[:, 1].sum()))
    return Runs(np.concatenate([_in_order(above), _in_order(below)]))


def _longest(space: Extents, size: int) -> Pairs:
    """Start and length of the longest runs that have ``size`` bytes together; the shortest of them is cut."""
    lengths = space.array[:, 1] - space.array[:, 0]
    order = np.lexsort((-space.array[:, 0], -_magnitude(lengths)))
    sums = np.cumsum(lengths[order])
    order = order[: int(np.searchsorted(sums, size)) + 1 if size else 0]
    chosen = np.stack([space.array[order, 0], lengths[order]], axis=1)
    excess = int(chosen[:, 1].sum()) - size
    if excess > 0:
        chosen[-1] += (excess, -excess)
    return chosen


def _in_order(runs: Pairs) -> Pairs:
    """Long runs before short ones."""
    return runs[np.lexsort((runs[:, 0], -_magnitude(runs[:, 1])))]


def _magnitude(lengths: Pairs) -> Pairs:
    """The power of two below each length: within one, the order on the medium counts more than the length."""
    return np.log2(np.maximum(lengths, 1)).astype(np.int64)
