"""``inpart delete``: images out of a partition, whose clusters are free afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.output import printable, size
from inpart.operations.delete import DeleteOptions, DeleteReport, delete_images


@_command(writes=True)
def command(
    run: Run,
    device: Device,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Names, beginnings of ids, 'latest' or 'factory'.", show_default=False),
    ],
    with_children: Annotated[
        bool, typer.Option("--with-children", help="Delete incremental images that build on these, too.")
    ] = False,
    allow_factory: Annotated[bool, typer.Option("--allow-factory", help="Delete factory images as well.")] = False,
) -> None:
    """Delete images and give their clusters back.

    With the last one all of inpart goes from the partition.
    """
    options = DeleteOptions(with_children, allow_factory, run.dry_run)
    report = delete_images(run.session(writes_to=device), device, images, options)
    run.show(report, _text(report))


def _text(report: DeleteReport) -> Iterator[str]:
    verb = "would delete" if report.dry_run else "deleted"
    for row in report.deleted:
        yield f"{verb} image {printable(row.name)} ({row.id[:12]})"
    yield f"{'would free' if report.dry_run else 'freed'}: {size(report.freed_bytes)}"
    yield f"kept: {', '.join(map(printable, report.kept))}" if report.kept else "no image is left"
