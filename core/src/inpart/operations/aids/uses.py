"""Which recovery aids there are to ask: those given, those of the configuration, those that a disk shows by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from inpart.contracts import PartitionAid, RecoveryAid
from inpart.errors import InpartError, NoImageFound, UsageError
from inpart.operations.aids.homes import home_at, records_on_disk
from inpart.operations.session import Session
from inpart.partitions import Target
from inpart.plugins import ask
from inpart.volume import Volume

if TYPE_CHECKING:
    from inpart.contracts import AidRecord


@dataclass(frozen=True)
class AidUse:
    """A kind of aid and its place, as ``KIND:TARGET``; without a target the place is the partition itself."""

    aid: RecoveryAid
    target: str

    def __str__(self) -> str:
        return f"{self.aid.name}:{self.target}" if self.target else self.aid.name


def parse_use(session: Session, text: str) -> AidUse:
    """Raises UsageError if there is no such kind."""
    kind, _, target = text.partition(":")
    if not kind:
        raise UsageError(f"{text!r} names no recovery aid", hint="write KIND:TARGET, such as file:/media/stick/a.ipaid")
    return AidUse(session.plugins.aid(kind), target)


def parse_uses(session: Session, texts: Iterable[str]) -> tuple[AidUse, ...]:
    """Each of them once. Raises UsageError."""
    return tuple(parse_use(session, text) for text in dict.fromkeys(texts))


def known_records(session: Session, volume: Volume, target: Target | None = None) -> list[AidRecord]:
    """Every record that can be had: given aids, configured ones, and those found on ``volume`` or its disk.

    What cannot be read is worth a warning if it was asked for, or if it is there and damaged: other ways are left.
    """
    records: list[AidRecord] = []
    for text in dict.fromkeys((*session.aids, *session.policy.aids)):
        try:
            use = parse_use(session, text)
            if use.target:
                records += ask(use.aid, partial(records_of, use), [], session.warn)
        except NoImageFound as error:
            if text in session.aids:
                session.warn(error.message)
        except InpartError as error:
            session.warn(f"recovery aid {text}: {error.message}")
    for aid in session.plugins.aids:
        records += records_on_disk(session, aid, volume, target)
    return records


def records_of(use: AidUse) -> list[AidRecord]:
    """Everything that a given aid says. Raises NoImageFound, IntegrityError, UsageError, VolumeError."""
    if isinstance(use.aid, PartitionAid):
        return use.aid.records(str(home_at(use.aid, use.target)))
    return [use.aid.read(use.target)]
