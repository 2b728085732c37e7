"""A plugin of API version 1 with a provider of each kind, frozen in November 2026. Never to be changed."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from inpart.contracts import (
    AidCheck,
    AidRecord,
    AidState,
    Claim,
    Edits,
    Encoding,
    Entry,
    EntryType,
    FilesystemEditor,
    FilesystemInfo,
    FilesystemProvider,
    Finding,
    ImageSummary,
    Layout,
    Place,
    Plan,
    PlanRequest,
    Probe,
    RecoveryAid,
    Search,
    Severity,
    Stage,
    State,
    Store,
    StoreChange,
    StoredImage,
    SystemArea,
    Vacated,
    Verdict,
)
from inpart.errors import FilesystemDamaged, IntegrityError, NoImageFound, NoSpace, UsageError
from inpart.extents import Extents, Runs
from inpart.hookspecs import hookimpl
from inpart.volume import Buffer, SliceVolume, Volume
from pydantic import BaseModel

MAGIC = b"OLDFS\0\0\0"
CLUSTER = 4096
FIRST = 2 * CLUSTER
RECORD = struct.Struct("<16sII")
RECORDS = 64


class OldFilesystem(FilesystemEditor):
    """One magic number, 64 records of name, first cluster and count; a record without a name is free space."""

    def __init__(self, volume: Volume) -> None:
        if volume.size < 4 * CLUSTER or volume.read(0, len(MAGIC)) != MAGIC:
            raise FilesystemDamaged("there is no old file system", hint="none")
        self.volume = volume
        end = volume.size - volume.size % CLUSTER
        used = self._used().total
        self.info = FilesystemInfo(
            kind="old",
            label="OLD",
            uuid="0",
            cluster_size=CLUSTER,
            size=end,
            data_start=FIRST,
            data_end=end,
            used_bytes=used,
            free_bytes=end - FIRST - used,
            state=State.CLEAN,
            notes=(),
        )

    def _records(self) -> Iterator[tuple[int, str, Runs]]:
        data = self.volume.read(CLUSTER, RECORDS * RECORD.size)
        for number, (name, first, count) in enumerate(RECORD.iter_unpack(data)):
            if name.strip(b"\0"):
                yield number, name.rstrip(b"\0").decode(), Runs([(FIRST + first * CLUSTER, count * CLUSTER)])

    def _used(self) -> Extents:
        return Extents(pair for _, _, runs in self._records() for pair in runs.extents())

    def allocated(self) -> Extents:
        return self._used() | Extents.span(0, FIRST)

    def system_areas(self) -> tuple[SystemArea, ...]:
        return (SystemArea("magic", Extents.span(0, 512), True), SystemArea("records", Extents.span(CLUSTER, FIRST)))

    def check(self) -> Iterator[Finding]:
        if sum(runs.total for _, _, runs in self._records()) != self._used().total:
            yield Finding(Severity.ERROR, "old.shared", "records", "clusters belong to two files")

    def walk(self, path: str = "/") -> Iterator[Entry]:
        if path != "/":
            self._find(path)
            return
        for number, name, runs in self._records():
            if "/" not in name:
                yield Entry(f"/{name}", EntryType.FILE, runs.total, datetime(2026, 1, 1, tzinfo=UTC), number)

    def list(self, path: str = "/") -> Iterator[Entry]:
        return self.walk(path) if path == "/" else iter([self.stat(path)])

    def stat(self, path: str) -> Entry:
        if path == "/":
            return Entry("/", EntryType.DIR, 0, None)
        return Entry(path, EntryType.FILE, self._find(path).total, None)

    def read(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        runs = self._find(path)
        part = runs.slice(offset, runs.total if length is None else length)
        return iter([self.volume.read(start, size) for start, size in part])

    def runs(self, path: str) -> Runs:
        return Runs() if path == "/" else self._find(path)

    def _find(self, path: str) -> Runs:
        for _, name, runs in self._records():
            if f"/{name}" == path:
                return runs
        raise UsageError(f"there is no {path}", hint="look with `inpart ls`")

    def free(self) -> Extents:
        return self._used().complement(self.info.data_start, self.info.data_end)

    def immovable(self) -> Extents:
        return Extents()

    def vacate(self, region: Extents, tx: Edits, *, avoid: Extents) -> Vacated:
        moved = 0
        for number, name, runs in list(self._records()):
            if not runs.extents() & region or tx.full:
                continue
            room = [pair for pair in self.free() - region - avoid - tx.fresh if pair[1] - pair[0] >= runs.total]
            if not room:
                raise NoSpace(f"{name} needs {runs.total} bytes", hint="make room")
            tx.copy(runs.extents().start, room[0][0], runs.total)
            self._put(tx, number, name, Runs([(room[0][0], runs.total)]), Stage.SWITCH)
            moved += runs.total
        return Vacated(moved, (self._used() & region).total)

    def claim(self, claims: Sequence[Claim], tx: Edits, *, directory: Runs) -> None:
        for claim in claims:
            taken = [number for number, name, _ in self._records() if name == f".i/{claim.name}"]
            unused = sorted(set(range(RECORDS)) - {number for number, _, _ in self._records()})
            self._put(tx, (taken or unused)[0], f".i/{claim.name}", claim.runs, Stage.SWITCH)

    def release(self, names: Sequence[str], tx: Edits) -> None:
        for number, name, _ in list(self._records()):
            if name.removeprefix(".i/") in names:
                self._put(tx, number, "", Runs(), Stage.RELEASE)

    def claims(self) -> tuple[Claim, ...]:
        found = [(name, runs) for _, name, runs in self._records() if name.startswith(".i/")]
        return tuple(Claim(name[3:], runs, runs.total) for name, runs in found)

    def adapt(self, place: Place, tx: Edits) -> None:
        tx.edit(8, place.start.to_bytes(8, "little"), Stage.SWITCH)

    def _put(self, tx: Edits, number: int, name: str, runs: Runs, stage: Stage) -> None:
        first, count = (int(runs.array[0, 0]) - FIRST, runs.total) if len(runs) else (0, 0)
        record = RECORD.pack(name.encode(), first // CLUSTER, count // CLUSTER)
        tx.edit(CLUSTER + number * RECORD.size, record, stage)


class OldProvider:
    """Recognises the old file system."""

    name = "old"
    api_version = 1
    summary = "a file system from the days of API version 1"

    def probe(self, volume: Volume) -> Probe:
        mine = volume.size >= 4 * CLUSTER and volume.read(0, len(MAGIC)) == MAGIC
        return Probe(Verdict.MINE, "old", "") if mine else Probe(Verdict.NOT_MINE)

    def open(self, volume: Volume) -> OldFilesystem:
        return OldFilesystem(volume)


class OldParameters(BaseModel):
    """None."""


class OldEncoding:
    """Bytes back to front."""

    name = "old"
    api_version = 1
    summary = "bytes back to front"
    encoding_id = 65000
    parameters = OldParameters()

    def configured(self, argument: str) -> OldEncoding:
        raise UsageError("old has no parameters", hint="write old")

    def encode(self, data: Buffer) -> bytes:
        return bytes(data)[::-1]

    def decode(self, data: Buffer, size: int) -> bytes:
        if len(data) != size:
            raise IntegrityError("another size")
        return bytes(data)[::-1]


class OldStore:
    """One image at the end of the partition: a page of JSON, room for a journal, the stream."""

    layout = "old"
    findings: tuple[Finding, ...] = ()

    def __init__(self, volume: Volume, head: dict[str, object]) -> None:
        self.volume = volume
        self.base = 0
        self.store_id = bytes.fromhex(str(head["id"]))
        self.partition_size = volume.size
        self.start, self.end, self.size = (int(str(head[key])) for key in ("start", "end", "size"))
        created = datetime.fromisoformat(str(head["created"]))
        summary = ImageSummary(
            self.store_id, str(head["name"]), str(head["kind"]), created,
            stream_size=self.size, image_bytes=int(str(head["used"])), digest=bytes.fromhex(str(head["digest"])),
        )  # fmt: skip
        self.images = (StoredImage(summary, self.extents(), "committed", ("old.ipi",)),)

    def extents(self) -> Extents:
        return Extents.span(self.start, self.end)

    def open(self, image_id: bytes) -> Volume:
        if image_id != self.store_id:
            raise NoImageFound("there is one image", hint="take it")
        return SliceVolume(self.volume, self.start + 17 * CLUSTER, self.size, name="old image")

    def claims(self) -> StoreChange:
        runs = Runs([(self.start, self.end - self.start)])
        return StoreChange(claims=(Claim("old.ipi", runs, runs.total),))

    def journal(self) -> Runs:
        return Runs([(self.start + CLUSTER, 16 * CLUSTER)])

    def remove(self, image_ids: Sequence[bytes], tx: Edits) -> StoreChange:
        tx.edit(self.start, bytes(8), Stage.SWITCH)
        return StoreChange(release=("old.ipi",))

    def repair(self, tx: Edits) -> StoreChange:
        return self.claims()


class OldWriter:
    """Writes the one image."""

    def __init__(self, volume: Volume, plan: Plan, image_id: bytes) -> None:
        self.volume, self.plan, self.image_id, self.size = volume, plan, image_id, 0
        self.head: dict[str, object] = {}

    def write(self, data: Buffer) -> None:
        if self.size + len(data) > self.plan.capacity:
            raise NoSpace(f"more than {self.plan.capacity} bytes")
        self.volume.write(self.plan.region.start + 17 * CLUSTER + self.size, data)
        self.size += len(data)

    def finish(self, summary: ImageSummary) -> None:
        self.head = {
            "magic": "OLD1", "id": self.image_id.hex(), "start": self.plan.region.start, "end": self.plan.region.end,
            "size": self.size, "name": summary.name, "kind": summary.kind, "created": summary.created.isoformat(),
            "used": summary.image_bytes, "digest": summary.digest.hex(),
        }  # fmt: skip
        self.volume.flush()

    def publish(self, tx: Edits) -> StoreChange:
        tx.edit(self.plan.region.start, json.dumps(self.head).encode().ljust(CLUSTER, b"\0"), Stage.PUBLISH)
        return OldStore(self.volume, self.head).claims()

    def journal(self) -> Runs:
        return Runs([(self.plan.region.start + CLUSTER, 16 * CLUSTER)])

    def abandon(self) -> None:
        self.head = {}


class OldLayout:
    """One image at the end."""

    name = "old"
    api_version = 1
    summary = "one image at the end of the partition"

    def plan(self, request: PlanRequest, store: Store | None) -> Plan:
        need = (18 + request.upper // CLUSTER) * CLUSTER
        if store is not None or need + request.min_free > request.free.total:
            raise NoSpace(f"{need} bytes are needed, {request.free.total} are free")
        region = Extents.span(request.data_end - need, request.data_end)
        return Plan(region, region - request.free, need - 17 * CLUSTER, "at the end", None)

    def writer(self, volume: Volume, plan: Plan, store: Store | None, image_id: bytes) -> OldWriter:
        return OldWriter(volume, plan, image_id)

    def locate(self, volume: Volume, search: Search) -> Sequence[OldStore]:
        for start in range(volume.size - volume.size % CLUSTER - CLUSTER, 0, -CLUSTER):
            page = volume.read(start, CLUSTER).rstrip(b"\0")
            if page.startswith(b'{"magic": "OLD1"'):
                return [OldStore(volume, json.loads(page))]
        return []


class OldAid:
    """A record in a file."""

    name = "old"
    api_version = 1
    summary = "a record in a file"

    def write(self, target: str, record: AidRecord) -> None:
        Path(target).write_text(record.model_dump_json())

    def read(self, target: str) -> AidRecord:
        if not Path(target).exists():
            raise NoImageFound("no aid")
        return AidRecord.model_validate_json(Path(target).read_text())

    def check(self, target: str, record: AidRecord) -> AidCheck:
        same = self.read(target).images == record.images
        return AidCheck(state=AidState.IN_SYNC if same else AidState.STALE, reasons=() if same else ("images differ",))

    def find(self, volume: Volume) -> list[AidRecord]:
        return []


@hookimpl
def inpart_filesystems() -> Sequence[FilesystemProvider]:
    return [OldProvider()]


@hookimpl
def inpart_encodings() -> Sequence[Encoding]:
    return [OldEncoding()]


@hookimpl
def inpart_layouts() -> Sequence[Layout]:
    return (OldLayout(),)


@hookimpl
def inpart_recovery_aids() -> Sequence[RecoveryAid]:
    return [OldAid()]
