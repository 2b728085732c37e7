"""Reading an image back after it was written, before anybody is told that it exists."""

from __future__ import annotations

from pathlib import Path

from inpart.contracts import Finding, SearchMethod, Severity, StoredImage
from inpart.errors import IntegrityError
from inpart.image import ImageReader
from inpart.operations.health import describe, errors_of
from inpart.operations.images import open_reader
from inpart.operations.partition import Mounted
from inpart.operations.session import Session
from inpart.operations.stores import locate
from inpart.volume import FileVolume

_FAILING = "the medium may be failing"
DAMAGED = "`inpart verify` names the files that are hit; choose another image"


def read_back_store(session: Session, mounted: Mounted, image_id: bytes) -> StoredImage:
    """Find the image as anybody would, check the file system and every stored byte. Raises IntegrityError.

    All of it is read from the medium, unless the policy wants no byte to be read back.
    """
    if session.policy.verify != "none":
        mounted.volume.forget()
    errors = errors_of(mounted.reopened().filesystem)
    if errors:
        raise IntegrityError(f"after the image was written the file system has errors: {describe(errors)}")
    located = locate(session, mounted.volume, (SearchMethod.CLAIMS,))
    found = next((one for one in located.images if one.summary.image_id == image_id), None)
    if found is None:
        raise IntegrityError("the image was written and cannot be found again", hint=_FAILING)
    reader = open_reader(session, located, found)
    if reader.findings or found.image.state != "committed":
        told = reader.findings[0].message if reader.findings else f"is {found.image.state}"
        raise IntegrityError(f"the image was written and does not read back as a whole: {told}", hint=_FAILING)
    check_stored(session, reader, _FAILING)
    return found.image


def read_back_file(session: Session, path: Path, parent: ImageReader | None) -> None:
    """Check every stored byte of an image stream in a file. Raises IntegrityError."""
    with FileVolume(path) as file, file.medium() as volume:
        check_stored(session, ImageReader(volume, session.plugins.encodings_by_id, parent), _FAILING)


def check_stored(session: Session, reader: ImageReader, hint: str) -> None:
    """As much of the image as the policy wants to be checked. Raises IntegrityError with the first finding."""
    level = session.policy.verify
    if level == "none":
        return
    with session.progress.phase("checking the image", reader.manifest.stored_bytes) as advance:
        for finding in reader.verify("full" if level == "full" else "stored", advance):
            raise IntegrityError(f"{finding.where}: {finding.message}", hint=hint)


def check_restorable(session: Session, reader: ImageReader) -> None:
    """The same before a restore: what is damaged, and held elsewhere as well, is only worth a warning."""
    level = session.policy.verify
    if level == "none":
        return
    found: list[Finding] = []
    with session.progress.phase("checking the image", reader.manifest.stored_bytes) as advance:
        for finding in reader.verify("full" if level == "full" else "stored", advance):
            if finding.severity is Severity.ERROR:
                raise IntegrityError(f"{finding.where}: {finding.message}", hint=DAMAGED)
            found.append(finding)
    if found:
        first = f"{found[0].where}: {found[0].message}"
        session.warn(f"{len(found)} places of the image are damaged, and what they held is there once more: {first}")
