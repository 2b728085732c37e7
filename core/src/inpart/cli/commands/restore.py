"""``inpart restore``: a partition back from an image of it, in place or elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from inpart.cli.command import Device, Image, Run
from inpart.cli.command import command as _command
from inpart.cli.losses import losses
from inpart.cli.output import printable, size
from inpart.cli.policy import Verify
from inpart.errors import ExitCode
from inpart.operations.restore import RestoreOptions, RestoreReport, restore


@_command(writes=True)
def command(
    run: Run,
    device: Device,
    image: Image = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="TARGET", help="Another partition, or a new file, instead of DEVICE itself."),
    ] = None,
    retain: Annotated[
        bool | None, typer.Option("--retain/--no-retain", help="Keep the images that are in the partition.")
    ] = None,
    changed_only: Annotated[
        bool, typer.Option("--changed-only", help="Write only what differs from the image.")
    ] = False,
    repair_table: Annotated[
        bool, typer.Option("--repair-table", help="DEVICE is the disk: put the partition's entry back, then restore.")
    ] = False,
    repair_table_all: Annotated[
        bool, typer.Option("--repair-table-all", help="DEVICE is the disk: put its whole table back, then restore.")
    ] = False,
    allow_incomplete: Annotated[
        bool,
        typer.Option("--allow-incomplete", help="Bring back what is left of a damaged image; its gaps become zeros."),
    ] = False,
    verify: Verify = None,
) -> None:
    """Bring a partition back from an image."""
    given = {"policy.retain": retain, "policy.verify": verify}
    options = RestoreOptions(
        image=image,
        to=to,
        retain=run.configuration(given).retain,
        changed_only=changed_only,
        repair_table=repair_table,
        repair_table_all=repair_table_all,
        allow_incomplete=allow_incomplete,
        dry_run=run.dry_run,
    )
    report = restore(run.session(given, writes_to=to or device), device, options)
    run.show(report, _text(report))
    if not report.complete:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _text(report: RestoreReport) -> Iterator[str]:
    name = f"image {printable(report.name)} ({report.image_id[:12]})"
    if report.table_entry:
        yield "partition table:"
        yield from (f"  {line}" for line in report.table_entry.splitlines())
    if report.dry_run:
        yield f"would restore {name} to {report.target}: {size(report.image_bytes)}"
    else:
        yield f"restored {name} to {report.target}: {size(report.written_bytes)} written"
    yield f"found by: {report.method}"
    if report.moved_bytes:
        yield f"moved away from the images: {size(report.moved_bytes)}"
    if report.retained:
        yield f"kept: {', '.join(map(printable, report.retained))}"
    if report.dropped:
        yield f"dropped: {', '.join(map(printable, report.dropped))}"
    yield from losses(report)
