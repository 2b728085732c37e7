"""The text of an aid file: a line that says what it is, a line with its checksum, the record as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inpart.checksums import blake3_digest
from inpart.errors import IntegrityError

if TYPE_CHECKING:
    from inpart.contracts import AidRecord

VERSION = 1
FILE_LIMIT = 33 << 20
_TITLE = b"inpart recovery aid, version "
_SUM = b"blake3 "
_LONGEST_LINE = 128


def pack(record: AidRecord) -> bytes:
    """The whole file."""
    body = record.model_dump_json(indent=1).encode() + b"\n"
    return _TITLE + b"%d\n" % VERSION + _SUM + blake3_digest(body).hex().encode() + b"\n" + body


def is_aid(content: bytes) -> bool:
    """True if the file says that it is an aid, whole or not."""
    return content.startswith(_TITLE)


def unpack(content: bytes, name: str) -> AidRecord:
    """The record in the file called ``name``. Raises IntegrityError, whatever is wrong with it."""
    from inpart.contracts import parse_record  # noqa: PLC0415 - pydantic takes longer to load than a probe runs

    title, _, rest = content.partition(b"\n")
    if len(content) > FILE_LIMIT or not is_aid(content):
        raise IntegrityError(f"{name} is not a recovery aid")
    version = title[len(_TITLE) : _LONGEST_LINE]
    if version != b"%d" % VERSION:
        raise IntegrityError(
            f"{name} is a recovery aid of version {version.decode(errors='replace')}; this inpart knows {VERSION}",
            hint="a newer inpart wrote it; update inpart, or write the aid again",
        )
    line, _, body = rest.partition(b"\n")
    if line != _SUM + blake3_digest(body).hex().encode():
        raise IntegrityError(f"{name}: its checksum is wrong: it is damaged, or was changed by hand")
    return parse_record(body)
