"""What restored partitions claim for the images that stay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from inpart.contracts import Claim, ImageSummary, Store, StoreChange, StoredImage
from inpart.extents import Extents, Runs
from inpart.operations.compose import retained_from


@dataclass(frozen=True)
class Kept:
    """A store of one image: one file at ``start``, and perhaps room for the directory."""

    number: int
    start: int
    room: Runs

    @property
    def images(self) -> tuple[StoredImage, ...]:
        moment = datetime(2024, 1, self.number, tzinfo=UTC)
        summary = ImageSummary(bytes([self.number]) * 16, f"image {self.number}", "user", moment)
        return (StoredImage(summary, Extents.span(self.start, self.start + 8192), "committed", (self.name,)),)

    @property
    def name(self) -> str:
        return f"{self.number}.img"

    def claims(self) -> StoreChange:
        return StoreChange(claims=(Claim(self.name, Runs(((self.start, 8192),)), 8192),), directory=self.room)


def test_room_for_the_directory_that_another_store_took_is_not_asked_for() -> None:
    room = Runs(((40960, 4096),))
    beside = cast("list[Store]", [Kept(1, 0, Runs()), Kept(2, 8192, room)])
    assert retained_from(beside).directory == room
    inside = cast("list[Store]", [Kept(1, 36864, Runs()), Kept(2, 8192, room)])
    retained = retained_from(inside)
    assert [claim.name for claim in retained.claims] == ["2.img", "1.img"]
    assert retained.directory == Runs()
