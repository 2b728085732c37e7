"""Each aid that is to be written or compared: its place, what it should say, and whether it says that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from inpart.contracts import AidState, PartitionAid
from inpart.errors import IntegrityError, NoImageFound, UsageError
from inpart.operations.aids.homes import Home, home_at, home_on_disk, refuse_stranger
from inpart.operations.aids.records import record_of, with_small_areas
from inpart.operations.aids.uses import AidUse, parse_uses
from inpart.operations.session import Session
from inpart.partitions import Target, open_target
from inpart.plugins import ask
from inpart.volume import FileVolume

if TYPE_CHECKING:
    from inpart.contracts import AidRecord


@dataclass(frozen=True)
class AidRow:
    """One aid of the partition ``device``, and what became of it; ``reasons`` say why it is, or was, not in sync."""

    aid: str
    state: AidState
    reasons: tuple[str, ...] = ()
    written: bool = False
    device: str = ""


@dataclass(frozen=True)
class AidPlace:
    """An aid, its place in the language of its plugin, and the record of the partition ``device`` as it should be.

    ``home`` is the partition of an aid that has one to itself; without a disk that has one ``target`` is empty.
    """

    use: AidUse
    device: str
    target: str
    record: AidRecord
    home: Home | None = None

    def write(self, *, fresh: bool = False) -> None:
        """Raises UsageError if something else is there, unless the place is ``fresh``, and what the plugin raises."""
        if isinstance(self.use.aid, PartitionAid) and self.home and not fresh:
            refuse_stranger(self.use.aid, self.home)
        self.use.aid.write(self.target, self.record.model_copy(update={"generation": self._generation() + 1}))

    def _generation(self) -> int:
        aid = self.use.aid
        try:
            records = aid.records(self.target) if isinstance(aid, PartitionAid) else [aid.read(self.target)]
        except (NoImageFound, IntegrityError):
            return 0
        return max(record.generation for record in records)

    def row(self, *, written: bool = False) -> AidRow:
        """What a comparison with the disk says."""
        from inpart.contracts import AidCheck  # noqa: PLC0415 - pydantic takes longer to load than a probe runs

        if not self.target:
            return AidRow(str(self.use), AidState.MISSING, ("the disk has no recovery partition",), device=self.device)
        fault = AidCheck(state=AidState.STALE, reasons=("its plugin failed",))
        check = ask(self.use.aid, partial(self.use.aid.check, self.target, self.record), fault, lambda _: None)
        return AidRow(str(self.use), check.state, check.reasons, written, self.device)


def places_of_aids(session: Session, address: str, uses: Sequence[str], *, emptied: bool = False) -> list[AidPlace]:
    """The aids ``uses``, or those of the configuration, for the partition at ``address``, or for all of a disk.

    Raises UsageError, and NoImageFound if there is nothing to remember and nobody has ``emptied`` the partition.
    """
    chosen = parse_uses(session, uses or session.policy.aids)
    if not chosen:
        raise UsageError(
            "no recovery aid is named", hint="name one, such as file:/media/stick/box.ipaid, or set [aids] use"
        )
    places: list[AidPlace] = []
    missing: NoImageFound | None = None
    for device in _partitions(address):
        try:
            places += _places(session, device, chosen, emptied=emptied)
        except NoImageFound as error:
            missing = error
    if not places and missing:
        raise missing
    crowded = [place.use for place in places if place.use.target and not isinstance(place.use.aid, PartitionAid)]
    if len(crowded) > len({*crowded}):
        raise UsageError(f"{crowded[0]} has room for one partition, not for all of a disk", hint="name one partition")
    return places


def _partitions(address: str) -> list[str]:
    """The partitions of a whole disk; of anything else, itself."""
    with open_target(address, whole_disk=True) as target:
        partitions = target.table.partitions if target.table else ()
        if target.entry or target.start or target.address.offset is not None or not partitions:
            return [address]
        return [f"{target.path}#{entry.number}" for entry in partitions]


def _places(session: Session, device: str, chosen: Sequence[AidUse], *, emptied: bool) -> list[AidPlace]:
    """Raises NoImageFound."""
    with open_target(device) as target:
        record = record_of(session, target, emptied=emptied)
        return [_place(use, device, target, record) for use in chosen]


def _place(use: AidUse, device: str, target: Target, record: AidRecord) -> AidPlace:
    if not isinstance(use.aid, PartitionAid):
        return AidPlace(use, device, use.target or _own_place(target), with_small_areas(record))
    home = home_at(use.aid, use.target) if use.target else home_on_disk(use.aid, target)
    return AidPlace(use, device, str(home or ""), record, home)


def _own_place(target: Target) -> str:
    """The partition itself in the language of aids that live in it: ``PATH`` or ``PATH@OFFSET``."""
    if isinstance(target.volume, FileVolume):
        return str(target.volume.path)
    return f"{target.path}@{target.start}"
