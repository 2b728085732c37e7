"""What editors have in common: which claims can be, whether there is room for what has to move, and moving it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from inpart.contracts.filesystem import CLAIMS_DIRECTORY, Claim
from inpart.contracts.transaction import Edits
from inpart.errors import NoSpace, UsageError
from inpart.extents import Extents, Runs
from inpart.units import MIB, format_size

Key = TypeVar("Key", bound=Hashable)


def checked_claims(
    claims: Sequence[Claim], directory: Runs, area: tuple[int, int], cluster_size: int, key: Callable[[str], Key]
) -> dict[Key, Claim]:
    """The claims by the ``key`` of their names, which is the same for names that cannot stand side by side.

    ``area`` is where clusters begin and end, in bytes. Raises UsageError for runs that are not whole clusters, or not
    as many as the size needs, and for a name or a cluster that is wanted twice; and what ``key`` raises.
    """
    start, end = area
    for claim in claims:
        if ((claim.runs.array - (start, 0)) % cluster_size).any() or claim.runs.extents() - Extents.span(start, end):
            raise UsageError(f"{claim.name} is to be put where no clusters are")
        if claim.size < 0 or claim.runs.total != -(-claim.size // cluster_size) * cluster_size:
            raise UsageError(f"{claim.name} has {claim.size} bytes and {claim.runs.total} bytes of clusters")
    found = {key(claim.name): claim for claim in claims}
    every = Extents.union(claim.runs.extents() for claim in claims)
    if len(found) < len(claims) or every.total != sum(claim.runs.total for claim in claims):
        raise UsageError("two files are to have the same name or the same clusters")
    if every & directory.extents():
        raise UsageError(f"the directory {CLAIMS_DIRECTORY} and its files are to have the same clusters")
    return found


def in_use(what: str) -> NoSpace:
    """The error for a cluster that is to be claimed and is not free."""
    return NoSpace(
        f"{what} is to be claimed, but it is in use",
        hint="the file system has changed meanwhile; repeat the command",
    )


def require_room(needed: int, room: int, cluster_size: int, unit: str = "clusters") -> None:
    """Raise NoSpace unless ``needed`` clusters that have to move have ``room`` elsewhere."""
    if needed > room:
        raise NoSpace(
            f"{needed} {unit} ({format_size(needed * cluster_size)}) have to move, "
            f"but only {room} ({format_size(room * cluster_size)}) are free elsewhere",
            hint=f"free {format_size((needed - room) * cluster_size)} on the file system",
        )


def carry(tx: Edits, source: int, target: int, length: int, *, anew: bool) -> None:
    """Bring the bytes at ``source`` to free clusters at ``target``.

    A copy takes what was there before the transaction; what that has filled itself has to be written ``anew``.
    """
    if not anew:
        tx.copy(source, target, length)
        return
    for at in range(0, length, MIB):
        tx.write(target + at, tx.view.read(source + at, min(MIB, length - at)))
