"""The writing half of a restore: the anchors away first, everything else, the anchors back last, then proof."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from inpart.errors import IntegrityError, Interrupted, NoSpace, VolumeError
from inpart.extents import Extents, Runs
from inpart.image import ImageReader
from inpart.operations.compose import Composition
from inpart.operations.copying import CopyRequest, Written, copy_extents, read_back
from inpart.operations.health import describe, errors_of
from inpart.operations.session import Session
from inpart.transaction import RestoreRecord, clear_restore_record, write_restore_record
from inpart.volume import Volume


@dataclass(frozen=True)
class Rewrite:
    """A composition on its way to ``target``. ``journal`` is the place of the restore record, empty for none.

    ``aids`` are recovery aids that it overwrites, to be written again after it. ``afterwards`` is done when the file
    system is whole again and before the restore counts as finished.
    """

    target: Volume
    composition: Composition
    image: ImageReader
    store_id: bytes
    journal: Runs
    retain: bool
    changed_only: bool
    allow_incomplete: bool
    fresh: bool
    aids: tuple[str, ...]
    afterwards: Callable[[], None]


def rewrite(session: Session, job: Rewrite) -> int:
    """Write, flush and read back; returns the bytes written.

    Until the last write the file system is not recognised by anybody: a cut leaves a partition that does not mount
    and a record from which ``resume`` goes on. Raises IntegrityError, VolumeError, Interrupted; each says how to go on.
    """
    name = job.target.name
    hint = f"finish it with: inpart resume {name}" if job.journal else "repeat the same restore"
    try:
        return _rewrite(session, job)
    except KeyboardInterrupt:
        if job.fresh:
            raise
        raise Interrupted(f"interrupted: {name} is restored in part and does not mount", hint=hint) from None
    except NoSpace as error:
        if not job.fresh:
            error.hint = f"free some space for it, then {hint}"
        raise
    except VolumeError as error:
        error.hint = error.hint or hint
        raise


def _rewrite(session: Session, job: Rewrite) -> int:
    if job.journal:
        write_restore_record(job.target, job.journal, _record(job))
    anchors = Extents()
    for anchor in job.composition.anchors:
        anchors |= anchor & job.composition.extents
    for start, end in () if job.fresh else anchors:
        job.target.write(start, bytes(end - start))
    job.target.flush()
    body = _copy(session, job, job.composition.extents - anchors, "restoring", changed_only=job.changed_only)
    job.target.flush()
    for anchor in reversed(job.composition.anchors):
        last = _copy(session, job, anchor & job.composition.extents, "completing", changed_only=False)
        job.target.flush()
        body = Written(body.written + last.written, body.checksums + last.checksums)
    _prove(session, job, body)
    job.afterwards()
    if job.journal:
        clear_restore_record(job.target, job.journal)
    return body.written


def _record(job: Rewrite) -> RestoreRecord:
    options = {
        "retain": job.retain,
        "changed_only": job.changed_only,
        "allow_incomplete": job.allow_incomplete,
        "aids": job.aids,
    }
    return RestoreRecord(job.image.manifest.id_bytes, job.store_id, json.dumps(options).encode())


def _copy(session: Session, job: Rewrite, extents: Extents, name: str, *, changed_only: bool) -> Written:
    composition = job.composition
    request = CopyRequest(
        composition.view, job.target, extents, job.image, composition.altered, changed_only, job.fresh
    )
    with session.progress.phase(name, extents.total) as advance:
        return copy_extents(request, advance)


def _prove(session: Session, job: Rewrite, written: Written) -> None:
    """Read back what was written, and let the file system check itself.

    A new file is read back only with ``full``: each chunk of it was proven by its digest, and it can be made again.
    """
    if session.policy.verify == "full" or (session.policy.verify == "stored" and not job.fresh):
        job.target.forget()
        total = sum(extents.total for extents, _ in written.checksums)
        with session.progress.phase("reading back", total) as advance:
            read_back(job.target, written, advance)
    if job.composition.provider is None:
        return
    filesystem = job.composition.provider.open(job.target)
    errors = errors_of(filesystem)
    if errors:
        raise IntegrityError(f"{job.target.name}: after the restore the file system has errors: {describe(errors)}")
