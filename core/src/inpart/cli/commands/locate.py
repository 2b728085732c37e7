"""``inpart locate``: images in a partition or anywhere on a disk, however damaged."""

from __future__ import annotations

from typing import Annotated

import typer

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.images import image_table
from inpart.operations.locate import locate_images


@_command()
def command(
    run: Run,
    device: Device,
    whole_disk: Annotated[
        bool, typer.Option("--whole-disk", help="Scan all of it, trusting no file system and no partition table.")
    ] = False,
) -> None:
    """Find images, however damaged the disk is."""
    found = locate_images(run.session(), device, whole_disk=whole_disk)
    for finding in found.findings:
        run.warn(finding)
    if found.unfinished:
        run.warn(found.unfinished)
    value = {"images": found.images, "tried": found.tried, "findings": found.findings, "unfinished": found.unfinished}
    run.show(value, image_table(found, method=True))
