"""The files that own an image's clusters: cutting a path at the size limit, and joining files to a path again."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import Claim
from inpart.extents import Runs

from inpart_storage_blocks import naming


def files_of(stem: str, path: Runs, limit: int) -> tuple[Claim, ...]:
    """``path`` as files of at most ``limit`` bytes, which is whole clusters."""
    return tuple(
        Claim(naming.file_name(stem, number), path.slice(start, limit), min(limit, path.total - start))
        for number, start in enumerate(range(0, path.total, limit))
    )


def grouped(claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    """The files of this layout by stem, in their order."""
    found: dict[str, list[tuple[int, Claim]]] = {}
    for claim in claims:
        parsed = naming.parse(claim.name)
        if parsed is not None:
            found.setdefault(parsed[0].lower(), []).append((parsed[1], claim))
    return {stem: [claim for _, claim in sorted(files, key=lambda one: one[0])] for stem, files in found.items()}


def joined(claims: Sequence[Claim]) -> Runs:
    """The clusters of files one after the other."""
    path = Runs()
    for claim in claims:
        path = path + claim.runs
    return path
