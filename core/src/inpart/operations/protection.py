"""Whether the file system still keeps away from the stores, and mending it and the stores' tables where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inpart.contracts import CLAIMS_DIRECTORY, Claim, Finding, SearchMethod, Severity, Store
from inpart.errors import InpartError, IntegrityError
from inpart.extents import Extents
from inpart.operations.aids.upkeep import refresh_aids
from inpart.operations.journals import free_place, refuse_unfinished
from inpart.operations.partition import Mounted, open_healthy
from inpart.operations.session import Session, uninterruptible
from inpart.operations.stores import EVERY, claims_of, locate
from inpart.partitions import open_target
from inpart.transaction import Transaction
from inpart.volume import Access, Volume


def unprotected(session: Session, volume: Volume, stores: Sequence[Store]) -> list[Finding]:
    """A finding for each file of a store that a readable file system does not have where the store says (S130, S131).

    Something else deleted or moved it: a defragmenter, a resizer, a person. Its clusters may be overwritten any time.
    """
    claims = claims_of(session, volume)
    if claims is None:
        return []
    return [_finding(claim, present) for store in stores for claim, present in _strayed(store, claims)]


def _strayed(store: Store, claims: Sequence[Claim]) -> list[tuple[Claim, Claim | None]]:
    present = {claim.name: claim for claim in claims}
    wanted = store.claims().claims if store.base == 0 else ()
    found = [(claim, present.get(claim.name)) for claim in wanted]
    return [(claim, there) for claim, there in found if there is None or there.runs != claim.runs]


def _finding(claim: Claim, present: Claim | None) -> Finding:
    what = "is not there" if present is None else "was moved by something else"
    message = f"the file {what}: the file system may overwrite its clusters, until `inpart repair` claims them again"
    return Finding(Severity.ERROR, "store.unprotected", f"{CLAIMS_DIRECTORY}/{claim.name}", message)


@dataclass(frozen=True)
class Mended:
    """What was put right: files claimed again, and findings of the stores whose tables were written anew."""

    claimed: tuple[str, ...]
    findings: tuple[Finding, ...]
    dry_run: bool = False


def repair_stores(session: Session, address: str, *, dry_run: bool = False) -> Mended:
    """Write lost tables again and claim what is not claimed any more.

    Raises IntegrityError, before anything is written, if clusters of a store are used by something else; and what
    ``open_healthy`` raises.
    """
    with open_target(address, Access.READ if dry_run else Access.WRITE) as target:
        mounted = open_healthy(session, target.volume)
        located = locate(session, target.volume, EVERY, target)
        refuse_unfinished(session, target.volume, located.stores)
        stores = [store for store in located.stores if store.base == 0]
        if not stores:
            raise located.nothing()
        strays = [claim.name for store in stores for claim, _ in _strayed(store, mounted.editor().claims())]
        found = [finding for store in stores for finding in store.findings]
        findings = tuple(finding for finding in found if finding.severity is not Severity.NOTE)
        for store in stores:
            _refuse_taken(mounted, store)
        mended = Mended(tuple(strays), findings, dry_run)
        if not dry_run and (strays or findings):
            session.ask(f"Mend the tables and claims of {len(stores)} stores in {target.volume.name}?")
            for store in stores:
                _mend(mounted, store)
    if not dry_run:
        refresh_aids(session, address)
    return mended


def mend_tables(session: Session, volume: Volume) -> None:
    """Write again the tables that a restored partition's stores have lost; what cannot be mended is a warning."""
    located = locate(session, volume, (SearchMethod.CLAIMS,))
    for store in located.stores:
        broken = [finding for finding in store.findings if finding.severity is not Severity.NOTE]
        if store.base != 0 or not broken:
            continue
        try:
            mounted = open_healthy(session, volume)
            _refuse_taken(mounted, store)
            _mend(mounted, store)
        except InpartError as error:
            session.warn(f"{broken[0].where}: {broken[0].message}; it could not be mended: {error.message}")


def _refuse_taken(mounted: Mounted, store: Store) -> None:
    editor = mounted.editor()
    own = Extents()
    for claim in editor.claims():
        own |= claim.runs.extents()
    taken = store.extents() - store.claims().directory.extents() - editor.free() - own
    if taken:
        raise IntegrityError(
            f"{mounted.volume.name}: {taken.total} bytes of the images' place, from byte {taken.start} on, belong to "
            "other files by now",
            hint="export the images that verify calls sound, then delete /.inpart and import them again",
        )


def _mend(mounted: Mounted, store: Store) -> None:
    tx = Transaction(mounted.volume)
    change = store.repair(tx)
    present = mounted.editor(tx.view).claims()
    moved = [claim.name for claim, there in _strayed(store, present) if there is not None]
    gone = [claim.name for claim in present if claim.name in {*change.release, *moved}]
    if gone:
        mounted.editor(tx.view).release(gone, tx)
    mounted.editor(tx.view).claim(change.claims, tx, directory=change.directory)
    free = mounted.editor().free() - tx.changed()
    place = store.journal() or free_place(mounted.volume, free, mounted.filesystem.info.cluster_size)
    with uninterruptible():
        tx.commit(place or None)
