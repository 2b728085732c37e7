"""Recovery aids: written, compared with the disk, mended, shown, and kept up to date after every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from inpart.contracts import AidRecord, AidState, PartitionAid
from inpart.errors import InpartError, NoImageFound, UsageError
from inpart.operations.aids.making import make_home
from inpart.operations.aids.places import AidPlace, AidRow, places_of_aids
from inpart.operations.aids.uses import known_records, parse_use, records_of
from inpart.operations.session import Session
from inpart.partitions import open_target
from inpart.plugins import ask
from inpart.volume import Volume


@dataclass(frozen=True)
class AidReport:
    """What ``aid write``, ``check`` and ``sync`` report; ``table_entry`` describes a partition that was made."""

    aids: tuple[AidRow, ...]
    dry_run: bool = False
    table_entry: str | None = None

    @property
    def in_sync(self) -> bool:
        """True if every aid says what the disk says."""
        return all(row.state is AidState.IN_SYNC for row in self.aids)


def aid_write(
    session: Session, address: str, uses: Sequence[str] = (), *, create: int | None = None, dry_run: bool = False
) -> AidReport:
    """Write each of the aids ``uses`` anew, or those of the configuration; of a disk, for all its partitions.

    ``create`` makes a partition of so many bytes for an aid that has one to itself. Raises NoImageFound if there is
    nothing to remember, UsageError, DeviceBusy, VolumeError, NoSpace.
    """
    places = places_of_aids(session, address, uses)
    lines: tuple[str, ...] = ()
    if create is not None:
        lines = make_home(session, address, places, create, dry_run=dry_run)
    elif not all(place.target for place in places):
        raise UsageError("the disk has no recovery partition", hint="--create 4M makes one in free space")
    elif not dry_run:
        _agree(session, address, places)
    if not dry_run:
        homeless = [str(place.use) for place in places if not place.target]
        places = places_of_aids(session, address, uses) if homeless else places
        for place in places:
            place.write(fresh=str(place.use) in homeless)
    rows = tuple(place.row(written=not dry_run) for place in places)
    return AidReport(rows, dry_run, "\n".join(lines) or None)


def aid_check(session: Session, address: str, uses: Sequence[str] = ()) -> AidReport:
    """Whether the aids ``uses``, or those of the configuration, say what the disk says now."""
    return AidReport(tuple(place.row() for place in places_of_aids(session, address, uses)))


def aid_sync(
    session: Session, address: str, uses: Sequence[str] = (), *, dry_run: bool = False, emptied: bool = False
) -> AidReport:
    """Write those aids that are stale or missing. One that cannot be written does not keep the others from it.

    ``emptied`` says that the partition is known to have no image any more.
    """
    places = places_of_aids(session, address, uses, emptied=emptied)
    rows = [place.row() for place in places]
    stale = [place for place, row in zip(places, rows, strict=True) if row.state is not AidState.IN_SYNC]
    if stale and not dry_run:
        _agree(session, address, stale)
        rows = [
            row if row.state is AidState.IN_SYNC else _mended(place, row)
            for place, row in zip(places, rows, strict=True)
        ]
    return AidReport(tuple(rows), dry_run)


def aid_show(session: Session, source: str) -> tuple[AidRecord, ...]:
    """The records of one aid, ``KIND:TARGET``, or of all that can be had for the device ``source``.

    Raises NoImageFound, IntegrityError.
    """
    kind, _, target = source.partition(":")
    if target and kind in {aid.name for aid in session.plugins.aids} and not Path(source).exists():
        use = parse_use(session, source)
        return tuple(records_of(use))
    with open_target(source, whole_disk=True) as opened:
        records = tuple(known_records(session, opened.volume, opened))
    if not records:
        raise NoImageFound(f"no recovery aid was found for {source}", hint="`inpart aid show KIND:TARGET` reads one")
    return records


def anchors_in(session: Session, volume: Volume) -> tuple[str, ...]:
    """The aids that live in the partition ``volume`` itself, and are there now."""
    alone = (aid for aid in session.plugins.aids if not isinstance(aid, PartitionAid))
    return tuple(aid.name for aid in alone if ask(aid, partial(aid.find, volume), [], session.warn))


def refresh_aids(
    session: Session, address: str, *, inside: bool = False, emptied: bool = False, anchors: Sequence[str] = ()
) -> None:
    """Bring the configured aids up to date after a commit. What fails is a warning: the images are there.

    To configure them was to agree. ``inside``: only those that live on the disk of ``address``, for the others speak
    of another partition. ``emptied``: the last image was deleted, and no aid needs to lead anywhere. ``anchors`` are
    aids that were in the partition before the change and went with it, configured or not.
    """
    configured = [use for use in session.policy.aids if not (inside and ":" in use)]
    uses = tuple(dict.fromkeys((*configured, *anchors)))
    if not uses:
        return
    try:
        report = aid_sync(replace(session, confirm=lambda _: True), address, uses, emptied=emptied)
    except InpartError as error:
        session.warn(f"the recovery aids were not updated: {error.message}")
        return
    for row in report.aids:
        if row.state is not AidState.IN_SYNC:
            session.warn(f"recovery aid {row.aid} was not updated: {'; '.join(row.reasons)}")


def _agree(session: Session, address: str, places: Sequence[AidPlace]) -> None:
    """A question only if something is written to the device itself."""
    inside = list(dict.fromkeys(str(place.use) for place in places if not place.use.target))
    if inside:
        session.ask(f"Write the recovery aids {', '.join(inside)} to {address}?")


def _mended(place: AidPlace, row: AidRow) -> AidRow:
    if not place.target:
        return row
    try:
        place.write()
    except InpartError as error:
        return replace(row, reasons=(*row.reasons, error.message))
    return replace(row, state=place.row().state, written=True)
