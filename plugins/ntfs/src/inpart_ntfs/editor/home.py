"""The directory ``/.inpart`` as it stands: finding it, its files and their clusters, and dropping files."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import CLAIMS_DIRECTORY, Claim, Stage
from inpart.errors import FilesystemDamaged, FilesystemUnsupported, InpartError
from inpart.extents import Runs

from inpart_ntfs.codes import AttributeType, FileAttribute, Namespace, Number, RecordFlag
from inpart_ntfs.editor.clusters import Numbers
from inpart_ntfs.editor.drafts import Draft, load
from inpart_ntfs.editor.folder import Folder
from inpart_ntfs.editor.ground import Ground
from inpart_ntfs.editor.nodes import Entry
from inpart_ntfs.editor.streams import rows_of_stream
from inpart_ntfs.filesystem import NtfsFilesystem
from inpart_ntfs.runs import HOLE, byte_runs
from inpart_ntfs.streams import Stream
from inpart_ntfs.structs import STANDARD_INFORMATION, field_offset

NAME = CLAIMS_DIRECTORY[1:].encode("utf-16-le")
_ATTRIBUTES = field_offset(STANDARD_INFORMATION, "file_attributes")
_HINT = "run chkdsk on the file system; images can still be found with `inpart locate`"
_FOREIGN = "this is for inpart alone; rename what stands there"


@dataclass(frozen=True)
class HomeFile:
    """A file in ``/.inpart`` with all entries that lead to it, the one with its long name first."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Owned:
    """A file that is there: first cluster and count of what it owns, and its size in bytes."""

    file: HomeFile
    draft: Draft
    rows: Numbers
    size: int


def find_home(ground: Ground, root: Folder) -> Folder | None:
    """The directory, if there is one. Raises FilesystemUnsupported if something else has its name."""
    entry = root.tree.find(NAME)
    if entry is None:
        return None
    draft = load(ground.mft, entry.record)
    if draft.get("sequence_number") != entry.sequence:
        raise FilesystemDamaged(f"{CLAIMS_DIRECTORY} leads to record {entry.record}, which is something else now")
    if draft.find(AttributeType.REPARSE_POINT) is not None:
        raise _foreign("is a reparse point")
    if not draft.get("flags") & RecordFlag.IS_DIRECTORY:
        raise _foreign("is a file, not a directory")
    information = draft.find(AttributeType.STANDARD_INFORMATION)
    value = information.value if information is not None else b""
    flags = int.from_bytes(value[_ATTRIBUTES : _ATTRIBUTES + 4], "little")
    for flag in (FileAttribute.COMPRESSED, FileAttribute.ENCRYPTED):
        if flags & flag:
            raise _foreign(f"is {flag.name.lower() if flag.name else flag}")
    return Folder(ground, draft)


def files_in(home: Folder) -> dict[bytes, HomeFile]:
    """Everything in the directory, by its long name."""
    grouped: dict[int, list[Entry]] = {}
    for entry in home.tree.entries():
        grouped.setdefault(entry.reference, []).append(entry)
    found = {}
    for entries in grouped.values():
        entries.sort(key=lambda entry: entry.namespace == Namespace.DOS)
        found[entries[0].name] = HomeFile(tuple(entries))
    return found


def names_in(draft: Draft, number: int) -> list[bytes]:
    """All names that a file has in a directory, UTF-16LE."""
    keys = [Entry(0, one.value) for one in draft.attributes if one.type == AttributeType.FILE_NAME]
    return [key.name for key in keys if key.parent == number]


def owned_file(ground: Ground, file: HomeFile) -> Owned:
    """What a file owns. Raises FilesystemUnsupported for one that is none of ours."""
    entry = file.entries[0]
    draft = load(ground.mft, entry.record)
    data = draft.find(AttributeType.DATA)
    others = any(one.rows is not None for one in draft.attributes if one is not data)
    if data is None or others or data.flags or data.value or (rows_of_stream(data)[:, 1] == HOLE).any():
        name = entry.name.decode("utf-16-le", "replace")
        raise FilesystemUnsupported(f"{CLAIMS_DIRECTORY}/{name} was not made by inpart", hint=_FOREIGN)
    return Owned(file, draft, rows_of_stream(data)[:, 1:], data.data_size)


def drop(ground: Ground, draft: Draft) -> None:
    """Delete the records of a file that no name leads to after SWITCH, and give back those and its attribute list.

    The clusters of its content are not given back.
    """
    for number in draft.records:
        ground.drop_record(number, Stage.FOLLOW if number == draft.number else Stage.RELEASE)
    if draft.listing is not None and draft.listing.non_resident:
        ground.ledger.give(draft.listing.rows[:, 1:])


def read_claims(fs: NtfsFilesystem) -> tuple[Claim, ...]:
    """The files in ``/.inpart`` that own clusters, or are empty, by name. Raises FilesystemDamaged."""
    where = fs.reader.find(Number.ROOT, CLAIMS_DIRECTORY[1:])
    if where is None or not where[0].is_directory(where[1]):
        return ()
    folder = fs.reader.folder(int(where[0].record[where[1]]))
    claims = []
    for index in folder.listed().tolist():
        data = fs.mft.assembled(int(folder.record[index])).stream(AttributeType.DATA)
        if data is not None and (data.non_resident or not data.value) and not folder.is_directory(index):
            claims.append(_claim(folder.name(index), data, fs.boot.cluster_size))
    return tuple(sorted(claims, key=lambda claim: claim.name))


def _claim(name: str, data: Stream, cluster_size: int) -> Claim:
    runs, size = byte_runs(data.rows, cluster_size), data.data_size
    holes = bool((runs.array[:, 0] == Runs.HOLE).any())
    if holes or data.first.flags or runs.total != -(-size // cluster_size) * cluster_size:
        message = f"{CLAIMS_DIRECTORY}/{name} has {size} bytes in {runs.total} bytes of clusters"
        raise FilesystemDamaged(message, hint=_HINT)
    return Claim(name, runs, size)


def _foreign(what: str) -> InpartError:
    """The error for something else that has the name."""
    return FilesystemUnsupported(f"{CLAIMS_DIRECTORY} {what}", hint=_FOREIGN)
