"""What editors have in common: what they refuse before they change anything, and how they move."""

from __future__ import annotations

import pytest
from inpart.contracts import Claim, carry, checked_claims, require_room
from inpart.errors import NoSpace, UsageError
from inpart.extents import Extents, Runs
from inpart.transaction import Transaction
from inpart.units import MIB
from inpart.volume import MemoryVolume

AREA, SIZE = (1536, 1536 + 8 * 1024), 1024
"""Eight clusters that do not begin at a multiple of their size."""


def at(name: str, *clusters: int, size: int | None = None) -> Claim:
    runs = Runs([(AREA[0] + cluster * SIZE, SIZE) for cluster in clusters])
    return Claim(name, runs, runs.total if size is None else size)


def checked(*claims: Claim, directory: Runs | None = None) -> dict[str, Claim]:
    return checked_claims(claims, directory or Runs(), AREA, SIZE, str.lower)


def test_good_claims_are_found_by_their_names() -> None:
    claims = at("One", 7, 0), at("two", 3, size=1), at("none")
    assert checked(*claims, directory=at("", 1, 2).runs) == dict(zip(("one", "two", "none"), claims, strict=True))
    assert checked() == {}


@pytest.mark.parametrize(
    ("message", "claims"),
    [
        ("where no clusters are", [Claim("x", Runs([(AREA[0] + 1, SIZE)]), SIZE)]),
        ("where no clusters are", [Claim("x", Runs([(AREA[0], SIZE - 1)]), SIZE - 1)]),
        ("where no clusters are", [Claim("x", Runs([(Runs.HOLE, SIZE)]), SIZE)]),
        ("where no clusters are", [at("x", -1)]),
        ("where no clusters are", [at("x", 8)]),
        ("has -1 bytes and 0 bytes of clusters", [at("x", size=-1)]),
        ("bytes of clusters", [at("x", 0, 1, size=SIZE)]),
        ("bytes of clusters", [at("x", 0, 1, size=2 * SIZE + 1)]),
        ("same name or the same clusters", [at("x", 0), at("X", 1)]),
        ("same name or the same clusters", [at("x", 0), at("y", 1, 0)]),
        ("same name or the same clusters", [at("x", 0, 1, 0)]),
        ("directory /.inpart and its files", [at("x", 4, 5)]),
    ],
)
def test_claims_that_cannot_be_are_refused(message: str, claims: list[Claim]) -> None:
    with pytest.raises(UsageError, match=message):
        checked(*claims, directory=at("", 5, 6).runs)


def test_what_moves_needs_room() -> None:
    require_room(5, 5, SIZE)
    with pytest.raises(NoSpace, match=r"6 blocks \(6.00 KiB\) have to move, but only 4 \(4.00 KiB\)") as refused:
        require_room(6, 4, SIZE, "blocks")
    assert refused.value.hint == "free 2.00 KiB on the file system"


@pytest.mark.parametrize("length", [512, MIB, MIB + 1024])
def test_what_the_transaction_has_filled_is_carried_on(length: int) -> None:
    volume = MemoryVolume(b"a" * 4 * MIB)
    tx = Transaction(volume)
    tx.write(0, b"b" * length)
    carry(tx, 0, 2 * MIB, length, anew=True)
    carry(tx, MIB + 1024, MIB + 512 * 3, 512, anew=False)
    assert tx.view.read(2 * MIB, length + 1) == b"b" * length + b"a"
    assert tx.fresh == Extents([(0, length), (MIB + 512 * 3, MIB + 512 * 4), (2 * MIB, 2 * MIB + length)])
