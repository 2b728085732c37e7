"""The null aid: one record per file, replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from inpart.checksums import blake3_digest
from inpart.contracts import API_VERSION, AidCheck, AidRecord, AidState
from inpart.errors import InpartError, IntegrityError, NoImageFound
from inpart.volume import Volume

_SIZE_LIMIT = 64 << 20


class NullAid:
    """``target`` is the path of a file: the BLAKE3 of the record in hexadecimal, a line feed, the record as JSON."""

    name = "null"
    api_version = API_VERSION
    summary = "a record in a file, for tests"

    def write(self, target: str, record: AidRecord) -> None:
        """Beside the old file first, then in its place."""
        body = record.model_dump_json().encode()
        path, new = Path(target), Path(f"{target}.new")
        with open(new, "wb") as file:
            file.write(blake3_digest(body).hex().encode() + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)

    def read(self, target: str) -> AidRecord:
        """Raises NoImageFound, IntegrityError."""
        path = Path(target)
        if not path.is_file():
            raise NoImageFound(f"there is no aid at {target}")
        if path.stat().st_size > _SIZE_LIMIT:
            raise IntegrityError(f"the aid at {target} is too large to be one")
        digest, _, body = path.read_bytes().partition(b"\n")
        try:
            record = AidRecord.model_validate_json(body)
        except ValidationError as error:
            raise IntegrityError(f"the aid at {target} is damaged: {error}") from error
        if digest != blake3_digest(body).hex().encode():
            raise IntegrityError(f"the checksum of the aid at {target} is wrong")
        return record

    def check(self, target: str, record: AidRecord) -> AidCheck:
        """Field by field, the generation left out."""
        try:
            stored = self.read(target)
        except NoImageFound as error:
            return AidCheck(state=AidState.MISSING, reasons=(str(error),))
        except InpartError as error:
            return AidCheck(state=AidState.STALE, reasons=(str(error),))
        differing = [
            f"{field} is {getattr(record, field)!r} on the disk and {getattr(stored, field)!r} in the aid"
            for field in AidRecord.model_fields
            if field != "generation" and getattr(stored, field) != getattr(record, field)
        ]
        return AidCheck(state=AidState.STALE if differing else AidState.IN_SYNC, reasons=tuple(differing))

    def find(self, volume: Volume) -> list[AidRecord]:
        """A file is not on the disk that it describes."""
        return []
