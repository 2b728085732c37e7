"""``inpart import``: an image from a file into a partition."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.output import printable, size
from inpart.cli.policy import LayoutName, MinFree, Verify
from inpart.operations.exchange import import_image


@_command(writes=True)
def command(
    run: Run,
    device: Device,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="What export or create --to made.", show_default=False, readable=False),
    ],
    layout: LayoutName = None,
    min_free: MinFree = None,
    verify: Verify = None,
) -> None:
    """Copy an image from a file into a partition.

    The images that are there stay.
    """
    given = {"layout.name": layout, "policy.min_free": min_free, "policy.verify": verify}
    report = import_image(run.session(given, writes_to=device), device, file, dry_run=run.dry_run)
    verb = "would import" if report.dry_run else "imported"
    line = (
        f"{verb} image {printable(report.name)} ({report.image_id[:12]}), {size(report.stored_bytes)}: {report.place}"
    )
    run.show(report, [line])
