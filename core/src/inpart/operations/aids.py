"""Recovery aids: written, compared with the disk, mended, shown, and kept up to date after every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inpart.contracts import AidCheck, AidRecord, AidState
from inpart.errors import InpartError, IntegrityError, NoImageFound, UsageError
from inpart.operations.aid_records import record_of
from inpart.operations.aid_uses import AidUse, known_records, parse_use, parse_uses
from inpart.operations.session import Session
from inpart.partitions import Target, open_target
from inpart.plugins import ask
from inpart.volume import FileVolume


@dataclass(frozen=True)
class AidRow:
    """One aid, and what became of it; ``reasons`` say why it is, or was, not in sync."""

    aid: str
    state: AidState
    reasons: tuple[str, ...] = ()
    written: bool = False


@dataclass(frozen=True)
class AidReport:
    """What ``aid write``, ``check`` and ``sync`` report."""

    aids: tuple[AidRow, ...]
    dry_run: bool = False

    @property
    def in_sync(self) -> bool:
        """True if every aid says what the disk says."""
        return all(row.state is AidState.IN_SYNC for row in self.aids)


def aid_write(session: Session, address: str, uses: Sequence[str] = (), *, dry_run: bool = False) -> AidReport:
    """Write each of the aids ``uses`` anew, or those of the configuration.

    Raises NoImageFound if there is nothing to remember, UsageError, DeviceBusy, VolumeError, NoSpace.
    """
    record, places = _made(session, address, uses)
    if not dry_run:
        _agree(session, address, places)
        for use, place in places:
            _write(use, place, record)
    return AidReport(tuple(_row(use, place, record, written=not dry_run) for use, place in places), dry_run)


def aid_check(session: Session, address: str, uses: Sequence[str] = ()) -> AidReport:
    """Whether the aids ``uses``, or those of the configuration, say what the disk says now."""
    record, places = _made(session, address, uses)
    return AidReport(tuple(_row(use, place, record) for use, place in places))


def aid_sync(session: Session, address: str, uses: Sequence[str] = (), *, dry_run: bool = False) -> AidReport:
    """Write those aids that are stale or missing. One that cannot be written does not keep the others from it."""
    record, places = _made(session, address, uses)
    rows = [_row(use, place, record) for use, place in places]
    stale = [pair for pair, row in zip(places, rows, strict=True) if row.state is not AidState.IN_SYNC]
    if stale and not dry_run:
        _agree(session, address, stale)
        rows = [
            row if row.state is AidState.IN_SYNC else _mended(use, place, record, row)
            for (use, place), row in zip(places, rows, strict=True)
        ]
    return AidReport(tuple(rows), dry_run)


def aid_show(session: Session, source: str) -> tuple[AidRecord, ...]:
    """The records of one aid, ``KIND:TARGET``, or of all that can be had for the device ``source``.

    Raises NoImageFound, IntegrityError.
    """
    kind, _, target = source.partition(":")
    if target and kind in {aid.name for aid in session.plugins.aids} and not Path(source).exists():
        use = parse_use(session, source)
        return (use.aid.read(use.target),)
    with open_target(source, whole_disk=True) as opened:
        records = tuple(known_records(session, opened.volume))
    if not records:
        raise NoImageFound(f"no recovery aid was found for {source}", hint="`inpart aid show KIND:TARGET` reads one")
    return records


def refresh_aids(session: Session, address: str) -> None:
    """Bring the configured aids up to date after a commit. What fails is a warning: the images are there."""
    if not session.policy.aids:
        return
    try:
        report = aid_sync(session, address)
    except InpartError as error:
        session.warn(f"the recovery aids were not updated: {error.message}")
        return
    for row in report.aids:
        if row.state is not AidState.IN_SYNC:
            session.warn(f"recovery aid {row.aid} was not updated: {'; '.join(row.reasons)}")


def _made(session: Session, address: str, uses: Sequence[str]) -> tuple[AidRecord, list[tuple[AidUse, str]]]:
    """The record as it should be, and each aid with the place that its plugin is given."""
    chosen = parse_uses(session, uses or session.policy.aids)
    if not chosen:
        raise UsageError(
            "no recovery aid is named", hint="name one, such as file:/media/stick/box.ipaid, or set [aids] use"
        )
    with open_target(address) as target:
        record, own = record_of(session, target), _own_place(target)
    return record, [(use, use.target or own) for use in chosen]


def _own_place(target: Target) -> str:
    """The partition itself in the language of aids that live in it: ``PATH`` or ``PATH@OFFSET``."""
    if isinstance(target.volume, FileVolume):
        return str(target.volume.path)
    return f"{target.path}@{target.start}"


def _agree(session: Session, address: str, places: Sequence[tuple[AidUse, str]]) -> None:
    """A question only if something is written to the device itself."""
    inside = [str(use) for use, _ in places if not use.target]
    if inside:
        session.ask(f"Write the recovery aids {', '.join(inside)} to {address}?")


def _write(use: AidUse, place: str, record: AidRecord) -> None:
    use.aid.write(place, record.model_copy(update={"generation": _generation(use, place) + 1}))


def _generation(use: AidUse, place: str) -> int:
    try:
        return use.aid.read(place).generation
    except (NoImageFound, IntegrityError):
        return 0


def _row(use: AidUse, place: str, record: AidRecord, *, written: bool = False) -> AidRow:
    fault = AidCheck(state=AidState.STALE, reasons=("its plugin failed",))
    check = ask(use.aid, partial(use.aid.check, place, record), fault, lambda _: None)
    return AidRow(str(use), check.state, check.reasons, written)


def _mended(use: AidUse, place: str, record: AidRecord, row: AidRow) -> AidRow:
    try:
        _write(use, place, record)
    except InpartError as error:
        return AidRow(row.aid, row.state, (*row.reasons, error.message))
    after = _row(use, place, record, written=True)
    return AidRow(row.aid, after.state, row.reasons, written=True)
