"""Making an image of a partition, inside that partition or into a file."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from inpart import __version__
from inpart.contracts import Encoding, ImageSummary, State
from inpart.errors import NoSpace, UsageError
from inpart.image import FilesystemIdentity, ImageReader, Manifest, WrittenImage, write_image
from inpart.operations.aids.upkeep import refresh_aids
from inpart.operations.estimate import Estimate, estimate_stream
from inpart.operations.files_out import NewFile
from inpart.operations.health import Checking
from inpart.operations.identity import partition_identity, saved_table_of, small_areas, summary_of
from inpart.operations.images import open_parent
from inpart.operations.partition import Mounted, open_as_it_is, open_clean, open_healthy, open_stores
from inpart.operations.placing import Placement, place_image, plan_placement, store_stream
from inpart.operations.readback import read_back_file, read_back_store
from inpart.operations.scope import Scope, scope_of
from inpart.operations.selection import Selection, as_text
from inpart.operations.session import Session
from inpart.operations.stores import Located
from inpart.partitions import Target, open_target
from inpart.units import format_size
from inpart.volume import Access, Buffer

NAME_LIMIT = 128
_LAST_DATE = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class CreateOptions:
    """What a user says of a new image; ``to`` is a file outside, ``allow`` the unclean states that pass."""

    name: str
    kind: str = "user"
    layout: str | None = None
    encoding: str | None = None
    parent: str | None = None
    selection: Selection = field(default_factory=Selection)
    to: Path | None = None
    allow: tuple[State, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class CreateReport:
    """What was made, or with ``dry_run`` would be; sizes in bytes. ``vacated`` is what had to move.

    ``plan`` is the room that was kept for the image, ``extents`` (start, length) where in the partition it is now.
    ``left_out`` files are in the image without their content.
    """

    image_id: str
    name: str
    kind: str
    layout: str
    image_bytes: int
    stored_bytes: int
    expected_bytes: int
    upper_bytes: int
    vacated: int
    plan: str
    dry_run: bool = False
    mode: str = "used"
    left_out: int = 0
    extents: list[tuple[int, int]] = field(default_factory=list)


def create(session: Session, address: str, options: CreateOptions) -> CreateReport:
    """Make an image of the partition at ``address``.

    Raises DeviceBusy, FilesystemError (unclean, damaged, unsupported), NoSpace with the numbers before anything but
    files is moved, UsageError for a name that is taken, UnfinishedJournal, IntegrityError if it does not read back.
    """
    check_name(options.name, options.kind)
    options.selection.check()
    report = _create(session, address, options)
    if options.to is None and not options.dry_run:
        refresh_aids(session, address)
    return report


def _create(session: Session, address: str, options: CreateOptions) -> CreateReport:
    outside = options.to is not None
    access = Access.ALONE if outside or options.dry_run else Access.WRITE
    with open_target(address, access) as target:
        located = open_stores(session, target.volume)
        if outside and options.selection.all_sectors:
            mounted = open_as_it_is(session, target.volume)
        elif outside:
            mounted = open_clean(session, target.volume, options.allow)
        else:
            mounted = open_healthy(session, target.volume, options.allow)
        if not outside:
            refuse_taken(options.name, located)
        job = _Job(session, target, mounted, located, options)
        return job.into_file(options.to) if options.to is not None else job.into_partition()


def check_name(name: str, kind: str) -> None:
    """Raise UsageError for what cannot be the name of an image, or would be taken for another one."""
    if not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
        raise UsageError(f"{name!r} cannot be the name of an image", hint=f"1 to {NAME_LIMIT} printable characters")
    if name == "latest" or (name == "factory" and kind != "factory"):
        raise UsageError(f"{name!r} stands for another image than one of that name", hint="give it another name")
    if name.startswith("/"):
        raise UsageError(f"{name!r} would be taken for a path", hint="give it another name")


def refuse_taken(name: str, located: Located) -> None:
    """Raise UsageError if an image has this name already."""
    if any(one.summary.name == name for one in located.images):
        raise UsageError(f"there is an image {name!r} already", hint="`inpart list` shows the names that are taken")


class _Job:
    """One create: all that was found before anything is written."""

    def __init__(
        self, session: Session, target: Target, mounted: Mounted, located: Located, options: CreateOptions
    ) -> None:
        self.session = session
        self.target = target
        self.mounted = mounted
        self.located = located
        self.options = options
        self.image_id = uuid.uuid4().bytes
        self.encoding: Encoding = session.plugins.encoding(options.encoding or session.policy.encoding)
        self.parent: ImageReader | None = None
        if options.parent is not None:
            self.parent = open_parent(session, located, options.parent)

    def into_partition(self) -> CreateReport:
        """Files are moved only for the room that is likely to be needed; should that not do, all is done again."""
        layout = self.options.layout or self.session.policy.layout
        scope = scope_of(self.mounted, self.options.selection)
        estimate = self.estimate(scope).kept_small(self.options.selection)
        placement = place_image(self.session, self.mounted, self.located.stores, layout, estimate)
        vacated = self.in_the_way(placement)
        report = self.report(estimate, scope, placement.layout.name, placement.plan.summary, vacated)
        if self.options.dry_run:
            return report
        self.session.ask(
            f"Write an image of {format_size(estimate.image_bytes)}, about {format_size(estimate.expected)}, "
            f"into {self.target.volume.name}?"
        )
        try:
            image = self.store(placement)
        except NoSpace as error:
            larger = self.larger(placement, layout, estimate, error)
            self.session.warn("the image is larger than its sample made expect: it starts again, with more room")
            report = replace(report, vacated=report.vacated + self.in_the_way(larger), plan=larger.plan.summary)
            image = self.store(larger)
        stored = read_back_store(self.session, self.mounted, self.image_id)
        return replace(_made(report, image), extents=[(start, end - start) for start, end in stored.extents])

    def larger(self, placement: Placement, layout: str, estimate: Estimate, error: NoSpace) -> Placement:
        """A place for the worst case, after ``error``. Raises NoSpace."""
        self.mounted = self.mounted.reopened()
        try:
            larger = plan_placement(self.session, self.mounted, self.located.stores, layout, estimate)
        except NoSpace as refused:
            raise NoSpace(refused.message, hint=error.hint) from None
        if larger.plan.capacity <= placement.plan.capacity:
            raise error
        return larger

    def in_the_way(self, placement: Placement) -> int:
        return (self.mounted.filesystem.allocated() & placement.plan.vacate).total

    def store(self, placement: Placement) -> WrittenImage:
        """Raises NoSpace if the image does not fit into its place; nothing of it is left then but moved files."""
        written: list[WrittenImage] = []

        def feed(sink: Callable[[Buffer], None]) -> ImageSummary:
            scope = scope_of(self.mounted.reopened(), self.options.selection, placement.plan.region)
            image = self.write(scope, sink)
            written.append(image)
            return summary_of(image.manifest, image.digest, image.stream_size, small_areas(scope, self.target))

        try:
            store_stream(self.session, self.mounted, placement, self.image_id, feed)
        except NoSpace as error:
            if placement.plan.vacate:
                error.hint = "; ".join(filter(None, ("files were moved out of the way, none is lost", error.hint)))
            raise
        return written[0]

    def into_file(self, path: Path) -> CreateReport:
        """The partition is checked while its image is written, and the file is given its name only afterwards.

        Whether every sector is copied as it is has been decided by a check.
        """
        needed = not self.options.selection.all_sectors
        with Checking(self.mounted.provider, self.target.volume, needed=needed) as checking:
            scope = scope_of(self.mounted, self.options.selection)
            estimate = self.estimate(scope)
            report = self.report(estimate, scope, "file", f"a file of at most {estimate.upper} bytes", 0)
            if self.options.dry_run:
                checking.finish()
                return report

            def write(data: Buffer) -> None:
                checking.poll()
                file.write(data)

            with NewFile(path) as file:
                image = self.write(scope, write)
                checking.finish()
                file.flush()
                read_back_file(self.session, file.path, self.parent)
        return _made(report, image)

    def estimate(self, scope: Scope) -> Estimate:
        if self.options.selection.exclude and not scope.left_out.files:
            self.session.warn("no file with content fits --exclude")
        if scope.note:
            self.session.warn(scope.note)
        return estimate_stream(scope.view, scope.used, self.encoding, self.parent)

    def write(self, scope: Scope, sink: Callable[[Buffer], None]) -> WrittenImage:
        with self.session.progress.phase("imaging", scope.used.total) as advance:
            return write_image(
                scope.view,
                scope.used,
                sink,
                self.manifest(scope),
                encoding=self.encoding,
                system_areas=scope.system_areas,
                extra_areas=saved_table_of(self.target),
                parent=self.parent,
                progress=advance,
            )

    def manifest(self, scope: Scope) -> Manifest:
        info = self.mounted.filesystem.info
        return Manifest(
            name=self.options.name,
            kind="factory" if self.options.kind == "factory" else "user",
            image_id=self.image_id.hex(),
            parent=self.parent.manifest.image_id if self.parent else None,
            created=_moment(self.located),
            partition=partition_identity(self.target),
            filesystem=FilesystemIdentity(
                kind=info.kind,
                label=info.label,
                uuid=info.uuid,
                cluster_size=info.cluster_size,
                size=info.size,
                used_bytes=info.used_bytes,
            ),
            mode=self.options.selection.mode,
            include=tuple(map(as_text, self.options.selection.include)),
            exclude=tuple(map(as_text, self.options.selection.exclude)),
            left_out=scope.left_out.files,
            excluded=scope.left_out.names,
            tool_version=__version__,
        )

    def report(self, estimate: Estimate, scope: Scope, layout: str, plan: str, vacated: int) -> CreateReport:
        """What is going to be made."""
        return CreateReport(
            image_id=self.image_id.hex(),
            name=self.options.name,
            kind=self.options.kind,
            layout=layout,
            image_bytes=estimate.image_bytes,
            stored_bytes=0,
            expected_bytes=estimate.expected,
            upper_bytes=estimate.upper,
            vacated=vacated,
            plan=plan,
            dry_run=self.options.dry_run,
            mode=self.options.selection.mode,
            left_out=scope.left_out.files,
        )


def _moment(located: Located) -> datetime:
    """Now, to the second, but after every other image, whatever the clock says: the latest date is the newest image."""
    now = datetime.now(UTC).replace(microsecond=0)
    dates = (min(one.summary.created, _LAST_DATE) for one in located.images)
    return max([now, *(date + timedelta(seconds=1) for date in dates)])


def _made(report: CreateReport, image: WrittenImage) -> CreateReport:
    """The report with what was really written."""
    left_out = image.manifest.left_out
    return replace(report, image_bytes=image.image_bytes, stored_bytes=image.stream_size, left_out=left_out)
