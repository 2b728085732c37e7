"""``inpart export``: an image out of a partition into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from inpart.cli.command import Device, Image, Run
from inpart.cli.command import command as _command
from inpart.cli.output import printable, size
from inpart.operations.exchange import export_image


@_command(writes=True)
def command(
    run: Run,
    device: Device,
    image: Image = None,
    *,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A new file for the image.", readable=False)],
) -> None:
    """Copy an image into a file, to keep it on another disk."""
    report = export_image(run.session(), device, image, to, dry_run=run.dry_run)
    verb = "would export" if report.dry_run else "exported"
    line = f"{verb} image {printable(report.name)} ({report.image_id[:12]}), {size(report.stored_bytes)}, to {to}"
    run.show(report, [line])
