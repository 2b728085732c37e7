"""The null aid: one record per file, replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from inpart.checksums import blake3_digest
from inpart.contracts import AidCheck, AidRecord, check_record, parse_record
from inpart.errors import IntegrityError, NoImageFound
from inpart.volume import Volume

_SIZE_LIMIT = 64 << 20


class NullAid:
    """``target`` is the path of a file: the BLAKE3 of the record in hexadecimal, a line feed, the record as JSON."""

    name = "null"
    api_version = 1
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
        with open(path, "rb") as file:
            digest, _, body = file.read(_SIZE_LIMIT).partition(b"\n")
        if digest != blake3_digest(body).hex().encode():
            raise IntegrityError(f"the checksum of the aid at {target} is wrong")
        return parse_record(body)

    def check(self, target: str, record: AidRecord) -> AidCheck:
        """What every aid answers."""
        return check_record(lambda: self.read(target), record)

    def find(self, volume: Volume) -> list[AidRecord]:
        """A file is not on the disk that it describes."""
        return []
